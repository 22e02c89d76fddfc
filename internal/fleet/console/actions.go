package console

import (
	"context"
	"errors"
	"net/url"

	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
)

// Actions are what a fleet's desk does; *action.Desk has them.
type Actions interface {
	AddHost(context.Context, action.Actor, wire.NewHost) (wire.Invitation, error)
	Enrol(ctx context.Context, by action.Actor, host, valid string) (wire.Invitation, error)
	Revoke(ctx context.Context, by action.Actor, host string) (record.Host, error)
	IssueCode(ctx context.Context, by action.Actor, host string) (wire.IssuedCode, error)
	RevokeCodes(ctx context.Context, by action.Actor, host string) error
	AddToken(context.Context, action.Actor, wire.NewToken) (wire.MadeToken, error)
	RemoveToken(ctx context.Context, by action.Actor, token string) error
}

// Accounts know who may sign in. Errors are ErrSignedOut, ErrWrong and ErrBusy where
// they are for people.
type Accounts interface {
	// SignIn gives a new session's cookie.
	SignIn(ctx context.Context, name, password, totp, from string) (cookie string, err error)
	// Session is whose a cookie is. touch: a person is at work, so that it goes on.
	Session(ctx context.Context, cookie string, touch bool) (record.Session, record.User, error)
	SignOut(ctx context.Context, cookie string) error
	// Provider names the OIDC provider; "" is none.
	Provider() string
	// ToProvider gives where a browser has to go, and what it has to keep meanwhile.
	ToProvider(ctx context.Context) (to, keep string, err error)
	// FromProvider takes the browser back, with what it was sent with and what it kept.
	FromProvider(ctx context.Context, query url.Values, keep, from string) (cookie string, err error)
}

// What accounts answer to people.
var (
	ErrSignedOut = errors.New("nobody is signed in")
	ErrWrong     = errors.New("name, password or one-time password is wrong")
	ErrBusy      = errors.New("too many at once")
)

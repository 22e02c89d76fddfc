package console

import (
	"context"
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

// Accounts know who may sign in; *account.Accounts do.
type Accounts interface {
	SignIn(ctx context.Context, name, password, totp, from string) (cookie string, err error)
	// Session is whose a cookie is. touch: a person is at work, so that it goes on.
	Session(ctx context.Context, cookie string, touch bool) (record.Session, record.User, error)
	SignOut(ctx context.Context, cookie string) error
	SignOutEverywhere(ctx context.Context, by action.Actor, name string) error
	Provider() string
	ToProvider(ctx context.Context) (to, keep string, err error)
	FromProvider(ctx context.Context, query url.Values, keep, from string) (cookie string, err error)

	ChangePassword(ctx context.Context, by action.Actor, name, old, password string) error
	NewTOTP(name, fleet string) (secret, url string, err error)
	ConfirmTOTP(ctx context.Context, by action.Actor, name, secret, code string) error

	List(ctx context.Context) ([]record.User, error)
	Add(ctx context.Context, by action.Actor, name string, role record.Role, password string) error
	SetPassword(ctx context.Context, by action.Actor, name, password string) error
	SetRole(ctx context.Context, by action.Actor, name string, role record.Role) error
	Disable(ctx context.Context, by action.Actor, name string, disabled bool) error
	RemoveTOTP(ctx context.Context, by action.Actor, name string) error
	Remove(ctx context.Context, by action.Actor, name string) error
}

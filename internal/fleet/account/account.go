// Package account is who may sign in to the console: people with their passwords, one-
// time passwords and sessions, and those whom an identity provider (OIDC) vouches for.
// It knows no HTTP server: cookies are texts here, and whoever serves pages decides how
// they travel. What a person may do then is decided where it is done, by the role.
package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"filippo.io/age"

	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/record"
)

// What is answered to people. There is one answer to all that is wrong with a sign-in.
var (
	ErrSignedOut = fmt.Errorf("nobody is signed in: %w", record.ErrNotFound)
	ErrWrong     = errors.New("name, password or one-time password is wrong")
	ErrBusy      = errors.New("too many try to sign in; wait some minutes")
	// ErrLast keeps a fleet from being left without anybody who may manage it.
	ErrLast = errors.New("this is the last administrator with a password; make another one first")
)

// How long a session lives.
const (
	idle     = time.Hour      // without a page asked for
	absolute = 12 * time.Hour // whatever is done
	// noted is how exactly the last use is kept: not each page is worth a write.
	noted = time.Minute
)

// Accounts are the people of a fleet. They may be used concurrently.
type Accounts struct {
	store    record.Store
	identity *age.X25519Identity
	provider *provider
	hashing  *hashing
	names    *limiter
	pairs    *limiter // of name and place
	places   *limiter
	now      func() time.Time
	logger   *slog.Logger
}

// Option changes what New makes.
type Option func(*Accounts)

// WithClock sets what time it is.
func WithClock(now func() time.Time) Option { return func(a *Accounts) { a.now = now } }

// WithLogger is told of sign-ins that were refused, and why.
func WithLogger(l *slog.Logger) Option { return func(a *Accounts) { a.logger = l } }

// New makes the accounts of a store. The identity seals the secrets of one-time
// passwords; nil: nobody can have one.
func New(store record.Store, identity *age.X25519Identity, options ...Option) *Accounts {
	a := &Accounts{store: store, identity: identity, hashing: newHashing(defaultCost), now: time.Now, logger: slog.New(slog.DiscardHandler)}
	for _, option := range options {
		option(a)
	}
	// Somebody who mistypes is not shut out; somebody who guesses gets some thousand
	// tries a day at one name, which a password of twelve letters stands.
	// One place alone gets fewer tries at a name than the name has, so that nobody can
	// keep a person out by guessing.
	a.pairs = newLimiter(a.clock, 10, 30*time.Second)
	a.names = newLimiter(a.clock, 60, 10*time.Second)
	a.places = newLimiter(a.clock, 30, 5*time.Second)
	return a
}

func (a *Accounts) clock() time.Time { return a.now().UTC().Truncate(time.Microsecond) }

var plainName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._@-]{0,62}[a-z0-9])?$`)

// plain is a name as it is stored: case does not count.
func plain(name string) string {
	if len(name) > 256 {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(name))
}

// SignIn begins a session for who knows the password, and the one-time password if the
// account has one. The cookie is given once and stored nowhere. Errors for people are
// ErrWrong and ErrBusy.
func (a *Accounts) SignIn(ctx context.Context, name, password, totp, from string) (cookie string, err error) {
	name = plain(name)
	pair := name + "\x00" + place(from)
	if !a.places.take(place(from)) || !a.pairs.take(pair) || !a.names.take(name) {
		a.logger.WarnContext(ctx, "sign-in refused", "user", name, "from", from, "reason", "too many tries")
		return "", ErrBusy
	}
	user, err := a.user(ctx, name)
	if err != nil && !errors.Is(err, record.ErrNotFound) {
		return "", err
	}
	// Who is not there takes as long as who is.
	right, stale, err := a.hashing.check(ctx, user.Password, password)
	if err != nil {
		return "", err
	}
	reason := ""
	switch {
	case user.Name == "":
		reason = "no such user"
	case !right:
		reason = "wrong password"
	case user.Disabled:
		reason = "disabled"
	}
	if reason == "" && stale {
		// Taken over below, unless the account changes meanwhile.
		if again, err := a.hashing.hash(ctx, password); err == nil {
			defer func() { a.refresh(ctx, user, again) }()
		}
	}
	if reason == "" {
		cookie, reason, err = a.begin(ctx, user, totp, from)
		if err != nil {
			return "", err
		}
	}
	if reason != "" {
		a.logger.WarnContext(ctx, "sign-in refused", "user", name, "from", from, "reason", reason)
		return "", ErrWrong
	}
	a.pairs.forgive(pair)
	a.names.forgive(name)
	a.places.forgive(place(from))
	return cookie, nil
}

// begin makes a session for a user whose password was right a moment ago.
func (a *Accounts) begin(ctx context.Context, seen record.User, totp, from string) (cookie, reason string, err error) {
	cookie = secret()
	err = a.store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		reason = ""
		user, err := tx.User(seen.Name)
		if errors.Is(err, record.ErrNotFound) || err == nil && (user.Disabled || user.Password != seen.Password) {
			reason = "changed meanwhile"
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if user.TOTP != nil {
			step, err := a.step(user, totp)
			if err != nil {
				return nil, err
			}
			if step <= user.Step { // wrong, or used before
				reason = "wrong one-time password"
				return nil, nil
			}
			user.Step = step
			if err := tx.PutUser(user); err != nil {
				return nil, err
			}
		}
		return a.open(tx, user, cookie, from, "")
	})
	return cookie, reason, err
}

// open stores a session.
func (a *Accounts) open(tx record.Tx, user record.User, cookie, from, how string) ([]record.Entry, error) {
	now := a.clock()
	err := tx.PutSession(record.Session{
		Hash: hashed(cookie), User: user.Name, CSRF: secret(), Created: now, Used: now, Expires: now.Add(absolute),
	})
	return []record.Entry{{Time: now, Actor: "user:" + user.Name, Action: "session.begin", Object: user.Name, Detail: how, From: from}}, err
}

// refresh replaces a password hashed at another cost. It may fail: the next sign-in
// tries again.
func (a *Accounts) refresh(ctx context.Context, seen record.User, hash string) {
	err := a.store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		user, err := tx.User(seen.Name)
		if err != nil || user.Password != seen.Password {
			return nil, err
		}
		user.Password = hash
		return nil, tx.PutUser(user)
	})
	if err != nil {
		a.logger.WarnContext(ctx, "password not hashed again", "user", seen.Name, "error", err)
	}
}

// Session is whose a cookie is. touch: a person is at work, so that the session goes
// on. ErrSignedOut: it is nobody's, or not any more.
func (a *Accounts) Session(ctx context.Context, cookie string, touch bool) (s record.Session, u record.User, err error) {
	if cookie == "" || len(cookie) > 256 {
		return s, u, ErrSignedOut
	}
	now := a.clock()
	err = a.store.Read(ctx, func(r record.Reader) (err error) {
		if s, err = r.Session(hashed(cookie)); err != nil {
			return err
		}
		u, err = r.User(s.User)
		return err
	})
	if errors.Is(err, record.ErrNotFound) || err == nil && (!alive(s, now) || u.Disabled) {
		return record.Session{}, record.User{}, ErrSignedOut
	}
	if err != nil {
		return record.Session{}, record.User{}, err
	}
	if touch && now.Sub(s.Used) >= noted {
		err = a.store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
			current, err := tx.Session(s.Hash) // it may have been ended meanwhile
			if err != nil {
				return nil, err
			}
			current.Used, s.Used = now, now
			return nil, tx.PutSession(current)
		})
		if errors.Is(err, record.ErrNotFound) {
			return record.Session{}, record.User{}, ErrSignedOut
		}
	}
	return s, u, err
}

func alive(s record.Session, now time.Time) bool {
	return now.Before(s.Expires) && now.Sub(s.Used) < idle
}

// SignOut ends a session.
func (a *Accounts) SignOut(ctx context.Context, cookie string) error {
	return a.store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		s, err := tx.Session(hashed(cookie))
		if errors.Is(err, record.ErrNotFound) {
			return nil, ErrSignedOut
		}
		if err != nil {
			return nil, err
		}
		return []record.Entry{{Time: a.clock(), Actor: "user:" + s.User, Action: "session.end", Object: s.User}}, tx.RemoveSession(s.Hash)
	})
}

// SignOutEverywhere ends all sessions of a user: one's own, or as an administrator.
func (a *Accounts) SignOutEverywhere(ctx context.Context, by action.Actor, name string) error {
	name = plain(name)
	if by.Name != "user:"+name && !by.Role.May(record.Administrator) {
		return action.ErrForbidden
	}
	return a.store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		if _, err := tx.User(name); err != nil {
			return nil, err
		}
		return a.entry(by, "session.end-all", name, ""), tx.RemoveSessions(name)
	})
}

func (a *Accounts) user(ctx context.Context, name string) (u record.User, err error) {
	if !plainName.MatchString(name) {
		return u, record.ErrNotFound
	}
	err = a.store.Read(ctx, func(r record.Reader) error { u, err = r.User(name); return err })
	return u, err
}

func (a *Accounts) entry(by action.Actor, what, object, detail string) []record.Entry {
	return []record.Entry{{Time: a.clock(), Actor: by.Name, From: by.From, Action: what, Object: object, Detail: detail}}
}

// secret is 256 random bits.
func secret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// hashed is what is stored of a cookie. It is random, so one round does.
func hashed(cookie string) string {
	sum := sha256.Sum256([]byte(cookie))
	return hex.EncodeToString(sum[:])
}

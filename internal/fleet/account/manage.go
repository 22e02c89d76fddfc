package account

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/record"
)

// Add makes a user, as an administrator. Without a password nobody can sign in by it
// until one is set.
func (a *Accounts) Add(ctx context.Context, by action.Actor, name string, role record.Role, password string) error {
	if !by.Role.May(record.Administrator) {
		return action.ErrForbidden
	}
	user, err := a.made(ctx, name, role, password)
	if err != nil {
		return err
	}
	return a.store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		there, err := tx.Users()
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(there, func(u record.User) bool { return u.Name == user.Name }) {
			return nil, fmt.Errorf("user %s: %w", user.Name, record.ErrTaken)
		}
		return a.entry(by, "user.add", user.Name, string(role)), tx.PutUser(user)
	})
}

func (a *Accounts) made(ctx context.Context, name string, role record.Role, password string) (record.User, error) {
	u := record.User{Name: plain(name), Role: role, Created: a.clock()}
	if !plainName.MatchString(u.Name) {
		return u, fmt.Errorf("%w: a user's name has up to 64 letters a to z, digits, and . _ @ - between them", action.ErrInvalid)
	}
	if !role.May(record.Viewer) {
		return u, fmt.Errorf("%w: the roles are viewer, operator and administrator", action.ErrInvalid)
	}
	if password == "" {
		return u, nil
	}
	var err error
	u.Password, err = a.acceptable(ctx, u.Name, password)
	return u, err
}

// acceptable hashes a new password that is good enough.
func (a *Accounts) acceptable(ctx context.Context, name, password string) (string, error) {
	switch {
	case len(password) < shortest || len(password) > longest:
		return "", fmt.Errorf("%w: a password has %d to %d bytes", action.ErrInvalid, shortest, longest)
	case !utf8.ValidString(password):
		return "", fmt.Errorf("%w: the password is not UTF-8", action.ErrInvalid)
	case strings.Contains(strings.ToLower(password), name) && len(password) < len(name)+shortest,
		strings.Count(password, password[:1]) == len(password):
		return "", fmt.Errorf("%w: that password is guessed first", action.ErrInvalid)
	}
	return a.hashing.hash(ctx, password)
}

// SetPassword gives a user another password, as an administrator. All sessions of the
// user end.
func (a *Accounts) SetPassword(ctx context.Context, by action.Actor, name, password string) error {
	if !by.Role.May(record.Administrator) {
		return action.ErrForbidden
	}
	hash, err := a.acceptable(ctx, plain(name), password)
	if err != nil {
		return err
	}
	return a.manage(ctx, by, "user.password", name, "", func(tx record.Tx, u *record.User) error {
		u.Password = hash
		return tx.RemoveSessions(u.Name)
	})
}

// ChangePassword gives the one who acts another password. ErrWrong: the old one is
// not right. All sessions of the user end.
func (a *Accounts) ChangePassword(ctx context.Context, by action.Actor, name, old, password string) error {
	name = plain(name)
	if by.Name != "user:"+name {
		return action.ErrForbidden
	}
	if !a.names.take(name) {
		return ErrBusy
	}
	user, err := a.user(ctx, name)
	if err != nil {
		return err
	}
	right, _, err := a.hashing.check(ctx, user.Password, old)
	if err != nil {
		return err
	}
	if !right {
		return ErrWrong
	}
	a.names.forgive(name)
	hash, err := a.acceptable(ctx, name, password)
	if err != nil {
		return err
	}
	return a.change(ctx, by, "user.password", name, "", func(tx record.Tx, u *record.User) error {
		if u.Password != user.Password {
			return ErrWrong
		}
		u.Password = hash
		return tx.RemoveSessions(name)
	})
}

// SetRole changes what a user may do, from the next request on.
func (a *Accounts) SetRole(ctx context.Context, by action.Actor, name string, role record.Role) error {
	if !role.May(record.Viewer) {
		return fmt.Errorf("%w: the roles are viewer, operator and administrator", action.ErrInvalid)
	}
	return a.manage(ctx, by, "user.role", name, string(role), func(_ record.Tx, u *record.User) error {
		u.Role = role
		return nil
	})
}

// Disable shuts a user out, or lets one in again. All sessions of the user end.
func (a *Accounts) Disable(ctx context.Context, by action.Actor, name string, disabled bool) error {
	what := "user.enable"
	if disabled {
		what = "user.disable"
	}
	return a.manage(ctx, by, what, name, "", func(tx record.Tx, u *record.User) error {
		u.Disabled = disabled
		return tx.RemoveSessions(u.Name)
	})
}

// Remove removes a user with all sessions.
func (a *Accounts) Remove(ctx context.Context, by action.Actor, name string) error {
	if !by.Role.May(record.Administrator) {
		return action.ErrForbidden
	}
	name = plain(name)
	return a.store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		u, err := tx.User(name)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		if err := tx.RemoveUser(name); err != nil {
			return nil, err
		}
		if manages(u) {
			if err := notLast(tx); err != nil {
				return nil, err
			}
		}
		return a.entry(by, "user.remove", name, ""), nil
	})
}

// List gives all users.
func (a *Accounts) List(ctx context.Context) (users []record.User, err error) {
	err = a.store.Read(ctx, func(r record.Reader) error { users, err = r.Users(); return err })
	return users, err
}

// manage changes a user as an administrator.
func (a *Accounts) manage(ctx context.Context, by action.Actor, what, name, detail string, f func(record.Tx, *record.User) error) error {
	if !by.Role.May(record.Administrator) {
		return action.ErrForbidden
	}
	return a.change(ctx, by, what, plain(name), detail, f)
}

func (a *Accounts) change(ctx context.Context, by action.Actor, what, name, detail string, f func(record.Tx, *record.User) error) error {
	return a.store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		u, err := tx.User(name)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		managed := manages(u)
		if err := f(tx, &u); err != nil {
			return nil, err
		}
		if err := tx.PutUser(u); err != nil {
			return nil, err
		}
		if managed && !manages(u) {
			if err := notLast(tx); err != nil {
				return nil, err
			}
		}
		return a.entry(by, what, name, detail), nil
	})
}

// manages tells an administrator who can sign in without the identity provider.
func manages(u record.User) bool {
	return u.Role.May(record.Administrator) && !u.Disabled && u.Password != ""
}

// notLast refuses a change after which nobody is left to manage the fleet.
func notLast(r record.Reader) error {
	users, err := r.Users()
	if err == nil && !slices.ContainsFunc(users, manages) {
		err = ErrLast
	}
	return err
}

package action

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeboat/internal/excerpt"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/secret"
	"lifeboat/internal/fleet/wire"
)

const mostToken = 10 * 365 * 24 * time.Hour

// AddToken makes a token with which a program acts. Its text is given once.
func (d *Desk) AddToken(ctx context.Context, a Actor, n wire.NewToken) (wire.MadeToken, error) {
	if err := may(a, record.Administrator); err != nil {
		return wire.MadeToken{}, err
	}
	if !plainName.MatchString(n.Name) {
		return wire.MadeToken{}, invalid("%q is no name of a token; it has letters, digits, dots and hyphens", excerpt.Line(n.Name, 80))
	}
	if !n.Role.May(record.Viewer) {
		return wire.MadeToken{}, invalid("%q is no role", excerpt.Line(string(n.Role), 80))
	}
	holds, err := span(n.Valid, 0, mostToken)
	if err != nil {
		return wire.MadeToken{}, err
	}
	now := d.now()
	made := wire.MadeToken{Text: secret.NewToken("lft"), Token: record.Token{ID: string(newID()), Name: n.Name, Role: n.Role, By: a.Name, Created: now}}
	made.Hash = secret.HashToken(made.Text)
	if holds > 0 {
		made.Expires = now.Add(holds)
	}
	err = d.change(ctx, func(tx record.Tx) (record.Entry, error) {
		if err := tx.PutToken(made.Token); err != nil {
			return record.Entry{}, fmt.Errorf("token %s: %w", n.Name, err)
		}
		return d.entry(a, "token.add", n.Name, string(n.Role)), nil
	})
	if err != nil {
		return wire.MadeToken{}, err
	}
	return made, nil
}

// RemoveToken makes a token worthless, by its name or id.
func (d *Desk) RemoveToken(ctx context.Context, a Actor, ref string) error {
	if err := may(a, record.Administrator); err != nil {
		return err
	}
	return d.change(ctx, func(tx record.Tx) (record.Entry, error) {
		all, err := tx.Tokens()
		if err != nil {
			return record.Entry{}, err
		}
		for _, t := range all {
			if t.ID == ref || t.Name == ref {
				return d.entry(a, "token.remove", t.Name, ""), tx.RemoveToken(t.ID)
			}
		}
		return record.Entry{}, fmt.Errorf("token %q: %w", excerpt.Line(ref, 80), record.ErrNotFound)
	})
}

// usedEvery is how exactly it is remembered when a token was last used.
const usedEvery = time.Hour

// Token is who acts with a token; record.ErrNotFound if nobody does.
func (d *Desk) Token(ctx context.Context, text, from string) (Actor, error) {
	var t record.Token
	hash := secret.HashToken(text)
	err := d.Store.Read(ctx, func(r record.Reader) (err error) { t, err = r.Token(hash); return err })
	if err != nil {
		return Actor{}, err
	}
	now := d.now()
	if !t.Expires.IsZero() && !now.Before(t.Expires) {
		return Actor{}, record.ErrNotFound
	}
	if now.Sub(t.Used) > usedEvery {
		err := d.Store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
			present, err := tx.Token(hash) // it may have been removed meanwhile
			if err != nil {
				return nil, err
			}
			present.Used = now
			return nil, tx.PutToken(present)
		})
		if err != nil {
			return Actor{}, err
		}
	}
	return Actor{Name: "token:" + t.Name, Role: t.Role, From: from}, nil
}

// administratorSetting remembers which token of a first administrator was taken in,
// so that one that was removed stays removed.
const administratorSetting = "first-administrator"

// TakeAdministrator takes in the token of the first administrator that stands beside
// the keys, once.
func (d *Desk) TakeAdministrator(ctx context.Context, text string) error {
	hash := secret.HashToken(text)
	return d.Store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		known, err := tx.Setting(administratorSetting)
		if err == nil && string(known) == hash {
			return nil, nil
		}
		if err != nil && !errors.Is(err, record.ErrNotFound) {
			return nil, err
		}
		all, err := tx.Tokens()
		if err != nil {
			return nil, err
		}
		for _, t := range all {
			if t.Name == administratorName {
				if err := tx.RemoveToken(t.ID); err != nil {
					return nil, err
				}
			}
		}
		token := record.Token{ID: string(newID()), Name: administratorName, Hash: hash, Role: record.Administrator, By: "server", Created: d.now()}
		if err := tx.PutToken(token); err != nil {
			return nil, err
		}
		return []record.Entry{{Actor: "server", Action: "token.add", Object: administratorName, Detail: "the first administrator's"}}, tx.PutSetting(administratorSetting, []byte(hash))
	})
}

const administratorName = "first-administrator"

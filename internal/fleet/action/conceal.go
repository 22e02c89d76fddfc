package action

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/rescue/configuration"
)

// conceal moves the files of a version's open half into its secret half, and takes out
// what else hosts with an older lifeboat send openly.
func (d *Desk) conceal(v *record.Version) error {
	open, err := configuration.ParseOpen(v.Open)
	if err != nil {
		return err
	}
	files, any := open.Conceal()
	if !any {
		return nil
	}
	text, err := open.Encode()
	if err != nil {
		return err
	}
	if len(files) > 0 {
		secret := &configuration.Secret{Format: configuration.Format, Host: v.Host}
		if len(v.Secret) > 0 {
			if secret, err = configuration.Unseal(v.Secret, v.Host, d.Keys.Age); err != nil {
				return err
			}
		}
		secret.Take(files)
		if v.Secret, err = secret.Seal(d.Keys.Age.Recipient()); err != nil {
			return err
		}
	}
	v.Open, v.Digest = text, d.blind(v.Digest)
	return nil
}

// blind is in place of a digest of what is secret: against a plain one people could try
// what they guess.
func (d *Desk) blind(digest string) string {
	sum := hmac.New(sha256.New, d.Keys.Signing.Seed())
	sum.Write([]byte(digest))
	return hex.EncodeToString(sum.Sum(nil))
}

// Settings of what was done to records of older servers.
const (
	concealed = "configurations.concealed" // everyConcealed: Conceal has been here
	compact   = "database.compact"         // compactDue or compactDone

	everyConcealed = "2" // "1" was before events, addresses and digests
	compactDue     = "due"
	compactDone    = "done"
)

// Conceal takes out, once, what records of older servers hold openly: files, which it
// seals, who signs in to repositories, profiles' digests and arguments of hooks. A file
// that cannot be sealed is lost: problem is told of it. Then it has the database
// overwrite what was there, at the next start if there is no room for it now.
func (d *Desk) Conceal(ctx context.Context, problem func(error)) error {
	kept, err := d.setting(ctx, concealed)
	if err != nil {
		return err
	}
	if kept != everyConcealed {
		if err := d.concealHosts(ctx, problem); err != nil {
			return err
		}
		if err := d.scrub(ctx); err != nil {
			return fmt.Errorf("take the arguments of hooks out of what runs told: %w", err)
		}
		err = d.Store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
			// An older server has sealed or removed what it had, and left what was there.
			if err := tx.PutSetting(compact, []byte(compactDue)); err != nil {
				return nil, err
			}
			return nil, tx.PutSetting(concealed, []byte(everyConcealed))
		})
		if err != nil {
			return err
		}
	}
	if kept, err = d.setting(ctx, compact); err != nil || kept != compactDue {
		return err
	}
	if err := d.Store.Compact(ctx); err != nil {
		problem(fmt.Errorf("what was open in the database before it was sealed is still in unused parts of its files; that is tried again at the next start: %w", err))
		return ctx.Err()
	}
	return d.Store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		return nil, tx.PutSetting(compact, []byte(compactDone))
	})
}

// Started remembers when a server started, and so sees whether anything can be
// written: record.ErrFull if not.
func (d *Desk) Started(ctx context.Context) error {
	return d.Store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		return nil, tx.PutSetting("server.started", []byte(d.now().Format(time.RFC3339)))
	})
}

// setting is a setting's text, "" if it was never set.
func (d *Desk) setting(ctx context.Context, name string) (string, error) {
	var value []byte
	err := d.Store.Read(ctx, func(r record.Reader) (err error) { value, err = r.Setting(name); return err })
	if errors.Is(err, record.ErrNotFound) {
		err = nil
	}
	return string(value), err
}

// rewrite changes what is to leave nothing in the database's files.
func (d *Desk) rewrite(ctx context.Context, f func(record.Tx) error) error {
	return d.Store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		if err := tx.PutSetting(compact, []byte(compactDue)); err != nil {
			return nil, err
		}
		return nil, f(tx)
	})
}

func (d *Desk) concealHosts(ctx context.Context, problem func(error)) error {
	const limit = 500
	var page record.Page
	for page.Limit = limit; ; {
		var hosts []record.Host
		if err := d.Store.Read(ctx, func(r record.Reader) (err error) { hosts, err = r.Hosts("", page); return err }); err != nil {
			return err
		}
		for _, h := range hosts {
			if err := d.concealHost(ctx, h, problem); err != nil && !errors.Is(err, record.ErrNotFound) {
				return fmt.Errorf("host %s: seal what its recovery configurations hold: %w", h.Name, err)
			}
			page.After = h.Name
		}
		if len(hosts) < limit {
			return nil
		}
	}
}

func (d *Desk) concealHost(ctx context.Context, h record.Host, problem func(error)) error {
	var versions []record.Version
	err := d.Store.Read(ctx, func(r record.Reader) (err error) { versions, err = r.Versions(h.ID); return err })
	if err != nil {
		return err
	}
	for _, brief := range versions {
		var v record.Version
		if err := d.Store.Read(ctx, func(r record.Reader) (err error) { v, err = r.Version(h.ID, brief.Number); return err }); err != nil {
			return err
		}
		public, err := configuration.Public(v.Open)
		if err == nil && bytes.Equal(public, v.Open) {
			continue
		}
		if err := d.conceal(&v); err != nil {
			problem(fmt.Errorf("host %s: the files of version %d could not be sealed, and are not kept: %w", h.Name, v.Number, err))
			v.Open, v.Digest = public, d.blind(v.Digest)
		}
		if err := d.rewrite(ctx, func(tx record.Tx) error { return tx.PutHalves(v) }); err != nil {
			return err
		}
	}
	return nil
}

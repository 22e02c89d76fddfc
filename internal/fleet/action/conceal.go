package action

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/rescue/configuration"
)

// conceal moves the files of a version's open half into its secret half: hosts with an
// older lifeboat send them openly. It tells whether there were any.
func (d *Desk) conceal(v *record.Version) (bool, error) {
	open, err := configuration.ParseOpen(v.Open)
	if err != nil {
		return false, err
	}
	files := open.Conceal()
	if len(files) == 0 {
		return false, nil
	}
	secret := &configuration.Secret{Format: configuration.Format, Host: v.Host}
	if len(v.Secret) > 0 {
		if secret, err = configuration.Unseal(v.Secret, v.Host, d.Keys.Age); err != nil {
			return false, err
		}
	}
	secret.Take(files)
	if v.Secret, err = secret.Seal(d.Keys.Age.Recipient()); err != nil {
		return false, err
	}
	// A plain digest of what is secret would let people try passwords against it.
	sum := hmac.New(sha256.New, d.Keys.Signing.Seed())
	sum.Write([]byte(v.Digest))
	v.Digest = hex.EncodeToString(sum.Sum(nil))
	v.Open, err = open.Encode()
	return true, err
}

// concealed is the setting that says that Conceal has been here.
const concealed = "configurations.concealed"

// Conceal seals, once, what versions from before files were sealed hold openly. One
// that cannot be sealed loses its files: problem is told of it.
func (d *Desk) Conceal(ctx context.Context, problem func(error)) error {
	err := d.Store.Read(ctx, func(r record.Reader) error { _, err := r.Setting(concealed); return err })
	if err == nil || !errors.Is(err, record.ErrNotFound) {
		return err
	}
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
			break
		}
	}
	return d.Store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		return nil, tx.PutSetting(concealed, []byte("1"))
	})
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
		_, err = d.conceal(&v)
		if err != nil {
			problem(fmt.Errorf("host %s: the files of version %d could not be sealed, and are not kept: %w", h.Name, v.Number, err))
			v.Open = public
		}
		if err := d.Store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) { return nil, tx.PutHalves(v) }); err != nil {
			return err
		}
	}
	return nil
}

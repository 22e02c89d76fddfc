package action

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/kit/typed"
	"lifeboat/internal/rescue/configuration"
)

// codeFor is how long a recovery code holds.
const codeFor = 30 * time.Minute

// ErrNoConfiguration says that a host has not sent what its recovery needs yet.
var ErrNoConfiguration = errors.New("there is no recovery configuration of the host: it comes with its first backup that goes well after it has joined")

// IssueCode makes a one-time recovery code of a host. The secrets of its newest
// configuration are unsealed in memory, sealed to the code, and kept so; the code
// itself is given once and kept nowhere.
func (d *Desk) IssueCode(ctx context.Context, a Actor, ref string) (wire.IssuedCode, error) {
	if err := may(a, record.Operator); err != nil {
		return wire.IssuedCode{}, err
	}
	var h record.Host
	var v record.Version
	err := d.Store.Read(ctx, func(r record.Reader) (err error) {
		if h, err = find(r, ref); err != nil {
			return err
		}
		v, err = r.Version(h.ID, 0)
		if errors.Is(err, record.ErrNotFound) {
			return ErrNoConfiguration
		}
		return err
	})
	switch {
	case err != nil:
		return wire.IssuedCode{}, err
	case !h.Revoked.IsZero():
		return wire.IssuedCode{}, invalid("host %s is revoked; nothing of it is given out", h.Name)
	case len(v.Secret) == 0:
		return wire.IssuedCode{}, invalid("the recovery configuration of %s holds no secrets, so no code is needed", h.Name)
	}
	secret, err := configuration.Unseal(v.Secret, h.ID, d.Keys.Age)
	if err != nil {
		return wire.IssuedCode{}, fmt.Errorf("host %s: %w", h.Name, err)
	}
	text := typed.NewCode()
	sealed, err := secret.SealToCode(text, v.Number)
	if err != nil {
		return wire.IssuedCode{}, fmt.Errorf("host %s: %w", h.Name, err)
	}
	now := d.now()
	code := record.Code{
		Lookup: configuration.Lookup(text), Host: h.ID, Version: v.Number, Sealed: sealed,
		Issued: now, Expires: now.Add(codeFor), By: a.Name,
	}
	err = d.change(ctx, func(tx record.Tx) (record.Entry, error) {
		if _, err := own(tx, h); err != nil {
			return record.Entry{}, err
		}
		return d.entry(a, "code.issue", h.Name, fmt.Sprintf("version %d, until %s", v.Number, code.Expires.Format(time.RFC3339))), tx.PutCode(code)
	})
	if err != nil {
		return wire.IssuedCode{}, err
	}
	return wire.IssuedCode{Host: h.Name, Code: text.String(), Version: v.Number, Expires: code.Expires}, nil
}

// RevokeCodes makes the codes of a host worthless.
func (d *Desk) RevokeCodes(ctx context.Context, a Actor, ref string) error {
	if err := may(a, record.Operator); err != nil {
		return err
	}
	return d.change(ctx, func(tx record.Tx) (record.Entry, error) {
		h, err := find(tx, ref)
		if err != nil {
			return record.Entry{}, err
		}
		return d.entry(a, "code.revoke", h.Name, ""), tx.RevokeCodes(h.ID)
	})
}

package action

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/secret"
	"lifeboat/internal/fleet/wire"
)

// Join lets a host in that shows a token: its key is taken, and gets a certificate.
// record.ErrSpent: the token is unknown, used or expired, without a word on which.
func (d *Desk) Join(ctx context.Context, from string, j wire.Join) (wire.Joined, error) {
	identity, err := normal(j.Identity)
	if err != nil {
		return wire.Joined{}, err
	}
	text, _, _ := strings.Cut(j.Token, ".")
	hash := secret.HashToken(text)
	now := d.now()
	var made wire.Joined
	err = d.Store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		e, err := tx.TakeEnrolment(hash, now)
		if err != nil {
			return nil, err
		}
		h, err := tx.Host(e.Host)
		if errors.Is(err, record.ErrNotFound) {
			return nil, record.ErrSpent
		}
		if err != nil {
			return nil, err
		}
		certificate, key, err := d.Keys.Certify(j.Request, string(h.ID), now)
		if err != nil {
			return nil, err
		}
		again := ""
		if h.Key != "" {
			again = "again, with another key; "
		}
		h.Key, h.Joined, h.Revoked, h.Identity = key, now, time.Time{}, merged(h.Identity, identity)
		if err := tx.PutHost(h); err != nil {
			return nil, fmt.Errorf("host %s: %w", h.Name, err)
		}
		made = wire.Joined{Host: h.ID, Name: h.Name, Certificate: string(certificate), Fleet: d.Fleet()}
		return []record.Entry{{Time: now, Actor: "host:" + h.Name, From: from, Action: "host.join", Object: h.Name, Detail: again + tell(h.Identity)}}, nil
	})
	if err != nil {
		return wire.Joined{}, err
	}
	return made, nil
}

// Fleet is what this fleet is known by.
func (d *Desk) Fleet() wire.Fleet {
	return wire.Fleet{URL: d.Keys.URL, Authority: string(d.Keys.AuthorityPEM()), Recipient: d.Keys.Recipient(), Keys: []string{d.Keys.SigningKey()}}
}

// SigningKeys are the public halves of the keys that sign.
func (d *Desk) SigningKeys() []ed25519.PublicKey {
	public, _ := d.Keys.Signing.Public().(ed25519.PublicKey)
	return []ed25519.PublicKey{public}
}

// HostByKey is the host that shows a certificate, unless it is revoked: that is asked
// at each request. record.ErrNotFound otherwise.
func (d *Desk) HostByKey(ctx context.Context, key string) (h record.Host, err error) {
	err = d.Store.Read(ctx, func(r record.Reader) error { h, err = r.HostByKey(key); return err })
	if err == nil && !h.Revoked.IsZero() {
		return record.Host{}, record.ErrNotFound
	}
	return h, err
}

// Renew gives a host its next certificate. The key stays the same, so that a host
// whose machine fails in between is still known.
func (d *Desk) Renew(ctx context.Context, h record.Host, from string, request []byte) (wire.Certificate, error) {
	now := d.now()
	certificate, key, err := d.Keys.Certify(request, string(h.ID), now)
	if err != nil {
		return wire.Certificate{}, err
	}
	if key != h.Key {
		return wire.Certificate{}, fmt.Errorf("%w: it is for another key than the host's", keys.ErrRequest)
	}
	err = d.change(ctx, func(tx record.Tx) (record.Entry, error) {
		_, err := own(tx, h)
		return record.Entry{Time: now, Actor: "host:" + h.Name, From: from, Action: "host.renew", Object: h.Name}, err
	})
	return wire.Certificate{Certificate: string(certificate)}, err
}

// own is the host as the transaction sees it, while it has the key that the request
// was made with: what was revoked in between changes nothing any more.
func own(tx record.Tx, h record.Host) (record.Host, error) {
	now, err := tx.Host(h.ID)
	if err == nil && (!now.Revoked.IsZero() || now.Key != h.Key) {
		return now, record.ErrNotFound
	}
	return now, err
}

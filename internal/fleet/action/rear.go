package action

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/excerpt"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/rescue/configuration"
)

// How long a window for a plain ReaR client is open.
const (
	usualWindow = 30 * time.Minute
	mostWindow  = 24 * time.Hour
)

// OpenWindow lets the first plain ReaR client that asks for a host's files have them,
// and tell its log, for a while. It takes the place of one that is open.
func (d *Desk) OpenWindow(ctx context.Context, a Actor, ref, valid string) (wire.Window, error) {
	if err := may(a, record.Operator); err != nil {
		return wire.Window{}, err
	}
	length, err := span(valid, usualWindow, mostWindow)
	if err != nil {
		return wire.Window{}, err
	}
	w := record.Window{Expires: d.now().Add(length), By: a.Name}
	var name string
	err = d.change(ctx, func(tx record.Tx) (record.Entry, error) {
		h, err := find(tx, ref)
		if err != nil {
			return record.Entry{}, err
		}
		if !h.Revoked.IsZero() {
			return record.Entry{}, invalid("host %s is revoked; nothing of it is given out", h.Name)
		}
		w.Host, name = h.ID, h.Name
		return d.entry(a, "rear.window", h.Name, "until "+w.Expires.Format(time.RFC3339)), tx.PutWindow(w)
	})
	return wire.Window{Host: name, Expires: w.Expires, Archive: d.Keys.URL + "/rear/" + name + ".rear_config.tgz"}, err
}

// CloseWindow ends a window at once.
func (d *Desk) CloseWindow(ctx context.Context, a Actor, ref string) error {
	if err := may(a, record.Operator); err != nil {
		return err
	}
	return d.change(ctx, func(tx record.Tx) (record.Entry, error) {
		h, err := find(tx, ref)
		if err != nil {
			return record.Entry{}, err
		}
		return d.entry(a, "rear.window", h.Name, "closed"), tx.CloseWindow(h.ID)
	})
}

// PutRear keeps the files of a host that only ReaR recovers, as a version of its
// recovery configuration: sealed at once, since ReaR's settings hold passwords. A host
// that reports itself sends its own.
func (d *Desk) PutRear(ctx context.Context, a Actor, ref string, given wire.RearFiles) (number int64, err error) {
	if err := may(a, record.Operator); err != nil {
		return 0, err
	}
	h, err := d.Host(ctx, ref)
	if err != nil {
		return 0, err
	}
	if h.Key != "" && h.Revoked.IsZero() {
		return 0, invalid("%s has joined, and sends its files itself after each good backup", h.Name)
	}
	open := configuration.Open{Format: configuration.Format, Identity: h.Identity}
	secret := configuration.Secret{Format: configuration.Format, Host: h.ID}
	digest := hmac.New(sha256.New, d.Keys.Signing.Seed())
	slices.SortFunc(given.Files, func(a, b wire.RearFile) int { return strings.Compare(a.Path, b.Path) })
	for _, f := range given.Files {
		if !strings.HasPrefix(f.Path, "/etc/rear/") && !strings.HasPrefix(f.Path, "/var/lib/rear/") {
			return 0, invalid("%q is neither below /etc/rear nor below /var/lib/rear", excerpt.Line(f.Path, 80))
		}
		file := configuration.File{Path: f.Path, Mode: fs.FileMode(f.Mode) & 0o755, Content: f.Content}
		file.Mode &= 0o700
		secret.Files = append(secret.Files, file)
		fmt.Fprintf(digest, "%q %o %d\n", file.Path, file.Mode, len(file.Content))
		digest.Write(file.Content)
	}
	open.Conceal()
	text, err := open.Encode()
	if err != nil {
		return 0, invalid("%v", err)
	}
	v := record.Version{Host: h.ID, Created: d.now(), Open: text}
	if len(secret.Files) > 0 {
		if v.Secret, err = secret.Seal(d.Keys.Age.Recipient()); err != nil {
			return 0, invalid("%v", err)
		}
	}
	sum := sha256.Sum256(append(digest.Sum(nil), text...))
	v.Digest = hex.EncodeToString(sum[:])
	err = d.change(ctx, func(tx record.Tx) (record.Entry, error) {
		if _, err := own(tx, h); err != nil {
			return record.Entry{}, err
		}
		if number, err = tx.AddVersion(v); err != nil {
			return record.Entry{}, err
		}
		if err := tx.SawHost(h.ID, v.Created); err != nil {
			return record.Entry{}, err
		}
		return d.entry(a, "configuration.add", h.Name, fmt.Sprintf("version %d, %d files for ReaR", number, len(given.Files))), nil
	})
	return number, err
}

package store

import (
	"errors"
	"time"

	"lifeboat/internal/fleet/record"
)

func scanVersion(row scanner) (v record.Version, err error) {
	return v, row.Scan(&v.Host, &v.Number, instant{&v.Created}, &v.Digest, &v.Open, &v.Secret, &v.Report)
}

func (t *tx) Versions(host record.HostID) ([]record.Version, error) {
	return all(t, scanVersion, `SELECT host, number, created, digest, NULL, NULL, report FROM versions
		WHERE host = ? ORDER BY number DESC`, host)
}

func (t *tx) Version(host record.HostID, number int64) (record.Version, error) {
	const columns = `SELECT host, number, created, digest, open, secret, report FROM versions WHERE host = ?`
	if number == 0 {
		return one(t, scanVersion, columns+` ORDER BY number DESC LIMIT 1`, host)
	}
	return one(t, scanVersion, columns+` AND number = ?`, host, number)
}

func (t *tx) OpenVersion(host record.HostID) (record.Version, error) {
	return one(t, scanVersion, `SELECT host, number, created, digest, open, NULL, report FROM versions
		WHERE host = ? ORDER BY number DESC LIMIT 1`, host)
}

func (t *tx) AddVersion(v record.Version) (int64, error) {
	newest, err := one(t, scanVersion, `SELECT host, number, created, digest, NULL, NULL, report FROM versions
		WHERE host = ? ORDER BY number DESC LIMIT 1`, v.Host)
	if err != nil && !errors.Is(err, record.ErrNotFound) {
		return 0, err
	}
	if err == nil && newest.Digest == v.Digest && newest.Number >= v.Number {
		return newest.Number, nil
	}
	n := max(newest.Number+1, v.Number)
	_, err = t.exec(`INSERT INTO versions (host, number, created, digest, open, secret, report) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		v.Host, n, v.Created, v.Digest, v.Open, v.Secret, v.Report)
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (t *tx) PutHalves(v record.Version) error {
	n, err := t.exec(`UPDATE versions SET open = ?, secret = ?, digest = ? WHERE host = ? AND number = ?`, v.Open, v.Secret, v.Digest, v.Host, v.Number)
	if err == nil && n == 0 {
		err = record.ErrNotFound
	}
	return err
}

func scanCode(row scanner) (c record.Code, err error) {
	return c, row.Scan(&c.Lookup, &c.Host, &c.Version, &c.Sealed, instant{&c.Issued}, instant{&c.Expires}, &c.By,
		&c.Nonce, instant{&c.Spent})
}

const codeColumns = `lookup, host, version, sealed, issued, expires, author, nonce, spent`

func (t *tx) Code(lookup string) (record.Code, error) {
	return one(t, scanCode, `SELECT `+codeColumns+` FROM codes WHERE lookup = ?`, lookup)
}

func (t *tx) Codes(host record.HostID) ([]record.Code, error) {
	return all(t, scanCode, `SELECT lookup, host, version, NULL, issued, expires, author, nonce, spent FROM codes
		WHERE host = ? ORDER BY issued DESC, lookup`, host)
}

func (t *tx) PutCode(c record.Code) error {
	_, err := t.exec(`INSERT INTO codes (`+codeColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (lookup) DO UPDATE SET host = excluded.host, version = excluded.version, sealed = excluded.sealed,
			issued = excluded.issued, expires = excluded.expires, author = excluded.author, nonce = excluded.nonce,
			spent = excluded.spent`,
		c.Lookup, c.Host, c.Version, c.Sealed, c.Issued, c.Expires, c.By, c.Nonce, c.Spent)
	return err
}

func (t *tx) SpendCode(lookup, nonce string, now time.Time) (record.Code, error) {
	c, err := t.Code(lookup)
	if err != nil {
		return record.Code{}, err
	}
	if nonce == "" || !now.Before(c.Expires) || (c.Nonce != "" && c.Nonce != nonce) {
		return record.Code{}, record.ErrSpent
	}
	if c.Nonce == nonce {
		return c, nil
	}
	c.Nonce, c.Spent = nonce, now.UTC().Truncate(time.Microsecond)
	n, err := t.exec(`UPDATE codes SET nonce = ?, spent = ? WHERE lookup = ? AND nonce = ''`, c.Nonce, c.Spent, lookup)
	if err == nil && n == 0 {
		err = record.ErrSpent
	}
	if err != nil {
		return record.Code{}, err
	}
	return c, nil
}

func (t *tx) RevokeCodes(host record.HostID) error {
	_, err := t.exec(`DELETE FROM codes WHERE host = ?`, host)
	return err
}

func scanWindow(row scanner) (w record.Window, err error) {
	return w, row.Scan(&w.Host, instant{&w.Expires}, &w.By, &w.Address)
}

func (t *tx) Window(host record.HostID, now time.Time) (record.Window, error) {
	return one(t, scanWindow, `SELECT host, expires, author, address FROM windows WHERE host = ? AND expires > ?`, host, now)
}

func (t *tx) PutWindow(w record.Window) error {
	_, err := t.exec(`INSERT INTO windows (host, expires, author, address) VALUES (?, ?, ?, ?)
		ON CONFLICT (host) DO UPDATE SET expires = excluded.expires, author = excluded.author, address = excluded.address`,
		w.Host, w.Expires, w.By, w.Address)
	return err
}

func (t *tx) CloseWindow(host record.HostID) error {
	_, err := t.exec(`DELETE FROM windows WHERE host = ?`, host)
	return err
}

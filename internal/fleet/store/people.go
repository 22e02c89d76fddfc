package store

import (
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/fleet/record"
)

const userColumns = `name, role, password, totp, step, subject, created, disabled`

func scanUser(row scanner) (u record.User, err error) {
	return u, row.Scan(&u.Name, &u.Role, &u.Password, &u.TOTP, &u.Step, &u.Subject, instant{&u.Created}, &u.Disabled)
}

func (t *tx) User(name string) (record.User, error) {
	return one(t, scanUser, `SELECT `+userColumns+` FROM users WHERE name = ?`, name)
}

func (t *tx) UserBySubject(subject string) (record.User, error) {
	if subject == "" {
		return record.User{}, record.ErrNotFound
	}
	return one(t, scanUser, `SELECT `+userColumns+` FROM users WHERE subject = ? AND subject <> ''`, subject)
}

func (t *tx) Users() ([]record.User, error) {
	list, err := all(t, scanUser, `SELECT `+userColumns+` FROM users`)
	slices.SortFunc(list, func(a, b record.User) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

func (t *tx) PutUser(u record.User) error {
	taken, err := t.exists(`SELECT 1 FROM users WHERE subject = ? AND subject <> '' AND name <> ?`, u.Subject, u.Name)
	if err != nil {
		return err
	}
	if taken {
		return fmt.Errorf("user %s: another has this account of the identity provider: %w", u.Name, record.ErrTaken)
	}
	_, err = t.exec(`INSERT INTO users (`+userColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET role = excluded.role, password = excluded.password, totp = excluded.totp,
			step = excluded.step, subject = excluded.subject, created = excluded.created, disabled = excluded.disabled`,
		u.Name, u.Role, u.Password, u.TOTP, u.Step, u.Subject, u.Created, u.Disabled)
	return err
}

func (t *tx) RemoveUser(name string) error {
	return t.must(`DELETE FROM users WHERE name = ?`, name)
}

func scanSession(row scanner) (s record.Session, err error) {
	return s, row.Scan(&s.Hash, &s.User, &s.CSRF, instant{&s.Created}, instant{&s.Used}, instant{&s.Expires})
}

func (t *tx) Session(hash string) (record.Session, error) {
	return one(t, scanSession, `SELECT hash, person, csrf, created, used, expires FROM sessions WHERE hash = ?`, hash)
}

func (t *tx) PutSession(s record.Session) error {
	_, err := t.exec(`INSERT INTO sessions (hash, person, csrf, created, used, expires) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (hash) DO UPDATE SET person = excluded.person, csrf = excluded.csrf, created = excluded.created,
			used = excluded.used, expires = excluded.expires`,
		s.Hash, s.User, s.CSRF, s.Created, s.Used, s.Expires)
	return err
}

func (t *tx) RemoveSession(hash string) error {
	_, err := t.exec(`DELETE FROM sessions WHERE hash = ?`, hash)
	return err
}

func (t *tx) RemoveSessions(user string) error {
	_, err := t.exec(`DELETE FROM sessions WHERE person = ?`, user)
	return err
}

const tokenColumns = `id, name, hash, role, author, created, expires, used`

func scanToken(row scanner) (k record.Token, err error) {
	return k, row.Scan(&k.ID, &k.Name, &k.Hash, &k.Role, &k.By, instant{&k.Created}, instant{&k.Expires}, instant{&k.Used})
}

func (t *tx) Token(hash string) (record.Token, error) {
	return one(t, scanToken, `SELECT `+tokenColumns+` FROM tokens WHERE hash = ?`, hash)
}

func (t *tx) Tokens() ([]record.Token, error) {
	list, err := all(t, scanToken, `SELECT `+tokenColumns+` FROM tokens`)
	slices.SortFunc(list, func(a, b record.Token) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

func (t *tx) PutToken(k record.Token) error {
	taken, err := t.exists(`SELECT 1 FROM tokens WHERE (name = ? OR hash = ?) AND id <> ?`, k.Name, k.Hash, k.ID)
	if err != nil {
		return err
	}
	if taken {
		return fmt.Errorf("token %s: %w", k.Name, record.ErrTaken)
	}
	_, err = t.exec(`INSERT INTO tokens (`+tokenColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, hash = excluded.hash, role = excluded.role,
			author = excluded.author, created = excluded.created, expires = excluded.expires, used = excluded.used`,
		k.ID, k.Name, k.Hash, k.Role, k.By, k.Created, k.Expires, k.Used)
	return err
}

func (t *tx) RemoveToken(id string) error {
	return t.must(`DELETE FROM tokens WHERE id = ?`, id)
}

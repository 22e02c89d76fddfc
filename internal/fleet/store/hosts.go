package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"

	"lifeboat/internal/fleet/record"
)

const hostColumns = `id, name, kind, hostname, serial, uuid, macs, networks, created, key, joined, revoked, seen`

func scanHost(row scanner) (h record.Host, err error) {
	err = row.Scan(&h.ID, &h.Name, &h.Group, &h.Identity.Hostname, &h.Identity.Serial, &h.Identity.UUID,
		document{&h.Identity.MACs}, document{&h.Networks}, instant{&h.Created}, &h.Key,
		instant{&h.Joined}, instant{&h.Revoked}, instant{&h.Seen})
	return h, err
}

func (t *tx) Host(id record.HostID) (record.Host, error) {
	return one(t, scanHost, `SELECT `+hostColumns+` FROM hosts WHERE id = ?`, id)
}

func (t *tx) HostNamed(name string) (record.Host, error) {
	h, err := one(t, scanHost, `SELECT `+hostColumns+` FROM hosts WHERE name = ?`, name)
	if !errors.Is(err, record.ErrNotFound) {
		return h, err
	}
	alike, err := all(t, scanHost, `SELECT `+hostColumns+` FROM hosts WHERE lower(name) = ? LIMIT 2`, strings.ToLower(name))
	if err == nil && len(alike) != 1 {
		err = record.ErrNotFound
	}
	if err != nil {
		return record.Host{}, err
	}
	return alike[0], nil
}

func (t *tx) HostByKey(hash string) (record.Host, error) {
	if hash == "" {
		return record.Host{}, record.ErrNotFound
	}
	return one(t, scanHost, `SELECT `+hostColumns+` FROM hosts WHERE key = ? AND key <> ''`, hash)
}

// most is how many values an identity may have, and how many hosts are given for it.
const most = 256

// like is where the hosts are that share a value with an identity, from FROM on; ""
// when it has none.
func like(id record.Identity) (query string, args []any, err error) {
	var parts []string
	for _, like := range []struct{ column, value string }{{"hostname", id.Hostname}, {"serial", id.Serial}, {"uuid", id.UUID}} {
		if like.value != "" { // the second condition lets the index be used
			parts = append(parts, `SELECT id FROM hosts WHERE `+like.column+` = ? AND `+like.column+` <> ''`)
			args = append(args, like.value)
		}
	}
	if len(id.MACs) > most {
		return "", nil, fmt.Errorf("an identity has at most %d MAC addresses, not %d", most, len(id.MACs))
	}
	if n := len(id.MACs); n > 0 {
		// Few lengths, so that each statement is prepared once.
		n = 1 << bits.Len(uint(n-1))
		parts = append(parts, `SELECT host FROM host_macs WHERE mac IN (?`+strings.Repeat(", ?", n-1)+`)`)
		for i := range n {
			args = append(args, id.MACs[min(i, len(id.MACs)-1)])
		}
	}
	if len(parts) == 0 {
		return "", nil, nil
	}
	return ` FROM hosts WHERE revoked = 0 AND id IN (` + strings.Join(parts, " UNION ") + `) ORDER BY sort LIMIT ?`, append(args, most), nil
}

// recoverable is a host with its newest version, if it has one.
type recoverable struct {
	host    record.Host
	version *record.Version
}

func scanRecoverable(row scanner) (r recoverable, err error) {
	var number, created sql.NullInt64
	var digest, report sql.NullString
	var open []byte
	h := &r.host
	err = row.Scan(&h.ID, &h.Name, &h.Group, &h.Identity.Hostname, &h.Identity.Serial, &h.Identity.UUID,
		document{&h.Identity.MACs}, document{&h.Networks}, instant{&h.Created}, &h.Key,
		instant{&h.Joined}, instant{&h.Revoked}, instant{&h.Seen}, &number, &created, &digest, &open, &report)
	if err != nil || !number.Valid {
		return r, err
	}
	v := record.Version{Host: h.ID, Number: number.Int64, Digest: digest.String, Open: open, Report: report.String}
	r.version = &v
	return r, instant{&v.Created}.Scan(created.Int64)
}

// Recoverable implements record.Store.
func (s *Store) Recoverable(ctx context.Context, id record.Identity) ([]record.Host, *record.Version, error) {
	query, args, err := like(id)
	if err != nil || query == "" {
		return nil, nil, err
	}
	var found []recoverable
	err = s.engine.ask(ctx, func(t *tx) (err error) {
		found, err = all(t, scanRecoverable, `WITH alike AS (SELECT `+hostColumns+`, sort`+query+`)
			SELECT `+"alike."+strings.ReplaceAll(hostColumns, ", ", ", alike.")+`, v.number, v.created, v.digest, v.open, v.report
			FROM alike LEFT JOIN versions v ON v.host = alike.id AND (SELECT count(*) FROM alike) = 1
				AND v.number = (SELECT max(number) FROM versions WHERE host = alike.id)
			ORDER BY alike.sort`, args...)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	hosts := make([]record.Host, len(found))
	for n := range found {
		hosts[n] = found[n].host
	}
	if len(found) == 1 {
		return hosts, found[0].version, nil
	}
	return hosts, nil, nil
}

func (t *tx) Hosts(group string, p record.Page) ([]record.Host, error) {
	n, err := limit(p.Limit)
	if err != nil {
		return nil, err
	}
	after := []byte(p.After) // a name that is gone is still a place in the order
	if p.After == "" {
		after = []byte{0}
	}
	if group == "" {
		return all(t, scanHost, `SELECT `+hostColumns+` FROM hosts WHERE sort > ? ORDER BY sort LIMIT ?`, after, n)
	}
	return all(t, scanHost, `SELECT `+hostColumns+` FROM hosts WHERE kind = ? AND sort > ? ORDER BY sort LIMIT ?`,
		group, after, n)
}

func (t *tx) PutHost(h record.Host) error {
	taken, err := t.exists(`SELECT 1 FROM hosts WHERE (name = ? OR (key = ? AND key <> '')) AND id <> ?`, h.Name, h.Key, h.ID)
	if err != nil {
		return err
	}
	if taken {
		return fmt.Errorf("host %s: %w", h.Name, record.ErrTaken)
	}
	_, err = t.exec(`INSERT INTO hosts (`+hostColumns+`, sort) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, kind = excluded.kind, hostname = excluded.hostname,
			serial = excluded.serial, uuid = excluded.uuid, macs = excluded.macs, networks = excluded.networks,
			created = excluded.created, key = excluded.key, joined = excluded.joined, revoked = excluded.revoked,
			seen = excluded.seen, sort = excluded.sort`,
		h.ID, h.Name, h.Group, h.Identity.Hostname, h.Identity.Serial, h.Identity.UUID, h.Identity.MACs, h.Networks,
		h.Created, h.Key, h.Joined, h.Revoked, h.Seen, []byte(h.Name))
	if err != nil {
		return err
	}
	if _, err := t.exec(`DELETE FROM host_macs WHERE host = ?`, h.ID); err != nil {
		return err
	}
	var rows [][]any
	for _, mac := range h.Identity.MACs {
		rows = append(rows, []any{h.ID, mac})
	}
	return t.bulk(`host_macs (host, mac)`, 2, ` ON CONFLICT DO NOTHING`, rows)
}

func (t *tx) SawHost(id record.HostID, at time.Time) error {
	n, err := t.exec(`UPDATE hosts SET seen = ? WHERE id = ? AND seen < ?`, at, id, at)
	if err != nil || n > 0 {
		return err
	}
	there, err := t.exists(`SELECT 1 FROM hosts WHERE id = ?`, id)
	if err == nil && !there {
		err = record.ErrNotFound
	}
	return err
}

func (t *tx) RemoveHost(id record.HostID) error {
	return t.must(`DELETE FROM hosts WHERE id = ?`, id)
}

func scanEnrolment(row scanner) (e record.Enrolment, err error) {
	return e, row.Scan(&e.Hash, &e.Host, instant{&e.Expires}, &e.By)
}

func (t *tx) PutEnrolment(e record.Enrolment) error {
	_, err := t.exec(`INSERT INTO enrolments (host, hash, expires, author) VALUES (?, ?, ?, ?)
		ON CONFLICT (host) DO UPDATE SET hash = excluded.hash, expires = excluded.expires, author = excluded.author`,
		e.Host, e.Hash, e.Expires, e.By)
	return err
}

func (t *tx) RemoveEnrolment(host record.HostID) error {
	_, err := t.exec(`DELETE FROM enrolments WHERE host = ?`, host)
	return err
}

func (t *tx) TakeEnrolment(hash string, now time.Time) (record.Enrolment, error) {
	e, err := one(t, scanEnrolment, `DELETE FROM enrolments WHERE hash = ? AND expires > ? RETURNING hash, host, expires, author`, hash, now)
	if errors.Is(err, record.ErrNotFound) {
		err = record.ErrSpent
	}
	return e, err
}

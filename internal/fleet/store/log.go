package store

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"lifeboat/internal/fleet/audit"
	"lifeboat/internal/fleet/record"
)

func scanEntry(row scanner) (e record.Entry, err error) {
	return e, row.Scan(&e.Number, instant{&e.Time}, &e.Actor, &e.Action, &e.Object, &e.Detail, &e.From, &e.Previous, &e.Hash)
}

func (t *tx) Audit(after int64, count int) ([]record.Entry, error) {
	n, err := limit(count)
	if err != nil {
		return nil, err
	}
	return all(t, scanEntry, `SELECT number, time, actor, action, object, detail, source, previous, hash FROM audit
		WHERE number > ? ORDER BY number LIMIT ?`, after, n)
}

func scanHead(row scanner) (h record.Head, err error) {
	return h, row.Scan(&h.Number, &h.Hash, instant{&h.Time}, &h.Signature)
}

func (t *tx) AuditHead() (record.Head, error) {
	return one(t, scanHead, `SELECT number, hash, time, signature FROM audit_head WHERE id = 1 AND number > 0`)
}

// log appends entries to the chain, in the transaction of what they tell, and gives
// the number of the last one.
func (s *Store) log(t *tx, entries []record.Entry) (int64, error) {
	t.audited = true
	how := ""
	if t.eager {
		// Whoever waited here with rows in hand could wait for one that waits for those
		// rows behind the lock. To fail at once and to begin again behind it is quicker.
		if _, err := t.exec(`LOCK TABLE audit_head IN ROW EXCLUSIVE MODE NOWAIT`); err != nil {
			return 0, fmt.Errorf("write the audit log: %w", err)
		}
		how = ` FOR UPDATE NOWAIT`
	}
	head, err := one(t, scanHead, `SELECT number, hash, time, signature FROM audit_head WHERE id = 1`+how)
	if err != nil {
		return 0, fmt.Errorf("read the audit log's head: %w", err)
	}
	if s.key != nil {
		if first := audit.Judge(head, s.seen.Load(), s.key.Public().(ed25519.PublicKey)); first != nil {
			entries = append([]record.Entry{*first}, entries...)
		}
	}
	chained := make([]record.Entry, len(entries))
	for i, e := range entries {
		chained[i], head = audit.Next(head, e)
	}
	var signature []byte
	if s.key != nil {
		signature = audit.Sign(s.key, head)
	}
	// The head goes first: of several that log at one time all but one stop there, and
	// not at rows for which another waits at the head.
	if err := t.must(`UPDATE audit_head SET number = ?, hash = ?, time = ?, signature = ? WHERE id = 1`,
		head.Number, head.Hash, head.Time, signature); err != nil {
		return 0, fmt.Errorf("write the audit log's head: %w", err)
	}
	var rows [][]any
	for _, e := range chained {
		rows = append(rows, []any{e.Number, e.Time, e.Actor, e.Action, e.Object, e.Detail, e.From, e.Previous, e.Hash})
	}
	if err := t.bulk(`audit (number, time, actor, action, object, detail, source, previous, hash)`, 9, ``, rows); err != nil {
		return 0, fmt.Errorf("write the audit log: %w", err)
	}
	return head.Number, nil
}

func scanBytes(row scanner) (b []byte, err error) { return b, row.Scan(&b) }

func (t *tx) Setting(key string) ([]byte, error) {
	return one(t, scanBytes, `SELECT value FROM settings WHERE key = ?`, key)
}

func (t *tx) PutSetting(key string, value []byte) error {
	_, err := t.exec(`INSERT INTO settings (key, value) VALUES (?, ?)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
	return err
}

// Sweep removes what has expired.
func (t *tx) Sweep(expired, events time.Time) (int64, error) {
	var rows int64
	for _, table := range []string{"enrolments", "sessions", "codes", "windows"} {
		n, err := t.exec(`DELETE FROM `+table+` WHERE expires < ?`, expired)
		if err != nil {
			return rows, err
		}
		rows += n
	}
	for _, statement := range []string{
		`DELETE FROM events WHERE (host, run) IN (` + swept + `)`,
		`UPDATE runs SET kept = FALSE WHERE (host, id) IN (` + swept + `)`,
	} {
		n, err := t.exec(statement, events)
		if err != nil {
			return rows, err
		}
		rows += n
	}
	return rows, nil
}

func (t *tx) Prune(before time.Time, versions int) (p record.Pruned, err error) {
	for _, one := range []struct {
		n         *int64
		statement string
		args      []any
	}{
		{&p.Versions, `DELETE FROM versions WHERE (host, number) IN (SELECT v.host, v.number FROM versions v WHERE v.created < ?
			AND v.number <= (SELECT max(n.number) FROM versions n WHERE n.host = v.host) - ?
			AND NOT EXISTS (SELECT 1 FROM codes c WHERE c.host = v.host AND c.version = v.number) LIMIT 1000)`, []any{before, max(1, versions)}},
		{&p.Reports, `DELETE FROM reports WHERE (host, id) IN (SELECT r.host, r.id FROM reports r WHERE r.ended < ?
			AND EXISTS (SELECT 1 FROM reports n WHERE n.host = r.host AND n.system = r.system AND n.kind = r.kind AND n.started > r.started)
			AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.host = r.host AND v.report = r.id) LIMIT 1000)`, []any{before}},
		{&p.Runs, `DELETE FROM runs WHERE (host, id) IN (SELECT x.host, x.id FROM runs x WHERE x.started < ? AND x.updated < ?
			AND NOT EXISTS (SELECT 1 FROM reports r WHERE r.host = x.host AND r.id = x.id) LIMIT 1000)`, []any{before, before}},
	} {
		if *one.n, err = t.exec(one.statement, one.args...); err != nil {
			return p, err
		}
	}
	return p, nil
}

// swept are the runs whose events go in one sweep: not so many that others wait long.
const swept = `SELECT host, id FROM runs WHERE kept AND updated < ? ORDER BY updated, host, id LIMIT 1000`

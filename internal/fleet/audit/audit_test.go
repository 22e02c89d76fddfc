package audit_test

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fleet/audit"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store"
	"lifeboat/internal/fleet/store/storetest"
)

// What stands in databases must not get another hash with another program.
func TestSumStays(t *testing.T) {
	e := record.Entry{
		Number: 7, Time: time.Date(2026, 3, 1, 2, 3, 4, 567_891_000, time.UTC), Actor: "user:anna", Action: "code.issue",
		Object: "smt1", Detail: "ü", From: "192.0.2.1", Previous: strings.Repeat("ab", 32),
	}
	const want = "f3bf3e684f2329c4086728e150b938faad0e2c34fb90e001b7b99875df940e4f"
	if got := audit.Sum(e); got != want {
		t.Errorf("the hash is %s, want %s", got, want)
	}
	// Fields do not run into each other.
	moved := e
	moved.Actor, moved.Action = "user:annac", "ode.issue"
	if audit.Sum(moved) == want {
		t.Error("two entries have one hash")
	}
}

func TestHead(t *testing.T) {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, h := audit.Next(record.Head{}, record.Entry{Action: "x"})
	h.Signature = audit.Sign(key, h)
	if !audit.Signed(h, other, public) || audit.Signed(h, other) || audit.Signed(h) || audit.Signed(h, nil) {
		t.Error("a signature is judged wrongly")
	}
	for name, change := range map[string]func(*record.Head){
		"number": func(h *record.Head) { h.Number++ },
		"hash":   func(h *record.Head) { h.Hash = "" },
		"time":   func(h *record.Head) { h.Time = h.Time.Add(time.Microsecond) },
		"none":   func(h *record.Head) { h.Signature = nil },
	} {
		changed := h
		change(&changed)
		if audit.Signed(changed, public) {
			t.Errorf("%s: still signed", name)
		}
	}
}

// An intruder has the database, and once the key too.
func TestVerify(t *testing.T) {
	const entries = 39 // and one that the server begins with
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	forge := func(from int64) string {
		return fmt.Sprintf(`UPDATE audit SET actor = 'user:bert' WHERE number = %d`, from)
	}
	for _, c := range []struct {
		name    string
		sql     []string
		broken  int64 // 0: it holds
		witness audit.Witness
		signed  bool // by the intruder, who has the key
	}{
		{name: "untouched"},
		{name: "time", sql: []string{`UPDATE audit SET time = time + 1 WHERE number = 3`}, broken: 3},
		{name: "actor", sql: []string{forge(9)}, broken: 9},
		{name: "action", sql: []string{`UPDATE audit SET action = 'x' WHERE number = 1`}, broken: 1},
		{name: "object", sql: []string{`UPDATE audit SET object = 'x' WHERE number = 40`}, broken: 40},
		{name: "detail", sql: []string{`UPDATE audit SET detail = 'x' WHERE number = 2`}, broken: 2},
		{name: "from", sql: []string{`UPDATE audit SET source = 'x' WHERE number = 2`}, broken: 2},
		{name: "previous", sql: []string{`UPDATE audit SET previous = 'x' WHERE number = 5`}, broken: 5},
		{name: "hash", sql: []string{`UPDATE audit SET hash = 'x' WHERE number = 5`}, broken: 5},
		{name: "two changed", sql: []string{forge(30), forge(20)}, broken: 20},
		{name: "exchanged", sql: []string{
			`UPDATE audit SET number = 1000 WHERE number = 7`, `UPDATE audit SET number = 7 WHERE number = 8`,
			`UPDATE audit SET number = 8 WHERE number = 1000`,
		}, broken: 7},
		{name: "first gone", sql: []string{`DELETE FROM audit WHERE number = 1`}, broken: 1},
		{name: "one gone", sql: []string{`DELETE FROM audit WHERE number = 17`}, broken: 17},
		{name: "one gone, others moved up", sql: []string{
			`DELETE FROM audit WHERE number = 17`, `UPDATE audit SET number = -number WHERE number > 17`,
			`UPDATE audit SET number = -number - 1 WHERE number < 0`,
		}, broken: 17},
		{name: "newest gone", sql: []string{`DELETE FROM audit WHERE number > 38`}, broken: 39},
		{name: "all gone", sql: []string{`DELETE FROM audit`}, broken: 1},
		{name: "newest gone, head put back", sql: []string{
			`DELETE FROM audit WHERE number > 38`,
			`UPDATE audit_head SET number = 38, hash = (SELECT hash FROM audit WHERE number = 38), time = (SELECT time FROM audit WHERE number = 38)`,
		}, broken: 38},
		{name: "head of a lower number", sql: []string{`UPDATE audit_head SET number = 12`}, broken: 13},
		{name: "head of another hash", sql: []string{`UPDATE audit_head SET hash = 'x'`}, broken: 40},
		{name: "head without a signature", sql: []string{`UPDATE audit_head SET signature = NULL`}, broken: 40},
		{name: "head gone", sql: []string{`DELETE FROM audit_head`}, broken: 1},
		{name: "everything gone", sql: []string{`DELETE FROM audit`, `UPDATE audit_head SET number = 0`}}, // a new fleet's log
		{
			name: "everything gone, and seen before", sql: []string{`DELETE FROM audit`, `UPDATE audit_head SET number = 0`},
			witness: audit.Witness{Number: 12}, broken: 1,
		},
		{name: "signed again", sql: []string{`DELETE FROM audit WHERE number > 38`}, signed: true},
		{
			name: "signed again, and seen before", sql: []string{`DELETE FROM audit WHERE number > 38`}, signed: true,
			witness: audit.Witness{Number: 40}, broken: 39,
		},
		{name: "seen another", witness: audit.Witness{Number: 12, Hash: "x"}, broken: 12},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "fleet.db")
			s := storetest.Open(t, "sqlite:"+file, store.Signed(key))
			var list []record.Entry
			for n := range entries {
				list = append(list, record.Entry{Actor: "user:anna", Action: "test", Object: fmt.Sprint(n)})
			}
			if err := s.Change(t.Context(), func(record.Tx) ([]record.Entry, error) { return list, nil }); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", file)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, statement := range c.sql {
				if _, err := db.Exec(statement); err != nil {
					t.Fatal(err)
				}
			}
			if c.signed {
				sign(t, s, db, key)
			}
			result, err := audit.Verify(t.Context(), s, c.witness, public)
			broken := new(audit.Broken)
			switch {
			case c.broken == 0 && (err != nil || result.Signed != (result.Entries > 0)):
				t.Errorf("%+v, %v", result, err)
			case c.broken != 0 && (!errors.As(err, &broken) || broken.Number != c.broken):
				t.Errorf("%+v, %v; want it broken at %d", result, err, c.broken)
			}
		})
	}
}

// sign makes the newest entry the head, as somebody does who has the key.
func sign(t *testing.T, s *store.Store, db *sql.DB, key ed25519.PrivateKey) {
	list := storetest.Get(t, s, func(r record.Reader) ([]record.Entry, error) { return r.Audit(0, 1000) })
	e := list[len(list)-1]
	h := record.Head{Number: e.Number, Hash: e.Hash, Time: e.Time}
	if _, err := db.Exec(`UPDATE audit_head SET number = ?, hash = ?, time = ?, signature = ?`,
		h.Number, h.Hash, h.Time.UnixMicro(), audit.Sign(key, h)); err != nil {
		t.Fatal(err)
	}
}

// A server's own signature must not make good what was changed while it runs.
func TestServerNotices(t *testing.T) {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	const back = `UPDATE audit_head SET (number, hash, time, signature) = (SELECT number, hash, time, %s FROM audit WHERE number = %d)`
	for _, c := range []struct {
		name    string
		restart bool
		sql     []string
		alarms  int
	}{
		{name: "untouched", sql: []string{`SELECT 1`}},
		{name: "untouched, restarted", restart: true, sql: []string{`SELECT 1`}},
		{name: "head put back", sql: []string{`DELETE FROM audit WHERE number > 3`, fmt.Sprintf(back, "NULL", 3)}, alarms: 1},
		{name: "head put back, restarted", restart: true, sql: []string{`DELETE FROM audit WHERE number > 3`, fmt.Sprintf(back, "NULL", 3)}, alarms: 1},
		{name: "an earlier day put back", sql: []string{
			`DELETE FROM audit WHERE number > 4`,
			`UPDATE audit_head SET (number, hash, time, signature) = (SELECT number, hash, time, signature FROM kept)`,
		}, alarms: 1},
		// This is what only a witness can tell.
		{name: "an earlier day put back, restarted", restart: true, sql: []string{
			`DELETE FROM audit WHERE number > 4`,
			`UPDATE audit_head SET (number, hash, time, signature) = (SELECT number, hash, time, signature FROM kept)`,
		}},
		{name: "emptied", sql: []string{`DELETE FROM audit`, `UPDATE audit_head SET number = 0, hash = ''`}, alarms: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "fleet.db")
			s := storetest.Open(t, "sqlite:"+file, store.Signed(key))
			db, err := sql.Open("sqlite", file)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			write := func(n int) {
				if err := s.Change(t.Context(), func(tx record.Tx) ([]record.Entry, error) {
					return []record.Entry{{Action: "host.add"}}, tx.PutHost(storetest.Host(n))
				}); err != nil {
					t.Fatal(err)
				}
			}
			for n := range 8 {
				write(n)
				if n == 2 {
					if _, err := db.Exec(`CREATE TABLE kept AS SELECT * FROM audit_head`); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, statement := range c.sql {
				if _, err := db.Exec(statement); err != nil {
					t.Fatal(err)
				}
			}
			if c.name == "emptied" {
				if _, err := audit.Verify(t.Context(), s, audit.Witness{}, public); !errors.As(err, new(*audit.Broken)) {
					t.Errorf("an empty log of a fleet with hosts: %v", err)
				}
			}
			if c.restart {
				s = storetest.Open(t, "sqlite:"+file, store.Signed(key))
			}
			write(8)
			result, err := audit.Verify(t.Context(), s, audit.Witness{}, public)
			if err != nil || len(result.Alarms) != c.alarms {
				t.Errorf("%+v, %v; want %d alarms", result, err, c.alarms)
			}
		})
	}
}

// A log of several pages, and one who does not wait for it.
func TestVerifyLong(t *testing.T) {
	s := storetest.Open(t, "sqlite:"+filepath.Join(t.TempDir(), "fleet.db"))
	list := make([]record.Entry, 2300)
	if err := s.Change(t.Context(), func(record.Tx) ([]record.Entry, error) { return list, nil }); err != nil {
		t.Fatal(err)
	}
	if r, err := audit.Verify(t.Context(), s, audit.Witness{}); err != nil || r.Entries != 2300 || r.Head.Number != 2300 {
		t.Errorf("%+v, %v", r, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := audit.Verify(ended, s, audit.Witness{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

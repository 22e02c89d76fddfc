package store

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fleet/record"
)

// Statements that may read a whole table: the ones that ask for all of it.
var wholes = []string{
	"FROM users", "FROM tokens", "FROM protections ORDER BY host, system",
}

// TestPlans runs everything on a fleet of 10,000 and asks SQLite how each statement
// would find its rows: by an index, or by reading all there are.
func TestPlans(t *testing.T) {
	t.Parallel()
	const hosts = 10_000
	ctx := t.Context()
	s, err := Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "fleet.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Now()
	change := func(f func(record.Tx) error) {
		t.Helper()
		if err := s.Change(ctx, func(tx record.Tx) ([]record.Entry, error) { return []record.Entry{{Action: "x"}}, f(tx) }); err != nil {
			t.Fatal(err)
		}
	}
	id := func(n int) record.HostID { return record.HostID(fmt.Sprintf("%032x", n)) }
	for first := 0; first < hosts; first += 2000 {
		change(func(tx record.Tx) error {
			for n := first; n < first+2000; n++ {
				name := fmt.Sprintf("host%05d", n)
				if err := tx.PutHost(record.Host{ID: id(n), Name: name, Group: "smt", Key: name, Identity: record.Identity{
					Hostname: name, Serial: name, UUID: name, MACs: []string{fmt.Sprintf("52:54:00:00:%02x:%02x", n>>8, n&255)},
				}}); err != nil {
					return err
				}
				if _, err := tx.AddReport(record.Report{ID: "r", Host: id(n), System: "smt", Started: now},
					record.Protection{Host: id(n), System: "smt"}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	h := id(7777)
	change(func(tx record.Tx) error {
		for _, err := range []error{
			tx.PutEnrolment(record.Enrolment{Host: h, Hash: "x"}), tx.SawHost(h, now), tx.PutRun(record.Run{ID: "r", Host: h}),
			tx.AddEvents([]record.Event{{Host: h, Run: "r", Data: json.RawMessage("1")}}), tx.PutCode(record.Code{Lookup: "x", Host: h, Expires: now.Add(time.Hour)}),
			tx.PutWindow(record.Window{Host: h, Expires: now}), tx.PutUser(record.User{Name: "anna", Subject: "s"}),
			tx.PutSession(record.Session{Hash: "x", User: "anna"}), tx.PutToken(record.Token{ID: "1", Name: "x", Hash: "x"}),
			tx.RemoveSession("y"), tx.RemoveSessions("bert"), tx.CloseWindow(id(1)), tx.RevokeCodes(id(1)), tx.RemoveEnrolment(id(1)),
		} {
			if err != nil {
				return err
			}
		}
		if _, err := tx.TakeEnrolment("x", now); err == nil {
			t.Error("an enrolment that has expired is taken")
		}
		if _, err := tx.AddVersion(record.Version{Host: h, Digest: "d"}); err != nil {
			return err
		}
		if _, err := tx.SpendCode("x", "n", now); err != nil {
			return err
		}
		if _, err := tx.Sweep(now, now); err != nil {
			return err
		}
		if _, err := tx.Prune(now.Add(-time.Hour), 50); err != nil {
			return err
		}
		return tx.RemoveHost(id(1))
	})
	var host record.Host
	if err := s.Read(ctx, func(r record.Reader) (err error) {
		if host, err = r.Host(h); err == nil {
			err = readAll(t, r, h)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if like, v, err := s.Recoverable(ctx, host.Identity); err != nil || len(like) != 1 || v == nil {
		t.Fatalf("%d hosts are like one, version %v, %v", len(like), v, err)
	}
	if _, err := s.Hold(ctx, "job", "me", time.Hour); err != nil {
		t.Fatal(err)
	}

	e := s.engine.(*sqliteEngine)
	texts := map[string]bool{}
	for text := range e.writer.prepared {
		texts[text] = true
	}
	for range cap(e.readers) {
		r := <-e.readers
		for text := range r.prepared {
			texts[text] = true
		}
		e.readers <- r
	}
	if len(texts) < 60 {
		t.Errorf("only %d statements", len(texts))
	}
	for text := range texts {
		explain(t, e.writer, text)
	}
}

// readAll looks up everything in every way, and a page of each list.
func readAll(t *testing.T, r record.Reader, h record.HostID) error {
	list, err := r.Hosts("smt", record.Page{After: "host09000", Limit: 1000})
	if err != nil || len(list) != 999 {
		return fmt.Errorf("%d hosts on the last page, %w", len(list), err)
	}
	all, err := r.Protections("")
	if err != nil || len(all) != 9999 {
		return fmt.Errorf("%d systems, %w", len(all), err)
	}
	page := record.Page{Limit: 10}
	for what, f := range map[string]func() error{
		"name":     func() error { _, err := r.HostNamed("host00042"); return err },
		"key":      func() error { _, err := r.HostByKey("host00042"); return err },
		"hosts":    func() error { _, err := r.Hosts("", page); return err },
		"systems":  func() error { _, err := r.Protections(h); return err },
		"reports":  func() error { _, err := r.Reports(h, page); return err },
		"older":    func() error { _, err := r.Reports(h, record.Page{After: "r", Limit: 10}); return err },
		"runs":     func() error { _, err := r.Runs(h, page); return err },
		"all runs": func() error { _, err := r.Runs("", page); return err },
		"older 2":  func() error { _, err := r.Runs(h, record.Page{After: "r", Limit: 10}); return err },
		"older 3":  func() error { _, err := r.Runs("", record.Page{After: string(h) + "/r", Limit: 10}); return err },
		"events":   func() error { _, err := r.Events(h, "r", 0, 10); return err },
		"versions": func() error { _, err := r.Versions(h); return err },
		"open":     func() error { _, err := r.OpenVersion(h); return err },
		"newest":   func() error { _, err := r.Version(h, 0); return err },
		"first":    func() error { _, err := r.Version(h, 1); return err },
		"code":     func() error { _, err := r.Code("x"); return err },
		"codes":    func() error { _, err := r.Codes(h); return err },
		"subject":  func() error { _, err := r.UserBySubject("s"); return err },
		"users":    func() error { _, err := r.Users(); return err },
		"token":    func() error { _, err := r.Token("x"); return err },
		"tokens":   func() error { _, err := r.Tokens(); return err },
		"audit":    func() error { _, err := r.Audit(2, 10); return err },
		"head":     func() error { _, err := r.AuditHead(); return err },
	} {
		if err := f(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	return nil
}

func explain(t *testing.T, s *session, text string) {
	for _, command := range []string{"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA"} {
		if strings.HasPrefix(text, command) {
			return
		}
	}
	args := make([]any, strings.Count(text, "?"))
	rows, err := s.query(context.Background(), "EXPLAIN QUERY PLAN "+text, args)
	if err != nil {
		t.Errorf("%s: %v", text, err)
		return
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Error(err)
			return
		}
		// Through an index, a list's beginning is found without its end.
		// What is alike was found through indexes, and is few.
		if !strings.HasPrefix(detail, "SCAN ") || detail == "SCAN CONSTANT ROW" || detail == "SCAN alike" ||
			strings.Contains(detail, "USING ") && strings.Contains(text, "LIMIT") {
			continue
		}
		allowed := false
		for _, whole := range wholes {
			allowed = allowed || strings.HasSuffix(text, whole)
		}
		if !allowed {
			t.Errorf("%s\n\t%s", text, detail)
		}
	}
}

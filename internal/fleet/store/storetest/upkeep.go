package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store"
)

func sweep(t *testing.T, s *store.Store) {
	add(t, s, 1, 2)
	Change(t, s, func(tx record.Tx) error {
		if err := tx.PutUser(record.User{Name: "anna", Role: record.Viewer}); err != nil {
			return err
		}
		for n, expires := range []time.Time{at(10), at(100)} {
			host, name := Host(n+1).ID, fmt.Sprint(n)
			for _, err := range []error{
				tx.PutEnrolment(record.Enrolment{Hash: name, Host: host, Expires: expires}),
				tx.PutSession(record.Session{Hash: name, User: "anna", Expires: expires}),
				tx.PutCode(record.Code{Lookup: name, Host: host, Expires: expires}),
				tx.PutWindow(record.Window{Host: host, Expires: expires}),
				tx.PutRun(record.Run{ID: "old", Host: host, Updated: at(5)}),
				tx.PutRun(record.Run{ID: "new", Host: host, Updated: at(50)}),
				tx.AddEvents([]record.Event{
					{Run: "old", Host: host, Seq: 1, Data: json.RawMessage("1")},
					{Run: "new", Host: host, Seq: 1, Data: json.RawMessage("1")},
				}),
			} {
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	var rows int64
	run := func(expired, events time.Time) int64 {
		Change(t, s, func(tx record.Tx) (err error) {
			rows, err = tx.Sweep(expired, events)
			return err
		})
		return rows
	}
	if run(at(0), at(0)) != 0 {
		t.Errorf("%d rows are swept too early", rows)
	}
	if run(at(60), at(20)) == 0 || run(at(60), at(20)) != 0 {
		t.Errorf("the second sweep found %d rows", rows)
	}
	lacks(t, s, func(r record.Reader) (record.Code, error) { return r.Code("0") })
	lacks(t, s, func(r record.Reader) (record.Session, error) { return r.Session("0") })
	lacks(t, s, func(r record.Reader) (record.Window, error) { return r.Window(Host(1).ID, at(0)) })
	Get(t, s, func(r record.Reader) (record.Code, error) { return r.Code("1") })
	Get(t, s, func(r record.Reader) (record.Session, error) { return r.Session("1") })
	Get(t, s, func(r record.Reader) (record.Window, error) { return r.Window(Host(2).ID, at(0)) })
	Get(t, s, func(r record.Reader) (record.Run, error) { return r.Run(Host(1).ID, "old") })
	for name, want := range map[string]int{"old": 0, "new": 1} {
		if got := Get(t, s, func(r record.Reader) ([]record.Event, error) { return r.Events(Host(1).ID, name, 0, 9) }); len(got) != want {
			t.Errorf("run %s has %d events, want %d", name, len(got), want)
		}
	}
}

func prune(t *testing.T, s *store.Store) {
	add(t, s, 1, 2)
	Change(t, s, func(tx record.Tx) error {
		for n := range 2 {
			host := Host(n + 1).ID
			for i := range 5 * (n + 1) {
				if _, err := tx.AddVersion(record.Version{Host: host, Created: at(i), Digest: fmt.Sprint(i), Report: "r2"}); err != nil {
					return err
				}
				r := record.Report{Host: host, ID: fmt.Sprint("r", i), System: "smt", Kind: []string{"backup", "drill"}[i&1], Started: at(i), Ended: at(i)}
				if _, err := tx.AddReport(r, record.Protection{Host: host, System: "smt"}); err != nil {
					return err
				}
				for _, name := range []string{r.ID, fmt.Sprint("lost", i)} {
					if err := tx.PutRun(record.Run{ID: name, Host: host, Updated: at(i)}); err != nil {
						return err
					}
				}
			}
		}
		return tx.PutCode(record.Code{Lookup: "x", Host: Host(2).ID, Version: 2, Expires: at(100)})
	})
	var p record.Pruned
	run := func(before time.Time, versions int) record.Pruned {
		Change(t, s, func(tx record.Tx) (err error) {
			p, err = tx.Prune(before, versions)
			return err
		})
		return p
	}
	if run(at(0), 3) != (record.Pruned{}) {
		t.Errorf("forgotten too early: %+v", p)
	}
	// Of the first host the newest three versions stay, of the second those from then.
	if want := (record.Pruned{Versions: 2 + 3, Reports: 2 + 3, Runs: 4 + 4 + 2 + 3}); run(at(4), 3) != want {
		t.Errorf("forgot %+v, want %+v", p, want)
	}
	if run(at(4), 3) != (record.Pruned{}) {
		t.Errorf("forgot twice: %+v", p)
	}
	run(at(100), 0)
	for host, want := range map[record.HostID][2]int{Host(1).ID: {1, 3}, Host(2).ID: {2, 3}} {
		versions := Get(t, s, func(r record.Reader) ([]record.Version, error) { return r.Versions(host) })
		reports := Get(t, s, func(r record.Reader) ([]record.Report, error) { return r.Reports(host, record.Page{Limit: 100}) })
		if len(versions) != want[0] || len(reports) != want[1] {
			t.Errorf("host %s has %d versions and %d reports left, want %v", host, len(versions), len(reports), want)
		}
	}
	Get(t, s, func(r record.Reader) (record.Report, error) { return r.Report(Host(1).ID, "r2") })
	Get(t, s, func(r record.Reader) (record.Version, error) { return r.Version(Host(2).ID, 2) })
}

func leases(t *testing.T, s *store.Store) {
	ctx := context.Background()
	hold := func(job, holder string, d time.Duration, want bool) {
		t.Helper()
		got, err := s.Hold(ctx, job, holder, d)
		if err != nil || got != want {
			t.Errorf("%s holds %s: %v, %v; want %v", holder, job, got, err, want)
		}
	}
	hold("sweep", "a", time.Hour, true)
	hold("sweep", "b", time.Hour, false)
	hold("sweep", "a", time.Hour, true)
	hold("notices", "b", time.Hour, true)
	if err := s.Release(ctx, "sweep", "b"); err != nil {
		t.Error(err)
	}
	hold("sweep", "b", time.Hour, false)
	if err := s.Release(ctx, "sweep", "a"); err != nil {
		t.Error(err)
	}
	hold("sweep", "b", -time.Second, true) // over already, by the database's clock
	hold("sweep", "a", time.Hour, true)

	// Of several at once one has it.
	var wg sync.WaitGroup
	held := make([]bool, 6)
	for n := range held {
		wg.Go(func() {
			var err error
			if held[n], err = s.Hold(ctx, "race", fmt.Sprint(n), time.Hour); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	count := 0
	for _, h := range held {
		if h {
			count++
		}
	}
	if count != 1 {
		t.Errorf("%d hold one lease", count)
	}
}

func texts(t *testing.T, s *store.Store) {
	for _, name := range []string{"a\x00b", "a\xffb"} {
		if err := try(s, func(tx record.Tx) error { return tx.PutHost(record.Host{ID: "x", Name: name}) }); err == nil {
			t.Errorf("the name %q is taken", name)
		}
	}
	for n, name := range []string{"' OR 1=1 --", "a\nb", "\u202egnp.exe", "?", "$1", `\`, "😀"} {
		h := record.Host{ID: ID(name), Name: name, Key: fmt.Sprint(n)}
		Change(t, s, func(tx record.Tx) error { return tx.PutHost(h) })
		same(t, Get(t, s, func(r record.Reader) (record.Host, error) { return r.HostNamed(name) }), h)
	}
}

func allOrNothing(t *testing.T, s *store.Store) {
	add(t, s, 1, 1)
	stop := errors.New("stop")
	entry := []record.Entry{{Actor: "user:anna", Action: "host.add"}}
	err := s.Change(context.Background(), func(tx record.Tx) ([]record.Entry, error) {
		if err := tx.PutHost(Host(2)); err != nil {
			return nil, err
		}
		return entry, stop
	})
	if err != stop {
		t.Errorf("the error is %v", err)
	}
	// A statement that failed fails the change, even if nobody minds.
	if err := s.Change(context.Background(), func(tx record.Tx) ([]record.Entry, error) {
		_ = tx.PutHost(Host(3))
		_ = tx.PutRun(record.Run{ID: "r", Host: "gone"})
		return entry, nil
	}); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("a failed change: %v", err)
	}
	func() {
		defer func() {
			if p := recover(); p != "panic" {
				t.Errorf("recovered %v", p)
			}
		}()
		_ = try(s, func(tx record.Tx) error {
			_ = tx.PutHost(Host(4))
			panic("panic")
		})
	}()
	// An entry that cannot be written takes its change along.
	if err := s.Change(context.Background(), func(tx record.Tx) ([]record.Entry, error) {
		return []record.Entry{{Action: "fine"}, {Action: "a\x00"}}, tx.PutHost(Host(5))
	}); err == nil {
		t.Error("an entry with NUL is taken")
	}
	if list := Get(t, s, func(r record.Reader) ([]record.Host, error) { return r.Hosts("", record.Page{Limit: 9}) }); len(list) != 1 {
		t.Errorf("%d hosts, want 1", len(list))
	}
	lacks(t, s, func(r record.Reader) (record.Head, error) { return r.AuditHead() })
	add(t, s, 6, 6) // and all goes on
}

func cancelled(t *testing.T, s *store.Store) {
	add(t, s, 1, 1)
	ctx, cancel := context.WithCancel(context.Background())
	put := func(tx record.Tx) ([]record.Entry, error) { return nil, tx.PutHost(Host(2)) }
	err := s.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		if _, err := put(tx); err != nil {
			return nil, err
		}
		cancel()
		return nil, tx.PutHost(Host(3))
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled in the middle: %v", err)
	}
	if err := s.Change(ctx, put); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	if err := s.Read(ctx, func(r record.Reader) error { _, err := r.Host(Host(1).ID); return err }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	if _, err := s.Hold(ctx, "job", "me", time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	lacks(t, s, func(r record.Reader) (record.Host, error) { return r.Host(Host(2).ID) })

	// Whoever waits for another can stop waiting.
	entered, leave := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		Change(t, s, func(tx record.Tx) error {
			select {
			case <-entered:
			default:
				close(entered)
			}
			<-leave
			return tx.PutHost(Host(4))
		})
	})
	<-entered
	waiting, stop := context.WithCancel(context.Background())
	go stop()
	if err := s.Change(waiting, func(tx record.Tx) ([]record.Entry, error) {
		<-waiting.Done()
		return nil, tx.PutHost(Host(5))
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while waiting: %v", err)
	}
	close(leave)
	wg.Wait()
	Get(t, s, func(r record.Reader) (record.Host, error) { return r.Host(Host(4).ID) })
	lacks(t, s, func(r record.Reader) (record.Host, error) { return r.Host(Host(5).ID) })
	if err := s.Ping(context.Background()); err != nil {
		t.Error(err)
	}
}

func readsOneState(t *testing.T, s *store.Store) {
	add(t, s, 1, 1)
	err := s.Read(context.Background(), func(r record.Reader) error {
		before, err := r.Hosts("", record.Page{Limit: 9})
		if err != nil {
			return err
		}
		add(t, s, 2, 3)
		after, err := r.Hosts("", record.Page{Limit: 9})
		if len(before) != 1 || len(after) != 1 {
			t.Errorf("%d and %d hosts in one state", len(before), len(after))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if list := Get(t, s, func(r record.Reader) ([]record.Host, error) { return r.Hosts("", record.Page{Limit: 9}) }); len(list) != 3 {
		t.Errorf("%d hosts, want 3", len(list))
	}
}

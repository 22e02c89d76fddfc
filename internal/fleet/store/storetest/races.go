package storetest

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"

	"lifeboat/internal/fleet/audit"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store"
)

// races lets several do what only one may.
func races(t *testing.T, s *store.Store) {
	const runners = 6
	race := func(name string, lost error, f func(tx record.Tx, n int) error) {
		t.Helper()
		var wg sync.WaitGroup
		results := make([]error, runners)
		for n := range results {
			wg.Go(func() {
				results[n] = s.Change(context.Background(), func(tx record.Tx) ([]record.Entry, error) {
					return []record.Entry{{Actor: fmt.Sprint("host:", n), Action: name}}, f(tx, n)
				})
			})
		}
		wg.Wait()
		won := 0
		for _, err := range results {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, lost):
				t.Errorf("%s: %v", name, err)
			}
		}
		if won != 1 {
			t.Errorf("%s: %d won", name, won)
		}
	}
	add(t, s, 1, 1)
	host := Host(1)
	Change(t, s, func(tx record.Tx) error {
		return errors.Join(
			tx.PutEnrolment(record.Enrolment{Hash: "hash", Host: host.ID, Expires: at(60)}),
			tx.PutCode(record.Code{Lookup: "lookup", Host: host.ID, Expires: at(60)}),
			tx.PutWindow(record.Window{Host: host.ID, Expires: at(60)}))
	})
	race("enrolment", record.ErrSpent, func(tx record.Tx, _ int) error {
		_, err := tx.TakeEnrolment("hash", at(1))
		return err
	})
	race("code", record.ErrSpent, func(tx record.Tx, n int) error {
		_, err := tx.SpendCode("lookup", fmt.Sprint("nonce", n), at(1))
		return err
	})
	race("window", record.ErrNotFound, func(tx record.Tx, _ int) error {
		if _, err := tx.Window(host.ID, at(1)); err != nil {
			return err
		}
		return tx.CloseWindow(host.ID)
	})
	race("name", record.ErrTaken, func(tx record.Tx, n int) error {
		return tx.PutHost(record.Host{ID: ID(fmt.Sprint("racer", n)), Name: "racer"})
	})
	race("first administrator", record.ErrTaken, func(tx record.Tx, n int) error {
		users, err := tx.Users()
		if err == nil && len(users) > 0 {
			err = record.ErrTaken
		}
		if err != nil {
			return err
		}
		return tx.PutUser(record.User{Name: fmt.Sprint("admin", n), Role: record.Administrator})
	})
	race("report", record.ErrTaken, func(tx record.Tx, n int) error {
		added, err := tx.AddReport(Report(host.ID, 1), Protection(host.ID, n))
		if err == nil && !added {
			err = record.ErrTaken
		}
		return err
	})
	if head := Get(t, s, func(r record.Reader) (record.Head, error) { return r.AuditHead() }); head.Number != 6 {
		t.Errorf("%d entries of 6 that won", head.Number)
	}
}

// auditConcurrent writes entries at the same time and checks that they are one chain.
func auditConcurrent(t *testing.T, s *store.Store) {
	const writers, changes = 8, 12
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for n := range changes {
				err := s.Change(context.Background(), func(tx record.Tx) ([]record.Entry, error) {
					key := fmt.Sprintf("%d-%d", w, n)
					e := record.Entry{Actor: "user:anna", Action: "test", Object: key, Detail: "ü", From: "192.0.2.1"}
					return []record.Entry{e, e}, tx.PutSetting(key, []byte(key))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	result, err := audit.Verify(context.Background(), s, audit.Witness{})
	if err != nil || result.Entries != 2*writers*changes || result.Signed {
		t.Errorf("verify: %+v, %v", result, err)
	}
	seen := map[string]int{}
	for after := int64(0); ; {
		page := Get(t, s, func(r record.Reader) ([]record.Entry, error) { return r.Audit(after, 50) })
		for _, e := range page {
			seen[e.Object]++
			after = e.Number
		}
		if len(page) < 50 {
			break
		}
	}
	if len(seen) != writers*changes {
		t.Errorf("entries of %d changes, want %d", len(seen), writers*changes)
	}
	for key, n := range seen {
		Get(t, s, func(r record.Reader) ([]byte, error) { return r.Setting(key) })
		if n != 2 {
			t.Errorf("%d entries of %s, want 2", n, key)
		}
	}
}

// countersConcurrent adds to one number from many sides: what was read must still hold
// when it is written.
func countersConcurrent(t *testing.T, s *store.Store) {
	const writers, changes = 6, 10
	Change(t, s, func(tx record.Tx) error { return tx.PutSetting("n", make([]byte, 8)) })
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range changes {
				if err := try(s, func(tx record.Tx) error {
					b, err := tx.Setting("n")
					if err != nil {
						return err
					}
					return tx.PutSetting("n", binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(b)+1))
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := binary.BigEndian.Uint64(Get(t, s, func(r record.Reader) ([]byte, error) { return r.Setting("n") })); n != writers*changes {
		t.Errorf("the number is %d, want %d", n, writers*changes)
	}
}

// batched lets good changes and failing ones of all sorts wait together: each gets its
// own answer, and only the good ones are there.
func batched(t *testing.T, s *store.Store) {
	stop := errors.New("stop")
	add(t, s, 0, 0)
	var wg sync.WaitGroup
	for n := range 60 {
		wg.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			defer func() {
				if p := recover(); (p != nil) != (n%6 == 4) {
					t.Errorf("change %d: panic %v", n, p)
				}
			}()
			var want error
			err := s.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
				key := fmt.Sprint(n)
				if err := tx.PutSetting(key, []byte(key)); err != nil {
					return nil, err
				}
				switch n % 6 {
				case 1:
					want = stop
					return nil, stop
				case 2:
					want = record.ErrNotFound
					return nil, tx.PutRun(record.Run{ID: key, Host: "gone"})
				case 3:
					want = context.Canceled
					cancel()
					return nil, tx.PutSetting(key, nil)
				case 4:
					panic("panic")
				}
				return []record.Entry{{Action: key}}, nil
			})
			if !errors.Is(err, want) {
				t.Errorf("change %d: %v, want %v", n, err, want)
			}
		})
	}
	wg.Wait()
	for n := range 60 {
		get := func(r record.Reader) ([]byte, error) { return r.Setting(fmt.Sprint(n)) }
		if good := n%6 == 0 || n%6 == 5; good {
			Get(t, s, get)
		} else {
			lacks(t, s, get)
		}
	}
	if result, err := audit.Verify(context.Background(), s, audit.Witness{}); err != nil || result.Entries != 20 {
		t.Errorf("verify: %+v, %v", result, err)
	}
}

// openedAgain closes a store and opens it with a key.
func openedAgain(t *testing.T, url string) {
	ctx := context.Background()
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	write := func(s *store.Store, n int) {
		if err := s.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
			return []record.Entry{{Action: "host.add"}}, tx.PutHost(Host(n))
		}); err != nil {
			t.Fatal(err)
		}
	}
	s := Open(t, url)
	write(s, 1)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := try(s, func(tx record.Tx) error { return tx.PutHost(Host(9)) }); err == nil {
		t.Error("a closed store takes changes")
	}
	if s.Ping(ctx) == nil {
		t.Error("a closed store answers")
	}
	s = Open(t, url, store.Signed(key))
	if _, err := audit.Verify(ctx, s, audit.Witness{}, public); !errors.As(err, new(*audit.Broken)) {
		t.Errorf("a head without a signature: %v", err)
	}
	write(s, 2)
	other := Open(t, url, store.Signed(key)) // another server, or a verb
	write(other, 3)
	write(s, 4)
	result, err := audit.Verify(ctx, other, audit.Witness{}, public)
	// The log was begun without a key, and the first who has one says so.
	if err != nil || result.Entries != 5 || !result.Signed || len(result.Alarms) != 1 || result.Alarms[0].Number != 2 {
		t.Errorf("verify: %+v, %v", result, err)
	}
	same(t, Get(t, s, func(r record.Reader) (record.Host, error) { return r.Host(Host(1).ID) }), Host(1))
}

// openedAtOnce lets several servers find an empty database.
func openedAtOnce(t *testing.T, url string) {
	var wg sync.WaitGroup
	for n := range 3 {
		wg.Go(func() {
			s, err := store.Open(context.Background(), url)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if err := try(s, func(tx record.Tx) error { return tx.PutHost(Host(n)) }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := Open(t, url)
	if list := Get(t, s, func(r record.Reader) ([]record.Host, error) { return r.Hosts("", record.Page{Limit: 9}) }); len(list) != 3 {
		t.Errorf("%d hosts, want 3", len(list))
	}
}

// crowd lets many hosts report at once, each in one change with all that belongs to it.
func crowd(t *testing.T, s *store.Store) {
	const count = 150
	add(t, s, 1, count)
	var wg sync.WaitGroup
	for n := 1; n <= count; n++ {
		wg.Go(func() {
			for run := range 2 {
				if err := s.Change(context.Background(), func(tx record.Tx) ([]record.Entry, error) {
					h, err := tx.HostByKey(Host(n).Key)
					if err != nil {
						return nil, err
					}
					if _, err := tx.Protections(h.ID); err != nil {
						return nil, err
					}
					if _, err := tx.AddReport(Report(h.ID, run), Protection(h.ID, run)); err != nil {
						return nil, err
					}
					if _, err := tx.AddVersion(record.Version{Host: h.ID, Digest: fmt.Sprint(run)}); err != nil {
						return nil, err
					}
					return nil, errors.Join(tx.SawHost(h.ID, at(1000+run)), tx.PutRun(record.Run{ID: fmt.Sprint(run), Host: h.ID, State: "done"}))
				}); err != nil {
					t.Errorf("host %d: %v", n, err)
				}
			}
		})
	}
	wg.Wait()
	for n := 1; n <= count; n++ {
		list := Get(t, s, func(r record.Reader) ([]record.Version, error) { return r.Versions(Host(n).ID) })
		if len(list) != 2 || list[0].Number != 2 {
			t.Errorf("host %d has versions %+v", n, list)
		}
	}
}

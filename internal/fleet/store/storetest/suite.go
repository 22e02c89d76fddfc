// Package storetest holds every store of the fleet to what record.Store promises. A
// store's tests call Run with a way to make an empty database; nothing of one
// database belongs here.
package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store"
)

// Run tries everything; fresh gives the URL of an empty database each time.
func Run(t *testing.T, fresh func(t *testing.T) string) {
	for _, c := range []struct {
		name string
		try  func(*testing.T, *store.Store)
	}{
		{"hosts", hosts},
		{"hosts-like", hostsLike},
		{"hosts-paged", hostsPaged},
		{"host-removed", hostRemoved},
		{"enrolments", enrolments},
		{"reports", reports},
		{"runs", runs},
		{"events", events},
		{"versions", versions},
		{"codes", codes},
		{"windows", windows},
		{"users", users},
		{"tokens-settings", tokensSettings},
		{"sweep", sweep},
		{"prune", prune},
		{"leases", leases},
		{"texts", texts},
		{"all-or-nothing", allOrNothing},
		{"cancelled", cancelled},
		{"reads-one-state", readsOneState},
		{"races", races},
		{"audit-concurrent", auditConcurrent},
		{"counters-concurrent", countersConcurrent},
		{"batched", batched},
		{"crowd", crowd},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.try(t, Open(t, fresh(t)))
		})
	}
	t.Run("opened-again", func(t *testing.T) { t.Parallel(); openedAgain(t, fresh(t)) })
	t.Run("opened-at-once", func(t *testing.T) { t.Parallel(); openedAtOnce(t, fresh(t)) })
}

// Open opens a store for a test.
func Open(t testing.TB, url string, options ...store.Option) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Change runs a change that must succeed.
func Change(t testing.TB, s record.Store, f func(record.Tx) error) {
	t.Helper()
	if err := try(s, f); err != nil {
		t.Fatal(err)
	}
}

// Get runs a read that must succeed.
func Get[T any](t testing.TB, s record.Store, f func(record.Reader) (T, error)) (v T) {
	t.Helper()
	err := s.Read(context.Background(), func(r record.Reader) (err error) {
		v, err = f(r)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func try(s record.Store, f func(record.Tx) error) error {
	return s.Change(context.Background(), func(tx record.Tx) ([]record.Entry, error) { return nil, f(tx) })
}

// wrong asks for an error of a change.
func wrong(t *testing.T, s record.Store, want error, f func(record.Tx) error) {
	t.Helper()
	if err := try(s, f); !errors.Is(err, want) {
		t.Errorf("the error is %v, want %v", err, want)
	}
}

// lacks asks for ErrNotFound of a read.
func lacks[T any](t *testing.T, s record.Store, f func(record.Reader) (T, error)) {
	t.Helper()
	err := s.Read(context.Background(), func(r record.Reader) error {
		_, err := f(r)
		return err
	})
	if !errors.Is(err, record.ErrNotFound) {
		t.Errorf("the error is %v, want ErrNotFound", err)
	}
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// at is a time of these tests, so many seconds after their beginning.
func at(seconds int) time.Time {
	return time.Date(2026, 3, 1, 2, 3, 4, 567_891_000, time.UTC).Add(time.Duration(seconds) * time.Second)
}

// ID is a host's ID made of a name.
func ID(name string) record.HostID {
	sum := sha256.Sum256([]byte(name))
	return record.HostID(hex.EncodeToString(sum[:16]))
}

// Host is a host with everything in it.
func Host(n int) record.Host {
	name := fmt.Sprintf("host%05d", n)
	return record.Host{
		ID: ID(name), Name: name, Group: []string{"smt", "opsi"}[n%2],
		Identity: record.Identity{
			Hostname: name + ".example.com", Serial: fmt.Sprintf("sn-%d", n),
			UUID: fmt.Sprintf("4c4c4544-0000-4000-8000-%012d", n),
			MACs: []string{fmt.Sprintf("52:54:00:00:%02x:%02x", n>>8&255, n&255), fmt.Sprintf("52:54:01:00:%02x:%02x", n>>8&255, n&255)},
		},
		Created: at(n), Key: fmt.Sprintf("key-%d", n), Joined: at(n + 1), Seen: at(n + 2),
		Networks: []string{"192.0.2.0/24", "2001:db8::/32"},
	}
}

// add stores hosts first to last.
func add(t testing.TB, s record.Store, first, last int) {
	t.Helper()
	Change(t, s, func(tx record.Tx) error {
		for n := first; n <= last; n++ {
			if err := tx.PutHost(Host(n)); err != nil {
				return err
			}
		}
		return nil
	})
}

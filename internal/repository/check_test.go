package repository

import (
	"errors"
	"testing"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
)

// A snapshot that is made while a check runs is no damage.
func TestCheckBesideBackup(t *testing.T) {
	t.Parallel()
	m := faulty.NewMemory()
	writer, err := Create(t.Context(), m, testPassword, cheap)
	if err != nil {
		t.Fatal(err)
	}
	f := faulty.Wrap(m)
	r, err := Open(t.Context(), f, testPassword, cheap)
	if err != nil {
		t.Fatal(err)
	}
	n := byte(0)
	f.Before = func(_ int, op string, h storage.Handle) error {
		if op == "list" && h.Type != storage.Lock {
			s := begin(t, writer, nil)
			n++
			if _, err := s.AddBytes(t.Context(), "/x", Stream{}, []byte{n}); err != nil {
				t.Fatal(err)
			}
			commit(t, writer, s)
		}
		return nil
	}
	if report := check(t, r, CheckOptions{ReadData: true}); report.Err() != nil {
		t.Error(report.Err())
	}
	if n < 3 {
		t.Errorf("%d backups ran meanwhile", n)
	}
}

// A store that fails ends the check at whatever operation, and is no damage.
func TestCheckStoreFails(t *testing.T) {
	t.Parallel()
	m := faulty.NewMemory()
	writer, err := Create(t.Context(), m, testPassword, cheap)
	if err != nil {
		t.Fatal(err)
	}
	backupBytes(t, writer, random(1, 10_000))
	broken := errors.New("the cable was pulled")
	for n := 1; ; n++ {
		f := faulty.Wrap(m)
		r, err := Open(t.Context(), f, testPassword, Options{NoLock: true})
		if err != nil {
			t.Fatal(err)
		}
		start := f.Calls()
		f.Before = func(call int, _ string, _ storage.Handle) error {
			if call-start == n {
				return broken
			}
			return nil
		}
		report, err := r.Check(t.Context(), CheckOptions{ReadData: true})
		if f.Calls()-start < n {
			if n < 8 || err != nil || len(report.Findings) > 0 {
				t.Errorf("after %d operations: %v, %v", n, report.Findings, err)
			}
			return
		}
		if !errors.Is(err, broken) {
			t.Errorf("failing at %d: %v", n, err)
		}
	}
}

// backupBytes stores one file.
func backupBytes(t *testing.T, r *Repository, data []byte) *Snapshot {
	t.Helper()
	s := begin(t, r, nil)
	if _, err := s.AddBytes(t.Context(), "/x", Stream{}, data); err != nil {
		t.Fatal(err)
	}
	return commit(t, r, s)
}

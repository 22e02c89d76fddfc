package repository

import (
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

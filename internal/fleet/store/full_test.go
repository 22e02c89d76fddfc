package store

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"lifeboat/internal/fleet/record"
)

// A disk without room is told by what it is, until there is room again.
func TestFullDisk(t *testing.T) {
	s, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "fleet.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put := func(size int) error {
		return s.Change(t.Context(), func(tx record.Tx) ([]record.Entry, error) {
			return []record.Entry{{Action: "test"}}, tx.PutSetting("large", make([]byte, size))
		})
	}
	pages := func(most string) {
		t.Helper()
		if err := s.engine.(*sqliteEngine).writer.do("PRAGMA max_page_count = " + most); err != nil {
			t.Fatal(err)
		}
	}
	pages("1") // it is as large as it may be
	for range 2 {
		if err := put(1 << 20); !errors.Is(err, record.ErrFull) {
			t.Errorf("a change on a full disk: %v", err)
		}
		if err := s.Ping(t.Context()); !errors.Is(err, record.ErrFull) {
			t.Errorf("ready on a full disk: %v", err)
		}
	}
	if err := s.Read(t.Context(), func(r record.Reader) error { _, err := r.Hosts("", record.Page{Limit: 1}); return err }); err != nil {
		t.Errorf("it cannot be read: %v", err)
	}
	pages("1000000")
	if held, err := s.Hold(t.Context(), "job", "here", time.Minute); err != nil || !held {
		t.Error(held, err)
	}
	if err := errors.Join(s.Ping(t.Context()), put(1<<20)); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}

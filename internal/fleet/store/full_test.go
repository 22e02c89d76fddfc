package store

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// A server that was killed finds its disk full at the next start: SQLite cannot even
// look at what is there.
func TestFullDiskAtTheStart(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts small file systems")
	}
	killed := t.TempDir()
	s, err := Open(t.Context(), "sqlite:"+filepath.Join(killed, "fleet.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for what, options := range map[string]string{"bytes": "size=4m", "files": "size=4m,nr_inodes=5"} {
		dir := t.TempDir()
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
		for _, name := range []string{"fleet.db", "fleet.db-wal"} {
			text, err := os.ReadFile(filepath.Join(killed, name))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, name), text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		fill := [][]byte{make([]byte, 8<<20)}
		if what == "files" {
			fill = make([][]byte, 9)
		}
		for n, text := range fill {
			err = os.WriteFile(filepath.Join(dir, "fill"+strconv.Itoa(n)), text, 0o600)
		}
		if err == nil {
			t.Fatal("the file system is not full")
		}
		again, err := Open(t.Context(), "sqlite:"+filepath.Join(dir, "fleet.db"))
		if err == nil {
			again.Close()
		}
		if !errors.Is(err, record.ErrFull) || !strings.Contains(err.Error(), "make room there") {
			t.Errorf("without room for %s: %v", what, err)
		}
	}
}

package repository

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
)

// fill leaves not a byte on the disk of a repository.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "..", "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

// onSmallDisk makes a repository on a disk of 8 MiB with two snapshots whose packs
// are listed by one index file. The second needs one of its packs only.
func onSmallDisk(t *testing.T) (dir string, first, second *Snapshot) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a small file system")
	}
	disk := t.TempDir()
	if err := unix.Mount("lifeboat-test", disk, "tmpfs", 0, "size=8m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })
	dir = filepath.Join(disk, "repo")
	opts := cheap
	opts.PackSize = 300_000
	r, err := Create(t.Context(), localStore(t, dir), testPassword, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := begin(t, r, nil)
	for name, seed := range map[string]uint64{"/kept": 1, "/more": 2} {
		if _, err := s.AddBytes(t.Context(), name, Stream{ModTime: s.begun}, random(seed, 400_000)); err != nil {
			t.Fatal(err)
		}
	}
	first = commit(t, r, s)
	s = begin(t, r, nil)
	if _, err := s.AddBytes(t.Context(), "/kept", Stream{ModTime: s.begun}, random(1, 400_000)); err != nil {
		t.Fatal(err)
	}
	return dir, first, commit(t, r, s)
}

// A repository on a full disk is read without a lock, and room can be made.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir, first, second := onSmallDisk(t)
	fill(t, dir)
	r, told := warned(t, localStore(t, dir), Options{})
	l, err := r.ReadLock(t.Context())
	if err != nil || len(*told) != 1 || !strings.Contains((*told)[0], "no room for a lock") {
		t.Fatalf("a reader: %v, told %q", err, *told)
	}
	readAll(t, r, first, "/more")
	if report := check(t, r, CheckOptions{ReadData: true}); report.Err() != nil {
		t.Error(report.Err())
	}
	if err := l.Release(); err != nil {
		t.Error(err)
	}
	if _, err := r.Begin(t.Context(), SessionOptions{}); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("a backup: %v", err)
	}
	if _, err := r.Prune(t.Context(), PruneOptions{}); !errors.Is(err, storage.ErrNoSpace) || !strings.Contains(err.Error(), "forget a point") {
		t.Errorf("a prune: %v", err)
	}
	if err := r.Forget(t.Context(), first.ID); err != nil {
		t.Fatalf("forget: %v", err)
	}
	// What that freed is taken again.
	fill(t, dir)
	report, err := r.Prune(t.Context(), PruneOptions{Unsafe: true})
	if err != nil || report.Freed < 300_000 {
		t.Fatalf("%+v, %v", report, err)
	}
	soundAfter(t, dir, second)
}

func soundAfter(t *testing.T, dir string, second *Snapshot) {
	t.Helper()
	r := openRepo(t, dir)
	readAll(t, r, second, "/kept")
	if locks, err := r.Locks(t.Context()); err != nil || len(locks) > 0 {
		t.Errorf("left over: %v, %v", locks, err)
	}
	resticCheck(t, dir)
}

// What no index lists, as failed backups leave it, goes before anything is written.
func TestFullDiskPrune(t *testing.T) {
	t.Parallel()
	dir, first, second := onSmallDisk(t)
	r := openRepo(t, dir)
	s := begin(t, r, nil)
	if _, err := s.AddBytes(t.Context(), "/lost", Stream{}, random(9, 500_000)); err != nil {
		t.Fatal(err)
	}
	if err := s.writer.flush(); err != nil {
		t.Fatal(err)
	}
	s.lock.Release() // it is killed here
	r = openRepo(t, dir)
	third := storeBytes(t, r, []byte("x"))
	fill(t, dir)
	for _, snap := range []*Snapshot{first, third} {
		if err := r.Forget(t.Context(), snap.ID); err != nil {
			t.Fatal(err)
		}
	}
	report, err := r.Prune(t.Context(), PruneOptions{KeepPacks: true})
	if err != nil || report.Freed < 800_000 {
		t.Fatalf("%+v, %v", report, err)
	}
	soundAfter(t, dir, second)
}

// A stale lock is all the room that a new one needs; a lock that may be somebody's
// is respected even by those who are to make room.
func TestFullDiskLocks(t *testing.T) {
	t.Parallel()
	dir, first, _ := onSmallDisk(t)
	junk := filepath.Join(dir, "locks", strings.Repeat("ab", 32))
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	fill(t, dir)
	r := openRepo(t, dir)
	if err := r.Forget(t.Context(), first.ID); !errors.Is(err, ErrLocked) {
		t.Errorf("forget: %v", err)
	}
	if _, err := r.Prune(t.Context(), PruneOptions{Unsafe: true}); !errors.Is(err, ErrLocked) {
		t.Errorf("prune: %v", err)
	}
	writtenAgo(t, dir, filepath.Base(junk), staleAfter*2)
	l, err := r.Lock(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Release(); err != nil {
		t.Error(err)
	}
}

// The last resort may be killed anywhere: what snapshots need is still there, and
// a repair lists it again.
func TestKilledUnsafePrune(t *testing.T) {
	t.Parallel()
	base := memoryRepo(t)
	want := contents(t, openMemory(t, base))
	for n := 1; ; n += 3 {
		m := cloneMemory(base)
		f := faulty.Wrap(m)
		room, changes := 0, 0
		var mu sync.Mutex
		f.Before = func(_ int, op string, _ storage.Handle) error {
			mu.Lock()
			defer mu.Unlock()
			if op != "save" && op != "remove" {
				return nil
			}
			if changes++; changes > n {
				return errors.New("killed")
			}
			if op == "remove" {
				room++
			} else if room--; room < 0 {
				room = 0
				return storage.ErrNoSpace
			}
			return nil
		}
		_, err := openMemory(t, f).Prune(t.Context(), PruneOptions{Unsafe: true})
		after := openMemory(t, m)
		if err != nil {
			if _, err := after.Unlock(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			if _, err := after.RepairIndex(t.Context()); err != nil {
				t.Fatalf("killed at change %d: %v", n, err)
			}
		}
		sound(t, m, want)
		if err == nil {
			return
		}
		if n > 300 {
			t.Fatal(err)
		}
	}
}

// A prune that finds no room for what it stores anew says how much that is, and has
// deleted nothing.
func TestPruneWithoutRoom(t *testing.T) {
	t.Parallel()
	m := memoryRepo(t)
	want := contents(t, openMemory(t, m))
	plan, err := openMemory(t, m).Prune(t.Context(), PruneOptions{DryRun: true})
	if err != nil || plan.Repacked.Packs == 0 {
		t.Fatalf("%+v, %v", plan, err)
	}
	f := faulty.Wrap(m)
	f.Before = func(_ int, op string, h storage.Handle) error {
		if op == "save" && h.Type == storage.Data {
			return storage.ErrNoSpace
		}
		return nil
	}
	_, err = openMemory(t, f).Prune(t.Context(), PruneOptions{})
	if !errors.Is(err, storage.ErrNoSpace) || !strings.Contains(err.Error(), humanize.IBytes(uint64(plan.Written))+" of room") || !strings.Contains(err.Error(), "--max-repack") {
		t.Errorf("%v", err)
	}
	sound(t, m, want)
}

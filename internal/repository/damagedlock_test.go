package repository

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
)

// writtenAgo makes a lock file as old as that.
func writtenAgo(t testing.TB, dir, name string, age time.Duration) {
	t.Helper()
	at := time.Now().Add(-age)
	if err := os.Chtimes(filepath.Join(dir, "locks", name), at, at); err != nil {
		t.Fatal(err)
	}
}

// warned opens a repository again and collects what it is told.
func warned(t testing.TB, store storage.Store, opts Options) (*Repository, *[]string) {
	t.Helper()
	var told []string
	opts.Hostname, opts.Username = "testhost", "tester"
	opts.Warn = func(text string) { told = append(told, text) }
	r, err := Open(t.Context(), store, testPassword, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r, &told
}

func localStore(t testing.TB, dir string) storage.Store {
	t.Helper()
	s, err := storage.Open(t.Context(), dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A lock file that cannot be read keeps nobody from reading. Whoever writes waits
// until it cannot be anybody's any more, and removes it then.
func TestDamagedLocks(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("ab", 32)
	sealed := func(r *Repository, text string) (string, []byte) {
		data := r.key.Seal(nil, []byte(text))
		return Hash(data).String(), data
	}
	for kind, content := range map[string]func(r *Repository) (string, []byte){
		"empty":            func(*Repository) (string, []byte) { return name, nil },
		"junk":             func(*Repository) (string, []byte) { return name, []byte("junk") },
		"huge":             func(*Repository) (string, []byte) { return name, make([]byte, maxLock+1) },
		"not sealed by us": func(*Repository) (string, []byte) { return Hash([]byte("x")).String(), []byte("x") },
		"not JSON":         func(r *Repository) (string, []byte) { return sealed(r, "{") },
		"not a lock":       func(r *Repository) (string, []byte) { return sealed(r, "[1]") },
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			made, dir := newRepo(t)
			file, data := content(made)
			if err := os.WriteFile(filepath.Join(dir, "locks", file), data, 0o600); err != nil {
				t.Fatal(err)
			}
			r, told := warned(t, localStore(t, dir), Options{})
			reader, err := r.ReadLock(t.Context())
			if err != nil {
				t.Fatalf("a reader: %v", err)
			}
			if len(*told) != 1 || !strings.Contains((*told)[0], file) {
				t.Errorf("told %q", *told)
			}
			// What is good enough to read is not good enough to write.
			for range 2 {
				if _, err := r.Begin(t.Context(), SessionOptions{}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "unlock") {
					t.Errorf("a backup: %v", err)
				}
			}
			if err := reader.Release(); err != nil {
				t.Error(err)
			}
			for _, exclusive := range []bool{false, true} {
				if _, err := r.Lock(t.Context(), exclusive); !errors.Is(err, ErrLocked) {
					t.Errorf("exclusive %v: %v", exclusive, err)
				}
			}
			if _, err := r.Prune(t.Context(), PruneOptions{DryRun: true}); err != nil {
				t.Errorf("a plan: %v", err)
			}
			if locks, err := r.Locks(t.Context()); err != nil || len(locks) != 1 || locks[0].Damage == nil {
				t.Errorf("%v, %v", locks, err)
			}

			writtenAgo(t, dir, file, 31*time.Minute)
			reader, err = r.ReadLock(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s, err := r.Begin(t.Context(), SessionOptions{})
			if err != nil {
				t.Fatalf("after half an hour: %v", err)
			}
			if err := errors.Join(s.Abort(t.Context()), reader.Release()); err != nil {
				t.Error(err)
			}
			if locks, err := r.Locks(t.Context()); err != nil || len(locks) != 0 {
				t.Errorf("left over: %v, %v", locks, err)
			}
		})
	}
}

// Where the store does not tell how old a file is, this machine remembers since
// when it sees it, from one process to the next.
func TestSightings(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	junk := storage.Handle{Type: storage.Lock, Name: strings.Repeat("cd", 32)}
	id, _ := ParseID(junk.Name)
	m.Put(junk, []byte("junk"))
	made := openMemory(t, m)
	ahead, err := made.saveJSON(t.Context(), storage.Lock, Lock{Time: time.Now().Add(time.Hour), Hostname: "other", PID: 1})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "sightings")
	r, _ := warned(t, m, Options{Sightings: dir})
	if _, err := r.Lock(t.Context(), true); !errors.Is(err, ErrLocked) {
		t.Errorf("at first: %v", err)
	}
	if l, err := r.ReadLock(t.Context()); err != nil {
		t.Errorf("a reader: %v", err)
	} else if err := l.Release(); err != nil {
		t.Error(err)
	}
	for _, seen := range []ID{id, ahead} {
		r.sightings.see(seen)
		r.sightings.first[seen] = time.Now().Add(-31 * time.Minute)
	}
	r.sightings.write()
	again, _ := warned(t, m, Options{Sightings: dir})
	l, err := again.Lock(t.Context(), true)
	if err != nil {
		t.Fatalf("half an hour later: %v", err)
	}
	if err := l.Release(); err != nil {
		t.Error(err)
	}
	if left := m.Handles(storage.Lock); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
	// A record that is spoilt is as good as none.
	if err := os.WriteFile(again.sightings.file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.Put(junk, nil)
	third, _ := warned(t, m, Options{Sightings: dir})
	if _, err := third.Begin(t.Context(), SessionOptions{}); !errors.Is(err, ErrLocked) {
		t.Errorf("%v", err)
	}
}

// A live lock of a machine whose clock is slow looks old, and every lock does when
// our own clock is fast; by the store's clock they are not.
func TestSlowClock(t *testing.T) {
	t.Parallel()
	r, dir := newRepo(t)
	id, err := r.saveJSON(t.Context(), storage.Lock, Lock{Time: time.Now().Add(-5 * time.Hour), Hostname: "other", PID: 1, Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Lock(t.Context(), false); !errors.Is(err, ErrLocked) {
		t.Errorf("%v", err)
	}
	writtenAgo(t, dir, id.String(), 31*time.Minute)
	l, err := r.Lock(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Release(); err != nil {
		t.Error(err)
	}
}

// After a restart the number of a dead process has a new owner. A reader is not
// kept waiting for it.
func TestReusedProcessNumber(t *testing.T) {
	t.Parallel()
	made, dir := newRepo(t)
	lock := Lock{Time: time.Now().Add(-20 * time.Minute), Hostname: "testhost", PID: os.Getpid(), Exclusive: true}
	if born, ok := processStart(os.Getpid()); !ok || born.Sub(lock.Time) < 10*time.Minute || time.Until(born) > time.Minute {
		t.Fatalf("this process began %v, %v", born, ok)
	}
	if _, err := made.saveJSON(t.Context(), storage.Lock, lock); err != nil {
		t.Fatal(err)
	}
	r, told := warned(t, localStore(t, dir), Options{})
	reader, err := r.ReadLock(t.Context())
	if err != nil || len(*told) > 0 {
		t.Fatalf("%v, told %q", err, *told)
	}
	if _, err := r.Begin(t.Context(), SessionOptions{}); !errors.Is(err, ErrLocked) {
		t.Errorf("a writer: %v", err)
	}
	if err := reader.Release(); err != nil {
		t.Error(err)
	}
}

func TestUnlock(t *testing.T) {
	t.Parallel()
	r, dir := newRepo(t)
	now := time.Now()
	put := func(l Lock, age time.Duration) ID {
		id, err := r.saveJSON(t.Context(), storage.Lock, l)
		if err != nil {
			t.Fatal(err)
		}
		writtenAgo(t, dir, id.String(), age)
		return id
	}
	live := put(Lock{Time: now, Hostname: "other", PID: 1}, 0)
	put(Lock{Time: now.Add(-time.Hour), Hostname: "other", PID: 2}, time.Hour)
	put(Lock{Time: now.Add(time.Hour), Hostname: "other", PID: 3}, time.Hour)
	if err := os.WriteFile(filepath.Join(dir, "locks", strings.Repeat("ef", 32)), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	removed, err := r.Unlock(t.Context(), false)
	if err != nil || len(removed) != 3 {
		t.Errorf("removed %v, %v", removed, err)
	}
	left, err := r.Locks(t.Context())
	if err != nil || len(left) != 1 || left[0].ID != live || r.Abandoned(left[0]) {
		t.Errorf("left %v, %v", left, err)
	}
	if removed, err := r.Unlock(t.Context(), true); err != nil || len(removed) != 1 {
		t.Errorf("all: removed %v, %v", removed, err)
	}
}

// One file that the store cannot give does not keep a reader out.
func TestUnreadableLock(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	other, err := openMemory(t, m).Lock(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Release()
	broken := errors.New("a sector is gone")
	f := faulty.Wrap(m)
	f.Before = func(_ int, op string, h storage.Handle) error {
		if op == "load" && h.Type == storage.Lock {
			return broken
		}
		return nil
	}
	r, told := warned(t, f, Options{})
	l, err := r.ReadLock(t.Context())
	if err != nil || len(*told) != 1 || !strings.Contains((*told)[0], broken.Error()) {
		t.Fatalf("%v, told %q", err, *told)
	}
	if err := l.Release(); err != nil {
		t.Error(err)
	}
	if _, err := r.Lock(t.Context(), false); !errors.Is(err, ErrLocked) {
		t.Errorf("a writer: %v", err)
	}
}

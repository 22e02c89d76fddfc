package repository

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
)

func TestLocksExcludeEachOther(t *testing.T) {
	t.Parallel()
	a, dir := newRepo(t)
	b := openRepo(t, dir)
	shared, err := a.Lock(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Lock(t.Context(), true); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "testhost") {
		t.Errorf("exclusive beside shared: %v", err)
	}
	other, err := b.Lock(t.Context(), false)
	if err != nil {
		t.Fatalf("shared beside shared: %v", err)
	}
	again, err := a.Lock(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []*HeldLock{shared, other, again} {
		if err := l.Verify(t.Context()); err != nil {
			t.Error(err)
		}
		if err := errors.Join(l.Release(), l.Release()); err != nil {
			t.Error(err)
		}
	}
	exclusive, err := b.Lock(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	var locked *LockedError
	if _, err := a.Begin(t.Context(), SessionOptions{}); !errors.As(err, &locked) || locked.Lock.PID != os.Getpid() {
		t.Errorf("a session beside an exclusive lock: %v", err)
	}
	if err := exclusive.Release(); err != nil {
		t.Error(err)
	}
	if locks, err := a.Locks(t.Context()); err != nil || len(locks) != 0 {
		t.Errorf("left over: %v, %v", locks, err)
	}
}

func TestStaleLocks(t *testing.T) {
	t.Parallel()
	child := exec.Command("true")
	if err := child.Run(); err != nil {
		t.Skip("needs true")
	}
	dead := child.Process.Pid
	now := time.Now()
	// What the lock says of its age, and what the store says.
	tests := []struct {
		name    string
		lock    Lock
		written time.Duration
		stale   bool
	}{
		{"dead here", Lock{Time: now, Hostname: "testhost", PID: dead, Exclusive: true}, 0, true},
		{"alive here", Lock{Time: now, Hostname: "testhost", PID: os.Getppid(), Exclusive: true}, 0, false},
		{"elsewhere", Lock{Time: now, Hostname: "other", PID: dead, Exclusive: true}, 0, false},
		{"old elsewhere", Lock{Time: now.Add(-31 * time.Minute), Hostname: "other", PID: 1, Exclusive: true}, 31 * time.Minute, true},
		{"not quite old", Lock{Time: now.Add(-29 * time.Minute), Hostname: "other", PID: 1, Exclusive: true}, 29 * time.Minute, false},
		{"copied without times", Lock{Time: now.Add(-29 * time.Minute), Hostname: "other", PID: 1, Exclusive: true}, 31 * time.Minute, false},
		{"clock far ahead, renewed", Lock{Time: now.Add(1000 * time.Hour), Hostname: "other", PID: 1, Exclusive: true}, 4 * time.Minute, false},
		{"clock far ahead, left", Lock{Time: now.Add(1000 * time.Hour), Hostname: "other", PID: 1, Exclusive: true}, 31 * time.Minute, true},
		{"clock a little ahead, left", Lock{Time: now.Add(4 * time.Minute), Hostname: "other", PID: 1, Exclusive: true}, 31 * time.Minute, false},
		{"clock ahead, dead here", Lock{Time: now.Add(1000 * time.Hour), Hostname: "testhost", PID: dead, Exclusive: true}, 0, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, dir := newRepo(t)
			id, err := r.saveJSON(t.Context(), storage.Lock, test.lock)
			if err != nil {
				t.Fatal(err)
			}
			writtenAgo(t, dir, id.String(), test.written)
			l, err := r.Lock(t.Context(), false)
			if test.stale != (err == nil) {
				t.Errorf("%v", err)
			}
			if err == nil {
				l.Release()
				return
			}
			if removed, err := r.Unlock(t.Context(), false); err != nil || len(removed) != 0 {
				t.Errorf("unlock removed %v, %v", removed, err)
			}
			if removed, err := r.Unlock(t.Context(), true); err != nil || len(removed) != 1 {
				t.Errorf("unlock of all removed %v, %v", removed, err)
			}
		})
	}
}

// A lock whose file was removed by others is noticed before a snapshot is made.
func TestLostLock(t *testing.T) {
	t.Parallel()
	r, dir := newRepo(t)
	s := begin(t, r, nil)
	if _, err := s.AddBytes(t.Context(), "/x", Stream{}, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := openRepo(t, dir).Unlock(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), SnapshotInfo{}); !errors.Is(err, ErrLocked) {
		t.Errorf("%v", err)
	}
	if snaps, _ := r.Snapshots(t.Context()); len(snaps) != 0 {
		t.Error("a snapshot was made")
	}
}

// A lock that could not be renewed for a while is renewed before anything relies
// on it, unless somebody has taken it for stale.
func TestOldLock(t *testing.T) {
	t.Parallel()
	for _, taken := range []bool{false, true} {
		r, dir := newRepo(t)
		s := begin(t, r, nil)
		if _, err := s.AddBytes(t.Context(), "/x", Stream{}, []byte("x")); err != nil {
			t.Fatal(err)
		}
		s.lock.lock.mu.Lock()
		s.lock.lock.since = time.Now().Add(-trusted - time.Second)
		old := s.lock.lock.id
		s.lock.lock.mu.Unlock()
		if taken {
			if _, err := openRepo(t, dir).Unlock(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		}
		err := s.lock.Verify(t.Context())
		if taken != errors.Is(err, ErrLocked) || !taken && err != nil {
			t.Errorf("%v", err)
		}
		locks, err := r.Locks(t.Context())
		if err != nil || taken && len(locks) != 0 || !taken && (len(locks) != 1 || locks[0].ID == old) {
			t.Errorf("taken is %v: %v, %v", taken, locks, err)
		}
		if _, err := s.Commit(t.Context(), SnapshotInfo{}); taken != errors.Is(err, ErrLocked) {
			t.Errorf("taken is %v: %v", taken, err)
		}
	}
}

// A session whose lock was lost lists none of its packs in the index: a prune
// may have removed them, and later backups would rely on them.
func TestLostLockLeavesIndexAlone(t *testing.T) {
	t.Parallel()
	for _, end := range []func(*Session) error{
		func(s *Session) error { return s.Abort(t.Context()) },
		func(s *Session) error { _, err := s.Commit(t.Context(), SnapshotInfo{}); return err },
	} {
		a, b, _ := beside(t)
		s := begin(t, a, nil)
		if _, err := s.AddBytes(t.Context(), "/x", Stream{}, random(1, 10_000)); err != nil {
			t.Fatal(err)
		}
		if err := s.writer.flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Unlock(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Prune(t.Context(), PruneOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := end(s); !errors.Is(err, ErrLocked) {
			t.Errorf("%v", err)
		}
		if report := check(t, b, CheckOptions{}); report.Err() != nil {
			t.Error(report.Err())
		}
		snap := backupBytes(t, a, random(1, 10_000))
		readAll(t, b, snap, "/x")
	}
}

// beside opens a repository in memory twice, as two processes do; the store of
// the first may fail.
func beside(t *testing.T) (a, b *Repository, faults *faulty.Store) {
	t.Helper()
	m := faulty.NewMemory()
	b, err := Create(t.Context(), m, testPassword, cheap)
	if err != nil {
		t.Fatal(err)
	}
	faults = faulty.Wrap(m)
	if a, err = Open(t.Context(), faults, testPassword, cheap); err != nil {
		t.Fatal(err)
	}
	return a, b, faults
}

func TestRenewal(t *testing.T) {
	t.Parallel()
	r, _ := newRepo(t)
	l, err := r.Lock(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	before, _ := r.Locks(t.Context())
	if err := l.lock.renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, _ := r.Locks(t.Context())
	if len(after) != 1 || !after[0].Time.After(before[0].Time) || after[0].ID == before[0].ID {
		t.Errorf("%v became %v", before, after)
	}
	if err := errors.Join(l.Verify(t.Context()), l.Release()); err != nil {
		t.Error(err)
	}
}

// Restic's locks count here and ours count there; restic's probing signal does
// not end us.
func TestResticSeesLocks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/repo"
	store, err := storage.Open(t.Context(), dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Create(t.Context(), store, testPassword, Options{Scrypt: cheap.Scrypt}) // under the real host name
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	l, err := r.Lock(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := resticErr(t, dir, "check"); err == nil || !strings.Contains(out, "locked") {
		t.Errorf("restic took an exclusive lock: %s", out)
	}
	restic(t, dir, "unlock") // looks whether we are alive
	if err := l.Verify(t.Context()); err != nil {
		t.Errorf("restic removed a live lock: %v", err)
	}
	if err := l.Release(); err != nil {
		t.Error(err)
	}
	restic(t, dir, "check")
}

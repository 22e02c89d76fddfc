package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/storage"
)

// Lock is what a lock file says, or why that cannot be told.
type Lock struct {
	Time      time.Time `json:"time"`
	Exclusive bool      `json:"exclusive"`
	Hostname  string    `json:"hostname"`
	Username  string    `json:"username"`
	PID       int       `json:"pid"`
	UID       uint32    `json:"uid,omitempty"`
	GID       uint32    `json:"gid,omitempty"`

	ID ID `json:"-"`
	// Written is when the file was written, by the store's clock; zero where the
	// store does not tell.
	Written time.Time `json:"-"`
	// Damage is why the file cannot be read; what it says is not known then.
	Damage error `json:"-"`
}

// Times of the locking protocol. Others, restic among them, hold a lock for
// stale after half an hour, so it is renewed well before.
const (
	staleAfter   = 30 * time.Minute
	refreshEvery = 5 * time.Minute
	// trusted is the age up to which a lock is relied upon without a renewal:
	// what follows takes its time, and must have ended before it may be stale.
	trusted = 2 * refreshEvery
	// settle is how long a new exclusive lock waits for others that were made at
	// the same moment to become visible.
	settle = 200 * time.Millisecond
	// maxLock bounds a lock file, in bytes. An honest one has some 300.
	maxLock = 64 << 10
)

// Owner names the holder for messages.
func (l Lock) Owner() string {
	if l.Damage != nil {
		return "somebody unknown"
	}
	return fmt.Sprintf("PID %d on %s by %s", l.PID, l.Hostname, l.Username)
}

// unreadable says of a damaged lock which file it is and what is wrong with it.
func (l Lock) unreadable() string {
	s := "lock file " + handle(storage.Lock, l.ID).Path()
	if !l.Written.IsZero() {
		s += ", written " + l.Written.Local().Format(time.DateTime) + ","
	}
	return s + " cannot be read: " + l.Damage.Error()
}

// Since is when the lock was made or last renewed, as far as anything tells.
func (l Lock) Since() time.Time {
	if l.Damage != nil {
		return l.Written
	}
	return l.Time
}

// Stale tells whether the holder is gone, by what the lock says: it is older
// than half an hour, or was made on this host by a process that does not exist.
// Of a damaged lock it tells nothing.
func (l Lock) Stale(hostname string) bool {
	if l.Damage != nil {
		return false
	}
	return time.Since(l.Time) > staleAfter || l.dead(hostname)
}

// dead tells whether the process is known not to exist any more.
func (l Lock) dead(hostname string) bool {
	return l.Damage == nil && l.Hostname == hostname && l.PID > 0 && errors.Is(unix.Kill(l.PID, 0), unix.ESRCH)
}

// ahead tells whether the lock comes from a clock so far ahead of ours that its
// time is of no use.
func (l Lock) ahead() bool { return time.Until(l.Time) > refreshEvery }

// Locks lists the locks of all processes, stale and damaged ones among them.
func (r *Repository) Locks(ctx context.Context) ([]Lock, error) {
	var files []storage.Info
	err := r.store.List(ctx, storage.Lock, func(info storage.Info) error {
		files = append(files, info)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list lock files: %w", err)
	}
	var locks []Lock
	seen := make(map[ID]struct{}) // a server may name a file twice
	for _, info := range files {
		id, err := ParseID(info.Name)
		if err != nil {
			return nil, err
		}
		if _, twice := seen[id]; twice {
			continue
		}
		seen[id] = struct{}{}
		l, err := r.loadLock(ctx, id, info)
		switch {
		case errors.Is(err, storage.ErrNotFound): // given up meanwhile
		case err != nil:
			return nil, err
		default:
			locks = append(locks, l)
		}
	}
	return locks, nil
}

// loadLock reads a lock file. Whatever is wrong with one file is told in the
// lock, whether its bytes, the permissions or the disk: it must not keep anybody
// from all the others.
func (r *Repository) loadLock(ctx context.Context, id ID, info storage.Info) (Lock, error) {
	l := Lock{}
	err := errors.New("it is empty")
	switch {
	case info.Size > maxLock:
		err = fmt.Errorf("%d bytes are too many", info.Size)
	case info.Size > 0:
		var text []byte
		if text, err = r.loadJSON(ctx, storage.Lock, id, nil); err == nil {
			err = json.Unmarshal(text, &l)
		}
	}
	if ctx.Err() != nil {
		return l, ctx.Err()
	}
	if errors.Is(err, storage.ErrNotFound) {
		return l, err
	}
	if err != nil {
		var damage *DamageError
		if errors.As(err, &damage) {
			err = damage.Err
		}
		l = Lock{Damage: err}
	}
	l.ID, l.Written = id, info.Time
	if l.Written.IsZero() && (l.Damage != nil || l.ahead() || l.Stale(r.opts.Hostname)) {
		if info, err := r.store.Stat(ctx, handle(storage.Lock, id)); err == nil {
			l.Written = info.Time
		}
	}
	return l, nil
}

// gone tells whether the holder of a lock is no more, so that its file may be
// removed. clock is the present time by the store's clock, zero where it is not
// known.
//
// The time in a lock is that of its maker's clock. Where the store tells when the
// file was written, a live lock of a machine whose clock is slow, or one that
// seems old because ours is fast, is not taken for stale. A lock that cannot be
// read, or comes from a clock far ahead, is gone when it was not renewed for half
// an hour, by the store's clock, or by ours since this machine saw it first.
func (r *Repository) gone(l Lock, clock time.Time) bool {
	if l.dead(r.opts.Hostname) {
		return true
	}
	told := !clock.IsZero() && !l.Written.IsZero()
	old := told && clock.Sub(l.Written) > staleAfter
	if l.Damage == nil && !l.ahead() {
		return time.Since(l.Time) > staleAfter && (old || !told)
	}
	return old || r.sightings.age(l.ID) > staleAfter
}

func readOnly(err error) bool {
	return errors.Is(err, storage.ErrReadOnly) || errors.Is(err, fs.ErrPermission)
}

func (r *Repository) saveLock(ctx context.Context, exclusive bool) (ID, error) {
	return r.saveJSON(ctx, storage.Lock, Lock{
		Time:      time.Now(),
		Exclusive: exclusive,
		Hostname:  r.opts.Hostname,
		Username:  r.opts.Username,
		PID:       os.Getpid(),
		UID:       uint32(os.Getuid()),
		GID:       uint32(os.Getgid()),
	})
}

// removeLock works after a cancelled context too: a lock is always given up.
func (r *Repository) removeLock(ctx context.Context, id ID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	err := r.removeFile(ctx, storage.Lock, id)
	if err == nil || errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return fmt.Errorf("give up the lock of the repository: %w", err)
}

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

// Lock is what a lock file says.
type Lock struct {
	Time      time.Time `json:"time"`
	Exclusive bool      `json:"exclusive"`
	Hostname  string    `json:"hostname"`
	Username  string    `json:"username"`
	PID       int       `json:"pid"`
	UID       uint32    `json:"uid,omitempty"`
	GID       uint32    `json:"gid,omitempty"`

	ID ID `json:"-"`
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
)

// Owner names the holder for messages.
func (l Lock) Owner() string {
	return fmt.Sprintf("PID %d on %s by %s", l.PID, l.Hostname, l.Username)
}

// Stale tells whether the holder is gone: the lock is older than half an hour,
// or was made on this host by a process that does not exist.
func (l Lock) Stale(hostname string) bool {
	if time.Since(l.Time) > staleAfter {
		return true
	}
	if l.Hostname != hostname || l.PID <= 0 {
		return false
	}
	return errors.Is(unix.Kill(l.PID, 0), unix.ESRCH)
}

// Locks lists the locks of all processes, stale ones among them.
func (r *Repository) Locks(ctx context.Context) ([]Lock, error) {
	ids, err := r.listIDs(ctx, storage.Lock)
	if err != nil {
		return nil, err
	}
	var locks []Lock
	for _, id := range ids {
		l, err := r.loadLock(ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			continue // given up meanwhile
		}
		if err != nil {
			return locks, err
		}
		locks = append(locks, l)
	}
	return locks, nil
}

func (r *Repository) loadLock(ctx context.Context, id ID) (Lock, error) {
	text, err := r.loadJSON(ctx, storage.Lock, id, nil)
	if err != nil {
		return Lock{}, err
	}
	var l Lock
	if err := json.Unmarshal(text, &l); err != nil {
		return Lock{}, &DamageError{What: "lock", ID: id, Err: err}
	}
	l.ID = id
	return l, nil
}

// Unlock removes the stale locks, or with all every lock, and returns those
// that it removed.
func (r *Repository) Unlock(ctx context.Context, all bool) ([]Lock, error) {
	ids, err := r.listIDs(ctx, storage.Lock)
	if err != nil {
		return nil, err
	}
	var removed []Lock
	for _, id := range ids {
		l, err := r.loadLock(ctx, id)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			continue
		case errors.Is(err, ErrDamaged):
			l = Lock{ID: id} // nobody can say whose it is
		case err != nil:
			return removed, err
		}
		if !all && !l.Stale(r.opts.Hostname) {
			continue
		}
		if err := r.removeFile(ctx, storage.Lock, id); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return removed, err
		}
		removed = append(removed, l)
	}
	return removed, nil
}

// conflict returns the lock that forbids a new one. Stale locks are removed on
// the way.
func (r *Repository) conflict(ctx context.Context, exclusive bool, own ID) error {
	ids, err := r.listIDs(ctx, storage.Lock)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if id == own {
			continue
		}
		l, err := r.loadLock(ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return hint(err, "if no other process uses the repository, remove its locks")
		}
		if l.Stale(r.opts.Hostname) {
			if err := r.removeFile(ctx, storage.Lock, id); err != nil && !errors.Is(err, storage.ErrNotFound) && !readOnly(err) {
				return err
			}
			continue
		}
		if exclusive || l.Exclusive {
			return hint(&LockedError{Lock: l}, "wait until it has ended; if it is known to be gone, remove its lock")
		}
	}
	return nil
}

func readOnly(err error) bool {
	return errors.Is(err, storage.ErrReadOnly) || errors.Is(err, fs.ErrPermission)
}

// acquire makes a lock file: look for others, write, look again. Of two that
// write at the same moment each sees the other's lock then, or at least one does.
// Whoever wants the repository for himself looks once more a while later: a store
// may show a new file late. The others need not wait for that, since his look
// finds their locks.
func (r *Repository) acquire(ctx context.Context, exclusive bool) (ID, error) {
	if err := r.conflict(ctx, exclusive, ID{}); err != nil {
		return ID{}, err
	}
	id, err := r.saveLock(ctx, exclusive)
	if err != nil {
		return ID{}, fmt.Errorf("lock the repository: %w", err)
	}
	if exclusive {
		select {
		case <-time.After(settle):
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err == nil {
		err = r.conflict(ctx, exclusive, id)
	}
	if err != nil {
		return ID{}, errors.Join(err, r.removeLock(ctx, id))
	}
	return id, nil
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

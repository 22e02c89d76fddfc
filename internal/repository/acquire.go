package repository

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeboat/internal/storage"
)

// acquisition is one attempt to get a lock.
type acquisition struct {
	r         *Repository
	exclusive bool
	// reading is for those who write nothing: a lock that cannot be read does not
	// keep them out, nor one of this host whose process number has a new owner.
	reading bool

	id     ID        // of our lock file, once it is written
	clock  time.Time // of the store, once it was asked for
	passed []Lock    // locks that a reader passed over
}

// conflictHint is what to do about a lock in the way.
func (a *acquisition) conflictHint(l Lock) string {
	unlock := a.r.command("repository unlock")
	s := "wait until it has ended; if it is known to be gone: " + unlock + " --remove-all"
	switch {
	case l.Damage != nil:
		s = "if no other process uses the repository: " + unlock + "; else it counts as given up half an hour after it was written"
	case l.ahead():
		s = "its clock is ahead of this machine's, or was; if it is not renewed it counts as given up half an hour after it was written. If its process is known to be gone: " + unlock + " --remove-all"
	}
	return s
}

// acquire makes a lock file: look for others, write, look again. Of two that
// write at the same moment each sees the other's lock then, or at least one does.
// Whoever wants the repository for himself looks once more a while later: a store
// may show a new file late. The others need not wait for that, since his look
// finds their locks.
func (a *acquisition) acquire(ctx context.Context) error {
	// What surely stands in the way is found before anything is written.
	doubtful, err := a.look(ctx, false)
	if err != nil {
		return err
	}
	err = a.save(ctx)
	if errors.Is(err, storage.ErrNoSpace) && doubtful > 0 {
		// Locks that are gone may be all the room there is. Ours cannot tell the
		// store's clock yet.
		a.clock = time.Now()
		if n, lerr := a.look(ctx, true); lerr == nil && n > 0 {
			err = a.save(ctx)
		}
		a.clock = time.Time{}
	}
	if err != nil {
		return fmt.Errorf("lock the repository: %w", err)
	}
	if doubtful > 0 {
		_, err = a.look(ctx, true)
	}
	for err == nil {
		if a.exclusive {
			select {
			case <-time.After(settle):
			case <-ctx.Done():
				err = ctx.Err()
				continue
			}
		}
		removed := 0
		// Who renews a lock while it is taken for stale is seen by a look after
		// its removal.
		if removed, err = a.look(ctx, true); err == nil && removed == 0 {
			return nil
		}
	}
	return errors.Join(err, a.r.removeLock(ctx, a.id))
}

func (a *acquisition) save(ctx context.Context) (err error) {
	a.id, err = a.r.saveLock(ctx, a.exclusive)
	return err
}

// look looks for locks that forbid ours. Without remove it judges only by what
// is beyond doubt and counts the rest; with it, those that are gone are removed
// and counted.
func (a *acquisition) look(ctx context.Context, remove bool) (n int, err error) {
	locks, err := a.r.Locks(ctx)
	if err != nil {
		return 0, err
	}
	a.passed = nil
	for _, l := range locks {
		if l.ID == a.id {
			continue
		}
		if l.Damage != nil || l.ahead() {
			a.r.sightings.see(l.ID)
		}
		sure := l.Damage == nil && !l.ahead() && !l.Stale(a.r.opts.Hostname)
		switch {
		case a.reading && (l.Damage != nil || sure && l.Exclusive && l.reused(a.r.opts.Hostname)):
			a.passed = append(a.passed, l)
			continue
		case !sure && !remove:
			n++
			continue
		case !sure && a.r.gone(l, a.now(ctx)):
			if err := a.r.removeFile(ctx, storage.Lock, l.ID); err != nil && !errors.Is(err, storage.ErrNotFound) && !readOnly(err) {
				return n, err
			} else if err == nil {
				n++
			}
			continue
		}
		if a.exclusive || l.Exclusive || l.Damage != nil {
			return n, hint(&LockedError{Lock: l}, "%s", a.conflictHint(l))
		}
	}
	return n, nil
}

// now is the present time by the store's clock: when it wrote our lock.
func (a *acquisition) now(ctx context.Context) time.Time {
	if a.clock.IsZero() && !a.id.IsZero() {
		if info, err := a.r.store.Stat(ctx, handle(storage.Lock, a.id)); err == nil {
			a.clock = info.Time
		}
	}
	return a.clock
}

// Unlock removes the locks that are stale by their own time, those whose process
// is gone and those that cannot be read; with all, every lock. It returns what it
// removed. A person calls for it, who knows whether anybody is at work.
func (r *Repository) Unlock(ctx context.Context, all bool) ([]Lock, error) {
	locks, err := r.Locks(ctx)
	if err != nil {
		return nil, err
	}
	var removed []Lock
	for _, l := range locks {
		if !all && !r.Abandoned(l) {
			continue
		}
		if err := r.removeFile(ctx, storage.Lock, l.ID); err != nil {
			if errors.Is(err, storage.ErrNotFound) {
				continue
			}
			return removed, fmt.Errorf("remove lock file %s: %w", l.ID.Short(), err)
		}
		removed = append(removed, l)
	}
	return removed, nil
}

// Abandoned tells whether Unlock takes a lock for one that nobody holds.
func (r *Repository) Abandoned(l Lock) bool {
	return l.Damage != nil || l.Stale(r.opts.Hostname) || r.gone(l, time.Now())
}

package repository

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/storage"
)

// lockKeeper holds this process's locks. All shared uses have one lock file
// together; the last one removes it.
type lockKeeper struct {
	repo   *Repository
	mu     sync.Mutex
	shared *keptLock
	users  int
	held   map[*keptLock]struct{}
	hangup chan os.Signal
}

// keptLock is a lock file that is renewed until it is given up.
type keptLock struct {
	repo      *Repository
	exclusive bool
	stop      chan struct{}
	done      chan struct{}

	mu    sync.Mutex
	id    ID
	since time.Time // when its file was written, by the clock of the day
	// doubted is set while other locks were passed over to get this one: that is
	// good enough to read.
	doubted bool
}

// HeldLock is one use of a lock. Release it exactly once; further calls do
// nothing.
type HeldLock struct {
	keeper *lockKeeper
	lock   *keptLock
	once   sync.Once
	err    error
}

// Lock takes a lock on the repository: shared, which many may hold, or
// exclusive, which forbids all others. ErrLocked, with the holder, if another
// process is in the way. The lock is renewed until it is released.
//
// While a lock is held, SIGHUP does not end this process: restic sends it to
// find out whether the holder of a lock is alive.
func (r *Repository) Lock(ctx context.Context, exclusive bool) (*HeldLock, error) {
	return r.take(ctx, acquisition{r: r, exclusive: exclusive})
}

// take waits for locks that are in the way as long as Options say. Nobody waits for
// a lock of this process: it may only be given up afterwards.
func (r *Repository) take(ctx context.Context, a acquisition) (*HeldLock, error) {
	until := time.Now().Add(r.opts.RetryLock)
	told := false
	for pause := settle; ; pause = min(2*pause, retryLockEvery) {
		held, err := r.takeNow(ctx, a)
		var locked *LockedError
		if !errors.As(err, &locked) || !r.awaited(locked.Lock) || time.Now().Add(pause).After(until) {
			return held, err
		}
		if !told && r.opts.Waiting != nil {
			r.opts.Waiting(locked, until)
		}
		told = true
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// retryLockEvery is how long a lock in the way is left alone, at most, before the next
// look.
const retryLockEvery = 5 * time.Second

// awaited tells whether the holder of a lock may give it up while we wait.
func (r *Repository) awaited(l Lock) bool {
	return l.Damage == nil && !l.ahead() && !(l.PID == os.Getpid() && l.Hostname == r.opts.Hostname)
}

func (r *Repository) takeNow(ctx context.Context, a acquisition) (*HeldLock, error) {
	k := &r.locks
	if r.opts.NoLock {
		return &HeldLock{keeper: k}, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !a.exclusive && k.shared != nil {
		if err := k.shared.assure(ctx, a); err != nil {
			return nil, err
		}
		k.users++
		return &HeldLock{keeper: k, lock: k.shared}, nil
	}
	if k.hangup == nil {
		k.hangup = make(chan os.Signal, 1)
		signal.Notify(k.hangup, unix.SIGHUP)
	}
	since := time.Now().Round(0)
	if err := a.acquire(ctx); err != nil {
		k.calm()
		return nil, err
	}
	r.tellPassed(a.passed)
	l := &keptLock{
		repo: r, exclusive: a.exclusive, stop: make(chan struct{}), done: make(chan struct{}),
		id: a.id, since: since, doubted: len(a.passed) > 0,
	}
	if k.held == nil {
		k.held = make(map[*keptLock]struct{})
	}
	k.held[l] = struct{}{}
	if !a.exclusive {
		k.shared, k.users = l, 1
	}
	go l.keep()
	return &HeldLock{keeper: k, lock: l}, nil
}

// ReadLock takes a shared lock for those who only read, or none where the store
// cannot be written to: a read-only medium, or a full disk, which Options.Warn is
// told. Lock files that cannot be read do not keep a reader out; Warn is told of
// them. Several reads are quicker under one lock.
func (r *Repository) ReadLock(ctx context.Context) (*HeldLock, error) {
	l, err := r.take(ctx, acquisition{r: r, reading: true})
	switch {
	case readOnly(err):
	case errors.Is(err, storage.ErrNoSpace):
		r.opts.Warn(fmt.Sprintf("repository %s has no room for a lock and is read without one: nobody should prune it meanwhile", r.Location()))
	default:
		return l, err
	}
	return &HeldLock{keeper: &r.locks}, nil
}

func (r *Repository) tellPassed(locks []Lock) {
	for _, l := range locks {
		if l.Damage == nil {
			continue // of a process that is gone, as far as a reader needs to know
		}
		r.opts.Warn(fmt.Sprintf("repository %s: %s; it is passed over for reading (%s removes it)", r.Location(), l.unreadable(), r.command("repository unlock")))
	}
}

// assure makes a lock that was good enough to read good for who writes, too.
func (l *keptLock) assure(ctx context.Context, a acquisition) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.reading || !l.doubted {
		return nil
	}
	a.id = l.id
	if _, err := a.look(ctx, true); err != nil {
		return err
	}
	l.doubted = false
	return nil
}

// calm lets SIGHUP act as before once no lock is held.
func (k *lockKeeper) calm() {
	if len(k.held) == 0 && k.hangup != nil {
		signal.Stop(k.hangup)
		k.hangup = nil
	}
}

// Release gives the lock up, also when the context of Lock is over.
func (h *HeldLock) Release() error {
	h.once.Do(func() {
		if h.lock == nil {
			return
		}
		k := h.keeper
		k.mu.Lock()
		defer k.mu.Unlock()
		if !h.lock.exclusive {
			if k.users--; k.users > 0 {
				return
			}
			k.shared = nil
			k.repo.forgetPending()
		}
		h.err = k.drop(h.lock)
	})
	return h.err
}

func (k *lockKeeper) drop(l *keptLock) error {
	if _, ok := k.held[l]; !ok {
		return nil // the repository was closed
	}
	delete(k.held, l)
	close(l.stop)
	<-l.done
	err := k.repo.removeLock(context.Background(), l.id)
	k.calm()
	return err
}

func (k *lockKeeper) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var errs error
	for l := range k.held {
		errs = errors.Join(errs, k.drop(l))
	}
	k.shared, k.users = nil, 0
	return errs
}

// Verify tells whether the lock is still held, and for a while: an old one is
// renewed. Its file may have been removed by others when this machine slept, or
// had no network, for longer than half an hour; what was written under it may
// then be gone too.
func (h *HeldLock) Verify(ctx context.Context) error {
	if h.lock == nil {
		return nil
	}
	return h.lock.verify(ctx)
}

func (l *keptLock) verify(ctx context.Context) (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.since) > trusted {
		err = l.replace(ctx)
	} else {
		_, err = l.repo.store.Stat(ctx, handle(storage.Lock, l.id))
	}
	if errors.Is(err, storage.ErrNotFound) {
		return hint(fmt.Errorf("our lock on the repository was removed by another process: %w", ErrLocked), "run it again")
	}
	return err
}

// verify is Verify of all locks that this process holds.
func (k *lockKeeper) verify(ctx context.Context) error {
	k.mu.Lock()
	held := slices.Collect(maps.Keys(k.held))
	k.mu.Unlock()
	for _, l := range held {
		if err := l.verify(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sealing is Verify for who makes a snapshot count. The context ends before
// others may take the lock for stale: an attempt to save the snapshot that is
// repeated for longer must not succeed in the end, when a prune may have gone by.
func (h *HeldLock) sealing(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := h.Verify(ctx); err != nil || h.lock == nil {
		return ctx, func() {}, err
	}
	h.lock.mu.Lock()
	defer h.lock.mu.Unlock()
	ctx, cancel := context.WithDeadlineCause(ctx, h.lock.since.Add(staleAfter-refreshEvery), errOldLock)
	return ctx, cancel, nil
}

var errOldLock = errors.New("the lock could not be renewed for so long that others may have removed it")

// keep renews the lock: a new file with the present time, then the old one goes.
// A renewal that fails is tried again sooner.
func (l *keptLock) keep() {
	defer close(l.done)
	wait := refreshEvery
	for {
		select {
		case <-l.stop:
			return
		case <-time.After(wait):
		}
		ctx, cancel := context.WithTimeout(context.Background(), refreshEvery)
		if err := l.renew(ctx); err != nil {
			wait = refreshEvery / 10
		} else {
			wait = refreshEvery
		}
		cancel()
	}
}

func (l *keptLock) renew(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.replace(ctx)
}

// replace writes a new lock file and removes the old one; mu is held. Whoever
// takes the old one for stale removes it before he looks for others, so that he
// sees the new one, or it is seen here that the old one is gone: the error is
// storage.ErrNotFound then.
func (l *keptLock) replace(ctx context.Context) error {
	now := time.Now().Round(0)
	id, err := l.repo.saveLock(ctx, l.exclusive)
	if err != nil {
		return err
	}
	if _, err := l.repo.store.Stat(ctx, handle(storage.Lock, l.id)); err != nil {
		return errors.Join(err, l.repo.removeLock(ctx, id))
	}
	old := l.id
	l.id, l.since = id, now
	return l.repo.removeLock(ctx, old)
}

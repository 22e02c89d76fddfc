package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"lifeboat/internal/storage"
)

// permission asks what may be removed, by a file that is not there: what cannot
// be removed must not be written, as it would lie in the repository for ever and
// look like damage.
func (t *trial) permission(ctx context.Context) (Grade, string, error) {
	h, _ := t.fresh(10)
	err := t.store.Remove(ctx, h)
	if errors.Is(err, storage.ErrNotFound) {
		return t.rule(ctx)
	}
	if !kept(err) {
		return Bad, "", fmt.Errorf("told to remove a file that is not there, it says: %w", said(err))
	}
	t.sparing() // locks may be removed even so
	h, _ = t.fresh(10)
	if err := t.store.Remove(ctx, h); !errors.Is(err, storage.ErrNotFound) {
		return Bad, "", fmt.Errorf("not even locks may be removed, so nobody could ever prune the repository: %w", err)
	}
	_, err = t.store.Stat(ctx, storage.Handle{Type: storage.Config})
	switch {
	case err == nil:
		t.repository = true
		return Note, "nothing may be removed here: an append-only store; it holds a repository, so nothing was written, and to try that out name an empty place beside it", nil
	case !errors.Is(err, storage.ErrNotFound):
		return Bad, "", err
	}
	return Note, "nothing but locks may be removed here: an append-only store; what follows is tried with small files", nil
}

// rule finds out whether the store locks what is written without being told to, as
// a bucket does that has a rule of its own. Locks of the repository are hidden
// then when they are removed, so the trial uses these.
func (t *trial) rule(ctx context.Context) (Grade, string, error) {
	r, ok := storage.AsRetainer(t.store)
	if !ok {
		return Good, "", nil
	}
	found, err := r.Retention(ctx, storage.Handle{Type: storage.Config})
	inhabited := err == nil
	if errors.Is(err, storage.ErrNotFound) {
		_, data := t.fresh(10)
		h := handle(storage.Lock, data)
		if err = t.save(ctx, h, data); err == nil {
			found, err = r.Retention(ctx, h)
		}
	}
	switch {
	case err != nil:
		return Bad, "", err
	case !found.Holds():
		return Good, "", nil
	case inhabited:
		t.repository = true
		return Note, "the bucket locks what is written against removal; it holds a repository, so nothing was written: name an empty place beside it, or try it out with -o object_lock, which has a place of its own", nil
	}
	t.sparing()
	return Note, fmt.Sprintf("the bucket locks what is written, by a rule of its own, until %s: what follows is tried with small files, which are hidden at the end and take up room until then", found.Until.Local().Format(time.DateTime)), nil
}

// sparing goes on with little, and with files that may be removed even where
// others may not.
func (t *trial) sparing() {
	t.opts.Size, t.opts.Parallel, t.each = min(t.opts.Size, 256<<10), min(t.opts.Parallel, 2), 4<<10
	t.kind = storage.Lock
}

// kept tells whether a store keeps everything, as append-only ones do.
func kept(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, storage.ErrReadOnly)
}

// prover is a store that can find out whether its server means what it says.
type prover interface {
	ProveRetention(ctx context.Context, h storage.Handle) error
}

// lock writes one file that the store must keep for as long as it was opened
// for, which is short, and tries to get rid of it. What former trials left is
// removed where its lock has ended.
func (t *trial) lock(ctx context.Context) (Grade, string, error) {
	r, _ := storage.AsRetainer(t.store)
	if err := r.Retainable(ctx); err != nil {
		return Bad, "", err
	}
	var former []storage.Handle
	err := t.store.List(ctx, storage.Data, func(info storage.Info) error {
		former = append(former, storage.Handle{Type: storage.Data, Name: info.Name})
		return nil
	})
	if err != nil {
		return Bad, "", err
	}
	for _, h := range former {
		if err := t.store.Remove(ctx, h); err != nil && !kept(err) && !errors.Is(err, storage.ErrNotFound) {
			return Bad, "", err
		}
	}
	_, data := t.fresh(100)
	h := handle(storage.Data, data)
	if err := t.save(ctx, h, data); err != nil {
		return Bad, "", err
	}
	found, err := r.Retention(ctx, h)
	if err != nil {
		return Bad, "", err
	}
	if !found.Holds() {
		return Bad, "", fmt.Errorf("%s was written with a lock, and the store says that it has none", h)
	}
	if err := t.store.Remove(ctx, h); !errors.Is(err, storage.ErrRetained) {
		return Bad, "", fmt.Errorf("told to remove a locked file, it says: %w", said(err))
	}
	if p, ok := below(t.store).(prover); ok {
		if err := p.ProveRetention(ctx, h); err != nil {
			return Bad, "", err
		}
	}
	return Good, "", t.same(ctx, h, data)
}

// clean removes what is left, even when the trial was given up, and tells what
// cannot be removed.
func (t *trial) clean(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if t.written == nil {
		return
	}
	for h, size := range t.written {
		if ctx.Err() != nil {
			return
		}
		err := t.store.Remove(ctx, h)
		if !kept(err) || t.opts.Left == nil {
			continue
		}
		left := Left{File: h.Path(), Size: size, Why: err.Error()}
		var retained *storage.RetainedError
		if errors.As(err, &retained) {
			left.Until, left.Why = retained.Until, retained.Error()
		}
		t.opts.Left(left)
	}
	// The empty directories of a repository that is there may stay as they are.
	if _, err := t.store.Stat(ctx, storage.Handle{Type: storage.Config}); errors.Is(err, storage.ErrNotFound) {
		if tidier, ok := below(t.store).(storage.Tidier); ok {
			_ = tidier.Tidy(ctx) // they harm nobody
		}
	}
}

// below is the store that does the work.
func below(s storage.Store) storage.Store {
	for {
		wrapped, ok := s.(interface{ Unwrap() storage.Store })
		if !ok {
			return s
		}
		s = wrapped.Unwrap()
	}
}

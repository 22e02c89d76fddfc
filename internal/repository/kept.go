package repository

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/storage"
)

// Kept is a snapshot that the store keeps from being removed.
type Kept struct {
	ID  ID
	Err *storage.RetainedError // until when
}

// KeptError says which snapshots stay because the store keeps them from being
// removed. It is storage.ErrRetained.
type KeptError struct {
	Kept []Kept
	Gone int // snapshots that were removed all the same
}

func (e *KeptError) add(id ID, err error) {
	kept := Kept{ID: id, Err: new(storage.RetainedError)}
	errors.As(err, &kept.Err)
	e.Kept = append(e.Kept, kept)
}

func (e *KeptError) Error() string {
	text := ""
	for i, k := range e.Kept {
		if i > 0 {
			text += "; "
		}
		text += fmt.Sprintf("snapshot %s stays: %v", k.ID.Short(), k.Err)
	}
	switch {
	case e.Gone == 1:
		text += "; 1 other was removed"
	case e.Gone > 1:
		text += fmt.Sprintf("; %d others were removed", e.Gone)
	}
	return text
}

// Unwrap returns why each of them stays.
func (e *KeptError) Unwrap() []error {
	var errs []error
	for _, k := range e.Kept {
		errs = append(errs, k.Err)
	}
	return errs
}

// Kept tells which of the snapshots ForgetChosen could not remove now, in their order.
// One that is not there is not among them.
func (r *Repository) Kept(ctx context.Context, ids []ID) ([]Kept, error) {
	store, ok := storage.AsRetainer(r.store)
	if !ok {
		return nil, nil
	}
	var mu sync.Mutex
	found := map[ID]storage.Retention{}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(protections)
	for _, id := range ids {
		g.Go(func() error {
			retention, err := store.Retention(gctx, handle(storage.Snapshot, id))
			if errors.Is(err, storage.ErrNotFound) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("look for a lock of snapshot %s: %w", id.Short(), err)
			}
			mu.Lock()
			defer mu.Unlock()
			found[id] = retention
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var kept []Kept
	for _, id := range ids {
		if found[id].Holds() {
			kept = append(kept, Kept{ID: id, Err: &storage.RetainedError{Until: found[id].Until, Hold: found[id].Hold}})
		}
	}
	return kept, nil
}

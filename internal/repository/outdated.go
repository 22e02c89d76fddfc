package repository

import (
	"context"
	"errors"
	"fmt"

	"lifeboat/internal/storage"
)

// dropOutdated forgets what this process knows of the index if an index file
// that it read is gone: a prune by another process replaced it, and blobs that it
// listed may be gone too. To believe that they are there would make a backup leave
// out what it needs. r.refresh is held.
func (r *Repository) dropOutdated(ctx context.Context) error {
	known := r.index.known()
	if len(known) == 0 {
		return nil
	}
	ids, err := r.listIDs(ctx, storage.Index)
	if err != nil {
		return err
	}
	for _, id := range ids {
		delete(known, id)
	}
	for id := range known {
		// Written by a session of this process since the list was made?
		_, err := r.store.Stat(ctx, handle(storage.Index, id))
		if err == nil {
			continue
		}
		if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		return r.renewIndex()
	}
	return nil
}

// renewIndex makes the index empty but for packs that no index file lists yet.
func (r *Repository) renewIndex() error {
	fresh := newIndex()
	r.pending.mu.Lock()
	defer r.pending.mu.Unlock()
	for _, p := range r.pending.packs {
		blobs, err := p.entries()
		if err != nil {
			return fmt.Errorf("pack %s, which is in no index file yet: %w", p.ID.Short(), err)
		}
		fresh.add(p.ID, blobs)
	}
	r.index.replace(fresh)
	return nil
}

// forgetPending forgets packs that no index file could be written for. Without
// a lock nothing holds a prune back from deleting them.
func (r *Repository) forgetPending() {
	r.pending.mu.Lock()
	left := len(r.pending.packs)
	r.pending.packs, r.pending.blobs = nil, 0
	r.pending.mu.Unlock()
	if left > 0 {
		r.index.replace(newIndex())
	}
}

// forgetIndex makes this process read the index again when it needs it next. An
// exclusive lock is held.
func (r *Repository) forgetIndex() {
	r.forgetPending()
	r.refresh.Lock()
	r.index.replace(newIndex())
	r.refresh.Unlock()
}

// known returns the index files that were read, or could not be.
func (x *index) known() map[ID]bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	files := make(map[ID]bool, len(x.files))
	for id := range x.files {
		files[id] = true
	}
	return files
}

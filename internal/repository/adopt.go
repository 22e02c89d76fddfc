package repository

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/storage"
)

// adopters is how many packs are looked at side by side.
const adopters = 8

// adopt lists packs in the index that an interrupted process on this machine has
// saved and no index file lists, so that their content is not sent again. The
// caller holds a lock on the repository and has loaded the index: nobody may
// remove the packs meanwhile. A pack counts only if its list of blobs is
// authentic and accounts for every byte of the file; what cannot be used stays
// for a prune to remove.
func (r *Repository) adopt(ctx context.Context) error {
	records, err := r.uploads.left()
	if err != nil {
		return nil //nolint:nilerr // no record, no help: the packs are sent again
	}
	defer func() {
		for _, l := range records {
			l.file.Close()
		}
	}()
	var mu sync.Mutex
	found := false
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(adopters)
	for _, l := range records {
		for _, pack := range l.packs {
			if r.index.lists(pack) {
				continue
			}
			g.Go(func() error {
				blobs, err := r.unlisted(gctx, pack)
				if err != nil || len(blobs) == 0 {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				// A pack with nothing new would only be in the way. Two packs may
				// hold the same, so one is looked at after the other.
				if !r.index.hasAll(blobs) {
					r.index.add(pack, blobs)
					r.pending.add(newIndexPack(pack, blobs))
					found = true
				}
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if found {
		if err := r.flushIndex(ctx); err != nil {
			return err
		}
	}
	for _, l := range records {
		l.remove()
	}
	return nil
}

// unlisted reads the list of blobs of a pack that may be in the store; nil if it
// is not, or cannot be used.
func (r *Repository) unlisted(ctx context.Context, pack ID) ([]packedBlob, error) {
	info, err := r.store.Stat(ctx, handle(storage.Data, pack))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	blobs, err := r.packHeader(ctx, pack, info.Size)
	if damaging(err) {
		return nil, nil
	}
	return blobs, err
}

// hasAll tells whether every one of the blobs is in a pack that was saved.
func (x *index) hasAll(blobs []packedBlob) bool {
	for _, b := range blobs {
		if !x.has(b.kind, b.id) {
			return false
		}
	}
	return true
}

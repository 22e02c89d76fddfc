package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/storage"
)

const (
	// smallIndex is the number of blobs below which an index file is small, and
	// manySmall how many of them are put together.
	smallIndex = maxIndexBlobs / 8
	manySmall  = 16
	// removals is how many files are deleted at once.
	removals = 8
	// confidence is how long the lock is believed to be there after a look.
	confidence = time.Minute
)

// repack writes the needed blobs of some packs into new ones.
func (p *prune) repack(ctx context.Context) error {
	var wants []packBlobs
	var total int64
	blobs := 0
	for id, list := range p.index.byPack() {
		if s := p.packs[id]; s == nil || s.fate != repackPack {
			continue
		}
		want := packBlobs{pack: id}
		for _, b := range list {
			if p.counts(place{id, b}) {
				want.blobs = append(want.blobs, b)
				total += b.cost()
			}
		}
		wants = append(wants, want)
		blobs += len(want.blobs)
	}
	if blobs == 0 {
		return nil
	}
	slices.SortFunc(wants, func(a, b packBlobs) int { return bytes.Compare(a.pack[:], b.pack[:]) })
	w, err := newWriter(ctx, p.r, CompressionOff, 1)
	if err != nil {
		return err
	}
	defer w.fail(ErrClosed)
	var done, carried atomic.Int64
	m := mover{repo: p.r, index: p.index}
	err = m.read(w.ctx, wants, func(b moved) error {
		if _, err := w.carry(b); err != nil {
			return err
		}
		carried.Add(1)
		p.opts.Progress(PruneRepack, done.Add(b.cost()), total)
		return nil
	})
	err = w.finish(err)
	if errors.Is(err, storage.ErrNoSpace) {
		return p.tooFull(err, total)
	}
	if err != nil {
		return fmt.Errorf("repack; nothing was deleted: %w", err)
	}
	if n := carried.Load(); n != int64(blobs) {
		return fmt.Errorf("repack: %d blobs were taken over, not %d; nothing was deleted", n, blobs)
	}
	if err := p.r.flushIndex(ctx); err != nil {
		return err
	}
	return p.confirm(ctx)
}

// counts tells whether the blob is needed and this is the copy that counts.
func (p *prune) counts(at place) bool {
	n, ok := p.index.number(at.blob.kind, at.blob.id)
	if !ok || !p.used.holds(n) {
		return false
	}
	keeper, several := p.keepers[n]
	return !several || p.index.entry(keeper) == at
}

// confirm sees that the new packs are in the store, as they should be.
func (p *prune) confirm(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(removals)
	p.report.Written = 0
	for id, blobs := range p.index.byPack() {
		if p.packs[id] != nil {
			continue
		}
		want := packSize(blobs)
		p.report.Written += want
		g.Go(func() error {
			info, err := p.r.store.Stat(ctx, handle(storage.Data, id))
			if err != nil {
				return fmt.Errorf("look for a pack that was just written; nothing was deleted: %w", err)
			}
			if info.Size != want {
				return fmt.Errorf("pack %s was just written with %d bytes and has %d; nothing was deleted", id.Short(), want, info.Size)
			}
			return nil
		})
	}
	return g.Wait()
}

// deleteIndex removes the index files that were replaced. The packs of one that
// the store would not delete stay, for it still lists them.
func (p *prune) deleteIndex(ctx context.Context) error {
	p.report.IndexDeleted = p.earlyIndex
	total := int64(len(p.stale) + len(p.doomed()))
	for i, id := range p.stale {
		p.opts.Progress(PruneDelete, int64(i), total)
		err := p.r.removeFile(ctx, storage.Index, id)
		switch {
		case err == nil, errors.Is(err, storage.ErrNotFound):
			p.report.IndexDeleted++
		case readOnly(err):
			p.refused(err)
			packs, err := p.r.readIndexFile(ctx, id)
			if err != nil {
				return err
			}
			for pack := range packs {
				if s := p.packs[pack]; s.there && s.fate != keepPack {
					s.fate = keepPack
					p.report.Refused.Packs++
					p.report.Refused.Bytes += s.size
				}
			}
		default:
			return fmt.Errorf("remove an index file that was replaced: %w", err)
		}
	}
	return nil
}

// refused keeps why the store would not delete something, of several causes rather one
// that does not end by itself.
func (p *prune) refused(err error) {
	locked := errors.Is(err, storage.ErrRetained)
	if p.report.Reason == "" || p.report.Retained {
		p.report.Reason, p.report.Retained = err.Error(), locked
	}
}

// doomed returns the packs that go.
func (p *prune) doomed() []ID {
	var ids []ID
	for id, s := range p.packs {
		if s.there && s.fate != keepPack {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// total counts what was deleted, and what made room before.
func (p *prune) total(deleted Amount) {
	deleted.Packs += p.early.Packs
	deleted.Bytes += p.early.Bytes
	p.report.Deleted = deleted
	p.report.Freed = deleted.Bytes - p.report.Written
}

// deletePacks removes the packs that no index lists any more.
func (p *prune) deletePacks(ctx context.Context) error {
	ids := p.doomed()
	deleted := Amount{}
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(removals)
	var err error
	for _, id := range ids {
		if time.Since(p.verified) > confidence {
			if err = p.unchanged(ctx); err != nil {
				break
			}
		}
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			err := p.r.removeFile(gctx, storage.Data, id)
			mu.Lock()
			defer mu.Unlock()
			size := p.packs[id].size
			switch {
			case err == nil, errors.Is(err, storage.ErrNotFound):
				deleted.Packs++
				deleted.Bytes += size
				p.opts.Progress(PruneDelete, int64(len(p.stale)+deleted.Packs), int64(len(p.stale)+len(ids)))
			case readOnly(err):
				p.report.Refused.Packs++
				p.report.Refused.Bytes += size
				p.refused(err)
			default:
				return fmt.Errorf("delete a pack that no index lists any more: %w", err)
			}
			return nil
		})
	}
	err = errors.Join(err, g.Wait())
	p.total(deleted)
	if err == nil {
		err = ctx.Err()
	}
	return err
}

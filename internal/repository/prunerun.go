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
		return hint(err, "nothing was deleted; a prune that keeps packs needs no room")
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
	if !p.used.has(at.blob.kind, at.blob.id) {
		return false
	}
	keeper, several := p.keepers[blobKey{at.blob.kind, at.blob.id}]
	return !several || keeper == at
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

// findStale finds the index files to be written anew: those that list packs
// that go, or what others list already, and small ones if there are many.
func (p *prune) findStale(ctx context.Context) (err error) {
	if p.files, err = p.r.listIDs(ctx, storage.Index); err != nil {
		return err
	}
	type file struct {
		id    ID
		packs []ID
	}
	p.seen = make(map[ID]struct{})
	settle := func(f file) {
		for _, id := range f.packs {
			if _, twice := p.seen[id]; twice {
				p.stale = append(p.stale, f.id)
				return
			}
		}
		for _, id := range f.packs {
			p.seen[id] = struct{}{}
		}
	}
	var small []file
	for i, id := range p.files {
		p.opts.Progress(PruneIndex, int64(i), int64(len(p.files)))
		packs, err := p.r.readIndexFile(ctx, id)
		if p.opts.DryRun && errors.Is(err, storage.ErrNotFound) {
			continue // replaced meanwhile
		}
		if err != nil {
			return err
		}
		f := file{id: id}
		blobs, goes := 0, len(packs) == 0
		if goes {
			p.empty = id
		}
		for pack, list := range packs {
			s := p.packs[pack]
			switch {
			case s == nil:
				// Only without a lock: written after the packs were listed.
			case s.fate != keepPack || !s.there:
				goes = true
			case packSize(list) != s.listed:
				return hint(&DamageError{What: "index", ID: id, Err: fmt.Errorf("it lists pack %s in part", pack)}, "repair the index first")
			}
			f.packs = append(f.packs, pack)
			blobs += len(list)
		}
		switch {
		case goes:
			p.stale = append(p.stale, id)
		case blobs < smallIndex:
			small = append(small, f)
		default:
			settle(f)
		}
	}
	for _, f := range small {
		if len(small) >= manySmall {
			p.stale = append(p.stale, f.id)
		} else {
			settle(f)
		}
	}
	p.report.IndexDeleted = len(p.stale)
	return nil
}

// rewriteIndex writes what stays of the stale index files into new ones.
func (p *prune) rewriteIndex(ctx context.Context) error {
	var packs []indexPack
	blobs := 0
	write := func() error {
		written, err := p.r.saveIndex(ctx, packs, nil)
		p.report.IndexWritten += len(written)
		packs, blobs = nil, 0
		return err
	}
	for i, id := range p.stale {
		p.opts.Progress(PruneIndex, int64(i), int64(len(p.stale)))
		listed, err := p.r.readIndexFile(ctx, id)
		if err != nil {
			return err
		}
		for pack, list := range listed {
			if _, twice := p.seen[pack]; twice || p.packs[pack].fate != keepPack || !p.packs[pack].there {
				continue
			}
			p.seen[pack] = struct{}{}
			packs = append(packs, newIndexPack(pack, list))
			if blobs += len(list); blobs >= maxIndexBlobs {
				if err := write(); err != nil {
					return err
				}
			}
		}
	}
	return write()
}

// deleteIndex removes the index files that were replaced. The packs of one that
// the store would not delete stay, for it still lists them.
func (p *prune) deleteIndex(ctx context.Context) error {
	p.report.IndexDeleted = 0
	for i, id := range p.stale {
		p.opts.Progress(PruneDelete, int64(i), 0)
		err := p.r.removeFile(ctx, storage.Index, id)
		switch {
		case err == nil, errors.Is(err, storage.ErrNotFound):
			p.report.IndexDeleted++
		case readOnly(err):
			p.report.Reason = err.Error()
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

// deletePacks removes the packs that no index lists any more.
func (p *prune) deletePacks(ctx context.Context) error {
	var ids []ID
	for id, s := range p.packs {
		if s.there && s.fate != keepPack {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
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
				p.opts.Progress(PruneDelete, int64(deleted.Packs), int64(len(ids)))
			case readOnly(err):
				p.report.Refused.Packs++
				p.report.Refused.Bytes += size
				p.report.Reason = err.Error()
			default:
				return fmt.Errorf("delete a pack that no index lists any more: %w", err)
			}
			return nil
		})
	}
	err = errors.Join(err, g.Wait())
	p.report.Deleted = deleted
	p.report.Freed = deleted.Bytes - p.report.Written
	if err == nil {
		err = ctx.Err()
	}
	return err
}

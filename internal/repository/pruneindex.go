package repository

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/storage"
)

// findStale finds the index files to be written anew: those that list packs
// that go, or what others list already, and small ones if there are many.
func (p *prune) findStale(ctx context.Context) (err error) {
	if p.files, err = p.r.listIDs(ctx, storage.Index); err != nil {
		return err
	}
	files, err := p.readIndexFiles(ctx)
	if err != nil {
		return err
	}
	p.seen = make(map[ID]struct{})
	settle := func(f indexedPacks) {
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
	var small []indexedPacks
	for _, f := range files {
		switch {
		case f.gone: // without a lock: replaced meanwhile
		case len(f.packs) == 0:
			p.empty = f.id
			p.stale = append(p.stale, f.id)
		case f.stale:
			p.stale = append(p.stale, f.id)
		case f.blobs < smallIndex:
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

// indexedPacks is what an index file lists.
type indexedPacks struct {
	id    ID
	packs []ID
	blobs int
	stale bool // some of the packs go
	gone  bool
}

func (p *prune) readIndexFiles(ctx context.Context) ([]indexedPacks, error) {
	files := make([]indexedPacks, len(p.files))
	var done atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(indexReaders)
	for i, id := range p.files {
		g.Go(func() error {
			f := &files[i]
			f.id = id
			packs, err := p.r.readIndexFile(ctx, id)
			if p.opts.DryRun && errors.Is(err, storage.ErrNotFound) {
				f.gone = true
				return nil
			}
			if err != nil {
				return err
			}
			for pack, list := range packs {
				s := p.packs[pack]
				switch {
				case s == nil: // without a lock: written after the packs were listed
				case s.fate != keepPack || !s.there:
					f.stale = true
				case packSize(list) != s.listed:
					return hint(&DamageError{What: "index", ID: id, Err: fmt.Errorf("it lists pack %s in part", pack)}, "%s first", p.r.repairIndex())
				}
				f.packs = append(f.packs, pack)
				f.blobs += len(list)
			}
			p.opts.Progress(PruneIndex, done.Add(1), int64(len(p.files)))
			return nil
		})
	}
	return files, g.Wait()
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

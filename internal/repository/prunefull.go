package repository

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"lifeboat/internal/storage"
)

// This is how a prune gets by in a store that is full. What stands in no index, or
// in index files that list nothing else, can go before anything is written; for
// the rest an index file must be written first, or with Unsafe right after.

// fullHint is what to do where even a lock finds no room.
func (r *Repository) fullHint(err error) error {
	return hint(err, "free some kilobytes where the repository lies, or forget a point, which needs no room; the last resort is %s", r.command("prune --unsafe-recover-no-free-space"))
}

// lockFull takes the lock in a store that has no room for it: what may go first
// goes without a lock. Locks of others were looked for before, and while the store
// is full nobody else gets a lock either.
func (p *prune) lockFull(ctx context.Context) (*HeldLock, error) {
	if err := p.r.alone(ctx); err != nil {
		return nil, err
	}
	first := &prune{r: p.r, opts: p.opts, report: new(PruneReport), packs: make(map[ID]*packState), lock: &HeldLock{keeper: &p.r.locks}}
	first.opts.DryRun = true // it only plans
	if err := first.look(ctx); err != nil {
		return nil, err
	}
	if first.report.Deleted.Packs == 0 {
		return nil, fmt.Errorf("%w, and nothing in the repository is unneeded: forget a point first", storage.ErrNoSpace)
	}
	freed, err := first.makeRoom(ctx)
	var packs []indexPack // whose index files went
	for err == nil && !freed && len(first.stale) > 0 {
		var more []indexPack
		more, freed, err = first.unlist(ctx)
		packs = append(packs, more...)
	}
	p.early, p.earlyIndex = first.early, first.earlyIndex
	var lock *HeldLock
	if err == nil {
		lock, err = p.r.Lock(ctx, true)
	}
	// Without a lock too: what stays must be listed.
	written, serr := p.r.saveIndex(ctx, packs, nil)
	p.report.IndexWritten += len(written)
	if serr != nil {
		err = errors.Join(err, p.unlisted(serr))
	}
	if err != nil && lock != nil {
		return nil, errors.Join(err, lock.Release())
	}
	return lock, err
}

// unlist removes the first index file that must be written anew, and then the
// packs that go and are in no other. It returns what must be listed again. The
// packs do not go first: while an index lists them, a backup may rely on them.
func (p *prune) unlist(ctx context.Context) (packs []indexPack, freed bool, err error) {
	id := p.stale[0]
	if packs, err = p.staying(ctx, id); err != nil {
		return nil, false, err
	}
	if err := p.r.removeFile(ctx, storage.Index, id); err != nil {
		return nil, false, elsewhere(fmt.Errorf("remove an index file to make room: %w", err))
	}
	p.earlyIndex++
	p.stale = slices.Delete(p.stale, 0, 1)
	freed, err = p.makeRoom(ctx)
	return packs, freed, err
}

// alone is the look for locks of others in a store that has no room for ours.
func (r *Repository) alone(ctx context.Context) error {
	a := acquisition{r: r, exclusive: true, clock: time.Now()}
	_, err := a.look(ctx, true)
	return err
}

func (p *prune) unlisted(err error) error {
	return hint(fmt.Errorf("an index file was removed and could not be written anew: %w", err), "no data is lost: make room, then %s lists it again", p.r.command("repository repair"))
}

// staying returns what of an index file does not go.
func (p *prune) staying(ctx context.Context, id ID) ([]indexPack, error) {
	listed, err := p.r.readIndexFile(ctx, id)
	if err != nil {
		return nil, err
	}
	var packs []indexPack
	for pack, blobs := range listed {
		if s := p.packs[pack]; s != nil && s.there && s.fate != deletePack {
			packs = append(packs, newIndexPack(pack, blobs))
		}
	}
	return packs, nil
}

// makeRoom deletes what can go before anything is written, and tells whether there
// was any.
func (p *prune) makeRoom(ctx context.Context) (freed bool, err error) {
	if err := p.unchanged(ctx); err != nil {
		return false, err
	}
	listed := make(map[ID]struct{}) // in index files that cannot go yet
	var left []ID
	for _, id := range p.stale {
		packs, err := p.r.readIndexFile(ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return freed, err
		}
		stay, err := p.staying(ctx, id)
		if err != nil {
			return freed, err
		}
		if len(stay) > 0 {
			left = append(left, id)
			for pack := range packs {
				listed[pack] = struct{}{}
			}
			continue
		}
		if err := p.r.removeFile(ctx, storage.Index, id); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return freed, elsewhere(fmt.Errorf("remove an index file of which nothing is needed: %w", err))
		}
		freed = true
		p.earlyIndex++
	}
	p.stale = left
	for id, s := range p.packs {
		if _, yes := listed[id]; yes || !s.there || s.fate != deletePack {
			continue
		}
		if err := p.r.removeFile(ctx, storage.Data, id); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return freed, elsewhere(fmt.Errorf("delete a pack that no index lists: %w", err))
		}
		freed = true
		s.there = false
		p.early.Packs++
		p.early.Bytes += s.size
	}
	return freed, nil
}

// replaceIndex writes the index files anew, and makes room for them where there is
// none.
func (p *prune) replaceIndex(ctx context.Context) error {
	seen := maps.Clone(p.seen)
	err := p.rewriteIndex(ctx)
	if !errors.Is(err, storage.ErrNoSpace) {
		return err
	}
	freed, merr := p.makeRoom(ctx)
	if merr != nil {
		return errors.Join(err, merr)
	}
	if freed {
		p.seen = maps.Clone(seen) // what was not written must be listed again
		if err = p.rewriteIndex(ctx); !errors.Is(err, storage.ErrNoSpace) {
			return err
		}
	}
	if !p.opts.Unsafe {
		return p.r.fullHint(err)
	}
	for len(p.stale) > 0 {
		packs, _, err := p.unlist(ctx)
		written, serr := p.r.saveIndex(ctx, packs, nil)
		p.report.IndexWritten += len(written)
		if serr != nil {
			err = errors.Join(err, p.unlisted(serr))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mayDeleteFull is mayDelete of a store that may be full.
func (p *prune) mayDeleteFull(ctx context.Context) error {
	err := p.mayDelete(ctx)
	if !errors.Is(err, storage.ErrNoSpace) {
		return err
	}
	// What makes room shows it, too; else the index may still find some.
	_, err = p.makeRoom(ctx)
	return err
}

// tooFull says how much room a repack needs that found too little, and what can be
// done without. Total is what it would have stored, in bytes.
func (p *prune) tooFull(err error, total int64) error {
	var smallest, whole int64
	for _, s := range p.packs {
		switch {
		case s.there && s.fate == repackPack && (smallest == 0 || s.size < smallest):
			smallest = s.size
		case s.there && s.fate == deletePack:
			whole += s.size
		}
	}
	without := "--keep-packs would free nothing, for something is needed of every pack"
	if whole > 0 {
		without = fmt.Sprintf("--keep-packs frees %s without that room", humanize.IBytes(uint64(whole)))
	}
	return hint(err, "nothing was deleted. What is needed is stored anew before anything goes, which takes %s of room here; make that room, or forget more points. In steps it takes less: --max-repack from %s on, several times; %s",
		humanize.IBytes(uint64(total)), humanize.IBytes(uint64(smallest)), without)
}

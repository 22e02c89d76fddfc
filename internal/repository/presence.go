package repository

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/storage"
)

// Presence is what a comparison of the packs in the store with the index has
// shown. Blobs of packs that are missing or cut count as not stored, so a session
// stores them anew.
type Presence struct {
	Packs    int   // in the store
	Missing  int   // that an index lists and that are gone
	Cut      int   // whose size is not what the index says
	Lost     int64 // bytes that the index says were in those
	Unlisted int   // that no index lists, written an hour ago or earlier
	Listed   int   // that an index lists, and that are there
}

// Whole tells whether all packs are as the index says.
func (p Presence) Whole() bool { return p.Missing+p.Cut == 0 }

// sessions are those under way in this process. While there are any, what is lost
// stays out of the index.
type sessions struct {
	mu   sync.Mutex
	n    int
	lost bool
}

func (r *Repository) sessionBegan(p Presence) {
	r.sessions.mu.Lock()
	defer r.sessions.mu.Unlock()
	r.sessions.n++
	r.sessions.lost = r.sessions.lost || !p.Whole()
}

// sessionEnded has the index read again after the last session: packs that were not
// there may be copied back, and who reads finds out by itself.
func (r *Repository) sessionEnded() error {
	r.sessions.mu.Lock()
	defer r.sessions.mu.Unlock()
	if r.sessions.n--; r.sessions.n > 0 || !r.sessions.lost {
		return nil
	}
	r.sessions.lost = false
	r.refresh.Lock()
	defer r.refresh.Unlock()
	return r.renewIndex()
}

// settled is the age from which a pack that no index lists is not one of a backup
// under way on another machine: an index file is written more often.
const settled = time.Hour

// storedPack is a pack in the store.
type storedPack struct {
	size    int64
	written time.Time // zero where the store does not tell
}

// statAtMost is up to how many packs are asked for one by one, and not by another list.
const statAtMost = 32

// listStored returns all packs in the store.
func (r *Repository) listStored(ctx context.Context) (map[ID]storedPack, error) {
	packs := make(map[ID]storedPack)
	err := r.eachPack(ctx, func(id ID, info storage.Info) { packs[id] = storedPack{info.Size, info.Time} })
	return packs, err
}

// eachPack lists the packs.
func (r *Repository) eachPack(ctx context.Context, visit func(ID, storage.Info)) error {
	err := r.store.List(ctx, storage.Data, func(info storage.Info) error {
		id, err := ParseID(info.Name)
		if err == nil {
			visit(id, info)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list packs: %w", err)
	}
	return nil
}

// readPresent has read bring x up to date, lists the packs at the same time, and
// drops what is not there from x. A pack that an index lists and the list does not
// have may have been written in between: it is asked for again before it counts as
// missing. The list is returned for what else is to be learnt from it.
func (r *Repository) readPresent(ctx context.Context, x *index, read func(context.Context) error) (p Presence, stored map[ID]storedPack, err error) {
	g, within := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		stored, err = r.listStored(within)
		return err
	})
	g.Go(func() error { return read(within) })
	if err := g.Wait(); err != nil {
		return p, nil, err
	}
	doubt := x.notIn(stored)
	if err := r.lookAgain(ctx, doubt, stored); err != nil {
		return p, nil, err
	}
	gone := make(map[ID]bool)
	for id, want := range x.notIn(stored) {
		if _, there := stored[id]; there {
			p.Cut++
		} else {
			p.Missing++
		}
		p.Lost += want
		gone[id] = true
	}
	if len(gone) > 0 {
		x.drop(gone)
	}
	p.Packs = len(stored)
	return p, stored, nil
}

// lookAgain corrects what is known of some packs.
func (r *Repository) lookAgain(ctx context.Context, doubt map[ID]int64, stored map[ID]storedPack) error {
	if len(doubt) > statAtMost {
		now, err := r.listStored(ctx)
		if err != nil {
			return err
		}
		for id := range doubt {
			delete(stored, id)
			if s, there := now[id]; there {
				stored[id] = s
			}
		}
		return nil
	}
	for id := range doubt {
		info, err := r.store.Stat(ctx, handle(storage.Data, id))
		switch {
		case errors.Is(err, storage.ErrNotFound):
			delete(stored, id)
		case err != nil:
			return fmt.Errorf("look for pack %s: %w", id.Short(), err)
		default:
			stored[id] = storedPack{info.Size, info.Time}
		}
	}
	return nil
}

// present reads the index for a session and tells what of it is not there.
func (r *Repository) present(ctx context.Context) (Presence, error) {
	p, stored, err := r.readPresent(ctx, r.index, r.loadIndex)
	if err != nil {
		return p, err
	}
	if err := r.adopt(ctx); err != nil {
		return p, err
	}
	for id, s := range stored {
		switch {
		case r.index.lists(id):
			p.Listed++
		case time.Since(s.written) >= settled:
			p.Unlisted++
		}
	}
	p.Unlisted = max(0, p.Unlisted-p.Cut)
	return p, nil
}

// notIn returns the packs that the index lists and that are not in the store with
// the size that follows from their blobs, with that size.
func (x *index) notIn(stored map[ID]storedPack) map[ID]int64 {
	doubt := make(map[ID]int64)
	for id, blobs := range x.byPack() {
		want := packSize(blobs)
		if s, there := stored[id]; !there || s.size != want {
			doubt[id] = want
		}
	}
	return doubt
}

// drop forgets packs and what they are said to hold. Index files stay known: they
// are not read again for it.
func (x *index) drop(packs map[ID]bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	left := newIndex()
	left.reserve(int(x.count))
	for n := range uint32(len(x.packs)) {
		if id := x.packs[n].id; !packs[id] {
			left.put(id, x.listed(n))
		}
	}
	x.pages, x.count, x.table = left.pages, left.count, left.table
	x.further, x.places = left.further, left.places
	x.packs, x.numbers, x.parts = left.packs, left.numbers, left.parts
}

// Lacking tells of each snapshot what of it is missing, as far as the list of packs,
// the index and the directories tell: nil for one that is whole. Content is not
// read. The caller holds a lock. The error says why that cannot be told.
func (r *Repository) Lacking(ctx context.Context, snapshots []*Snapshot) ([]error, error) {
	x := newIndex()
	x.cache = r.cache
	if _, _, err := r.readPresent(ctx, x, func(ctx context.Context) error { return r.readIndex(ctx, x) }); err != nil {
		return nil, err
	}
	lacks := make([]error, len(snapshots))
	whole := newBlobSet(x) // trees of snapshots that were found whole
	for i, s := range snapshots {
		seen, err := r.walkWhole(ctx, x, whole, *s.Tree)
		switch {
		case err == nil:
			whole.include(seen)
		case errors.Is(err, ErrDamaged) && ctx.Err() == nil:
			lacks[i] = err
		default:
			return nil, err
		}
	}
	return lacks, nil
}

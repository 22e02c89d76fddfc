package repository

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/storage"
)

// mergeGain is how many packs fewer there must be for small ones to be merged.
const mergeGain = 8

// candidate is a pack that may be repacked.
type candidate struct {
	id ID
	*packState
}

// worth is how much repacking saves for what it costs.
func (c candidate) worth() float64 { return float64(c.wasted()) / float64(c.usedBytes) }

// decide chooses the packs that are repacked. Of those the store keeps locked none
// is: to copy what is needed of it would free nothing.
func (p *prune) decide(ctx context.Context) error {
	if p.opts.KeepPacks {
		return nil
	}
	p.choose()
	store, ok := storage.AsRetainer(p.r.store)
	if !ok || p.opts.RepackLocked {
		return nil
	}
	chosen := p.matching(func(s *packState) bool { return s.fate == repackPack })
	locked, err := p.findLocked(ctx, store, chosen)
	if err != nil || !locked {
		return err
	}
	// Others are chosen in their place, so all are asked for that may be.
	for _, c := range chosen {
		c.fate = keepPack
	}
	others := p.matching(func(s *packState) bool {
		return s.fate == keepPack && !s.locked && (s.used < s.blobs() || s.mixed() || p.small(s))
	})
	if _, err := p.findLocked(ctx, store, others); err != nil {
		return err
	}
	p.choose()
	return nil
}

func (p *prune) matching(ok func(*packState) bool) (list []candidate) {
	for id, s := range p.packs {
		if s.there && ok(s) {
			list = append(list, candidate{id, s})
		}
	}
	return list
}

// findLocked asks the store which packs cannot be removed for now, and tells
// whether there are any.
func (p *prune) findLocked(ctx context.Context, store storage.Retainer, packs []candidate) (any bool, err error) {
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(protections)
	for _, c := range packs {
		g.Go(func() error {
			found, err := store.Retention(ctx, handle(storage.Data, c.id))
			if errors.Is(err, storage.ErrNotFound) {
				return nil // without a lock: another has pruned
			}
			mu.Lock()
			defer mu.Unlock()
			c.locked = err == nil && found.Holds()
			any = any || c.locked
			return err
		})
	}
	return any, g.Wait()
}

// choose chooses packs that mix trees and data; then of those with unused parts
// the ones that save most for what is copied, until no more than the share that is
// tolerated is unused: trees by themselves, for every operation reads them, and
// then all together; and last small ones to be merged.
func (p *prune) choose() {
	var mixed, trees, data []candidate
	var unused, used [2]int64 // by kind
	for id, s := range p.packs {
		if s.fate != keepPack || s.locked {
			continue
		}
		used[s.kind()] += s.usedBytes
		c := candidate{id, s}
		switch {
		case s.mixed():
			mixed = append(mixed, c)
		case s.used == s.blobs():
			continue
		case s.trees():
			trees = append(trees, c)
		default:
			data = append(data, c)
		}
		unused[s.kind()] += s.wasted()
	}
	var repacked int64
	var moved [2]int64
	tolerated := func(unused, used int64) bool {
		return float64(unused) <= p.opts.MaxUnused*float64(used+unused)
	}
	take := func(list []candidate, enough func() bool) {
		slices.SortFunc(list, func(a, b candidate) int {
			return cmp.Or(cmp.Compare(b.worth(), a.worth()), bytes.Compare(a.id[:], b.id[:]))
		})
		for _, c := range list {
			if enough() {
				return
			}
			if !p.mayRepack(repacked + c.size) {
				continue
			}
			repacked += c.size
			unused[c.kind()] -= c.wasted()
			c.fate = repackPack
			if !c.mixed() {
				moved[c.kind()] += c.usedBytes
			}
		}
	}
	take(mixed, func() bool { return false })
	take(trees, func() bool { return tolerated(unused[TreeBlob], used[TreeBlob]) })
	take(data, func() bool {
		return tolerated(unused[DataBlob]+unused[TreeBlob], used[DataBlob]+used[TreeBlob])
	})
	for _, kind := range []BlobType{DataBlob, TreeBlob} {
		repacked += p.merge(kind, moved[kind], repacked)
	}
}

func (p *prune) mayRepack(bytes int64) bool {
	return p.opts.MaxRepack <= 0 || bytes <= p.opts.MaxRepack
}

// small tells whether a pack is less than half as large as a pack should be.
func (p *prune) small(s *packState) bool { return s.size < int64(p.r.opts.PackSize)/2 }

// merge has small packs of a kind repacked that are needed in full, if there will
// be mergeGain fewer of them. None is taken that is larger than all smaller ones
// together, so that no byte is written again and again for every few that are new.
// So many bytes of the kind are moved anyway, and so many bytes repacked already. It
// returns the size of what it takes.
func (p *prune) merge(kind BlobType, moved, repacked int64) int64 {
	limit := int64(p.r.opts.PackSize)
	packs := func(bytes int64) int64 { return (bytes + limit - 1) / limit }
	list := p.matching(func(s *packState) bool {
		return s.fate == keepPack && !s.locked && s.used == s.blobs() && !s.mixed() && s.kind() == kind && p.small(s)
	})
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.size, b.size), bytes.Compare(a.id[:], b.id[:]))
	})
	best, cost := 0, int64(0)
	var size, used int64
	for n, c := range list {
		if !p.mayRepack(repacked + size + c.size) {
			break
		}
		fits := c.size <= size
		size += c.size
		used += c.usedBytes
		if fits && packs(moved)+int64(n+1)-packs(moved+used) >= mergeGain {
			best, cost = n+1, size
		}
	}
	for _, c := range list[:best] {
		c.fate = repackPack
	}
	return cost
}

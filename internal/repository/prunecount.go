package repository

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
)

// count adds up, for every pack, what is needed of it.
func (p *prune) count(ctx context.Context) error {
	p.keepers = make(map[blobKey]place)
	for id, blobs := range p.index.byPack() {
		s := p.packs[id]
		if !s.whole() {
			continue // nothing needed counts here: locate saw to that
		}
		for _, b := range blobs {
			if !p.used.has(b.kind, b.id) {
				continue
			}
			if len(p.index.others(b.kind, b.id)) > 0 {
				p.keepers[blobKey{b.kind, b.id}] = place{}
				continue
			}
			s.used++
			s.usedBytes += b.cost()
		}
	}
	if err := p.chooseKeepers(ctx); err != nil {
		return err
	}
	for _, s := range p.packs {
		if s.used > 0 {
			s.fate = keepPack
		} else {
			s.fate = deletePack
		}
	}
	return nil
}

// chooseKeepers decides, for each needed blob with several copies, which one
// counts. It is read first: another may be deleted on the strength of it.
func (p *prune) chooseKeepers(ctx context.Context) error {
	type choice struct {
		blobKey
		copies []place // the best first
	}
	open := make([]choice, 0, len(p.keepers))
	for key := range p.keepers {
		c := choice{blobKey: key}
		first, _ := p.index.lookup(key.kind, key.id)
		for _, copy := range append([]place{first}, p.index.others(key.kind, key.id)...) {
			if p.packs[copy.pack].whole() {
				c.copies = append(c.copies, copy)
			}
		}
		open = append(open, c)
	}
	slices.SortFunc(open, func(a, b choice) int { return bytes.Compare(a.id[:], b.id[:]) })
	// Packs that earlier prunes wrote hold nothing unused: they stay anyway, and
	// what they were written from can go. Those that small ones were merged into
	// are larger.
	unused := p.surplus()
	for i := range open {
		slices.SortStableFunc(open[i].copies, func(a, b place) int {
			s, t := p.packs[a.pack], p.packs[b.pack]
			return cmp.Or(cmp.Compare(unused[a.pack], unused[b.pack]), cmp.Compare(t.usedBytes, s.usedBytes), cmp.Compare(t.size, s.size), bytes.Compare(a.pack[:], b.pack[:]))
		})
	}
	for len(open) > 0 {
		best := make([]place, len(open))
		for i, c := range open {
			best[i] = c.copies[0]
		}
		bad := make(map[place]error)
		if !p.opts.DryRun {
			var mu sync.Mutex
			m := mover{repo: p.r, index: p.index, damaged: func(c place, err error) error {
				mu.Lock()
				defer mu.Unlock()
				bad[c] = err
				return nil
			}}
			slices.SortStableFunc(best, func(a, b place) int { return bytes.Compare(a.pack[:], b.pack[:]) })
			if err := m.read(ctx, groupPlaces(best), func(moved) error { return nil }); err != nil {
				return err
			}
		}
		var again []choice
		for _, c := range open {
			keeper := c.copies[0]
			if err := bad[keeper]; err != nil {
				if c.copies = c.copies[1:]; len(c.copies) == 0 {
					return err
				}
				again = append(again, c)
				continue
			}
			p.keepers[c.blobKey] = keeper
			s := p.packs[keeper.pack]
			s.used++
			s.usedBytes += keeper.blob.cost()
		}
		open = again
	}
	for key, keeper := range p.keepers {
		first, _ := p.index.lookup(key.kind, key.id)
		for _, c := range append([]place{first}, p.index.others(key.kind, key.id)...) {
			if c == keeper {
				continue
			}
			s := p.packs[c.pack]
			s.extra++
			s.extraBytes += c.blob.cost()
			p.report.Duplicates.Blobs++
			p.report.Duplicates.Bytes += c.blob.cost()
		}
	}
	return nil
}

// surplus counts in every pack the blobs that no snapshot needs.
func (p *prune) surplus() map[ID]int {
	n := make(map[ID]int)
	if len(p.keepers) == 0 {
		return n
	}
	for id, blobs := range p.index.byPack() {
		for _, b := range blobs {
			if !p.used.has(b.kind, b.id) {
				n[id]++
			}
		}
	}
	return n
}

package repository

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
)

// keeperBatch is for how many blobs at once it is decided which copy counts.
const keeperBatch = 20_000

// count adds up, for every pack, what is needed of it.
func (p *prune) count(ctx context.Context) error {
	for id, blobs := range p.index.byPack() {
		s := p.packs[id]
		if !s.whole() {
			continue // nothing needed counts here: locate saw to that
		}
		for _, b := range blobs {
			if n, ok := p.index.number(b.kind, b.id); ok && p.used.holds(n) && !p.index.repeated(n) {
				s.used++
				s.usedBytes += b.cost()
			}
		}
	}
	repeated := slices.DeleteFunc(p.index.allRepeated(), func(n uint32) bool { return !p.used.holds(n) })
	if len(repeated) > 0 {
		p.countSurplus()
	}
	p.keepers = make(map[uint32]uint32, len(repeated))
	for batch := range slices.Chunk(repeated, keeperBatch) {
		if err := p.chooseKeepers(ctx, batch); err != nil {
			return err
		}
	}
	for _, s := range p.packs {
		s.fate = keepPack
		if s.used == 0 {
			s.fate = deletePack
		}
	}
	return nil
}

// countSurplus counts in every pack the blobs that no snapshot needs.
func (p *prune) countSurplus() {
	for id, blobs := range p.index.byPack() {
		for _, b := range blobs {
			if !p.used.has(b.kind, b.id) {
				p.packs[id].surplus++
			}
		}
	}
}

// better compares packs that hold the same blob. Those that earlier prunes wrote
// hold nothing unused: they stay anyway, and what they were written from can go.
// Those that small ones were merged into are larger.
func (p *prune) better(a, b ID) int {
	s, t := p.packs[a], p.packs[b]
	return cmp.Or(cmp.Compare(s.surplus, t.surplus), cmp.Compare(t.usedBytes, s.usedBytes), cmp.Compare(t.size, s.size), bytes.Compare(a[:], b[:]))
}

// choice is a needed blob with several copies.
type choice struct {
	first  uint32   // the number by which it is known
	copies []uint32 // that may be read as far as sizes tell, the best first
}

// chooseKeepers decides which copy of a blob counts. It is read first: others may
// be deleted on the strength of it.
func (p *prune) chooseKeepers(ctx context.Context, blobs []uint32) error {
	var open []choice
	for _, n := range blobs {
		c := choice{first: n, copies: p.index.copies(n)}
		c.copies = slices.DeleteFunc(c.copies, func(n uint32) bool { return !p.packs[p.index.entry(n).pack].whole() })
		open = append(open, c)
	}
	for i := range open {
		slices.SortFunc(open[i].copies, func(a, b uint32) int {
			return cmp.Or(p.better(p.index.entry(a).pack, p.index.entry(b).pack), cmp.Compare(a, b))
		})
	}
	for len(open) > 0 {
		bad, err := p.unreadable(ctx, open)
		if err != nil {
			return err
		}
		var again []choice
		for _, c := range open {
			keeper := p.index.entry(c.copies[0])
			if err := bad[keeper]; err != nil {
				if c.copies = c.copies[1:]; len(c.copies) == 0 {
					return err
				}
				again = append(again, c)
				continue
			}
			p.keepers[c.first] = c.copies[0]
			s := p.packs[keeper.pack]
			s.used++
			s.usedBytes += keeper.blob.cost()
		}
		open = again
	}
	for _, first := range blobs {
		for _, n := range p.index.copies(first) {
			if n == p.keepers[first] {
				continue
			}
			c := p.index.entry(n)
			s := p.packs[c.pack]
			s.extra++
			s.extraBytes += c.blob.cost()
			p.report.Duplicates.Blobs++
			p.report.Duplicates.Bytes += c.blob.cost()
		}
	}
	return nil
}

// unreadable reads the best copies and returns those that are damaged. A plan
// believes them.
func (p *prune) unreadable(ctx context.Context, open []choice) (map[place]error, error) {
	bad := make(map[place]error)
	if p.opts.DryRun {
		return bad, nil
	}
	best := make([]place, len(open))
	for i, c := range open {
		best[i] = p.index.entry(c.copies[0])
	}
	slices.SortStableFunc(best, func(a, b place) int { return bytes.Compare(a.pack[:], b.pack[:]) })
	var mu sync.Mutex
	m := mover{repo: p.r, index: p.index, damaged: func(c place, err error) error {
		mu.Lock()
		defer mu.Unlock()
		bad[c] = err
		return nil
	}}
	return bad, m.read(ctx, groupPlaces(best), func(moved) error { return nil })
}

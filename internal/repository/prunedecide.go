package repository

import (
	"bytes"
	"cmp"
	"slices"
)

// candidate is a pack that may be repacked.
type candidate struct {
	id ID
	*packState
}

// urgent are packs that mix trees and data, and those of trees with unused parts:
// trees are read by every operation.
func (c candidate) urgent() bool { return c.mixed() || c.trees() }

// worth is how much repacking saves for what it costs.
func (c candidate) worth() float64 { return float64(c.wasted()) / float64(c.usedBytes) }

// decide chooses the packs that are repacked: the urgent ones, then those of which
// most is unused, until the rest may stay, and then small ones to be merged.
func (p *prune) decide() {
	if p.opts.KeepPacks {
		return
	}
	var candidates []candidate
	var unused, used int64
	for id, s := range p.packs {
		if s.fate != keepPack {
			continue
		}
		used += s.usedBytes
		if s.used < s.blobs() || s.mixed() {
			candidates = append(candidates, candidate{id, s})
			unused += s.wasted()
		}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		switch {
		case a.urgent() && !b.urgent():
			return -1
		case b.urgent() && !a.urgent():
			return 1
		}
		return cmp.Or(cmp.Compare(b.worth(), a.worth()), bytes.Compare(a.id[:], b.id[:]))
	})
	var repacked int64
	var moved [2]int64
	for _, c := range candidates {
		tolerated := float64(unused) <= p.opts.MaxUnused*float64(used+unused)
		if tolerated && !c.urgent() || !p.mayRepack(repacked+c.size) {
			continue
		}
		repacked += c.size
		unused -= c.wasted()
		c.fate = repackPack
		if !c.mixed() {
			moved[c.kind()] += c.usedBytes
		}
	}
	for _, kind := range []BlobType{DataBlob, TreeBlob} {
		repacked += p.merge(kind, moved[kind], repacked)
	}
}

func (p *prune) mayRepack(bytes int64) bool {
	return p.opts.MaxRepack <= 0 || bytes <= p.opts.MaxRepack
}

// merge has packs of a kind repacked that are less than half as large as a pack
// should be, if there will be fewer of them. So many bytes of the kind are moved
// anyway: their last pack has room for more. It returns the bytes of the packs.
func (p *prune) merge(kind BlobType, moved, repacked int64) (size int64) {
	limit := int64(p.r.opts.PackSize)
	packs := func(bytes int64) int64 { return (bytes + limit - 1) / limit }
	var small []candidate
	for id, s := range p.packs {
		if s.fate == keepPack && s.used == s.blobs() && !s.mixed() && s.kind() == kind && s.size < limit/2 {
			small = append(small, candidate{id, s})
		}
	}
	slices.SortFunc(small, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.size, b.size), bytes.Compare(a.id[:], b.id[:]))
	})
	n, sum := 0, int64(0)
	for n < len(small) && p.mayRepack(repacked+size+small[n].size) {
		size += small[n].size
		sum += small[n].usedBytes
		n++
	}
	if packs(moved+sum) >= packs(moved)+int64(n) {
		return 0
	}
	for _, c := range small[:n] {
		c.fate = repackPack
	}
	return size
}

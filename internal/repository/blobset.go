package repository

import (
	"maps"
	"slices"
)

// blobSet holds blobs of an index that is not replaced meanwhile, by the numbers
// of their entries in it: a bit each, so that five million take 600 KB.
type blobSet struct {
	index *index
	bits  []uint64
}

func newBlobSet(x *index) *blobSet { return &blobSet{index: x} }

// has tells whether the blob is in the set. It may be called from several
// goroutines while nothing is added.
func (s *blobSet) has(kind BlobType, id ID) bool {
	n, ok := s.index.number(kind, id)
	return ok && s.holds(n)
}

// holds is has for the number of the blob's first entry.
func (s *blobSet) holds(n uint32) bool {
	return n>>6 < uint32(len(s.bits)) && s.bits[n>>6]&(1<<(n&63)) != 0
}

// add puts a blob into the set, unless the index does not list it, and tells
// whether it was in it.
func (s *blobSet) add(kind BlobType, id ID) (was bool) {
	n, ok := s.index.number(kind, id)
	if !ok {
		return false
	}
	if need := int(n>>6) + 1; need > len(s.bits) {
		s.bits = append(s.bits, make([]uint64, max(need, 2*len(s.bits))-len(s.bits))...)
	}
	was = s.bits[n>>6]&(1<<(n&63)) != 0
	s.bits[n>>6] |= 1 << (n & 63)
	return was
}

// number is that of the blob's first entry. It stays the same as the index grows.
func (x *index) number(kind BlobType, id ID) (uint32, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	_, n, found := x.table.search(x, id, kind.flag())
	return n, found
}

// repeated tells whether the blob of an entry has several copies.
func (x *index) repeated(n uint32) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return len(x.further[n]) > 0
}

// allRepeated returns the first entries of blobs that have several copies.
func (x *index) allRepeated() []uint32 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Sorted(maps.Keys(x.further))
}

// copies returns the entries of all copies of a blob, by that of the first.
func (x *index) copies(n uint32) []uint32 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return append([]uint32{n}, x.further[n]...)
}

// entry returns the place that an entry names.
func (x *index) entry(n uint32) place {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.place(n)
}

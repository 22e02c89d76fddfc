package repository

import (
	"iter"
	"slices"
	"sync"

	"lifeboat/internal/repository/cache"
)

// index knows where every blob of the repository lies. It is safe for
// concurrent use. Five million blobs take some 290 MB: their entries stand one
// after the other in the order they were added, found by a hash table of numbers
// (table.go). What is rare is kept beside them: further places of a blob, and
// packs that were added in several parts.
type index struct {
	mu    sync.RWMutex
	pages []*page
	count uint32 // entries
	table table

	further map[uint32][]uint32   // more places of a blob, by the entry of its first
	places  map[placeKey]struct{} // those places, so that none stands twice

	packs   []listedPack
	numbers map[ID]uint32 // of packs
	parts   map[uint32][]run

	files  map[ID]bool  // index files that were read, or could not be
	cache  *cache.Cache // that may stand for index files; nil for who checks them
	damage []error      // of index files
}

// indexEntry is one place of one blob: 48 bytes without a pointer, so that the
// garbage collector need not look at it.
type indexEntry struct {
	id     ID
	pack   uint32 // its number, and two flags
	offset uint32
	length uint32
	plain  uint32
}

const (
	treeFlag    = 1 << 31
	furtherFlag = 1 << 30 // not the first place of its blob
	packMask    = furtherFlag - 1
)

// page is a part of the list of entries. A page is never moved: growing needs no
// copy of what is there.
type page [1 << pageBits]indexEntry

const pageBits = 10

// run is entries that follow each other.
type run struct{ first, count uint32 }

// listedPack is a pack and the entries that were added first with it.
type listedPack struct {
	id ID
	run
}

// placeKey tells one place of a blob from the others.
type placeKey struct {
	first, pack, offset, length, plain uint32
}

func newIndex() *index {
	return &index{
		further: make(map[uint32][]uint32),
		places:  make(map[placeKey]struct{}),
		numbers: make(map[ID]uint32),
		parts:   make(map[uint32][]run),
		files:   make(map[ID]bool),
	}
}

func (x *index) at(n uint32) *indexEntry {
	return &x.pages[n>>pageBits][n&(1<<pageBits-1)]
}

// add records the blobs of one pack.
func (x *index) add(pack ID, blobs []packedBlob) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.put(pack, blobs)
}

// addFile records what an index file lists.
func (x *index) addFile(file ID, list *listing) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.files[file] = true
	list.each(x.put)
}

// put is add; x.mu is held.
func (x *index) put(pack ID, blobs []packedBlob) {
	n, known := x.numbers[pack]
	if !known {
		n = uint32(len(x.packs))
		x.packs = append(x.packs, listedPack{id: pack})
		x.numbers[pack] = n
	}
	first := x.count
	for batch := range slices.Chunk(blobs, 32) {
		x.table.touch(batch)
		for i := range batch {
			x.insert(n, &batch[i])
		}
	}
	added := run{first, x.count - first}
	switch {
	case added.count == 0:
	case x.packs[n].count == 0:
		x.packs[n].run = added
	default:
		x.parts[n] = append(x.parts[n], added)
	}
}

// insert adds one entry, unless the same is there.
func (x *index) insert(pack uint32, b *packedBlob) {
	if b.kind == TreeBlob {
		pack |= treeFlag
	}
	e := indexEntry{id: b.id, pack: pack, offset: b.offset, length: b.length, plain: b.plain}
	slot, first, taken := x.table.search(x, b.id, pack&treeFlag)
	switch {
	case !taken:
		x.table.set(slot, b.id, x.count)
	default:
		f := x.at(first)
		if *f == e {
			return
		}
		key := placeKey{first, e.pack, e.offset, e.length, e.plain}
		if _, twice := x.places[key]; twice {
			return
		}
		x.places[key] = struct{}{}
		x.further[first] = append(x.further[first], x.count)
		e.pack |= furtherFlag
	}
	if x.count>>pageBits == uint32(len(x.pages)) {
		x.pages = append(x.pages, new(page))
	}
	*x.at(x.count) = e
	x.count++
	if x.table.full() {
		x.table.grow(x)
	}
}

// knows tells whether an index file was read, or could not be.
func (x *index) knows(file ID) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.files[file]
}

// read remembers an index file, and what is wrong with it.
func (x *index) read(file ID, damage error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.files[file] = true
	if damage != nil {
		x.damage = append(x.damage, damage)
	}
}

// replace makes x hold what other holds, which is not used afterwards.
func (x *index) replace(other *index) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.pages, x.count, x.table = other.pages, other.count, other.table
	x.further, x.places = other.further, other.places
	x.packs, x.numbers, x.parts = other.packs, other.numbers, other.parts
	x.files, x.damage = other.files, other.damage
}

// has tells whether the blob is in a pack that was saved.
func (x *index) has(kind BlobType, id ID) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	_, _, found := x.table.search(x, id, kind.flag())
	return found
}

// place is one pack and the blob's entry in it.
type place struct {
	pack ID
	blob packedBlob
}

func (x *index) place(n uint32) place {
	e := x.at(n)
	return place{pack: x.packs[e.pack&packMask].id, blob: e.blob()}
}

func (e *indexEntry) blob() packedBlob {
	b := packedBlob{id: e.id, offset: e.offset, length: e.length, plain: e.plain}
	if e.pack&treeFlag != 0 {
		b.kind = TreeBlob
	}
	return b
}

func (t BlobType) flag() uint32 {
	if t == TreeBlob {
		return treeFlag
	}
	return 0
}

// lookup returns where the blob lies.
func (x *index) lookup(kind BlobType, id ID) (place, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	_, n, found := x.table.search(x, id, kind.flag())
	if !found {
		return place{}, false
	}
	return x.place(n), true
}

// others returns the places of a blob besides the first.
func (x *index) others(kind BlobType, id ID) []place {
	x.mu.RLock()
	defer x.mu.RUnlock()
	_, first, found := x.table.search(x, id, kind.flag())
	if !found {
		return nil
	}
	var places []place
	for _, n := range x.further[first] {
		places = append(places, x.place(n))
	}
	return places
}

// inPack returns the blobs that the index places in a pack.
func (x *index) inPack(pack ID) []packedBlob {
	x.mu.RLock()
	defer x.mu.RUnlock()
	n, known := x.numbers[pack]
	if !known {
		return nil
	}
	return x.listed(n)
}

// listed returns the blobs of the pack with number n.
func (x *index) listed(n uint32) []packedBlob {
	return x.appendListed(make([]packedBlob, 0, x.packs[n].count), n)
}

func (x *index) appendListed(blobs []packedBlob, n uint32) []packedBlob {
	for _, r := range append([]run{x.packs[n].run}, x.parts[n]...) {
		for i := range r.count {
			blobs = append(blobs, x.at(r.first+i).blob())
		}
	}
	return blobs
}

// lists tells whether the index places any blob in the pack.
func (x *index) lists(pack ID) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	n, known := x.numbers[pack]
	return known && x.packs[n].count > 0
}

// byPack goes through the packs with the blobs that the index places in each,
// without holding all of them: the list of one pack is gone when the next comes. The
// index may be used and added to meanwhile.
func (x *index) byPack() iter.Seq2[ID, []packedBlob] {
	return func(yield func(ID, []packedBlob) bool) {
		var blobs []packedBlob
		for n := uint32(0); ; n++ {
			x.mu.RLock()
			if int(n) >= len(x.packs) {
				x.mu.RUnlock()
				return
			}
			pack := x.packs[n].id
			blobs = x.appendListed(blobs[:0], n)
			x.mu.RUnlock()
			if len(blobs) > 0 && !yield(pack, blobs) {
				return
			}
		}
	}
}

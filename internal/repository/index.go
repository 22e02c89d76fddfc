package repository

import (
	"sync"
)

// location is where a blob lies. Packs are numbered to keep it small: an index
// of a million blobs takes some 80 MB.
type location struct {
	pack   uint32
	offset uint32
	length uint32
	plain  uint32
}

// index knows where every blob of the repository lies. It is safe for
// concurrent use.
type index struct {
	mu      sync.RWMutex
	blobs   [2]map[ID]location
	more    [2]map[ID][]location // further places of the same blob
	packs   []ID
	numbers map[ID]uint32
	files   map[ID]bool // index files that were read, or could not be
	damage  []error     // of index files
}

func newIndex() *index {
	return &index{
		blobs:   [2]map[ID]location{make(map[ID]location), make(map[ID]location)},
		more:    [2]map[ID][]location{make(map[ID][]location), make(map[ID][]location)},
		numbers: make(map[ID]uint32),
		files:   make(map[ID]bool),
	}
}

// add records the blobs of one pack.
func (x *index) add(pack ID, blobs []packedBlob) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n, known := x.numbers[pack]
	if !known {
		n = uint32(len(x.packs))
		x.packs = append(x.packs, pack)
		x.numbers[pack] = n
	}
	for _, b := range blobs {
		loc := location{pack: n, offset: b.offset, length: b.length, plain: b.plain}
		first, taken := x.blobs[b.kind][b.id]
		switch {
		case !taken:
			x.blobs[b.kind][b.id] = loc
		case first != loc:
			x.more[b.kind][b.id] = append(x.more[b.kind][b.id], loc)
		}
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

// replace makes x hold what other holds.
func (x *index) replace(other *index) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.blobs, x.more, x.packs, x.numbers = other.blobs, other.more, other.packs, other.numbers
	x.files, x.damage = other.files, other.damage
}

// has tells whether the blob is in a pack that was saved.
func (x *index) has(kind BlobType, id ID) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	_, ok := x.blobs[kind][id]
	return ok
}

// place is one pack and the blob's entry in it.
type place struct {
	pack ID
	blob packedBlob
}

func (x *index) place(kind BlobType, id ID, l location) place {
	return place{
		pack: x.packs[l.pack],
		blob: packedBlob{id: id, kind: kind, offset: l.offset, length: l.length, plain: l.plain},
	}
}

// lookup returns where the blob lies.
func (x *index) lookup(kind BlobType, id ID) (place, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	l, ok := x.blobs[kind][id]
	if !ok {
		return place{}, false
	}
	return x.place(kind, id, l), true
}

// others returns the places of a blob besides the first.
func (x *index) others(kind BlobType, id ID) []place {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var places []place
	for _, l := range x.more[kind][id] {
		places = append(places, x.place(kind, id, l))
	}
	return places
}

// byPack returns every pack with the blobs that the index places in it.
func (x *index) byPack() map[ID][]packedBlob {
	x.mu.RLock()
	defer x.mu.RUnlock()
	packs := make(map[ID][]packedBlob, len(x.packs))
	for _, kind := range []BlobType{DataBlob, TreeBlob} {
		for id, l := range x.blobs[kind] {
			p := x.place(kind, id, l)
			packs[p.pack] = append(packs[p.pack], p.blob)
		}
		for id, list := range x.more[kind] {
			for _, l := range list {
				p := x.place(kind, id, l)
				packs[p.pack] = append(packs[p.pack], p.blob)
			}
		}
	}
	return packs
}

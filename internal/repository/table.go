package repository

import (
	"encoding/binary"
	"slices"
)

// table finds the first entry of a blob: open addressing with linear probing,
// five bytes a slot. IDs are hashes already, so their bytes serve as the hash;
// who can choose them can find collisions of SHA-256.
type table struct {
	marks []uint8  // 0 is a free slot, else a byte of the ID
	slots []uint32 // numbers of entries
	used  int

	touched uint32 // without meaning; makes touch have a result
}

const smallestTable = 1 << 8

func mark(id ID) uint8 { return max(1, id[len(id)-1]) }

func (t *table) home(id ID) uint64 {
	return binary.LittleEndian.Uint64(id[:]) & uint64(len(t.slots)-1)
}

// search returns the slot and the entry of a blob, or the free slot where it
// belongs. kind is treeFlag or 0.
func (t *table) search(x *index, id ID, kind uint32) (slot uint64, n uint32, found bool) {
	if len(t.slots) == 0 {
		return 0, 0, false
	}
	want, last := mark(id), uint64(len(t.slots)-1)
	for slot = t.home(id); ; slot = (slot + 1) & last {
		switch t.marks[slot] {
		case 0:
			return slot, 0, false
		case want:
			n = t.slots[slot]
			if e := x.at(n); e.id == id && e.pack&treeFlag == kind {
				return slot, n, true
			}
		}
	}
}

// touch brings the slots of blobs that are about to be added into the processor's
// cache, all at once instead of one after the other: that saves a third of the time that
// adding takes.
func (t *table) touch(blobs []packedBlob) {
	if len(t.slots) == 0 {
		return
	}
	for i := range blobs {
		home := t.home(blobs[i].id)
		t.touched += uint32(t.marks[home]) + t.slots[home]
	}
}

// set fills a free slot.
func (t *table) set(slot uint64, id ID, n uint32) {
	if len(t.slots) == 0 {
		t.resize(smallestTable)
		slot = t.home(id)
	}
	t.marks[slot], t.slots[slot] = mark(id), n
	t.used++
}

// full tells whether to grow before the next entry: with more than 7/8 in use
// probing becomes slow.
func (t *table) full() bool { return t.used > len(t.slots)-len(t.slots)/8 }

func (t *table) resize(size int) {
	t.marks, t.slots, t.used = make([]uint8, size), make([]uint32, size), 0
}

// grow doubles the table. It is filled from the entries in their order, which
// is the order of memory.
func (t *table) grow(x *index) { t.rebuild(x, 2*len(t.slots)) }

func (t *table) rebuild(x *index, size int) {
	t.marks, t.slots = nil, nil // for the garbage collector, before the larger ones
	t.resize(size)
	last := uint64(size - 1)
	for n := range x.count {
		e := x.at(n)
		if e.pack&furtherFlag != 0 {
			continue
		}
		slot := t.home(e.id)
		for t.marks[slot] != 0 {
			slot = (slot + 1) & last
		}
		t.marks[slot], t.slots[slot] = mark(e.id), n
		t.used++
	}
}

// reserve makes room for so many more blobs at once.
func (x *index) reserve(blobs int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	size := max(smallestTable, len(x.table.slots))
	for size-size/8 < x.table.used+blobs {
		size *= 2
	}
	if size > len(x.table.slots) {
		x.table.rebuild(x, size)
	}
	x.pages = slices.Grow(x.pages, blobs>>pageBits+1)
}

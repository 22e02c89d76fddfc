package repository

import (
	"encoding/binary"
	"slices"

	"lifeboat/internal/repository/crypto"
)

// What the cache holds of an index file is its listing: a format byte, the
// file's size in eight bytes, the number of packs, for each its ID and how many
// blobs it has, then for each blob its ID, offset, length and decompressed size.
// Other numbers take four bytes, all are little-endian; the top bit of a
// decompressed size marks trees.
const (
	compiledFormat = 1
	compiledHead   = 1 + 8 + 4
	compiledPack   = 32 + 4
	compiledBlob   = 32 + 3*4
	compiledTree   = 1 << 31
)

// encode appends the listing of a file of this size to text.
func (l *listing) encode(text []byte, size int64) []byte {
	text = slices.Grow(text, compiledHead+len(l.packs)*compiledPack+len(l.blobs)*compiledBlob)
	text = binary.LittleEndian.AppendUint64(append(text, compiledFormat), uint64(size))
	text = binary.LittleEndian.AppendUint32(text, uint32(len(l.packs)))
	for _, p := range l.packs {
		text = binary.LittleEndian.AppendUint32(append(text, p.id[:]...), p.count)
	}
	for i := range l.blobs {
		b := &l.blobs[i]
		plain := b.plain
		if b.kind == TreeBlob {
			plain |= compiledTree
		}
		text = append(text, b.id[:]...)
		text = binary.LittleEndian.AppendUint32(text, b.offset)
		text = binary.LittleEndian.AppendUint32(text, b.length)
		text = binary.LittleEndian.AppendUint32(text, plain)
	}
	return text
}

// decode is the reverse of encode. It reports false for what encode never
// writes, and for a file of another size: the one in the store was cut.
func (l *listing) decode(text []byte, size int64) bool {
	l.reset()
	if len(text) < compiledHead || text[0] != compiledFormat || binary.LittleEndian.Uint64(text[1:]) != uint64(size) {
		return false
	}
	packs := binary.LittleEndian.Uint32(text[9:])
	text = text[compiledHead:]
	if uint64(packs)*compiledPack > uint64(len(text)) {
		return false
	}
	blobs := uint64(0)
	for range packs {
		p := packRun{ID(text[:32]), binary.LittleEndian.Uint32(text[32:])}
		l.packs = append(l.packs, p)
		blobs += uint64(p.count)
		text = text[compiledPack:]
	}
	if blobs > uint64(len(text)) || uint64(len(text)) != blobs*compiledBlob {
		return false
	}
	l.blobs = slices.Grow(l.blobs, int(blobs))
	for ; len(text) > 0; text = text[compiledBlob:] {
		b := packedBlob{
			id:     ID(text[:32]),
			offset: binary.LittleEndian.Uint32(text[32:]),
			length: binary.LittleEndian.Uint32(text[36:]),
			plain:  binary.LittleEndian.Uint32(text[40:]),
		}
		if b.plain&compiledTree != 0 {
			b.kind, b.plain = TreeBlob, b.plain&^compiledTree
		}
		if b.length < crypto.Overhead {
			return false
		}
		l.blobs = append(l.blobs, b)
	}
	return true
}

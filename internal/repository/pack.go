package repository

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"lifeboat/internal/repository/crypto"
	"lifeboat/internal/storage"
)

// BlobType tells content from trees.
type BlobType uint8

// The two types of blobs. They lie in separate packs.
const (
	DataBlob BlobType = iota
	TreeBlob
)

// String names the type as index files do.
func (t BlobType) String() string {
	if t == TreeBlob {
		return "tree"
	}
	return "data"
}

// packedBlob is a blob's entry in a pack's header or in an index.
type packedBlob struct {
	id     ID
	kind   BlobType
	offset uint32
	length uint32 // sealed, as it lies in the pack
	plain  uint32 // decompressed size; 0 when it is not compressed
}

// size is the length of the content.
func (b packedBlob) size() uint32 {
	if b.plain != 0 {
		return b.plain
	}
	return b.length - crypto.Overhead
}

// Sizes of a pack's trailer, in bytes. After the blobs comes the sealed list of
// entries, then its length as four bytes, little-endian.
const (
	entrySize           = 1 + 4 + 32
	compressedEntrySize = 1 + 4 + 4 + 32
	headerLengthSize    = 4
	maxHeader           = 64 << 20
	compressedBit       = 2
)

var errPackHeader = errors.New("the pack's header is not valid")

// appendHeader appends the trailer of a pack that holds these blobs.
func appendHeader(pack []byte, key *crypto.Key, blobs []packedBlob) []byte {
	header := make([]byte, 0, len(blobs)*compressedEntrySize)
	for _, b := range blobs {
		kind := byte(b.kind)
		if b.plain != 0 {
			kind |= compressedBit
		}
		header = append(header, kind)
		header = binary.LittleEndian.AppendUint32(header, b.length)
		if b.plain != 0 {
			header = binary.LittleEndian.AppendUint32(header, b.plain)
		}
		header = append(header, b.id[:]...)
	}
	before := len(pack)
	pack = key.Seal(pack, header)
	return binary.LittleEndian.AppendUint32(pack, uint32(len(pack)-before))
}

// trailerSize is what follows the blobs in a pack.
func trailerSize(blobs []packedBlob) int64 {
	n := int64(crypto.Overhead + headerLengthSize)
	for _, b := range blobs {
		n += entrySize
		if b.plain != 0 {
			n += compressedEntrySize - entrySize
		}
	}
	return n
}

// parseHeader reads the entries of an unsealed header. bodySize is the length
// of all blobs together, which the entries must account for.
func parseHeader(header []byte, bodySize int64) ([]packedBlob, error) {
	blobs := make([]packedBlob, 0, len(header)/entrySize)
	var offset int64
	for len(header) > 0 {
		kind := header[0]
		size := entrySize
		if kind&compressedBit != 0 {
			size = compressedEntrySize
		}
		if kind > 3 || len(header) < size {
			return nil, fmt.Errorf("%w: entry %d", errPackHeader, len(blobs))
		}
		b := packedBlob{kind: BlobType(kind &^ compressedBit), offset: uint32(offset)}
		b.length = binary.LittleEndian.Uint32(header[1:])
		if kind&compressedBit != 0 {
			b.plain = binary.LittleEndian.Uint32(header[5:])
			if b.plain == 0 {
				return nil, fmt.Errorf("%w: entry %d is compressed and empty", errPackHeader, len(blobs))
			}
		}
		copy(b.id[:], header[size-32:])
		offset += int64(b.length)
		if b.length < crypto.Overhead || offset > bodySize || offset > 1<<32-1 {
			return nil, fmt.Errorf("%w: entry %d has length %d", errPackHeader, len(blobs), b.length)
		}
		blobs = append(blobs, b)
		header = header[size:]
	}
	if offset != bodySize {
		return nil, fmt.Errorf("%w: blobs of %d bytes in %d", errPackHeader, offset, bodySize)
	}
	return blobs, nil
}

// packHeader reads the list of blobs from the end of a pack file.
func (r *Repository) packHeader(ctx context.Context, id ID, size int64) ([]packedBlob, error) {
	// Most headers fit in the first guess.
	tail := make([]byte, min(size, 64<<10))
	if err := storage.ReadRange(ctx, r.store, handle(storage.Data, id), tail, size-int64(len(tail))); err != nil {
		return nil, err
	}
	length, err := headerLength(id, tail, size)
	if err != nil {
		return nil, err
	}
	if length > int64(len(tail)) {
		tail = make([]byte, length)
		if err := storage.ReadRange(ctx, r.store, handle(storage.Data, id), tail, size-length); err != nil {
			return nil, err
		}
	}
	return r.openHeader(id, tail[int64(len(tail))-length:], size)
}

// headerLength is how many bytes at the end of a pack are its header and the
// length of that. Tail is the end of the pack, size that of the whole of it.
func headerLength(id ID, tail []byte, size int64) (int64, error) {
	if size < headerLengthSize+crypto.Overhead {
		return 0, &DamageError{What: "pack", ID: id, Err: fmt.Errorf("%w: %d bytes are too few", errPackHeader, size)}
	}
	length := int64(binary.LittleEndian.Uint32(tail[len(tail)-headerLengthSize:]))
	if length < crypto.Overhead || length > maxHeader || length > size-headerLengthSize {
		return 0, &DamageError{What: "pack", ID: id, Err: fmt.Errorf("%w: it claims %d bytes", errPackHeader, length)}
	}
	return length + headerLengthSize, nil
}

// openHeader reads the list of blobs from what headerLength has found.
func (r *Repository) openHeader(id ID, tail []byte, size int64) ([]packedBlob, error) {
	header, err := r.key.Open(tail[:len(tail)-headerLengthSize])
	if err != nil {
		return nil, &DamageError{What: "pack", ID: id, Err: fmt.Errorf("%w: %w", errPackHeader, err)}
	}
	blobs, err := parseHeader(header, size-int64(len(tail)))
	if err != nil {
		return nil, &DamageError{What: "pack", ID: id, Err: err}
	}
	return blobs, nil
}

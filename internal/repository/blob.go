package repository

import (
	"context"
	"errors"
	"fmt"
	"math/bits"

	"lifeboat/internal/storage"
)

var (
	errMissingBlob = errors.New("no index lists it")
	errWrongHash   = errors.New("its content does not match its ID")
)

// blobBuffer is the room that reading a blob needs.
type blobBuffer struct {
	sealed, plain []byte
	shared        bool // it will hold other blobs
}

var blobBuffers = newSpare(4, func() *blobBuffer { return &blobBuffer{shared: true} })

// recycle gives back what came from blobBuffers. What an unusual blob made large
// is not kept.
func (b *blobBuffer) recycle() {
	if cap(b.sealed) <= largeBuffer && cap(b.plain) <= 2*largeBuffer {
		blobBuffers.put(b)
	}
}

// room returns b with a capacity of n or more. What is used again is made large
// enough for most blobs at once, instead of growing with each larger one.
func (b *blobBuffer) room(buf []byte, n int) []byte {
	if cap(buf) >= n {
		return buf[:0]
	}
	if b.shared {
		n = 1 << bits.Len(uint(max(n, usualBuffer)-1))
	}
	return make([]byte, 0, n)
}

// loadBlob returns the content of a blob, checked against its ID. Where a blob
// lies in several packs, a damaged copy is passed over. The result lies in buf,
// unless that is nil, and is lost when buf is used again.
func (r *Repository) loadBlob(ctx context.Context, kind BlobType, id ID, buf *blobBuffer) ([]byte, error) {
	p, err := r.locate(ctx, kind, id)
	if err != nil {
		return nil, err
	}
	data, err := r.fetchBlob(ctx, p, buf)
	if err == nil || ctx.Err() != nil {
		return data, err
	}
	for _, other := range r.index.others(kind, id) {
		if data, otherErr := r.fetchBlob(ctx, other, buf); otherErr == nil {
			return data, nil
		}
	}
	if errors.Is(err, storage.ErrNotFound) && r.loadIndex(ctx) == nil {
		// Another process may have pruned since the index was read.
		if moved, ok := r.index.lookup(kind, id); ok && moved != p {
			return r.readBlob(ctx, moved, buf)
		}
	}
	return nil, err
}

// locate finds a blob, reading the index first if that was not done, and again
// if another process may have written since.
func (r *Repository) locate(ctx context.Context, kind BlobType, id ID) (place, error) {
	if p, ok := r.index.lookup(kind, id); ok {
		return p, nil
	}
	if err := r.loadIndex(ctx); err != nil {
		return place{}, err
	}
	if p, ok := r.index.lookup(kind, id); ok {
		return p, nil
	}
	return place{}, hint(&DamageError{What: kind.String() + " blob", ID: id, Err: errMissingBlob},
		"if an index file was lost or damaged, repairing the index brings it back (%s)", r.command("repository repair"))
}

// errPackGone says why the blobs of a pack cannot be read.
var errPackGone = errors.New("its pack is missing, or not as long as the index says")

// readBlob reads one blob from one pack.
func (r *Repository) readBlob(ctx context.Context, p place, buf *blobBuffer) ([]byte, error) {
	if buf == nil {
		buf = new(blobBuffer)
	}
	limit := uint32(maxDataBlob)
	if p.blob.kind == TreeBlob {
		limit = maxTreeBlob
	}
	if p.blob.size() > limit || p.blob.length > limit {
		return nil, r.damage(p, errTooLarge)
	}
	buf.sealed = buf.room(buf.sealed, int(p.blob.length))
	sealed := buf.sealed[:p.blob.length]
	err := storage.ReadRange(ctx, r.store, handle(storage.Data, p.pack), sealed, int64(p.blob.offset))
	if errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrShort) {
		return nil, r.damage(p, fmt.Errorf("its pack is missing or cut short: %w", err))
	}
	if err != nil {
		return nil, err
	}
	return r.decodeBlob(p, sealed, buf)
}

// decodeBlob unseals, decompresses and verifies a blob; sealed is overwritten.
func (r *Repository) decodeBlob(p place, sealed []byte, buf *blobBuffer) ([]byte, error) {
	plain, err := r.key.Open(sealed)
	if err != nil {
		return nil, r.damage(p, err)
	}
	if p.blob.plain != 0 {
		buf.plain = buf.room(buf.plain, int(p.blob.plain))
		if plain, err = decompress(buf.plain, plain, int(p.blob.plain)); err != nil {
			return nil, r.damage(p, err)
		}
	}
	if Hash(plain) != p.blob.id {
		return nil, r.damage(p, errWrongHash)
	}
	return plain, nil
}

func (r *Repository) damage(p place, err error) error {
	return hint(&DamageError{What: p.blob.kind.String() + " blob", ID: p.blob.id, Pack: p.pack, Err: err},
		"%s names the snapshots and paths that need it", r.command("verify --read-data"))
}

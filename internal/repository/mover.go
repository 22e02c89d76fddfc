package repository

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/repository/crypto"
	"lifeboat/internal/storage"
)

// Limits of the mover, in bytes.
const (
	moveRange = 8 << 20   // of one read; a larger blob is read by itself
	moveGap   = 256 << 10 // read and thrown away rather than asked for separately
)

// mover reads many blobs in the order they lie in, with few large reads, and
// checks every one. Prune takes what it rewrites from it, copy what it copies,
// and both the trees. It holds some 8 MiB a worker.
type mover struct {
	repo  *Repository
	index *index // where other copies are looked for
	// damaged is told of a copy that cannot be read, from several goroutines at
	// once. If it is nil another copy is used, and without one the read ends.
	damaged func(p place, err error) error
}

// moved is a blob that was read and is what it should be. Its slices are lost
// when the function that was given it returns.
type moved struct {
	packedBlob
	plain []byte
	// room holds the blob's stored form, unsealed: behind room for an IV and
	// before room for a MAC, so that it is sealed again without being copied.
	room []byte
}

// packBlobs are blobs of one pack.
type packBlobs struct {
	pack  ID
	blobs []packedBlob
}

// groupPlaces sorts places by packs, in the order in which packs are first named.
func groupPlaces(places []place) []packBlobs {
	number := make(map[ID]int)
	var groups []packBlobs
	for _, p := range places {
		n, known := number[p.pack]
		if !known {
			n = len(groups)
			number[p.pack] = n
			groups = append(groups, packBlobs{pack: p.pack})
		}
		groups[n].blobs = append(groups[n].blobs, p.blob)
	}
	return groups
}

// span is a part of a pack that is read at once.
type span struct {
	packBlobs
	from, to int64
}

// spans cuts what is wanted of one pack into reads.
func spans(want packBlobs) []span {
	blobs := slices.Clone(want.blobs)
	slices.SortFunc(blobs, func(a, b packedBlob) int { return cmp.Compare(a.offset, b.offset) })
	var list []span
	for _, b := range blobs {
		from := int64(b.offset)
		to := from + int64(b.length)
		if n := len(list) - 1; n >= 0 && from-list[n].to <= moveGap && to-list[n].from <= moveRange {
			list[n].to = max(list[n].to, to)
			list[n].blobs = append(list[n].blobs, b)
			continue
		}
		list = append(list, span{packBlobs: packBlobs{pack: want.pack, blobs: []packedBlob{b}}, from: from, to: to})
	}
	return list
}

// read gives every blob to use, which is called from several goroutines at once.
// The first error ends it.
func (m *mover) read(ctx context.Context, wants []packBlobs, use func(moved) error) error {
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(min(max(4, runtime.GOMAXPROCS(0)), 8))
	for _, want := range wants {
		for _, s := range spans(want) {
			if within.Err() != nil {
				break
			}
			g.Go(func() error { return m.span(within, s, use) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

func (m *mover) span(ctx context.Context, s span, use func(moved) error) error {
	whole := packBuffers.get()
	defer packBuffers.put(whole)
	data := *whole
	scratch := blobBuffers.get()
	defer scratch.recycle()
	var broken error
	if s.to-s.from > maxTreeBlob {
		broken = errTooLarge
	} else {
		if int64(cap(data)) < s.to-s.from {
			data = make([]byte, max(moveRange, s.to-s.from))
		}
		data = data[:s.to-s.from]
		if len(data) <= moveRange {
			*whole = data // for the next, which a very large blob's is not kept for
		}
		broken = storage.ReadRange(ctx, m.repo.store, handle(storage.Data, s.pack), data, s.from)
	}
	switch {
	case broken == nil, errors.Is(broken, errTooLarge):
	case errors.Is(broken, storage.ErrNotFound), errors.Is(broken, storage.ErrShort):
		broken = fmt.Errorf("its pack is missing or cut short: %w", broken)
	default:
		return broken
	}
	for _, b := range s.blobs {
		p := place{pack: s.pack, blob: b}
		out := moved{packedBlob: b}
		err := broken
		if err == nil {
			start := int64(b.offset) - s.from
			end := start + int64(b.length)
			out.room = data[start:end:end]
			out.plain, err = m.repo.decodeBlob(p, out.room, scratch)
		} else {
			err = m.repo.damage(p, err)
		}
		if err != nil && m.damaged != nil {
			if err := m.damaged(p, err); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			if out, err = m.elsewhere(ctx, p, err); err != nil {
				return err
			}
		}
		if err := use(out); err != nil {
			return err
		}
	}
	return nil
}

// elsewhere reads another copy of a blob, or the same once more.
func (m *mover) elsewhere(ctx context.Context, p place, damage error) (moved, error) {
	places := []place{p}
	if first, ok := m.index.lookup(p.blob.kind, p.blob.id); ok {
		places = append(places, first)
	}
	for _, other := range append(places, m.index.others(p.blob.kind, p.blob.id)...) {
		if other.blob.length > maxTreeBlob || other.blob.size() > maxTreeBlob {
			continue
		}
		room := make([]byte, other.blob.length)
		if err := storage.ReadRange(ctx, m.repo.store, handle(storage.Data, other.pack), room, int64(other.blob.offset)); err != nil {
			continue
		}
		if plain, err := m.repo.decodeBlob(other, room, new(blobBuffer)); err == nil {
			return moved{packedBlob: other.blob, plain: plain, room: room}, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return moved{}, err
	}
	return moved{}, damage
}

// carry stores a blob as it was stored, compressed or not, sealed with this
// repository's key; others may have stored what passes for a file, which is
// compressed. It returns the bytes added to a pack.
func (w *writer) carry(b moved) (int, error) {
	if b.packedBlob.plain == 0 && passesForFile(b.plain) {
		packed, size, err := appendRaw(make([]byte, crypto.IVSize, len(b.plain)+crypto.Overhead+64), b.plain)
		if err != nil {
			return 0, err
		}
		b.room = w.repo.key.SealInPlace(packed)
		b.packedBlob.plain, b.length = size, uint32(len(b.room))
		return len(b.room), w.append(b.packedBlob, b.room)
	}
	end := len(b.room)
	sealed := w.repo.key.SealInPlace(b.room[: end-(crypto.Overhead-crypto.IVSize) : end])
	b.length = uint32(len(sealed))
	return len(sealed), w.append(b.packedBlob, sealed)
}

// finish saves what is open, if err is nil, and waits for all that is under way.
// It returns what went wrong first.
func (w *writer) finish(err error) error {
	if err == nil {
		return w.flush()
	}
	if cause := context.Cause(w.ctx); cause != nil {
		err = cause // which is why the rest ended
	}
	w.fail(err)
	w.running.Wait()
	return err
}

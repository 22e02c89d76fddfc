package repository

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/repository/crypto"
	"lifeboat/internal/storage"
)

// readPacks reads the chosen packs and checks all that is in them.
func (c *checker) readPacks(ctx context.Context, choose func(all []ID) []ID) error {
	chosen := choose(slices.Collect(maps.Keys(c.sizes)))
	var total int64
	for _, id := range chosen {
		total += c.sizes[id]
	}
	slices.SortFunc(chosen, func(a, b ID) int { return slices.Compare(a[:], b[:]) })
	var done atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, id := range chosen {
		g.Go(func() error {
			if err := c.readPack(ctx, id, c.index.inPack(id)); err != nil {
				return err
			}
			n := done.Add(c.sizes[id])
			if c.opts.Progress != nil {
				c.opts.Progress(n, total)
			}
			return nil
		})
	}
	err := g.Wait()
	c.report.PacksRead, c.report.BytesRead = len(chosen), done.Load()
	return err
}

var packBuffers = newSpare(4, func() *[]byte { return new([]byte) })

// readPack checks one pack: its name, its header, and every blob.
func (c *checker) readPack(ctx context.Context, id ID, listed []packedBlob) error {
	size := c.sizes[id]
	if size > maxStored {
		c.pack(DamagedPack, id, &DamageError{What: "pack", ID: id, Err: errTooLarge}, nil)
		return nil
	}
	buf := packBuffers.get()
	defer packBuffers.put(buf)
	if int64(cap(*buf)) < size {
		*buf = make([]byte, size)
	}
	data := (*buf)[:size]
	err := storage.ReadRange(ctx, c.r.store, handle(storage.Data, id), data, 0)
	if damaging(err) {
		c.pack(DamagedPack, id, &DamageError{What: "pack", ID: id, Err: err}, listed)
		return nil
	}
	if err != nil {
		return err
	}
	var problems []error
	if Hash(data) != id {
		problems = append(problems, errors.New("its content does not match its name"))
	}
	var header []packedBlob
	length, err := headerLength(id, data, size)
	if err == nil {
		header, err = c.r.openHeader(id, data[size-length:], size)
	}
	if err != nil {
		problems = append(problems, err)
	}
	blobs := listed
	if err == nil {
		if lost := notIn(listed, header); len(lost) > 0 {
			problems = append(problems, fmt.Errorf("the index lists %d blobs that the header does not", len(lost)))
		}
		if len(listed) == 0 {
			blobs = header
		}
	}
	var lost []packedBlob
	scratch := blobBuffers.get()
	defer scratch.recycle()
	for _, b := range blobs {
		end := int64(b.offset) + int64(b.length)
		if end > size || b.length < crypto.Overhead || b.size() > maxTreeBlob {
			lost = append(lost, b)
			continue
		}
		if _, err := c.r.decodeBlob(place{pack: id, blob: b}, data[b.offset:end], scratch); err != nil {
			lost = append(lost, b)
		}
	}
	if len(lost) > 0 {
		problems = append(problems, fmt.Errorf("%d of %d blobs cannot be read", len(lost), len(blobs)))
	}
	if len(problems) > 0 {
		c.pack(DamagedPack, id, &DamageError{What: "pack", ID: id, Err: errors.Join(problems...)}, lost)
	}
	return nil
}

// notIn returns the entries of a that b does not have.
func notIn(a, b []packedBlob) (lost []packedBlob) {
	have := make(map[packedBlob]bool, len(b))
	for _, e := range b {
		have[e] = true
	}
	for _, e := range a {
		if !have[e] {
			lost = append(lost, e)
		}
	}
	return lost
}

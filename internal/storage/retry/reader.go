package retry

import (
	"context"
	"fmt"
	"io"

	"lifeboat/internal/storage"
)

// regained is how many bytes must have come for attempts to be counted from
// one again. A server that sends a byte per request is not one that works.
const regained = 1 << 20

// Load opens the range of a file. A read that breaks off goes on where it was;
// files never change, so the parts belong together.
func (s *store) Load(ctx context.Context, h storage.Handle, offset, length int64) (io.ReadCloser, error) {
	if err := storage.ValidRange(h, offset, length); err != nil {
		return nil, err
	}
	ctx, done := s.bounded(ctx)
	r := &reader{store: s, ctx: ctx, done: done, handle: h, offset: offset, length: length, tries: s.tries()}
	for {
		err := r.open()
		if err == nil {
			return r, nil
		}
		if !r.tries.again(ctx, err) {
			err = r.tries.final(ctx, err)
			done()
			return nil, err
		}
	}
}

type reader struct {
	store  *store
	ctx    context.Context
	done   func() // gives the context up
	handle storage.Handle
	offset int64
	length int64 // 0 is to the end
	tries  tries

	now    io.ReadCloser
	read   int64 // from offset
	since  int64 // of it since attempts were counted from one
	broken error // what the last request ended with, to be tried again
	err    error // what the reader ended with
}

func (r *reader) open() (err error) {
	length := r.length
	if length > 0 {
		length -= r.read
	}
	r.now, err = r.store.Store.Load(r.ctx, r.handle, r.offset+r.read, length)
	return err
}

// Read reads on, by another request if need be.
func (r *reader) Read(p []byte) (int, error) {
	for r.err == nil {
		if r.length > 0 && r.read == r.length {
			r.err = io.EOF
			break
		}
		if r.broken != nil && !r.tries.again(r.ctx, r.broken) {
			r.err = fmt.Errorf("read %s: %w", r.handle, r.tries.final(r.ctx, r.broken))
			break
		}
		r.broken = nil
		if r.now == nil {
			if r.broken = r.open(); r.broken != nil {
				continue
			}
		}
		n, err := r.now.Read(p)
		r.read += int64(n)
		r.since += int64(n)
		if r.since >= regained {
			r.since, r.tries.made = 0, 0
		}
		switch {
		case err == io.EOF:
			r.err = err
			return n, err
		case err != nil:
			r.drop()
			r.broken = err
		}
		if n > 0 || err == nil {
			return n, nil
		}
	}
	return 0, r.err
}

func (r *reader) drop() {
	if r.now != nil {
		r.now.Close()
		r.now = nil
	}
}

// Close gives up the request.
func (r *reader) Close() error {
	defer r.done()
	if r.now == nil {
		return nil
	}
	return r.now.Close()
}

// Package faulty wraps a store and makes it fail the ways that disks and
// networks fail: full, cut short, bytes turned over, gone in the middle. It is
// for tests only.
package faulty

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"lifeboat/internal/storage"
)

// Store passes calls on to another store until a fault is due. Its fields are
// set before it is used.
type Store struct {
	storage.Store

	// Before is called before every operation with the number it has, from 1; an
	// error is the result of the operation. It may also end the process.
	Before func(n int, op string, h storage.Handle) error
	// OnSave may change what is saved: a bit turned over on the way.
	OnSave func(h storage.Handle, data []byte) []byte
	// OnLoad may change what was read: turned over, or cut short.
	OnLoad func(h storage.Handle, offset int64, data []byte) []byte
	// AfterSave is called when a file was saved; an error is the result, as when
	// a connection breaks before the answer arrives.
	AfterSave func(h storage.Handle) error

	mu    sync.Mutex
	calls int
	space int64 // bytes that may still be saved; negative is no limit
}

// Wrap returns a store without faults.
func Wrap(s storage.Store) *Store { return &Store{Store: s, space: -1} }

// Space limits how many bytes may still be saved; then every Save fails with
// ErrNoSpace. A negative number takes the limit away.
func (f *Store) Space(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.space = n
}

// Calls is how many operations there were.
func (f *Store) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func (f *Store) step(op string, h storage.Handle) error {
	f.mu.Lock()
	f.calls++
	n := f.calls
	f.mu.Unlock()
	if f.Before == nil {
		return nil
	}
	return f.Before(n, op, h)
}

// Save passes on, or fails.
func (f *Store) Save(ctx context.Context, h storage.Handle, data []byte) error {
	if err := f.step("save", h); err != nil {
		return err
	}
	f.mu.Lock()
	if f.space >= 0 {
		if int64(len(data)) > f.space {
			f.space = 0
			f.mu.Unlock()
			return fmt.Errorf("save %s: %w", h, storage.ErrNoSpace)
		}
		f.space -= int64(len(data))
	}
	f.mu.Unlock()
	if f.OnSave != nil {
		data = f.OnSave(h, bytes.Clone(data))
	}
	if err := f.Store.Save(ctx, h, data); err != nil {
		return err
	}
	if f.AfterSave != nil {
		return f.AfterSave(h)
	}
	return nil
}

// Load passes on, or fails.
func (f *Store) Load(ctx context.Context, h storage.Handle, offset, length int64) (io.ReadCloser, error) {
	if err := f.step("load", h); err != nil {
		return nil, err
	}
	r, err := f.Store.Load(ctx, h, offset, length)
	if err != nil || f.OnLoad == nil {
		return r, err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(f.OnLoad(h, offset, data))), nil
}

// Stat passes on, or fails.
func (f *Store) Stat(ctx context.Context, h storage.Handle) (storage.Info, error) {
	if err := f.step("stat", h); err != nil {
		return storage.Info{}, err
	}
	return f.Store.Stat(ctx, h)
}

// List passes on, or fails.
func (f *Store) List(ctx context.Context, t storage.Type, visit func(storage.Info) error) error {
	if err := f.step("list", storage.Handle{Type: t}); err != nil {
		return err
	}
	return f.Store.List(ctx, t, visit)
}

// Remove passes on, or fails.
func (f *Store) Remove(ctx context.Context, h storage.Handle) error {
	if err := f.step("remove", h); err != nil {
		return err
	}
	return f.Store.Remove(ctx, h)
}

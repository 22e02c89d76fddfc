package faulty

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"lifeboat/internal/storage"
)

// Memory is a store that lives as long as the process: quick, always the same,
// and open to be looked into and tampered with. Lists come sorted, so that what
// a test does depends on nothing but its seed.
type Memory struct {
	mu    sync.Mutex
	files map[storage.Handle][]byte
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{files: make(map[storage.Handle][]byte)} }

// Location names no place.
func (m *Memory) Location() string { return "memory" }

// Close does nothing: the files stay.
func (m *Memory) Close() error { return nil }

// Save keeps a copy of data.
func (m *Memory) Save(ctx context.Context, h storage.Handle, data []byte) error {
	if err := check(ctx, h); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.files[h]; taken {
		return fmt.Errorf("save %s: %w", h, storage.ErrExists)
	}
	m.files[h] = bytes.Clone(data)
	return nil
}

// Load returns a range of a file.
func (m *Memory) Load(ctx context.Context, h storage.Handle, offset, length int64) (io.ReadCloser, error) {
	if err := check(ctx, h); err != nil {
		return nil, err
	}
	if offset < 0 || length < 0 {
		return nil, fmt.Errorf("load %s: negative range", h)
	}
	data, found := m.Get(h)
	if !found {
		return nil, fmt.Errorf("load %s: %w", h, storage.ErrNotFound)
	}
	size := int64(len(data))
	if offset > size || length > size-offset {
		return nil, fmt.Errorf("load %s: %w", h, storage.ErrShort)
	}
	data = data[offset:]
	if length > 0 {
		data = data[:length]
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// Stat returns the size of a file.
func (m *Memory) Stat(ctx context.Context, h storage.Handle) (storage.Info, error) {
	if err := check(ctx, h); err != nil {
		return storage.Info{}, err
	}
	data, found := m.Get(h)
	if !found {
		return storage.Info{}, fmt.Errorf("stat %s: %w", h, storage.ErrNotFound)
	}
	return storage.Info{Name: h.Name, Size: int64(len(data))}, nil
}

// List visits the files that were there when it was called, in order.
func (m *Memory) List(ctx context.Context, t storage.Type, visit func(storage.Info) error) error {
	if err := storage.ValidList(t); err != nil {
		return err
	}
	for _, h := range m.Handles(t) {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, found := m.Get(h)
		if !found {
			continue
		}
		if err := visit(storage.Info{Name: h.Name, Size: int64(len(data))}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Remove deletes a file.
func (m *Memory) Remove(ctx context.Context, h storage.Handle) error {
	if err := check(ctx, h); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, found := m.files[h]; !found {
		return fmt.Errorf("remove %s: %w", h, storage.ErrNotFound)
	}
	delete(m.files, h)
	return nil
}

func check(ctx context.Context, h storage.Handle) error {
	if err := h.Validate(); err != nil {
		return err
	}
	return ctx.Err()
}

// Get returns what a file holds; it must not be changed.
func (m *Memory) Get(h storage.Handle) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, found := m.files[h]
	return data, found
}

// Put places a file behind everybody's back, as no honest store would.
func (m *Memory) Put(h storage.Handle, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[h] = bytes.Clone(data)
}

// Handles lists the files of a sort by name.
func (m *Memory) Handles(t storage.Type) []storage.Handle {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := slices.Collect(maps.Keys(m.files))
	list = slices.DeleteFunc(list, func(h storage.Handle) bool { return h.Type != t })
	slices.SortFunc(list, func(a, b storage.Handle) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Dump writes all files below a directory, in the format's default layout.
func (m *Memory) Dump(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for h, data := range m.files {
		path := filepath.Join(dir, filepath.FromSlash(h.Path()))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return err
		}
	}
	for _, t := range storage.Types {
		if err := os.MkdirAll(filepath.Join(dir, t.Dir()), 0o700); err != nil {
			return err
		}
	}
	return nil
}

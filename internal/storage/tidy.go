package storage

import (
	"context"
	"os"
	"path/filepath"
	"slices"
)

// Tidier is a store that makes directories for its files.
type Tidier interface {
	// Tidy removes the directories below the root that are empty, for those who
	// tried a place out, and the root with those above it if this store made
	// them. The next Save makes them again.
	Tidy(ctx context.Context) error
}

// Tidy removes empty directories of the layout, and those it made for it.
func (l *Local) Tidy(ctx context.Context) error {
	if l.readOnly {
		return ErrReadOnly
	}
	defer l.forget()
	for _, t := range Types {
		dir := filepath.Join(l.root, t.Dir())
		if t == Data {
			entries, err := os.ReadDir(dir)
			if err != nil && !os.IsNotExist(err) {
				return err
			}
			for _, e := range entries {
				if err := ctx.Err(); err != nil {
					return err
				}
				if len(e.Name()) == 2 && e.IsDir() {
					_ = os.Remove(filepath.Join(dir, e.Name())) // refused where something is in it
				}
			}
		}
		_ = os.Remove(dir)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, dir := range slices.Backward(l.ours) {
		_ = os.Remove(dir)
	}
	l.ours = nil
	return nil
}

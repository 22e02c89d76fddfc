package storage

import (
	"context"
	"os"
	"path/filepath"
)

// Tidier is a store that makes directories for its files.
type Tidier interface {
	// Tidy removes the directories below the root that are empty, for those who
	// tried a place out. The next Save makes them again.
	Tidy(ctx context.Context) error
}

// Tidy removes empty directories of the layout.
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
	return nil
}

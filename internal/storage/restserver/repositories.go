package restserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"lifeboat/internal/storage"
)

// Directory serves the repositories in directories below root, which are made
// with their first file. A request's path has plain segments only, so none leads
// out of it; symbolic links are the administrator's, as no client can make one.
func Directory(root string) Repositories { return directory(root) }

type directory string

func (d directory) Open(_ context.Context, path string) (storage.Store, error) {
	return storage.OpenLocal(filepath.Join(string(d), filepath.FromSlash(path)), storage.Options{})
}

func (d directory) Usage(ctx context.Context, space string) (int64, error) {
	var total int64
	root := filepath.Join(string(d), space)
	err := filepath.WalkDir(root, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // not made yet, or removed meanwhile
		}
		if err != nil {
			return err
		}
		if entry.Type().IsRegular() {
			info, err := entry.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			total += info.Size()
		}
		return ctx.Err()
	})
	return total, err
}

// Single serves one store, at the root.
func Single(store storage.Store) Repositories { return single{store} }

type single struct{ store storage.Store }

func (s single) Open(_ context.Context, path string) (storage.Store, error) {
	if path != "" {
		return nil, fmt.Errorf("repository %q: %w", path, storage.ErrNotFound)
	}
	return s.store, nil
}

func (s single) Usage(ctx context.Context, _ string) (int64, error) {
	var total int64
	for _, t := range storage.Types {
		err := s.store.List(ctx, t, func(info storage.Info) error {
			total += info.Size
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return total, nil
}

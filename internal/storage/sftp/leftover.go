package sftp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"

	"github.com/pkg/sftp"
	"golang.org/x/sync/errgroup"

	"lifeboat/internal/storage"
)

// looks is how many directories are read at once, to hide how long a distant server
// takes to answer.
const looks = 8

// Leftovers lists what uploads have left that were broken off.
func (s *Store) Leftovers(ctx context.Context, visit func(storage.Leftover) error) error {
	dirs := []string{""}
	for _, t := range storage.Types {
		dirs = append(dirs, t.Dir())
	}
	subs, err := s.readDir(ctx, path.Join(s.place.Path, storage.Data.Dir()))
	if err != nil {
		return fmt.Errorf("look for leftovers of uploads: %w", err)
	}
	for _, sub := range subs {
		if sub.IsDir() && len(sub.Name()) == 2 {
			dirs = append(dirs, path.Join(storage.Data.Dir(), sub.Name()))
		}
	}
	var mu sync.Mutex // of visit
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(looks)
	for _, dir := range dirs {
		g.Go(func() error {
			entries, err := s.readDir(ctx, path.Join(s.place.Path, dir))
			if err != nil {
				return fmt.Errorf("look for leftovers of uploads: %w", err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, e := range entries {
				if !e.Mode().IsRegular() || !storage.LeftoverName(e.Name()) {
					continue
				}
				if err := visit(storage.Leftover{Path: path.Join(dir, e.Name()), Size: e.Size(), Time: e.ModTime()}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// Sweep removes a leftover.
func (s *Store) Sweep(ctx context.Context, left storage.Leftover) error {
	if err := left.Valid(); err != nil {
		return err
	}
	if s.opts.ReadOnly {
		return fmt.Errorf("remove %s: %w", left.Path, storage.ErrReadOnly)
	}
	err := s.with(ctx, func(c *sftp.Client) error { return c.Remove(path.Join(s.place.Path, left.Path)) })
	if errors.Is(err, fs.ErrNotExist) {
		err = storage.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", left.Path, err)
	}
	return nil
}

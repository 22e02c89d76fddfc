package sftp

import (
	"context"
	"path"
	"slices"

	"github.com/pkg/sftp"

	"lifeboat/internal/storage"
)

// Tidy removes empty directories of the layout, and those it made for it.
func (s *Store) Tidy(ctx context.Context) error {
	if s.opts.ReadOnly {
		return storage.ErrReadOnly
	}
	data := path.Join(s.place.Path, storage.Data.Dir())
	entries, err := s.readDir(ctx, data)
	if err != nil {
		return err
	}
	var dirs []string
	for _, e := range entries {
		if len(e.Name()) == 2 && e.IsDir() {
			dirs = append(dirs, path.Join(data, e.Name()))
		}
	}
	for _, t := range storage.Types {
		dirs = append(dirs, path.Join(s.place.Path, t.Dir()))
	}
	s.dirs.mu.Lock()
	for _, dir := range slices.Backward(s.dirs.ours) {
		dirs = append(dirs, dir)
	}
	s.dirs.ours = nil
	clear(s.dirs.made)
	s.dirs.mu.Unlock()
	return s.with(ctx, func(c *sftp.Client) error {
		for _, dir := range dirs {
			_ = c.RemoveDirectory(dir) // refused where something is in it
		}
		return ctx.Err()
	})
}

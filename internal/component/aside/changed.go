package aside

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"lifeboat/internal/component"
)

// Changed lists what others changed or added, after since, at the places of the
// restored entries; paths are those of this process. Directories are not listed:
// what is new in one is. Nor is what sessions keep there, and what is at or below
// theirs, places of the machine at or inside a restored entry that belong to others. With
// killed set only changed content counts: a step that was killed may have set owners
// after since.
func (s *Session) Changed(ctx context.Context, since time.Time, killed bool, theirs ...string) ([]string, error) {
	if s.Phase() != Restored {
		return nil, ctx.Err()
	}
	s.known = !killed && !since.IsZero()
	var changed []string
	for _, r := range s.log.all(doSwap) {
		err := filepath.WalkDir(s.outer(r.Path), func(path string, entry fs.DirEntry, err error) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			at := s.inner(path)
			switch {
			case at != string(r.Path) && strings.HasPrefix(entry.Name(), Prefix), slices.Contains(theirs, at):
				if entry.IsDir() {
					return fs.SkipDir
				}
				return nil
			case entry.IsDir():
				return nil
			}
			info, err := os.Lstat(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			// A new name or owner changes only the inode's own time.
			st, ok := info.Sys().(*syscall.Stat_t)
			touched := ok && time.Unix(st.Ctim.Unix()).After(since)
			if touched && (!killed || info.ModTime().After(since)) {
				changed = append(changed, path)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return changed, nil
}

// Replaced tells whether path, of the machine, is in the place of a replaced entry.
func (s *Session) Replaced(path string) (bool, error) {
	if s.Phase() == Untouched {
		return false, nil
	}
	real, err := s.host.Path(path)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(s.log.all(doSwap), func(r record) bool { return Below(s.inner(real), string(r.Path)) }), nil
}

// Held tells where the session has set aside what was there, as this process sees it.
func (s *Session) Held(ctx context.Context) ([]component.Held, error) {
	var held []component.Held
	if phase := s.Phase(); phase != Restored && phase != Replacing {
		return nil, ctx.Err()
	}
	for _, r := range s.log.all(doStage) {
		dir := s.outer(r.Aside)
		if !isDir(dir) {
			continue
		}
		bytes, err := size(ctx, dir)
		if err != nil {
			return nil, fmt.Errorf("look at what was set aside: %w", err)
		}
		held = append(held, component.Held{Place: dir, Bytes: bytes})
	}
	return held, nil
}

// size sums up the sizes of the files below dir, in bytes, hard links counted once.
func size(ctx context.Context, dir string) (int64, error) {
	var sum int64
	linked := map[[2]uint64]bool{}
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
			id := [2]uint64{uint64(st.Dev), st.Ino}
			if linked[id] {
				return nil
			}
			linked[id] = true
		}
		sum += info.Size()
		return nil
	})
	return sum, err
}

// Put lists the places of the machine at which the session has put something, also
// once that is taken back.
func (s *Session) Put() []string {
	var places []string
	if len(s.log.all(doPlanned)) > 0 {
		for _, r := range s.log.all(doSwap) {
			places = append(places, string(r.Path))
		}
	}
	return places
}

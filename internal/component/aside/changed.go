package aside

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Changed lists what others changed or added, after since, at the places of the
// restored entries; paths are those of this process. Directories are not listed:
// what is new in one is. With killed set only changed content counts: a step that
// was killed may have set owners after since.
func (s *Session) Changed(ctx context.Context, since time.Time, killed bool) ([]string, error) {
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
			if err != nil || entry.IsDir() {
				return err
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

// Kept lists where a rollback has left what others changed.
func (s *Session) Kept() []string {
	var kept []string
	for _, r := range s.log.all(doFound) {
		if path := s.outer(r.Aside); exists(path) {
			kept = append(kept, path)
		}
	}
	return kept
}

package aside

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lifeboat/internal/component/boundary"
)

// FoundPrefix begins the names of the directories in which rollbacks leave what others
// have changed.
const FoundPrefix = Prefix + "found-"

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

// found is where a replaced entry goes that others have changed.
func (s *Session) found(r record) string {
	top := filepath.Dir(s.placeOf(r))
	name, err := filepath.Rel(top, s.outer(r.Path))
	if err != nil || !filepath.IsLocal(name) {
		name = filepath.Base(s.outer(r.Path))
	}
	return filepath.Join(top, FoundPrefix+s.id, name)
}

// spare brings what rollbacks of other sessions have kept out of a tree that was taken
// away: to the same place of what stands at path again, or to what is there above it.
func (s *Session) spare(ctx context.Context, away, path string) error {
	if away == "" {
		return nil
	}
	err := filepath.WalkDir(away, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !entry.IsDir() || name == away || !strings.HasPrefix(entry.Name(), FoundPrefix) {
			return err
		}
		same := path + name[len(away):]
		dir := filepath.Dir(same)
		for !isDir(dir) {
			dir = filepath.Dir(dir)
		}
		to := filepath.Join(dir, entry.Name())
		for n := 2; exists(to); n++ {
			to = filepath.Join(dir, fmt.Sprintf("%s-%d", entry.Name(), n))
		}
		if to != same {
			if err := s.add(ctx, record{Do: doFound, Path: s.inside(to), Aside: s.inside(to)}); err != nil {
				return err
			}
		}
		if err := move(name, to); err != nil {
			return err
		}
		boundary.Reached(ctx, "what was kept brought out")
		return fs.SkipDir
	})
	if err != nil {
		return fmt.Errorf("bring what was kept of others out of %s: %w", away, err)
	}
	return nil
}

// isDir tells whether a directory, and no link to one, is at path.
func isDir(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}

// dropFound removes what the rollback has kept of others.
func (s *Session) dropFound(ctx context.Context) error {
	for _, r := range s.log.all(doFound) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := DropFound(s.outer(r.Aside)); err != nil {
			return err
		}
		boundary.Reached(ctx, "what was kept removed")
	}
	return nil
}

// DropFound removes an entry that was left in a directory of FoundPrefix, and that
// directory when nothing else is in it. It refuses any other path.
func DropFound(path string) error {
	if !strings.Contains(path, "/"+FoundPrefix) {
		return fmt.Errorf("%s was not kept by a rollback; it stays", path)
	}
	if err := removeTree(path); err != nil {
		return fmt.Errorf("remove what was kept of others: %w", err)
	}
	for dir := path; !strings.HasPrefix(filepath.Base(dir), FoundPrefix); {
		dir = filepath.Dir(dir)
		if os.Remove(dir) != nil {
			break // something else is in it, or it is gone
		}
	}
	return nil
}

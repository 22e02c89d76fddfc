package aside

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"lifeboat/internal/component/boundary"
)

// Rollback reverses what was done, from any phase: what had been set aside
// stands in its place again, what had come in is removed, and directories have
// their former metadata and times. What others put in the place of a replaced
// entry meanwhile is not removed but left in a directory named .lifeboat-found-…,
// and so are entries with anything at or below the given paths, see Changed.
// Without a plan or staging it does nothing; after a Discard it is ErrDiscarded.
func (s *Session) Rollback(ctx context.Context, changed ...string) error {
	switch s.Phase() {
	case Discarded:
		return ErrDiscarded
	case Untouched:
		if n := len(s.log.records); n == 0 || s.log.records[n-1].Do == doRolledBack {
			return ctx.Err()
		}
	}
	if s.Phase() != RollingBack {
		r := record{Do: doRollback, Known: s.known}
		for _, path := range changed {
			r.Keep = append(r.Keep, s.inside(path))
		}
		if err := s.add(ctx, r); err != nil {
			return err
		}
	}
	if err := s.reverse(ctx); err != nil {
		return err
	}
	if err := s.dropStaging(); err != nil {
		return err
	}
	for _, r := range s.log.all(doStage) {
		if err := removeEmpty(s.outer(r.Aside)); err != nil {
			return fmt.Errorf("remove what held set-aside entries: %w", err)
		}
	}
	boundary.Reached(ctx, "directories of the run removed")
	for _, r := range slices.Backward(s.log.all(doMkdir)) {
		// One that is not empty holds what others put there, and stays.
		err := os.Remove(s.outer(r.Path))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.EBUSY) {
			return fmt.Errorf("remove a directory made for the restore: %w", err)
		}
		boundary.Reached(ctx, "parent removed")
	}
	for _, r := range s.log.all(doTouch) {
		if err := r.Meta.applyTime(s.outer(r.Path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.add(ctx, record{Do: doRolledBack})
}

// reverse reverses swaps and metadata. That it is complete is journaled,
// because once the staging directories are gone nothing tells that an entry
// was reversed.
func (s *Session) reverse(ctx context.Context) error {
	if len(s.log.all(doReversed)) > 0 {
		return nil
	}
	// Swaps of a plan that was never complete were not begun.
	if len(s.log.all(doPlanned)) > 0 {
		for _, r := range slices.Backward(s.log.all(doSwap)) {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := s.unswap(ctx, r); err != nil {
				return err
			}
		}
		for _, r := range slices.Backward(s.log.all(doMeta)) {
			if err := r.Meta.apply(s.outer(r.Path)); err != nil {
				return fmt.Errorf("set owner, mode and attributes back: %w", err)
			}
			boundary.Reached(ctx, "metadata set back")
		}
	}
	if err := s.flush(); err != nil {
		return err
	}
	return s.add(ctx, record{Do: doReversed})
}

// unswap makes the reverse moves of one entry that are not made yet.
func (s *Session) unswap(ctx context.Context, r record) error {
	path, staged, aside := s.outer(r.Path), s.outer(r.New), s.outer(r.Aside)
	came := staged != "" && !exists(staged)
	found := s.found(r)
	switch {
	case s.log.has(doFound, string(r.Path)): // killed on the way, or taken away already
		if exists(path) && !exists(found) {
			if err := s.take(ctx, path, found); err != nil {
				return err
			}
		}
	case exists(path) && (came || exists(aside)):
		to := staged
		if !came || s.keeps(r) || inode(path) != r.Inode && !s.knows() {
			to = found
			if err := s.add(ctx, record{Do: doFound, Path: r.Path, Aside: s.inside(found)}); err != nil {
				return err
			}
		}
		if err := s.take(ctx, path, to); err != nil {
			return err
		}
	}
	if exists(aside) {
		if err := move(aside, path); err != nil {
			return fmt.Errorf("bring %s back: %w", path, err)
		}
		boundary.Reached(ctx, "entry brought back")
	}
	for _, away := range []string{staged, found} {
		if err := s.spare(ctx, away, path); err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) take(ctx context.Context, path, to string) error {
	err := os.MkdirAll(filepath.Dir(to), 0o700)
	if err == nil {
		err = move(path, to)
	}
	if err != nil {
		return fmt.Errorf("take %s away: %w", path, err)
	}
	boundary.Reached(ctx, "entry taken away")
	return nil
}

// keeps tells whether others have changed something at or below an entry.
func (s *Session) keeps(r record) bool {
	for _, rollback := range s.log.all(doRollback) {
		for _, changed := range rollback.Keep {
			if changed == r.Path || Below(string(changed), string(r.Path)) {
				return true
			}
		}
	}
	return false
}

// knows tells whether it was seen what others changed: then another inode is of a
// later step of the run itself, which wrote the file anew.
func (s *Session) knows() bool {
	return slices.ContainsFunc(s.log.all(doRollback), func(r record) bool { return r.Known })
}

// placeOf is the aside directory that a swap's entry goes to.
func (s *Session) placeOf(r record) string {
	for _, stage := range s.log.all(doStage) {
		if Below(string(r.Aside), string(stage.Aside)) {
			return s.outer(stage.Aside)
		}
	}
	return filepath.Dir(s.outer(r.Aside))
}

// Discard removes what was set aside; after a rollback, what that has kept of others.
// It does nothing without a restore and refuses while one is unfinished.
func (s *Session) Discard(ctx context.Context) error {
	switch s.Phase() {
	case Untouched:
		if n := len(s.log.records); n > 0 && s.log.records[n-1].Do == doRolledBack {
			return s.dropFound(ctx)
		}
		return ctx.Err()
	case Replacing, RollingBack:
		return fmt.Errorf("cannot discard what was set aside: the restore is unfinished (%s); resume it or roll it back first", s.Phase())
	case Restored:
		if err := s.add(ctx, record{Do: doDiscard}); err != nil {
			return err
		}
	case Discarded:
		if s.log.records[len(s.log.records)-1].Do == doDiscarded {
			return ctx.Err()
		}
	}
	for _, r := range s.log.all(doStage) {
		if err := ctx.Err(); err != nil {
			return err
		}
		dir := s.outer(r.Aside)
		parent, err := metadataOf(filepath.Dir(dir))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := removeTree(dir); err != nil {
			return fmt.Errorf("discard what was set aside: %w", err)
		}
		// The directory around it was not changed by anyone else just now.
		if err := parent.applyTime(filepath.Dir(dir)); err != nil {
			return err
		}
		boundary.Reached(ctx, "set-aside entries removed")
	}
	return s.add(ctx, record{Do: doDiscarded})
}

// removeEmpty removes a tree of directories only; it fails at anything else.
func removeEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			return fmt.Errorf("%s was not brought back", filepath.Join(dir, entry.Name()))
		}
		if err := removeEmpty(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return os.Remove(dir)
}

func inode(path string) uint64 {
	info, err := os.Lstat(path)
	if err != nil {
		return 0
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}

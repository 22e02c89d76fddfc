package aside

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"lifeboat/internal/component/boundary"
)

// Plan is what a Commit does: entries that are replaced and directories that
// stay. All paths are those of this process.
type Plan struct {
	Swaps []Swap
	Keeps []Keep
}

// Swap replaces one directory entry.
type Swap struct {
	Path  string // the entry; it need not be there
	New   string // what comes in its place, in a staging directory; "" when nothing does
	Aside string // where a present entry goes, below the Aside of the same mount's Place
}

// Keep is a directory that stays where it is, being a mount point or above one,
// and takes over the metadata of another.
type Keep struct {
	Path string
	Like string
}

// Commit carries the plan out. From its first durable record on, Resume
// completes it and Rollback reverses it.
func (s *Session) Commit(ctx context.Context, plan Plan) error {
	if phase := s.Phase(); phase != Untouched {
		return fmt.Errorf("a plan is there already: %s", phase)
	}
	var records []record
	for _, swap := range plan.Swaps {
		r := record{Do: doSwap, Path: s.inside(swap.Path), New: s.inside(swap.New), Aside: s.inside(swap.Aside)}
		if swap.New == "" {
			r.New = ""
		} else if info, err := os.Lstat(swap.New); err != nil {
			return fmt.Errorf("staged for %s: %w", swap.Path, err)
		} else if st, ok := info.Sys().(*syscall.Stat_t); ok {
			r.Inode = st.Ino
		}
		if err := s.touch(ctx, filepath.Dir(swap.Path)); err != nil {
			return err
		}
		records = append(records, r)
	}
	for _, keep := range plan.Keeps {
		was, err := metadataOf(keep.Path)
		if err != nil {
			return err
		}
		like, err := metadataOf(keep.Like)
		if err != nil {
			return err
		}
		records = append(records, record{Do: doMeta, Path: s.inside(keep.Path), Meta: was, Like: like})
	}
	// What is staged has to be on disk before anything names it.
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.add(ctx, append(records, record{Do: doPlanned})...); err != nil {
		return err
	}
	return s.Resume(ctx)
}

// Resume completes a plan that was interrupted. It does nothing in other phases
// than Replacing.
func (s *Session) Resume(ctx context.Context) error {
	if s.Phase() != Replacing {
		return ctx.Err()
	}
	for _, r := range s.log.all(doSwap) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.swap(ctx, s.outer(r.Path), s.outer(r.New), s.outer(r.Aside)); err != nil {
			return err
		}
	}
	for _, r := range s.log.all(doMeta) {
		if err := r.Like.apply(s.outer(r.Path)); err != nil {
			return fmt.Errorf("set owner, mode and attributes: %w", err)
		}
		boundary.Reached(ctx, "metadata set")
	}
	if err := s.dropStaging(); err != nil {
		return err
	}
	boundary.Reached(ctx, "staging directory removed")
	for _, r := range append(s.log.all(doDressed), s.log.all(doMeta)...) {
		if err := r.Like.applyTime(s.outer(r.Path)); err != nil {
			return err
		}
	}
	if err := s.flush(); err != nil {
		return err
	}
	return s.add(ctx, record{Do: doRestored})
}

// swap makes the moves of one entry that are not made yet. Whether they are is
// seen from what stands where: an entry that is in its staging place has not
// come in.
func (s *Session) swap(ctx context.Context, path, staged, aside string) error {
	if staged != "" && !exists(staged) {
		return nil
	}
	if exists(path) {
		if exists(aside) {
			if staged == "" {
				return nil
			}
			return fmt.Errorf("%s appeared while it was being replaced: is the system running? Stop it, move the file away and resume", path)
		}
		if err := os.MkdirAll(filepath.Dir(aside), 0o700); err != nil {
			return fmt.Errorf("set %s aside: %w", path, err)
		}
		boundary.Reached(ctx, "aside directory made")
		if err := move(path, aside); err != nil {
			return fmt.Errorf("set %s aside: %w", path, err)
		}
		boundary.Reached(ctx, "entry set aside")
	}
	if staged == "" {
		return nil
	}
	if err := move(staged, path); err != nil {
		return fmt.Errorf("put %s in place: %w", path, err)
	}
	boundary.Reached(ctx, "entry put in place")
	return nil
}

// move renames and never replaces what is at the new name.
func move(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		// Kernels before 3.15 and some file systems know no flags.
		if exists(to) {
			return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
		}
		err = unix.Rename(from, to)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EXDEV):
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fmt.Errorf("%w (an overlay without redirect_dir cannot rename its directories)", err)}
	case errors.Is(err, unix.EBUSY):
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fmt.Errorf("%w (something is mounted there; unmount it)", err)}
	}
	return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
}

// flush writes every mount that the session works in to disk.
func (s *Session) flush() error {
	done := map[uint64]bool{}
	for _, r := range s.log.all(doStage) {
		dir := filepath.Dir(s.outer(r.Path))
		if err := syncMount(dir, done); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("write %s to disk: %w", dir, err)
		}
	}
	return nil
}

// syncMount writes the file system of a directory to disk, unless it is done.
func syncMount(dir string, done map[uint64]bool) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(d.Fd()), &st); err != nil {
		return err
	}
	if done[st.Dev] {
		return nil
	}
	done[st.Dev] = true
	return unix.Syncfs(int(d.Fd()))
}

// dropStaging removes the staging directories and what is left in them.
func (s *Session) dropStaging() error {
	for _, r := range s.log.all(doStage) {
		if err := removeTree(s.outer(r.Path)); err != nil {
			return fmt.Errorf("remove staging directory: %w", err)
		}
	}
	return nil
}

// removeTree removes a tree that the session made, unless something has been
// mounted in it since.
func removeTree(dir string) error {
	mounts, err := Mounts(dir)
	if err != nil {
		return err
	}
	if len(mounts) > 0 {
		return fmt.Errorf("%s is mounted there; unmount it first", mounts[0])
	}
	return os.RemoveAll(dir)
}

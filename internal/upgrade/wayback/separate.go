package wayback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"lifeboat/internal/component/boundary"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/wayback/inventory"
	"lifeboat/internal/upgrade/wayback/subvolume"
)

// Separate makes the directory of runs and journals a subvolume of its own where it
// would otherwise go back with its root. It has to be called while no run uses it, and
// refuses to act when a program has a file of it open. On other file systems, and where
// it is separate already, it does nothing. Killed anywhere, it can be repeated.
func Separate(ctx context.Context, t Target) error {
	if err := separate(ctx, t); err != nil {
		return fmt.Errorf("keep the journals in %s apart from the root: %w", t.State, err)
	}
	return nil
}

func separate(ctx context.Context, t Target) error {
	_, in, err := t.within()
	if err != nil || !in {
		return err
	}
	if err := os.MkdirAll(t.State, 0o700); err != nil {
		return err
	}
	state, err := filepath.EvalSymlinks(t.State)
	if err != nil {
		return err
	}
	if on, err := subvolume.On(state); err != nil || !on {
		return err
	}
	// A beginning of an attempt that was killed: a subvolume that is not complete, or
	// the directory that it has replaced.
	other := state + ".separating"
	switch is, err := subvolume.Is(other); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case is:
		err = subvolume.DeleteAll(other)
		if err != nil {
			return err
		}
	default:
		if err := os.RemoveAll(other); err != nil {
			return err
		}
	}
	if is, err := subvolume.Is(state); err != nil || is {
		return err
	}
	if err := idle(state); err != nil {
		return err
	}
	var list bytes.Buffer
	if _, err := inventory.Take(ctx, state, inventory.Options{}, &list); err != nil {
		return err
	}
	if err := subvolume.Create(other); err != nil {
		return err
	}
	boundary.Reached(ctx, "state subvolume made")
	if err := clone(state, other); err != nil {
		return err
	}
	if err := subvolume.Sync(other); err != nil {
		return err
	}
	for _, tree := range []string{other, state} {
		_, err := inventory.Compare(ctx, bytes.NewReader(list.Bytes()), tree, inventory.Options{}, func(d inventory.Difference) error {
			return fmt.Errorf("the copy is not what is there: %v", d)
		})
		if err != nil {
			return err
		}
	}
	boundary.Reached(ctx, "state copied")
	if err := subvolume.Exchange(state, other); err != nil {
		return err
	}
	boundary.Reached(ctx, "state exchanged")
	if err := idle(other); err != nil {
		return errors.Join(err, subvolume.Exchange(state, other))
	}
	return os.RemoveAll(other)
}

// idle refuses when a program has something below a directory open.
func idle(dir string) error {
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return err
	}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, dir+"/") {
			return runbook.Refuse("", "process %s has %s open; try again when it has ended", strings.Split(link, "/")[2], to)
		}
	}
	return nil
}

// clone copies what is in a directory, and its metadata, within one btrfs: files share
// their blocks.
func clone(from, to string) error {
	linked := map[uint64]string{}
	var dirs []string
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := to + path[len(from):]
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		if first, ok := linked[st.Ino]; ok && !entry.IsDir() {
			return os.Link(first, target)
		}
		switch entry.Type() {
		case fs.ModeDir:
			dirs = append(dirs, path)
			if path != from {
				err = os.Mkdir(target, 0o700)
			}
		case 0:
			err = cloneFile(path, target)
		case fs.ModeSymlink:
			var link string
			if link, err = os.Readlink(path); err == nil {
				err = os.Symlink(link, target)
			}
		default:
			err = unix.Mknod(target, st.Mode, int(st.Rdev))
		}
		if err != nil {
			return err
		}
		if st.Nlink > 1 {
			linked[st.Ino] = target
		}
		return like(path, target, &st)
	})
	if err != nil {
		return err
	}
	for _, dir := range slices.Backward(dirs) { // their times, now that all is in them
		var st unix.Stat_t
		if err := unix.Lstat(dir, &st); err != nil {
			return err
		}
		if err := like(dir, to+dir[len(from):], &st); err != nil {
			return err
		}
	}
	return nil
}

func cloneFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := unix.IoctlFileClone(int(out.Fd()), int(in.Fd())); err != nil {
		if _, err := io.Copy(out, in); err != nil {
			return errors.Join(err, out.Close())
		}
	}
	return out.Close()
}

// like gives one entry the metadata of another one.
func like(from, to string, st *unix.Stat_t) error {
	if err := os.Lchown(to, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	names := make([]byte, 64<<10)
	n, err := unix.Llistxattr(from, names)
	if err != nil && !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names[:max(n, 0)]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(from, name, value)
		if err == nil {
			err = unix.Lsetxattr(to, name, value[:n], 0)
		}
		if err != nil {
			return fmt.Errorf("attribute %s of %s: %w", name, from, err)
		}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Fchmodat(unix.AT_FDCWD, to, st.Mode&0o7777, 0); err != nil {
			return err
		}
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, to, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

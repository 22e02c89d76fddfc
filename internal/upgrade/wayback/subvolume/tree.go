package subvolume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Copy makes a writable snapshot of a subvolume and of those inside it, except for
// what skip takes out with all inside, where empty directories stand instead. The
// snapshots are made one after the other.
func Copy(ctx context.Context, source, target string, skip func(Nested) bool) error {
	nested, err := Inside(source)
	if err != nil {
		return err
	}
	if err := Snapshot(source, target); err != nil {
		return err
	}
	var skipped []string
	for _, n := range nested {
		if err := ctx.Err(); err != nil {
			return err
		}
		out := slices.ContainsFunc(skipped, func(s string) bool { return strings.HasPrefix(n.Path, s+"/") })
		if out || skip != nil && skip(n) {
			skipped = append(skipped, n.Path)
			continue
		}
		at := below(target, n.Path)
		if err := os.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) { // the empty directory in its place
			return fmt.Errorf("make way for a snapshot: %w", err)
		}
		if err := Snapshot(below(source, n.Path), at); err != nil {
			return err
		}
	}
	return keepTimes(source, target, nested)
}

// keepTimes sets the times of directories that were changed only because a snapshot
// was put into them.
func keepTimes(source, target string, nested []Nested) error {
	for _, n := range nested {
		dir := filepath.Dir(n.Path)
		var st unix.Stat_t
		err := unix.Lstat(below(source, dir), &st)
		if err == nil {
			err = unix.UtimesNanoAt(unix.AT_FDCWD, below(target, dir), []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
		}
		if errors.Is(err, unix.ENOENT) { // inside one that was skipped
			continue
		}
		if err != nil {
			return fmt.Errorf("set the times of %s: %w", below(target, dir), err)
		}
	}
	return nil
}

// DeleteAll removes a subvolume and those inside it. One that is not there is no error.
func DeleteAll(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	is, err := Is(path)
	if err != nil {
		return err
	}
	if !is {
		return fmt.Errorf("%s is no subvolume and was not deleted", path)
	}
	nested, err := Inside(path)
	if err != nil {
		return err
	}
	for _, n := range append([]Nested{{}}, nested...) {
		// What is in one that refuses writing cannot be deleted.
		if err := writable(below(path, n.Path)); err != nil {
			return err
		}
	}
	for _, n := range slices.Backward(nested) {
		if err := Delete(below(path, n.Path)); err != nil {
			return err
		}
	}
	return Delete(path)
}

func writable(path string) error {
	on, err := ReadOnly(path)
	if err != nil || !on {
		return err
	}
	return SetReadOnly(path, false)
}

// Freeze makes a subvolume and those inside it read-only.
func Freeze(path string) error {
	nested, err := Inside(path)
	if err != nil {
		return err
	}
	for _, n := range append([]Nested{{}}, nested...) {
		if err := SetReadOnly(below(path, n.Path), true); err != nil {
			return err
		}
	}
	return nil
}

// Sync waits until the file system of a path is on the disk.
func Sync(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	if err := unix.Syncfs(fd); err != nil {
		return fmt.Errorf("write the file system of %s to disk: %w", path, err)
	}
	return nil
}

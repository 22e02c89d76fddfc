package subvolume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Top is the top-level subvolume of a btrfs, from which all others can be reached.
// It is mounted for this process alone, out of everybody's sight, and gone with it.
type Top struct{ dir *os.File }

// OpenTop opens the top-level subvolume of the file system on a device.
func OpenTop(device string) (*Top, error) {
	const above = "/run/lifeboat"
	if err := os.MkdirAll(above, 0o700); err != nil {
		return nil, err
	}
	at, err := os.MkdirTemp(above, "btrfs-")
	if err != nil {
		return nil, err
	}
	// Never more than the empty directory is removed: a file system could be mounted.
	defer os.Remove(at)
	if err := unix.Mount(device, at, "btrfs", unix.MS_NOATIME|unix.MS_NOSUID|unix.MS_NODEV, "subvolid="+strconv.Itoa(TopLevel)); err != nil {
		return nil, fmt.Errorf("mount the top-level subvolume of %s: %w", device, err)
	}
	dir, err := os.Open(at)
	if detachErr := unix.Unmount(at, unix.MNT_DETACH); detachErr != nil {
		err = errors.Join(err, fmt.Errorf("unmount %s: %w", at, detachErr))
	}
	if err != nil {
		if dir != nil {
			dir.Close()
		}
		return nil, err
	}
	return &Top{dir}, nil
}

// Path is where a path of the top-level subvolume stands for this process.
func (t *Top) Path(path string) string {
	return fmt.Sprintf("/proc/self/fd/%d%s", t.dir.Fd(), filepath.Clean("/"+path))
}

// Close lets go of the file system.
func (t *Top) Close() error { return t.dir.Close() }

// Make makes a directory of the top-level subvolume, 0700. It may be there already.
func (t *Top) Make(path string) error {
	if err := os.Mkdir(t.Path(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

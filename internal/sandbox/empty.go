package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	securejoin "github.com/cyphar/filepath-securejoin"
	"golang.org/x/sys/unix"
)

// maxLinks bounds the symbolic links followed for one path.
const maxLinks = 16

// covers finds the overlay that a path inside belongs to. The first is the root's.
func covers(layers []layer, path string) int {
	best := 0
	for i, l := range layers {
		if !l.Late && !l.gone && within(l.Mount, path) && len(l.Mount) >= len(layers[best].Mount) {
			best = i
		}
	}
	return best
}

// clear writes into the upper layers what makes path start empty. It works on
// the layers before they are mounted, so nothing of the lower tree is visited,
// however large. uppers are the upper directories of r.Layers. The paths that
// are empty now, links resolved, are added to cleared.
func (r *record) clear(uppers []string, cleared *[]string, path string, links int) error {
	if links > maxLinks {
		return fmt.Errorf("%s: too many symbolic links", path)
	}
	path = filepath.Clean(path)
	parent, err := securejoin.SecureJoin(r.Options.Root, filepath.Dir(path))
	if err != nil {
		return err
	}
	parent = "/" + strings.TrimPrefix(strings.TrimPrefix(parent, r.Options.Root), "/")
	path = filepath.Join(parent, filepath.Base(path))
	lower := filepath.Join(r.Options.Root, path)
	info, err := os.Lstat(lower)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(lower)
		if err != nil {
			return err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(parent, target)
		}
		if err := r.clear(uppers, cleared, target, links+1); err != nil {
			return err
		}
	}
	*cleared = append(*cleared, path)
	i := covers(r.Layers, path)
	l := r.Layers[i]
	rel := strings.TrimPrefix(strings.TrimPrefix(path, l.Mount), "/")
	if rel == "" {
		return nil // a mount point: assemble puts an empty directory there
	}
	upper := uppers[i]
	for _, name := range strings.Split(filepath.Dir(rel), "/") {
		if name == "." {
			break
		}
		upper = filepath.Join(upper, name)
		low := filepath.Join(l.Lower, strings.TrimPrefix(upper, uppers[i]))
		if done, err := mirrorDir(low, upper); err != nil || done {
			return err
		}
	}
	upper = filepath.Join(uppers[i], rel)
	if !info.IsDir() {
		return whiteout(upper)
	}
	if _, err := mirrorDir(lower, upper); err != nil {
		return err
	}
	if err := unix.Lsetxattr(upper, "trusted.overlay.opaque", []byte("y"), 0); err != nil {
		return fmt.Errorf("empty %s: %w", path, err)
	}
	return nil
}

// whiteout hides a lower file: overlayfs knows it by a 0/0 character device.
func whiteout(upper string) error {
	err := unix.Mknod(upper, unix.S_IFCHR, 0)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// mirrorDir makes upper a directory with the metadata of lower. It is done
// when upper hides everything below already.
func mirrorDir(lower, upper string) (done bool, err error) {
	if info, err := os.Lstat(upper); err == nil {
		if !info.IsDir() {
			return true, nil
		}
		_, err := unix.Lgetxattr(upper, "trusted.overlay.opaque", make([]byte, 8))
		return err == nil, nil
	}
	if err := os.Mkdir(upper, 0o700); err != nil {
		return false, err
	}
	return false, copyMeta(lower, upper)
}

// copyMeta gives a directory the owner, attributes, mode and times of another.
func copyMeta(from, to string) error {
	var st unix.Stat_t
	if err := unix.Lstat(from, &st); err != nil {
		return fmt.Errorf("look at %s: %w", from, err)
	}
	if err := unix.Lchown(to, int(st.Uid), int(st.Gid)); err != nil {
		return fmt.Errorf("own %s: %w", to, err)
	}
	if err := unix.Chmod(to, st.Mode&0o7777); err != nil {
		return fmt.Errorf("mode of %s: %w", to, err)
	}
	names := make([]byte, 64<<10)
	n, err := unix.Llistxattr(from, names)
	if err != nil && !errors.Is(err, unix.ENOTSUP) {
		return fmt.Errorf("attributes of %s: %w", from, err)
	}
	value := make([]byte, 64<<10)
	for _, name := range strings.Split(string(names[:max(n, 0)]), "\x00") {
		if name == "" || strings.HasPrefix(name, "trusted.overlay.") {
			continue
		}
		size, err := unix.Lgetxattr(from, name, value)
		if err == nil {
			err = unix.Lsetxattr(to, name, value[:size], 0)
		}
		if err != nil {
			return fmt.Errorf("attribute %s of %s: %w", name, from, err)
		}
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, to, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// openPrivate opens a directory that is ours and that nobody else may write to,
// below directories and by links that are ours or root's: otherwise somebody else
// could have us write to a place of his choice. Root may be told by the
// environment to use the directory of a user.
func openPrivate(dir string) (*os.Root, error) {
	if err := trusted(dir, maxLinks); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// Below /tmp somebody may have been faster.
	if err := trusted(dir, maxLinks); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(".")
	if err == nil && (!ownedBy(info, os.Geteuid()) || info.Mode().Perm()&0o022 != 0) {
		err = os.ErrPermission
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

// maxLinks bounds a chain of symbolic links, as the kernel does.
const maxLinks = 40

// trusted walks up from a path, along all links in it. What is not there yet is
// passed over.
func trusted(path string, links int) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !ownedBy(info, os.Geteuid()) && !ownedBy(info, 0):
		return fmt.Errorf("%s belongs to somebody else: %w", path, fs.ErrPermission)
	case info.Mode()&fs.ModeSymlink != 0:
		if links == 0 {
			return fmt.Errorf("%s: %w", path, syscall.ELOOP)
		}
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		if !filepath.IsAbs(target) {
			dir, err := filepath.EvalSymlinks(filepath.Dir(path))
			if err != nil {
				return err
			}
			target = filepath.Join(dir, target)
		}
		if err := trusted(target, links-1); err != nil {
			return err
		}
	case info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0:
		return fmt.Errorf("%s may be written by everybody: %w", path, fs.ErrPermission)
	}
	if parent := filepath.Dir(path); parent != path {
		return trusted(parent, links)
	}
	return nil
}

func ownedBy(info fs.FileInfo, uid int) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == uid
}

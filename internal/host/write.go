package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"github.com/pkg/xattr"
	"golang.org/x/sys/unix"
)

// WriteOptions says how a small file is written.
type WriteOptions struct {
	Mode     os.FileMode
	UID, GID int // -1 leaves what the system gives
	// Aside is where the present file is kept, on this process's machine, so
	// that UnwriteFile can bring it back; "" keeps nothing.
	Aside string
	// Attributes names a file, of this process's machine, whose extended attributes,
	// ACLs among them, the written one gets; "" gives none but what the system does.
	Attributes string
}

// noFile is what is kept aside for a file that did not exist.
const noFile = ".absent"

// WriteFile writes a small file of the machine whole and durably, or not at
// all. What was kept aside by an earlier call is not overwritten.
func (h *Host) WriteFile(path string, data []byte, opts WriteOptions) error {
	target, err := h.Path(path)
	if err != nil {
		return err
	}
	if opts.Aside != "" {
		if err := keepAside(target, opts.Aside); err != nil {
			return fmt.Errorf("set %s aside: %w", path, err)
		}
	}
	pending, err := renameio.NewPendingFile(target, renameio.WithPermissions(opts.Mode), renameio.WithStaticPermissions(opts.Mode))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer pending.Cleanup()
	if _, err := pending.Write(data); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if opts.UID >= 0 || opts.GID >= 0 {
		if err := pending.Chown(opts.UID, opts.GID); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	if opts.Attributes != "" {
		if err := copyAttributes(opts.Attributes, pending.Name()); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	if err := pending.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// KeepFile keeps a file of the machine at aside, as WriteFile does before it writes.
func (h *Host) KeepFile(path, aside string) error {
	target, err := h.Path(path)
	if err == nil {
		err = keepAside(target, aside)
	}
	if err != nil {
		return fmt.Errorf("set %s aside: %w", path, err)
	}
	return nil
}

func keepAside(target, aside string) error {
	for _, kept := range []string{aside, aside + noFile} {
		if _, err := os.Lstat(kept); err == nil {
			return nil
		}
	}
	if err := os.MkdirAll(filepath.Dir(aside), 0o700); err != nil {
		return err
	}
	data, err := os.ReadFile(target)
	if errors.Is(err, fs.ErrNotExist) {
		return renameio.WriteFile(aside+noFile, nil, 0o600)
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(target)
	if err != nil {
		return err
	}
	uid, gid := owner(info)
	pending, err := renameio.NewPendingFile(aside, renameio.WithStaticPermissions(info.Mode().Perm()))
	if err != nil {
		return err
	}
	defer pending.Cleanup()
	if _, err := pending.Write(data); err != nil {
		return err
	}
	if err := pending.Chown(uid, gid); err != nil {
		return err
	}
	if err := copyAttributes(target, pending.Name()); err != nil {
		return err
	}
	if err := os.Chtimes(pending.Name(), time.Time{}, info.ModTime()); err != nil {
		return err
	}
	return pending.CloseAtomicallyReplace()
}

// copyAttributes gives the file at to the extended attributes of the one at from.
func copyAttributes(from, to string) error {
	fail := func(err error) error { return fmt.Errorf("keep the attributes of %s: %w", from, err) }
	want, err := xattr.List(from)
	if err != nil && !errors.Is(err, unix.ENOTSUP) {
		return fail(err)
	}
	for _, name := range want {
		value, err := xattr.Get(from, name)
		if errors.Is(err, xattr.ENOATTR) || errors.Is(err, unix.ENOTSUP) {
			continue
		}
		if err == nil {
			err = xattr.Set(to, name, value)
		}
		if err != nil {
			return fail(err)
		}
	}
	have, err := xattr.List(to)
	if err != nil && !errors.Is(err, unix.ENOTSUP) {
		return fail(err)
	}
	for _, name := range have { // a directory may have handed an ACL down
		if slices.Contains(want, name) || strings.HasPrefix(name, "security.") {
			continue
		}
		if err := xattr.Remove(to, name); err != nil && !errors.Is(err, xattr.ENOATTR) {
			return fail(err)
		}
	}
	return nil
}

// Kept visits the path of every file that was kept at its own path below dir.
func (h *Host) Kept(dir string, visit func(path string) error) error {
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return visit(strings.TrimPrefix(strings.TrimSuffix(name, noFile), dir))
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// UnwriteAll brings back every file that was kept at its own path below dir, but for
// those of which skip is true. It may be repeated.
func (h *Host) UnwriteAll(dir string, skip func(path string) (bool, error)) error {
	return h.Kept(dir, func(path string) error {
		if left, err := skip(path); err != nil || left {
			return err
		}
		return h.UnwriteFile(path, filepath.Join(dir, path))
	})
}

// UnwriteFile brings back what WriteFile kept aside. Without that it does nothing.
func (h *Host) UnwriteFile(path, aside string) error {
	target, err := h.Path(path)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(aside + noFile); err == nil {
		if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("bring %s back: %w", path, err)
		}
		return os.Remove(aside + noFile)
	}
	info, err := os.Stat(aside)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("bring %s back: %w", path, err)
	}
	data, err := os.ReadFile(aside)
	if err != nil {
		return fmt.Errorf("bring %s back: %w", path, err)
	}
	uid, gid := owner(info)
	if err := h.WriteFile(path, data, WriteOptions{Mode: info.Mode().Perm(), UID: uid, GID: gid, Attributes: aside}); err != nil {
		return err
	}
	if err := os.Chtimes(target, time.Time{}, info.ModTime()); err != nil {
		return fmt.Errorf("bring %s back: %w", path, err)
	}
	return os.Remove(aside)
}

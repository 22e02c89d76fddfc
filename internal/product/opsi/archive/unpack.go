package archive

import (
	"archive/tar"
	"context"
	"crypto/sha1" //nolint:gosec // the format's
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Unpack writes the members into an empty directory by their names, and CONTROL
// beside them; symbolic links and hard links stay what they are. Owners are set
// when this program may, to the numbers that Accounts names. Nothing is written
// when Verify finds damage, but for a dump that is cut off: what becomes of it is
// decided where it is loaded. When Unpack fails, nothing of it is left.
func (a *Archive) Unpack(ctx context.Context, dir string) error {
	if err := a.unpack(ctx, dir); err != nil {
		return fmt.Errorf("unpack archive %s: %w", a.Name, err)
	}
	return nil
}

func (a *Archive) unpack(ctx context.Context, dir string) error {
	if err := slices.DeleteFunc(a.Verify(), func(f Finding) bool { return f.Problem == Dump }).Err(); err != nil {
		return fmt.Errorf("nothing is written: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	}
	if err := a.room(dir); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	u := &unpacker{archive: a, root: root, owners: os.Geteuid() == 0}
	err = u.all(ctx)
	if err != nil {
		err = errors.Join(err, root.RemoveAll(content), root.RemoveAll(control))
	}
	return err
}

// spare is room that is left on the file system, in bytes.
const spare = 64 << 20

// room looks whether the content fits before anything is written.
func (a *Archive) room(dir string) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return fmt.Errorf("look for room: %w", err)
	}
	free := uint64(st.Bavail) * uint64(st.Bsize)         //nolint:gosec // never negative
	need := uint64(a.Bytes) + uint64(len(a.Members))<<12 //nolint:gosec // never negative
	if need+spare > free {
		return fmt.Errorf("it needs %d MiB below %s and there are %d: %w", (need+spare)>>20, dir, free>>20, syscall.ENOSPC)
	}
	return nil
}

type unpacker struct {
	archive *Archive
	root    *os.Root
	owners  bool
}

// all writes files first, links after them, and what directories are last: no
// symbolic link exists while anything is written by its name.
func (u *unpacker) all(ctx context.Context) error {
	a := u.archive
	for _, m := range a.Members {
		dir := m.Name
		if m.Type != Directory {
			dir = path.Dir(m.Name)
		}
		if err := u.root.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if err := u.files(ctx); err != nil {
		return err
	}
	for _, sort := range []Type{Hardlink, Symlink, Directory} {
		list := slices.Clone(a.Members)
		if sort == Directory { // what lies deeper first: writing into a directory changes its time
			slices.SortStableFunc(list, func(x, y *Member) int { return strings.Count(y.Name, "/") - strings.Count(x.Name, "/") })
		}
		for _, m := range list {
			if m.Type != sort {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := u.link(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// files goes through the archive a second time. What is not as Open has seen it is
// an error.
func (u *unpacker) files(ctx context.Context) error {
	a := u.archive
	seen := 0
	changed := fmt.Errorf("it was changed while it was read: %w", ErrDamaged)
	err := a.each(ctx, func(e entry) error {
		seen++
		if e.index >= len(a.entries) {
			return changed
		}
		m := a.entries[e.index]
		if m == nil && (e.header.Name == sumsName || e.header.Name == infoName) {
			if err := u.root.MkdirAll(control, 0o700); err != nil {
				return err
			}
			return u.write(e.header.Name, io.LimitReader(e.content, a.limits.Control), nil)
		}
		if m == nil || m.Type != Regular {
			return nil
		}
		if e.header.Typeflag != tar.TypeReg || e.header.Size != m.Size {
			return changed
		}
		sum := sha1.New() //nolint:gosec // the format's
		if err := u.write(m.Name, io.TeeReader(e.content, sum), m); err != nil {
			return err
		}
		if digest(sum.Sum(nil)) != m.sum {
			return changed
		}
		return nil
	})
	if err == nil && seen != len(a.entries) {
		err = changed
	}
	return err
}

func (u *unpacker) write(name string, r io.Reader, m *Member) error {
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if err == nil && m != nil && u.owners {
		err = f.Chown(int(m.UID), int(m.GID))
	}
	if err == nil && m != nil {
		err = f.Chmod(m.Mode)
	}
	if err = errors.Join(err, f.Close()); err != nil || m == nil {
		return err
	}
	return u.root.Chtimes(name, m.ModTime, m.ModTime)
}

// link makes what is no file, and sets what directories are.
func (u *unpacker) link(m *Member) error {
	switch m.Type {
	case Hardlink:
		return u.root.Link(m.Target, m.Name)
	case Symlink:
		if err := u.root.Symlink(m.Target, m.Name); err != nil {
			return err
		}
		if err := u.own(m); err != nil {
			return err
		}
		return u.linkTime(m)
	}
	if err := u.own(m); err != nil {
		return err
	}
	if err := u.root.Chmod(m.Name, m.Mode); err != nil {
		return err
	}
	return u.root.Chtimes(m.Name, m.ModTime, m.ModTime)
}

func (u *unpacker) own(m *Member) error {
	if !u.owners {
		return nil
	}
	return u.root.Lchown(m.Name, int(m.UID), int(m.GID))
}

// linkTime sets the time of a symbolic link itself, where the file system has it.
func (u *unpacker) linkTime(m *Member) error {
	dir, err := u.root.Open(path.Dir(m.Name))
	if err != nil {
		return err
	}
	defer dir.Close()
	t := unix.NsecToTimespec(m.ModTime.UnixNano())
	err = unix.UtimesNanoAt(int(dir.Fd()), path.Base(m.Name), []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "set time", Path: m.Name, Err: err}
	}
	return nil
}

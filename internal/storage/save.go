package storage

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// writeStep is how much is written between two looks at the context, in bytes.
const writeStep = 4 << 20

// Save writes a file under no name, makes it durable, and only then gives it
// its name; link(2) refuses a name that is taken. A writer that dies leaves
// nothing behind. Where the file system has no unnamed files (O_TMPFILE), a
// temporary name in the same directory is used, which List never shows.
func (l *Local) Save(ctx context.Context, h Handle, data []byte) (err error) {
	path, err := l.path(h)
	if err != nil {
		return err
	}
	if l.readOnly {
		return fmt.Errorf("save %s: %w", h, ErrReadOnly)
	}
	defer func() {
		if err != nil && ctx.Err() == nil {
			err = classify("save", h, err)
		}
	}()
	if _, err := os.Lstat(path); err == nil {
		return unix.EEXIST
	}
	dir := filepath.Dir(path)
	if h.Type == Config {
		if err := l.layout(); err != nil {
			return err
		}
	} else if err := l.mkdir(dir); err != nil {
		return err
	}
	f, err := l.temp(dir, filepath.Base(path))
	if errors.Is(err, unix.ENOENT) { // somebody removed the directory
		l.forget()
		if err = l.mkdir(dir); err == nil {
			f, err = l.temp(dir, filepath.Base(path))
		}
	}
	if err != nil {
		return err
	}
	named := f.named
	defer func() {
		f.Close()
		if named {
			os.Remove(f.Name())
		}
	}()
	if err := f.fill(ctx, l.limit.Writer(ctx, f), data); err != nil {
		return err
	}
	if named {
		err = publish(f.Name(), path)
	} else {
		err = unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(int(f.Fd())), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	}
	if err != nil {
		return err
	}
	if named {
		named = false
		os.Remove(f.Name()) // left over where publish had to link
	}
	return syncDir(dir)
}

type tempFile struct {
	*os.File
	named bool
}

func (f tempFile) fill(ctx context.Context, w io.Writer, data []byte) error {
	for len(data) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := w.Write(data[:min(len(data), writeStep)])
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return f.Sync()
}

// temp makes the file that is written to.
func (l *Local) temp(dir, base string) (tempFile, error) {
	l.mu.Lock()
	named := l.named
	l.mu.Unlock()
	if !named {
		fd, err := unix.Open(dir, unix.O_WRONLY|unix.O_TMPFILE|unix.O_CLOEXEC, 0o600)
		if err == nil {
			// Without /proc the file could not be given a name.
			if _, perr := os.Stat("/proc/self/fd/" + strconv.Itoa(fd)); perr == nil {
				return tempFile{File: os.NewFile(uintptr(fd), filepath.Join(dir, base))}, nil
			}
			unix.Close(fd)
		} else if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EINVAL) {
			return tempFile{}, err
		}
		l.mu.Lock()
		l.named = true
		l.mu.Unlock()
	}
	var r [8]byte
	rand.Read(r[:])
	name := filepath.Join(dir, base+"-tmp-"+hex.EncodeToString(r[:]))
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return tempFile{}, err
	}
	return tempFile{File: f, named: true}, nil
}

// publish gives a temporary file its final name without ever replacing
// another: by rename where the kernel can refuse a taken name, else by link.
// File systems with neither get a check before the rename.
func publish(temp, path string) error {
	err := unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	err = os.Link(temp, path)
	if err == nil || errors.Is(err, unix.EEXIST) {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return unix.EEXIST
	}
	return os.Rename(temp, path)
}

// layout makes all directories, as restic's init does.
func (l *Local) layout() error {
	for _, t := range Types {
		if err := l.mkdir(filepath.Join(l.root, t.Dir())); err != nil {
			return err
		}
	}
	data := filepath.Join(l.root, Data.Dir())
	for i := range 256 {
		if err := os.Mkdir(filepath.Join(data, fmt.Sprintf("%02x", i)), 0o700); err != nil && !os.IsExist(err) {
			return err
		}
	}
	return syncDir(data)
}

// mkdir makes a directory and its parents durable, once.
func (l *Local) mkdir(dir string) error {
	l.mu.Lock()
	known := l.made[dir]
	l.mu.Unlock()
	if known {
		return nil
	}
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return unix.ENOTDIR
	case errors.Is(err, os.ErrNotExist):
		if parent := filepath.Dir(dir); parent != dir {
			if err := l.mkdir(parent); err != nil {
				return err
			}
		}
		if err := os.Mkdir(dir, 0o700); err == nil {
			l.mu.Lock()
			l.ours = append(l.ours, dir)
			l.mu.Unlock()
		} else if !os.IsExist(err) {
			return err
		}
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	l.mu.Lock()
	l.made[dir] = true
	l.mu.Unlock()
	return nil
}

func (l *Local) forget() {
	l.mu.Lock()
	clear(l.made)
	l.mu.Unlock()
}

// syncDir makes a change of a directory's entries durable. Some network file
// systems cannot, and say so with EINVAL or ENOTSUP.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	return nil
}

package inventory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/component/aside"
)

// walker is one look at a tree.
type walker struct {
	ctx   context.Context //nolint:containedctx // of this one call
	root  string
	o     Options
	read  bool // contents as well
	visit func(Entry) error
	seen  map[[2]uint64]aside.Name
	buf   []byte
}

// walk gives every entry to visit, a directory before what is in it. Entries that
// vanish meanwhile are passed over. No symbolic link is followed, and no access time
// changed where the kernel allows that.
func walk(ctx context.Context, root string, o Options, read bool, visit func(Entry) error) error {
	w := &walker{ctx: ctx, root: filepath.Clean(root), o: o, read: read, visit: visit, seen: map[[2]uint64]aside.Name{}, buf: make([]byte, 256<<10)}
	var st unix.Stat_t
	if err := unix.Lstat(w.root, &st); err != nil {
		return &os.PathError{Op: "look at", Path: w.root, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return fmt.Errorf("%s is no directory", w.root)
	}
	return w.entry("/", &st)
}

// real is where a path of the tree stands for this process.
func (w *walker) real(path string) string { return strings.TrimSuffix(w.root, "/") + path }

func (w *walker) entry(path string, st *unix.Stat_t) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	e, err := w.describe(path, st)
	if vanished(err) && path != "/" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	if err := w.visit(e); err != nil {
		return err
	}
	if e.Type != Dir {
		return nil
	}
	names, err := w.names(path)
	if vanished(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	for _, name := range names {
		below := strings.TrimSuffix(path, "/") + "/" + name
		if w.o.Skip != nil && w.o.Skip(below) {
			continue
		}
		var st unix.Stat_t
		if err := unix.Lstat(w.real(below), &st); vanished(err) {
			continue
		} else if err != nil {
			return fmt.Errorf("%q: %w", below, err)
		}
		if err := w.entry(below, &st); err != nil {
			return err
		}
	}
	return nil
}

func vanished(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) }

func (w *walker) names(path string) ([]string, error) {
	f, err := open0(w.real(path), unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// open0 opens without following, waiting, or touching the access time.
func open0(real string, flags int) (*os.File, error) {
	flags |= unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err := unix.Open(real, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) {
		fd, err = unix.Open(real, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), real), nil
}

var types = map[uint32]Type{
	unix.S_IFREG: File, unix.S_IFDIR: Dir, unix.S_IFLNK: Symlink, unix.S_IFBLK: Block,
	unix.S_IFCHR: Char, unix.S_IFIFO: FIFO, unix.S_IFSOCK: Socket,
}

func (w *walker) describe(path string, st *unix.Stat_t) (Entry, error) {
	e := Entry{
		Path: aside.Name(path), Type: types[st.Mode&unix.S_IFMT], Mode: st.Mode & 0o7777,
		UID: st.Uid, GID: st.Gid, MTime: st.Mtim.Nano(),
	}
	real := w.real(path)
	if made, err := madeUp(real, st); err != nil || made {
		return Entry{Path: e.Path, Type: e.Type}, err
	}
	e.Moving = !w.o.Since.IsZero() && !time.Unix(st.Ctim.Unix()).Before(w.o.Since)
	var err error
	if e.Attributes, err = attributes(real); err != nil {
		return e, err
	}
	if e.Type != Dir && st.Nlink > 1 {
		id := [2]uint64{st.Dev, st.Ino}
		if first, ok := w.seen[id]; ok {
			e.Same = first
			if e.Type == File {
				e.Size = st.Size
			}
			return e, nil
		}
		w.seen[id] = e.Path
	}
	switch e.Type {
	case File:
		e.Size = st.Size
		if w.read {
			var moving bool
			e.Hash, moving, err = w.hash(real, st)
			e.Moving = e.Moving || moving
		}
	case Symlink:
		var target string
		target, err = os.Readlink(real)
		e.Target = aside.Name(target)
	case Block, Char:
		e.Device = st.Rdev
	}
	return e, err
}

// madeUp tells whether the kernel makes an entry's metadata up at every look: a
// snapshot of btrfs has such directories in the place of subvolumes inside its source
// (BTRFS_EMPTY_SUBVOL_DIR_OBJECTID of linux/btrfs_tree.h).
func madeUp(real string, st *unix.Stat_t) (bool, error) {
	if st.Ino != 2 || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return false, nil
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(real, &fs); err != nil {
		return false, err
	}
	return fs.Type == unix.BTRFS_SUPER_MAGIC, nil
}

// hash reads a file; moving says that it was written to meanwhile.
func (w *walker) hash(real string, st *unix.Stat_t) (sum string, moving bool, err error) {
	f, err := open0(real, 0)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	h := sha256.New()
	for err == nil {
		var n int
		n, err = f.Read(w.buf)
		h.Write(w.buf[:n])
		if w.o.Progress != nil && n > 0 {
			w.o.Progress(int64(n))
		}
		if w.ctx.Err() != nil {
			err = w.ctx.Err()
		}
	}
	var after unix.Stat_t
	if !errors.Is(err, io.EOF) {
		return "", false, err
	}
	if err := unix.Fstat(int(f.Fd()), &after); err != nil {
		return "", false, err
	}
	moving = after.Mtim != st.Mtim || after.Size != st.Size || after.Ino != st.Ino
	return hex.EncodeToString(h.Sum(nil)), moving, nil
}

// policy is decided by the machine, not by who writes the file.
const policy = "security.selinux"

func attributes(real string) (map[aside.Name]string, error) {
	names, err := sized(func(buf []byte) (int, error) { return unix.Llistxattr(real, buf) })
	if errors.Is(err, unix.ENOTSUP) || err == nil && len(names) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list attributes: %w", err)
	}
	found := map[aside.Name]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		if name == policy {
			continue
		}
		value, err := sized(func(buf []byte) (int, error) { return unix.Lgetxattr(real, name, buf) })
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read attribute %s: %w", name, err)
		}
		sum := sha256.Sum256(value)
		found[aside.Name(name)] = hex.EncodeToString(sum[:])
	}
	if len(found) == 0 {
		return nil, nil
	}
	return found, nil
}

// sized calls what fills a buffer, with larger ones until all fits.
func sized(call func([]byte) (int, error)) ([]byte, error) {
	for size := 1 << 10; ; size *= 8 {
		buf := make([]byte, size)
		n, err := call(buf)
		if errors.Is(err, unix.ERANGE) && size < 1<<20 {
			continue
		}
		if err != nil {
			return nil, err
		}
		return buf[:n], nil
	}
}

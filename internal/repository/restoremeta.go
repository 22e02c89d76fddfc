package repository

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// special makes a symbolic link, device or FIFO.
func (w *restorer) special(f *restoreFile) error {
	name := f.name
	if w.opts.InPlace {
		name = w.temp()
	}
	n := f.node
	var err error
	switch n.Type {
	case Symlink:
		err = unix.Symlinkat(n.LinkTarget, f.dir.fd, name)
	case Device:
		err = unix.Mknodat(f.dir.fd, name, unix.S_IFBLK|0o600, int(n.Device))
	case CharDevice:
		err = unix.Mknodat(f.dir.fd, name, unix.S_IFCHR|0o600, int(n.Device))
	case FIFO:
		err = unix.Mknodat(f.dir.fd, name, unix.S_IFIFO|0o600, 0)
	}
	if err != nil {
		return err
	}
	if err = w.specialMetadata(f, name); err == nil && w.opts.InPlace {
		err = w.replace(f, name)
	}
	if err != nil {
		unix.Unlinkat(f.dir.fd, name, 0)
	}
	return err
}

// specialMetadata sets what belongs to an entry that cannot be opened. The
// descriptor only holds its place; /proc leads from it to the entry itself,
// which may be a symbolic link.
func (w *restorer) specialMetadata(f *restoreFile, name string) error {
	fd, err := unix.Openat(f.dir.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	n := f.node
	uid, gid := w.owner(n)
	if err := unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH); err != nil {
		if err := w.tolerate("owner", f.path, err); err != nil {
			return err
		}
	}
	self := "/proc/self/fd/" + strconv.Itoa(fd)
	w.dropAttributes(attributesThrough(self), func(name string) error { return unix.Removexattr(self, name) }, n, f.path)
	for _, a := range n.ExtendedAttributes {
		w.setAttribute(f.path, a, func(value []byte) error { return unix.Setxattr(self, a.Name, value, 0) })
	}
	if n.Type != Symlink {
		if err := unix.Chmod(self, w.mode(n)); err != nil {
			return fmt.Errorf("set mode: %w", err)
		}
	}
	if err := unix.UtimesNanoAt(f.dir.fd, name, fileTimes(n), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set times: %w", err)
	}
	return nil
}

// metadata sets what belongs to an open file or directory. The owner comes
// first, since changing it drops setuid bits and capabilities; times come last.
// Of what existed before only what differs is set: any change would make the
// next backup read the file again.
func (w *restorer) metadata(fd int, n *Node, path string, existing bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	uid, gid := w.owner(n)
	owned := int(st.Uid) == uid && int(st.Gid) == gid
	if !owned {
		if err := unix.Fchown(fd, uid, gid); err != nil {
			if err := w.tolerate("owner", path, err); err != nil {
				return err
			}
		}
	}
	present := w.dropAttributes(attributesOf(fd), func(name string) error { return unix.Fremovexattr(fd, name) }, n, path)
	for _, a := range n.ExtendedAttributes {
		w.setAttribute(path, a, func(value []byte) error {
			if owned && slices.ContainsFunc(present, func(p Attribute) bool { return p.Name == a.Name && bytes.Equal(p.Value, value) }) {
				return nil
			}
			return unix.Fsetxattr(fd, a.Name, value, 0)
		})
	}
	if existing {
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
	}
	if mode := w.mode(n); !existing || st.Mode&0o7777 != mode {
		if err := unix.Fchmod(fd, mode); err != nil {
			return fmt.Errorf("set mode: %w", err)
		}
	}
	if existing && timespec(n.ModTime) == st.Mtim {
		return nil
	}
	if err := setTimes(fd, [2]unix.Timespec(fileTimes(n))); err != nil {
		return fmt.Errorf("set times: %w", err)
	}
	return nil
}

// setTimes sets the times of an open file, which is utimensat(2) without a
// path; the way through /proc costs as much as making the file did.
func setTimes(fd int, times [2]unix.Timespec) error {
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func fileTimes(n *Node) []unix.Timespec {
	return []unix.Timespec{timespec(n.AccessTime), timespec(n.ModTime)}
}

func timespec(t time.Time) unix.Timespec {
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}

// owner translates a node's owner; one that is nobody here becomes root.
func (w *restorer) owner(n *Node) (uid, gid int) {
	u, g := w.translated(n)
	if u == NoID {
		u = 0
	}
	if g == NoID {
		g = 0
	}
	return int(u), int(g)
}

func (w *restorer) translated(n *Node) (uid, gid uint32) {
	uid, gid = n.UID, n.GID
	if w.opts.UID != nil {
		uid = w.opts.UID(uid)
	}
	if w.opts.GID != nil {
		gid = w.opts.GID(gid)
	}
	return uid, gid
}

// mode is a node's mode without what would run it as root because its owner is
// nobody here.
func (w *restorer) mode(n *Node) uint32 {
	mode := permissions(n.Mode)
	uid, gid := w.translated(n)
	if uid == NoID {
		mode &^= unix.S_ISUID
	}
	if gid == NoID && n.Type != Dir {
		mode &^= unix.S_ISGID
	}
	return mode
}

// tolerate makes a warning of what this process may not do or this file system
// cannot hold, and leaves other errors.
func (w *restorer) tolerate(what, path string, err error) error {
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EINVAL) {
		w.warnOnce(what+err.Error(), fmt.Sprintf("the %s of %s cannot be restored: %v", what, quoted(path), err))
		return nil
	}
	return fmt.Errorf("set %s: %w", what, err)
}

func (w *restorer) setAttribute(path string, a Attribute, set func([]byte) error) {
	value := a.Value
	if isACL(a.Name) && (w.opts.UID != nil || w.opts.GID != nil) {
		translated, err := TranslateACL(value, w.opts.UID, w.opts.GID)
		if err != nil {
			w.warn(fmt.Sprintf("the ACL of %s is not understood and was restored as it is: %v", quoted(path), err))
		} else {
			value = translated
		}
	}
	if err := set(value); err != nil {
		w.warnOnce("attribute "+a.Name+err.Error(), fmt.Sprintf("the attribute %s of %s cannot be restored: %v", quoted(a.Name), quoted(path), err))
	}
}

// dropAttributes removes what a file has and the node has not, and returns what
// it had. A new file may have inherited an ACL from its directory. Attributes of
// security modules belong to the system, not to the file.
func (w *restorer) dropAttributes(has attributeReader, remove func(name string) error, n *Node, path string) []Attribute {
	present, err := has.read()
	if err != nil {
		w.warnOnce("attributes", fmt.Sprintf("the attributes of %s cannot be compared: %v", quoted(path), err))
		return nil
	}
	for _, a := range present {
		kept := slices.ContainsFunc(n.ExtendedAttributes, func(b Attribute) bool { return a.Name == b.Name })
		if kept || strings.HasPrefix(a.Name, "security.") && a.Name != "security.capability" {
			continue
		}
		if err := remove(a.Name); err != nil && !errors.Is(err, unix.ENODATA) {
			w.warnOnce("remove "+a.Name+err.Error(), fmt.Sprintf("the attribute %s of %s cannot be removed: %v", quoted(a.Name), quoted(path), err))
		}
	}
	return present
}

// settle ends a directory whose files are complete: its directories, its hard
// links, what is not to be there, and last its own metadata, since all else
// changes its times.
func (w *restorer) settle(d *restoreDir, fd int) {
	if w.ctx.Err() != nil {
		return
	}
	d.fd = fd
	for _, sub := range d.children {
		subfd, err := unix.Openat(fd, sub.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			w.failed("open directory", sub.path, err)
			continue
		}
		w.settle(sub, subfd)
		if w.opts.InPlace && otherDevice(fd, subfd) {
			if err := unix.Syncfs(subfd); err != nil {
				w.failed("write to disk", sub.path, err)
			}
		}
		unix.Close(subfd)
		sub.fd = -1
	}
	for _, f := range d.links {
		if err := w.link(f); err != nil {
			w.failed("link", f.path, err)
		}
	}
	if d.node == nil {
		return
	}
	if w.opts.InPlace && !d.isNew {
		w.tidy(d)
	}
	if d.wanted || d.isNew && d.path != "/" {
		if err := w.metadata(fd, d.node, d.path, !d.isNew); err != nil {
			w.failed("restore", d.path, err)
		}
	}
}

// otherDevice tells whether a directory is on another file system than the one above it.
func otherDevice(above, fd int) bool {
	var a, b unix.Stat_t
	return unix.Fstat(above, &a) == nil && unix.Fstat(fd, &b) == nil && a.Dev != b.Dev
}

// link makes a further name of a file that was restored.
func (w *restorer) link(f *restoreFile) error {
	if !f.first.complete {
		return w.alone(f)
	}
	source, err := openChain(f.first.dir)
	if err != nil {
		return err
	}
	defer unix.Close(source)
	var have, want unix.Stat_t
	if err := unix.Fstatat(source, f.first.name, &want, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	name := f.name
	if w.opts.InPlace {
		err := unix.Fstatat(f.dir.fd, f.name, &have, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil && have.Dev == want.Dev && have.Ino == want.Ino {
			return nil
		}
		name = w.temp()
	}
	err = unix.Linkat(source, f.first.name, f.dir.fd, name, 0)
	if errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EMLINK) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTSUP) {
		w.warnOnce("link"+err.Error(), fmt.Sprintf("%s cannot be a hard link and was restored as a file of its own: %v", quoted(f.path), err))
		return w.alone(f)
	}
	if err == nil && w.opts.InPlace {
		if err = w.replace(f, name); err != nil {
			unix.Unlinkat(f.dir.fd, name, 0)
		}
	}
	return err
}

// alone restores what cannot be a link as a file of its own.
func (w *restorer) alone(f *restoreFile) error {
	if f.node.Type == File {
		kept, err := w.keepInPlace(f)
		if !kept && err == nil {
			err = w.create(f, nil)
		}
		return err
	}
	return w.special(f)
}

// openChain opens a directory again, from the first one above it that is open.
func openChain(d *restoreDir) (int, error) {
	if d.fd >= 0 {
		return unix.FcntlInt(uintptr(d.fd), unix.F_DUPFD_CLOEXEC, 0)
	}
	parent, err := openChain(d.parent)
	if err != nil {
		return -1, err
	}
	defer unix.Close(parent)
	return unix.Openat(parent, d.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// tidy removes leftovers of a restore that was killed and, with Delete, what
// the snapshot does not have.
func (w *restorer) tidy(d *restoreDir) {
	present, err := readNames(d.fd)
	if err != nil {
		w.failed("read directory", d.path, err)
		return
	}
	tree, err := w.r.LoadTree(w.ctx, *d.node.Subtree)
	if err != nil {
		return // said when it was read first
	}
	for _, name := range present {
		if tree.find(name) != nil {
			continue
		}
		path := join(d.path, name)
		leftover := strings.HasPrefix(name, TempPrefix)
		if !leftover && (!w.opts.Delete || !w.wants(path)) {
			continue
		}
		if err := removeTree(d.fd, name); err != nil {
			w.failed("remove", path, err)
		}
	}
}

// clear makes way for an entry where a directory stands.
func (w *restorer) clear(dir int, name, path string) error {
	err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
	if !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
		return err
	}
	if !w.opts.Delete {
		return errors.New("a directory that is not empty stands in its place")
	}
	return removeTree(dir, name)
}

var errMounted = errors.New("another file system is mounted there; it was left alone")

// removeTree removes an entry and all below it, without following a symbolic
// link and without entering another file system.
func removeTree(dir int, name string) error {
	var above, st unix.Stat_t
	if err := unix.Fstat(dir, &above); err != nil {
		return err
	}
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if st.Dev != above.Dev {
		return errMounted
	}
	if nodeType(st.Mode) != Dir {
		return unix.Unlinkat(dir, name, 0)
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	entries, err := readNames(fd)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := removeTree(fd, entry); err != nil {
			return err
		}
	}
	return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
}

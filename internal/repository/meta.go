package repository

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/host"
)

// newNode turns what stat says into a node. As in restic's own backups the
// access time is not recorded but set to the modification time: else every read
// of a file would make its directory a new one.
func newNode(name string, st *unix.Stat_t, names *names) *Node {
	n := &Node{
		Name:       name,
		Type:       nodeType(st.Mode),
		Mode:       fileMode(st.Mode),
		ModTime:    time.Unix(st.Mtim.Unix()).UTC(),
		ChangeTime: time.Unix(st.Ctim.Unix()).UTC(),
		UID:        st.Uid,
		GID:        st.Gid,
		User:       names.user(st.Uid),
		Group:      names.group(st.Gid),
		Inode:      st.Ino,
		DeviceID:   st.Dev,
	}
	n.AccessTime = n.ModTime
	switch n.Type {
	case File:
		n.Size = uint64(st.Size)
	case Device, CharDevice:
		n.Device = st.Rdev
	}
	if n.Type != Dir {
		n.Links = uint64(st.Nlink)
	}
	return n
}

func nodeType(mode uint32) NodeType {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return File
	case unix.S_IFDIR:
		return Dir
	case unix.S_IFLNK:
		return Symlink
	case unix.S_IFBLK:
		return Device
	case unix.S_IFCHR:
		return CharDevice
	case unix.S_IFIFO:
		return FIFO
	case unix.S_IFSOCK:
		return Socket
	}
	return UnknownNode
}

// fileMode is Go's notation of a mode, which the format uses.
func fileMode(mode uint32) os.FileMode {
	m := os.FileMode(mode & 0o777)
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		m |= os.ModeDir
	case unix.S_IFLNK:
		m |= os.ModeSymlink
	case unix.S_IFBLK:
		m |= os.ModeDevice
	case unix.S_IFCHR:
		m |= os.ModeDevice | os.ModeCharDevice
	case unix.S_IFIFO:
		m |= os.ModeNamedPipe
	case unix.S_IFSOCK:
		m |= os.ModeSocket
	}
	if mode&unix.S_ISUID != 0 {
		m |= os.ModeSetuid
	}
	if mode&unix.S_ISGID != 0 {
		m |= os.ModeSetgid
	}
	if mode&unix.S_ISVTX != 0 {
		m |= os.ModeSticky
	}
	return m
}

// permissions is the reverse of fileMode, without the type.
func permissions(m os.FileMode) uint32 {
	mode := uint32(m.Perm())
	if m&os.ModeSetuid != 0 {
		mode |= unix.S_ISUID
	}
	if m&os.ModeSetgid != 0 {
		mode |= unix.S_ISGID
	}
	if m&os.ModeSticky != 0 {
		mode |= unix.S_ISVTX
	}
	return mode
}

// attributeReader is one way to reach a file's extended attributes: by
// descriptor, or by path without following a symbolic link.
type attributeReader struct {
	list func(buf []byte) (int, error)
	get  func(name string, buf []byte) (int, error)
}

func attributesOf(fd int) attributeReader {
	return attributeReader{
		list: func(buf []byte) (int, error) { return unix.Flistxattr(fd, buf) },
		get:  func(name string, buf []byte) (int, error) { return unix.Fgetxattr(fd, name, buf) },
	}
}

func attributesAt(path string) attributeReader {
	return attributeReader{
		list: func(buf []byte) (int, error) { return unix.Llistxattr(path, buf) },
		get:  func(name string, buf []byte) (int, error) { return unix.Lgetxattr(path, name, buf) },
	}
}

// attributesThrough follows a link of /proc to a descriptor's file.
func attributesThrough(path string) attributeReader {
	return attributeReader{
		list: func(buf []byte) (int, error) { return unix.Listxattr(path, buf) },
		get:  func(name string, buf []byte) (int, error) { return unix.Getxattr(path, name, buf) },
	}
}

// read returns all attributes, sorted as the system lists them.
func (a attributeReader) read() ([]Attribute, error) {
	list, err := growing(a.list)
	if errors.Is(err, unix.ENOTSUP) || len(list) == 0 && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list extended attributes: %w", err)
	}
	var attrs []Attribute
	for _, raw := range bytes.Split(bytes.TrimSuffix(list, []byte{0}), []byte{0}) {
		name := string(raw)
		value, err := growing(func(buf []byte) (int, error) { return a.get(name, buf) })
		if errors.Is(err, unix.ENODATA) {
			continue // removed meanwhile
		}
		if err != nil {
			return attrs, fmt.Errorf("read extended attribute %s: %w", name, err)
		}
		attrs = append(attrs, Attribute{Name: name, Value: value})
	}
	return attrs, nil
}

// growing calls a system call that fills a buffer, with a larger one until it fits.
func growing(call func([]byte) (int, error)) ([]byte, error) {
	var small [256]byte
	buf := small[:]
	for {
		n, err := call(buf)
		if err == nil {
			return append([]byte{}, buf[:n]...), nil
		}
		if !errors.Is(err, unix.ERANGE) || len(buf) > 1<<20 {
			return nil, err
		}
		buf = make([]byte, 8*len(buf))
	}
}

// names looks up the names of owners, each once.
type names struct {
	host   *host.Host
	mu     sync.Mutex
	users  map[uint32]string
	groups map[uint32]string
}

func newNames(h *host.Host) *names {
	return &names{host: h, users: make(map[uint32]string), groups: make(map[uint32]string)}
}

func (n *names) user(uid uint32) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return lookupName(n.users, uid, n.host.UserName)
}

func (n *names) group(gid uint32) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return lookupName(n.groups, gid, n.host.GroupName)
}

// lookupName gives "" for an ID without a name.
func lookupName(known map[uint32]string, id uint32, find func(uint32) (string, error)) string {
	name, ok := known[id]
	if !ok {
		if found, err := find(id); err == nil {
			name = strings.ToValidUTF8(found, "")
		}
		known[id] = name
	}
	return name
}

package componenttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pkg/xattr"
	"golang.org/x/sys/unix"

	"lifeboat/internal/component"
	"lifeboat/internal/repository"
)

type Store struct {
	mu    sync.Mutex
	nodes map[string]*repository.Node
	data  map[*repository.Node][]byte
}

func NewStore(t testing.TB) *Store {
	return &Store{nodes: map[string]*repository.Node{}, data: map[*repository.Node][]byte{}}
}

func (s *Store) Save(t testing.TB, capture func(ctx context.Context, sink component.Sink) error) component.Source {
	if err := capture(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Store) AddPath(ctx context.Context, path string, o repository.PathOptions) (repository.Stats, error) {
	var stats repository.Stats
	for p := filepath.Dir(path); p != "/"; p = filepath.Dir(p) {
		if s.nodes[p] == nil {
			n, _, err := s.node(p)
			if err != nil {
				return stats, err
			}
			s.nodes[p] = n
		}
	}
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if o.Exclude != nil && o.Exclude(p) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		n, b, err := s.node(p)
		if err != nil {
			return err
		}
		s.nodes[p], s.data[n] = n, b
		stats.Files++
		stats.Bytes += int64(len(b))
		return nil
	})
	return stats, err
}

func (s *Store) node(p string) (*repository.Node, []byte, error) {
	info, err := os.Lstat(p)
	if err != nil {
		return nil, nil, err
	}
	st := info.Sys().(*syscall.Stat_t)
	n := &repository.Node{Name: filepath.Base(p), Mode: info.Mode(), ModTime: info.ModTime(), UID: st.Uid, GID: st.Gid, Inode: st.Ino, DeviceID: uint64(st.Dev), Links: uint64(st.Nlink), Device: uint64(st.Rdev)}
	var b []byte
	switch {
	case info.IsDir():
		n.Type = repository.Dir
	case info.Mode().IsRegular():
		n.Type = repository.File
		if b, err = os.ReadFile(p); err != nil {
			return nil, nil, err
		}
		n.Size = uint64(len(b))
	case info.Mode()&fs.ModeSymlink != 0:
		n.Type = repository.Symlink
		n.LinkTarget, _ = os.Readlink(p)
	case info.Mode()&fs.ModeNamedPipe != 0:
		n.Type = repository.FIFO
	default:
		n.Type = repository.CharDevice
	}
	names, _ := xattr.LList(p)
	for _, a := range names {
		v, err := xattr.LGet(p, a)
		if err != nil {
			return nil, nil, err
		}
		n.ExtendedAttributes = append(n.ExtendedAttributes, repository.Attribute{Name: a, Value: v})
	}
	return n, b, nil
}

func (s *Store) AddStream(ctx context.Context, name string, r io.Reader) (repository.Stats, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return repository.Stats{}, err
	}
	n := &repository.Node{Type: repository.File, Size: uint64(len(b))}
	s.nodes["/.lifeboat/"+name], s.data[n] = n, b
	return repository.Stats{Files: 1, Bytes: int64(len(b))}, nil
}

func (s *Store) OpenStream(ctx context.Context, name string) (io.ReadCloser, error) {
	n := s.nodes["/.lifeboat/"+name]
	if n == nil {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(s.data[n])), nil
}

func (s *Store) Walk(ctx context.Context, path string, visit func(string, *repository.Node) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var all []string
	for p := range s.nodes {
		if p == path || strings.HasPrefix(p, path+"/") {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return &fs.PathError{Op: "walk", Path: path, Err: fs.ErrNotExist}
	}
	sort.Strings(all)
	for _, p := range all {
		if err := visit(p, s.nodes[p]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) OpenFile(ctx context.Context, n *repository.Node) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(s.data[n])), nil
}

func (s *Store) RestorePath(ctx context.Context, path, target string, o repository.RestoreOptions) (repository.Stats, error) {
	var st repository.Stats
	links := map[uint64]string{}
	var dirs []string
	if _, err := os.Lstat(target); err == nil && !o.InPlace {
		return st, fs.ErrExist
	}
	finish := func(to string, n *repository.Node) error {
		uid, gid := n.UID, n.GID
		if o.UID != nil {
			uid, gid = o.UID(uid), o.GID(gid)
		}
		if err := os.Lchown(to, int(uid), int(gid)); err != nil {
			return err
		}
		for _, a := range n.ExtendedAttributes {
			if err := xattr.LSet(to, a.Name, a.Value); err != nil {
				return err
			}
		}
		if n.Type != repository.Symlink {
			if err := os.Chmod(to, n.Mode); err != nil {
				return err
			}
		}
		ts, _ := unix.TimeToTimespec(n.ModTime)
		return unix.UtimesNanoAt(unix.AT_FDCWD, to, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	}
	nodes := map[string]*repository.Node{}
	err := s.Walk(ctx, path, func(p string, n *repository.Node) error {
		if o.Include != nil && !o.Include(p) {
			return nil
		}
		to := target + p[len(path):]
		if n.Type == repository.Dir {
			if err := os.Mkdir(to, 0o700); err != nil && !(o.InPlace && errors.Is(err, fs.ErrExist)) {
				return err
			}
			dirs = append(dirs, to)
			nodes[to] = n
			return nil
		}
		if o.InPlace {
			os.RemoveAll(to)
		}
		if n.Links > 1 && n.Type == repository.File {
			if first := links[n.Inode]; first != "" {
				return os.Link(first, to)
			}
			links[n.Inode] = to
		}
		var err error
		switch n.Type {
		case repository.File:
			err = os.WriteFile(to, s.data[n], 0o600)
		case repository.Symlink:
			err = os.Symlink(n.LinkTarget, to)
		case repository.FIFO:
			err = unix.Mkfifo(to, 0o600)
		case repository.CharDevice:
			err = unix.Mknod(to, unix.S_IFCHR|0o600, int(n.Device))
		default:
			err = fmt.Errorf("type %s", n.Type)
		}
		if err != nil {
			return err
		}
		return finish(to, n)
	})
	for i := len(dirs) - 1; i >= 0 && err == nil; i-- {
		err = finish(dirs[i], nodes[dirs[i]])
	}
	return st, err
}

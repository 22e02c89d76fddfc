package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/host"
)

// Session writes one snapshot. Nothing of it counts before Commit. AddPath,
// AddStream and AddBytes may be called from several goroutines at once; Commit
// or Abort ends the session.
type Session struct {
	repo     *Repository
	opts     SessionOptions
	begun    time.Time
	lock     *HeldLock
	writer   *writer
	links    links
	presence Presence
	ctx      context.Context // of all calls; over with the writer's
	cancel   context.CancelCauseFunc

	files   chan fileJob
	chunks  chan chunk
	large   chan struct{} // who reads a file of several chunks
	readers sync.WaitGroup
	workers sync.WaitGroup

	mu      sync.Mutex
	ended   bool
	calls   sync.WaitGroup
	entries []entry
	spine   map[string]*Node // directories above the entries, from disk
	names   map[string]*names
	made    map[ID]*Tree // by Commit
}

// entry is what one call added.
type entry struct {
	path string
	node *Node
	live bool // from disk, not a stream
}

// Goroutines for each worker that read files and directories. On a cold disk
// most of them wait, and the more wait at once the more the disk can do.
const (
	readersPer = 8
	walkersPer = 8
)

// Presence is how the packs were found when the session began.
func (s *Session) Presence() Presence { return s.presence }

// Begin starts a session. It takes a shared lock, which Commit and Abort give
// up. What the index lists and the store does not have counts as not stored: the
// session stores it again, and Presence tells of it. Cancelling ctx afterwards does not end the session. ErrVersion for a
// repository of version 1, which is only read.
func (r *Repository) Begin(ctx context.Context, opts SessionOptions) (*Session, error) {
	if r.config.Version != formatVersion {
		return nil, hint(fmt.Errorf("write to repository at %s: %w: %d", r.store.Location(), ErrVersion, r.config.Version),
			"migrate it with restic migrate upgrade_repo_v2, or create a new one")
	}
	lock, err := r.Lock(ctx, false)
	if err != nil {
		return nil, err
	}
	if opts.Workers <= 0 {
		opts.Workers = runtime.GOMAXPROCS(0)
	}
	s := &Session{
		repo:   r,
		opts:   opts,
		begun:  time.Now(),
		lock:   lock,
		files:  make(chan fileJob),
		chunks: make(chan chunk),
		large:  make(chan struct{}, opts.Workers+1),
		spine:  make(map[string]*Node),
		names:  make(map[string]*names),
		made:   make(map[ID]*Tree),
	}
	s.presence, err = r.present(ctx)
	r.sessionBegan(s.presence)
	if err == nil {
		s.writer, err = newWriter(context.WithoutCancel(ctx), r, opts.Compression, opts.Workers)
	}
	if err != nil {
		return nil, errors.Join(err, r.sessionEnded(), lock.Release())
	}
	s.ctx, s.cancel = context.WithCancelCause(s.writer.ctx)
	for range readersPer * opts.Workers {
		s.readers.Go(s.readFiles)
	}
	for range opts.Workers {
		s.workers.Go(s.work)
	}
	return s, nil
}

// enter begins a call; leave must follow. The context ends with the caller's or
// with the session.
func (s *Session) enter(ctx context.Context) (context.Context, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, nil, ErrClosed
	}
	if err := context.Cause(s.ctx); err != nil {
		return nil, nil, err
	}
	s.calls.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
	return ctx, func() {
		stop()
		cancel(nil)
		s.calls.Done()
	}, nil
}

func (s *Session) add(e entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries, e)
}

func (s *Session) namesOf(h *host.Host) *names {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.names[h.Root()]
	if !ok {
		n = newNames(h)
		s.names[h.Root()] = n
	}
	return n
}

// oldTree loads a directory of the parent snapshot; one that cannot be read is
// as good as none.
func (s *Session) oldTree(ctx context.Context, id ID) *Tree {
	t, err := s.repo.LoadTree(ctx, id)
	if err != nil {
		return nil
	}
	return t
}

// before finds a directory of the parent snapshot.
func (s *Session) before(ctx context.Context, name string) *Tree {
	if s.opts.Parent == nil {
		return nil
	}
	n, err := s.repo.Find(ctx, s.opts.Parent, name)
	if err != nil || n.Type != Dir {
		return nil
	}
	return s.oldTree(ctx, *n.Subtree)
}

// AddPath stores a file or a whole tree at its absolute path, and the metadata
// of the directories above it. A path that does not exist is fs.ErrNotExist.
// Entries that cannot be read are left out and returned as *IncompleteError
// while all others are stored; entries that vanish or change meanwhile are
// warnings.
func (s *Session) AddPath(ctx context.Context, name string, opts PathOptions) (Stats, error) {
	if !path.IsAbs(name) || strings.ContainsRune(name, 0) {
		return Stats{}, fmt.Errorf("store %s: the path is not absolute", quoted(name))
	}
	name = path.Clean(name)
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return Stats{}, err
	}
	defer leave()
	h := host.Local()
	if opts.Root != "" && opts.Root != "/" {
		if h, err = host.At(opts.Root); err != nil {
			return Stats{}, err
		}
	}
	c := &scan{
		s:       s,
		ctx:     ctx,
		opts:    opts,
		names:   s.namesOf(h),
		walkers: make(chan struct{}, walkersPer*s.opts.Workers),
		stats:   Stats{UIDs: make(map[uint32]struct{}), GIDs: make(map[uint32]struct{})},
	}
	c.count.progress = opts.Progress
	node, err := c.tree(h, name)
	stats := c.result()
	if err == nil {
		stats.Same, err = s.same(ctx, name, node)
	}
	if err != nil {
		return stats, fmt.Errorf("store %s: %w", quoted(name), err)
	}
	s.add(entry{path: name, node: node, live: true})
	if len(c.failures) > 0 {
		return stats, &IncompleteError{Entries: c.failures}
	}
	return stats, nil
}

// same tells whether the parent snapshot has the very same entry at a path: its
// metadata, and by the id of its tree those of everything below it.
func (s *Session) same(ctx context.Context, name string, node *Node) (bool, error) {
	if name == "/" {
		return false, nil // a snapshot has no node for its root
	}
	old := s.before(ctx, path.Dir(name)).find(path.Base(name))
	if old == nil {
		return false, nil
	}
	now, err := (&Tree{Nodes: []*Node{node}}).encode()
	if err != nil {
		return false, err
	}
	was, err := (&Tree{Nodes: []*Node{old}}).encode()
	return bytes.Equal(now, was), err
}

// tree stores what is at a path and returns its node.
func (c *scan) tree(h *host.Host, name string) (*Node, error) {
	parent, base := path.Split(name)
	dir, err := h.Path(parent)
	if err != nil {
		return nil, err
	}
	if err := c.spine(h, name); err != nil {
		return nil, err
	}
	c.above, c.place = path.Clean(parent), dir
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &PathError{Op: "open directory", Path: parent, Err: err}
	}
	top := &dirScan{path: c.above, fd: fd, nodes: make([]*Node, 1)}
	top.refs.Store(1)
	defer top.release()
	if base == "" { // the root itself
		sub := &dirScan{parent: top, path: "/", before: c.s.before(c.ctx, "/")}
		if sub.fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return nil, err
		}
		c.directory(sub, "/")
	} else {
		var st unix.Stat_t
		if err := unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return nil, &PathError{Op: "stat", Path: name, Err: err}
		}
		top.before = c.s.before(c.ctx, parent)
		c.entry(top, 0, base)
	}
	c.running.Wait()
	if err := context.Cause(c.ctx); err != nil {
		return nil, err
	}
	if top.nodes[0] == nil {
		if len(c.failures) > 0 {
			return nil, c.failures[0]
		}
		return nil, &PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return top.nodes[0], nil
}

// spine records the directories on the way to a path.
func (c *scan) spine(h *host.Host, name string) error {
	for dir := path.Dir(name); dir != "/"; dir = path.Dir(dir) {
		parent, err := h.Path(path.Dir(dir))
		if err != nil {
			return err
		}
		var st unix.Stat_t
		place := filepath.Join(parent, path.Base(dir))
		if err := unix.Lstat(place, &st); err != nil {
			return &PathError{Op: "stat", Path: dir, Err: err}
		}
		if nodeType(st.Mode) == Symlink {
			c.warn(fmt.Sprintf("%s is a symbolic link; what lies below it is stored as if it were a directory", quoted(dir)))
			if place, err = h.Path(dir); err == nil {
				err = unix.Stat(place, &st)
			}
			if err != nil {
				return &PathError{Op: "stat", Path: dir, Err: err}
			}
		}
		if nodeType(st.Mode) != Dir {
			return &PathError{Op: "open directory", Path: dir, Err: unix.ENOTDIR}
		}
		n := newNode(path.Base(dir), &st, c.names)
		if n.ExtendedAttributes, err = attributesAt(place).read(); err != nil {
			c.problem("read attributes of", dir, err)
		}
		c.tally(n)
		c.mu.Lock()
		c.stats.Dirs-- // it is not what was asked for
		c.mu.Unlock()
		c.s.mu.Lock()
		c.s.spine[dir] = n
		c.s.mu.Unlock()
	}
	return nil
}

// result gives the numbers of a call that has ended.
func (c *scan) result() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.stats
	st.Bytes = c.count.bytes.Load()
	st.New = c.count.fresh.Load()
	st.Stored = c.count.stored.Load()
	st.Unchanged = c.count.unchanged.Load()
	return st
}

// AddStream stores what r gives, to its end, as a regular file at an absolute
// path. When r fails, or ctx ends, nothing of it counts and the error is
// returned. A Read that blocks is not interrupted: whoever cancels ctx must end
// what r reads from.
func (s *Session) AddStream(ctx context.Context, name string, meta Stream, r io.Reader) (Stats, error) {
	if !path.IsAbs(name) || path.Clean(name) == "/" || strings.ContainsRune(name, 0) {
		return Stats{}, fmt.Errorf("store %s: not an absolute path of a file", quoted(name))
	}
	name = path.Clean(name)
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return Stats{}, err
	}
	defer leave()
	if meta.Mode == 0 {
		meta.Mode = 0o600
	}
	if meta.ModTime.IsZero() {
		meta.ModTime = time.Now()
	}
	owner := &counter{progress: meta.Progress}
	finished := make(chan error, 1)
	var ids []ID
	c := newContent(ctx, owner, func(all []ID, err error) {
		ids = all
		finished <- err
	})
	total, err := s.cut(c, r, newBuffer(usualBuffer), 0)
	c.done(-1, ID{}, err)
	err = <-finished
	stats := Stats{
		Files: 1, Bytes: total, New: owner.fresh.Load(), Stored: owner.stored.Load(),
		UIDs: map[uint32]struct{}{meta.UID: {}}, GIDs: map[uint32]struct{}{meta.GID: {}},
	}
	if err != nil {
		return stats, fmt.Errorf("store %s: %w", quoted(name), err)
	}
	when := meta.ModTime.UTC()
	n := &Node{
		Name: path.Base(name), Type: File, Mode: meta.Mode & (os.ModePerm | os.ModeSetuid | os.ModeSetgid | os.ModeSticky),
		ModTime: when, AccessTime: when, ChangeTime: when,
		UID: meta.UID, GID: meta.GID, Size: uint64(total), Links: 1, Content: ids,
	}
	names := s.namesOf(host.Local())
	n.User, n.Group = names.user(n.UID), names.group(n.GID)
	s.add(entry{path: name, node: n})
	return stats, nil
}

// AddBytes stores data as AddStream does.
func (s *Session) AddBytes(ctx context.Context, name string, meta Stream, data []byte) (Stats, error) {
	return s.AddStream(ctx, name, meta, bytes.NewReader(data))
}

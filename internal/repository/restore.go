package repository

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// RestoreOptions says how a stored tree is written to disk.
type RestoreOptions struct {
	// Include decides by absolute path in the snapshot, for every entry; nil
	// takes everything. Directories are descended into whatever it says of them,
	// and are made when something below them is taken.
	Include func(path string) bool
	// UID and GID translate stored owners and ACL entries; nil keeps them.
	UID, GID func(old uint32) uint32
	// InPlace replaces an existing tree file by file: unchanged files (size and
	// mtime, or content with Verify) are left alone but for owner, mode and other
	// metadata; changed ones are written beside and renamed over. Otherwise
	// target must not exist, or be an empty directory.
	InPlace bool
	// Verify, with InPlace, compares content and not size and mtime.
	Verify bool
	// Delete, with InPlace, removes what the snapshot does not have in the
	// directories that are restored, where Include takes it. Other file systems
	// mounted there are left alone. A directory that stands where the snapshot
	// has something else is only replaced with Delete, or when it is empty. Of a whole
	// root nothing is removed without an Include that says what belongs to it.
	Delete   bool
	Progress func(bytes int64)    // called with increments, from several goroutines at once
	Warn     func(message string) // called from one goroutine at a time; they are in Stats too
}

// Restore writes what a snapshot holds at an absolute path to target: a file as
// the file target, a directory as the directory target. Missing directories
// above target are made, for root only. Every blob is checked against its hash
// before it is written; runs of zeros of 64 KiB and more become holes; names
// that were hard links to one file are again. What is written is on the disk
// (syncfs) when Restore returns.
//
// Entries that fail are left out and returned as *IncompleteError while all
// others are restored. A full disk ends it with ErrNoSpace. fs.ErrExist if
// target exists and InPlace is not set, fs.ErrNotExist if the snapshot has no
// such path. Nothing outside target is written to, whatever the tree holds; a
// symbolic link at target itself is followed, none below it is.
func (r *Repository) Restore(ctx context.Context, snapshot *Snapshot, name, target string, opts RestoreOptions) (Stats, error) {
	if !filepath.IsAbs(target) {
		return Stats{}, fmt.Errorf("restore to %s: the target is not an absolute path", quoted(target))
	}
	if opts.Delete && opts.Include == nil && path.Clean("/"+name) == "/" {
		return Stats{}, errors.New("restore: Delete without Include is refused for the root, whose other directories the snapshot does not know of")
	}
	lock, err := r.ReadLock(ctx)
	if err != nil {
		return Stats{}, err
	}
	stats, err := r.restore(ctx, snapshot, name, filepath.Clean(target), opts)
	return stats, errors.Join(err, lock.Release())
}

func (r *Repository) restore(ctx context.Context, snapshot *Snapshot, name, target string, opts RestoreOptions) (Stats, error) {
	node, err := r.Find(ctx, snapshot, name)
	if err != nil {
		return Stats{}, err
	}
	w := &restorer{
		r:      r,
		opts:   opts,
		jobs:   make(chan func()),
		spare:  make(chan struct{}, runtime.GOMAXPROCS(0)),
		linked: make(map[inodeKey]*restoreFile),
		warned: make(map[string]bool),
		stats:  Stats{UIDs: make(map[uint32]struct{}), GIDs: make(map[uint32]struct{})},
	}
	var tag [4]byte
	rand.Read(tag[:])
	w.tag = TempPrefix + hex.EncodeToString(tag[:]) + "-"
	ctx, w.stop = context.WithCancelCause(ctx)
	defer w.stop(nil)
	w.ctx = ctx
	top, err := w.target(node, path.Clean("/"+name), target)
	if err == nil {
		err = w.run(top, node, target)
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	w.stats.New = w.written.Load()
	w.stats.Bytes = w.bytes.Load()
	w.stats.Unchanged = w.unchanged.Load()
	if err != nil {
		return w.stats, fmt.Errorf("restore %s to %s: %w", quoted(name), quoted(target), err)
	}
	if len(w.failures) > 0 {
		return w.stats, &IncompleteError{Entries: w.failures}
	}
	return w.stats, nil
}

// restorer is one Restore call.
type restorer struct {
	r     *Repository
	ctx   context.Context
	stop  context.CancelCauseFunc
	opts  RestoreOptions
	jobs  chan func()
	batch batch         // of the goroutine that walks the tree
	spare chan struct{} // room for further goroutines that decode blobs
	tag   string        // begins the names of this call's temporary files
	temps atomic.Int64

	linked map[inodeKey]*restoreFile // first names of files with several

	written, bytes, unchanged atomic.Int64

	mu       sync.Mutex
	stats    Stats
	warned   map[string]bool
	failures []*PathError
}

type inodeKey struct{ device, inode uint64 }

// restoreDir is a directory on its way to disk. Everything in it is done by
// name, relative to its descriptor, and never follows a symbolic link.
type restoreDir struct {
	parent *restoreDir
	name   string // on disk, in the parent
	path   string // in the snapshot
	node   *Node  // nil: not part of what is restored
	wanted bool   // Include took it
	isNew  bool   // it did not exist before

	fd       int // -1 while it is not open
	refs     atomic.Int32
	children []*restoreDir
	links    []*restoreFile // made when the files they link to are complete
}

func (d *restoreDir) release() {
	if d.refs.Add(-1) == 0 {
		unix.Close(d.fd)
		d.fd = -1
	}
}

// target opens the directory that node is restored into or, for a directory,
// as. The result holds one reference.
func (w *restorer) target(node *Node, name, target string) (*restoreDir, error) {
	parent := filepath.Dir(target)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, w.full(err)
	}
	if node.Type != Dir {
		fd, err := unix.Open(parent, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, &PathError{Op: "open directory", Path: parent, Err: err}
		}
		d := &restoreDir{path: path.Dir(name), fd: fd}
		d.refs.Store(1)
		var st unix.Stat_t
		if !w.opts.InPlace && unix.Fstatat(fd, filepath.Base(target), &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			d.release()
			return nil, hint(fs.ErrExist, "choose another target, or restore in place")
		}
		return d, nil
	}
	d := &restoreDir{path: name, node: node, wanted: w.wants(name) && name != "/"}
	err := unix.Mkdir(target, 0o700)
	d.isNew = err == nil
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, w.full(&PathError{Op: "make directory", Path: target, Err: err})
	}
	if d.fd, err = unix.Open(target, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, &PathError{Op: "open directory", Path: target, Err: err}
	}
	d.refs.Store(1)
	if d.wanted {
		w.count(node)
	}
	if !d.isNew && !w.opts.InPlace {
		if entries, err := readNames(d.fd); err != nil || len(entries) > 0 {
			d.release()
			return nil, errors.Join(hint(fs.ErrExist, "choose another target, or restore in place"), err)
		}
	}
	return d, nil
}

// run restores below or into top, and makes it durable.
func (w *restorer) run(top *restoreDir, node *Node, target string) error {
	defer top.release()
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) + 1 {
		workers.Go(func() {
			for job := range w.jobs {
				job()
			}
		})
	}
	if node.Type == Dir {
		w.directory(top, nil)
	} else {
		w.entry(top, node, filepath.Base(target))
	}
	w.flush()
	close(w.jobs)
	workers.Wait()
	if context.Cause(w.ctx) != nil {
		return nil
	}
	w.settle(top, top.fd)
	if err := unix.Syncfs(top.fd); err != nil {
		return w.full(fmt.Errorf("write to disk: %w", err))
	}
	return nil
}

// wants tells whether an entry is to be restored.
func (w *restorer) wants(name string) bool {
	return w.opts.Include == nil || w.opts.Include(name)
}

// directory restores the entries of a directory.
func (w *restorer) directory(d *restoreDir, above []ID) {
	tree, above, err := w.r.descend(w.ctx, d.path, d.node, above)
	if err != nil {
		w.failed("restore", d.path, err)
		return
	}
	for _, n := range tree.Nodes {
		if w.ctx.Err() != nil {
			return
		}
		name := join(d.path, n.Name)
		if n.Type == Dir {
			sub := &restoreDir{parent: d, name: n.Name, path: name, node: n, wanted: w.wants(name), fd: -1}
			sub.refs.Store(1)
			if sub.wanted {
				if err := w.open(sub); err != nil {
					w.failed("make directory", name, err)
					continue
				}
			}
			w.directory(sub, above)
			if sub.fd >= 0 {
				d.children = append(d.children, sub)
				sub.release()
			}
			continue
		}
		if !w.wants(name) {
			continue
		}
		if err := w.open(d); err != nil {
			w.failed("make directory", d.path, err)
			return
		}
		w.entry(d, n, n.Name)
	}
}

// open makes sure that a directory, and those above it, exist and are open.
func (w *restorer) open(d *restoreDir) error {
	if d.fd >= 0 {
		return nil
	}
	if err := w.open(d.parent); err != nil {
		return err
	}
	err := unix.Mkdirat(d.parent.fd, d.name, 0o700)
	d.isNew = err == nil
	if errors.Is(err, unix.EEXIST) && w.opts.InPlace {
		var st unix.Stat_t
		if err = unix.Fstatat(d.parent.fd, d.name, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil && nodeType(st.Mode) != Dir {
			if err = unix.Unlinkat(d.parent.fd, d.name, 0); err == nil {
				err = unix.Mkdirat(d.parent.fd, d.name, 0o700)
				d.isNew = err == nil
			}
		}
	}
	if err != nil {
		return err
	}
	fd, err := unix.Openat(d.parent.fd, d.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	d.fd = fd
	w.count(d.node)
	return nil
}

// entry restores anything but a directory into an open directory.
func (w *restorer) entry(d *restoreDir, n *Node, name string) {
	f := &restoreFile{dir: d, name: name, path: join(d.path, n.Name), node: n}
	w.count(n)
	if n.Links > 1 && n.Inode != 0 {
		key := inodeKey{n.DeviceID, n.Inode}
		if first := w.linked[key]; first == nil {
			w.linked[key] = f
		} else if first.same(n) {
			f.first = first
			d.links = append(d.links, f)
			return
		}
	}
	switch n.Type {
	case File:
		d.refs.Add(1)
		if !w.collect(f) {
			w.submit(func() { w.file(f) }, d.release)
		}
	case Symlink, Device, CharDevice, FIFO:
		if err := w.special(f); err != nil {
			w.failed("restore", f.path, err)
		} else {
			f.complete = true
		}
	default:
		w.warn(fmt.Sprintf("%s is of type %q, which cannot be restored", quoted(f.path), n.Type))
	}
}

func (w *restorer) count(n *Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.UIDs[n.UID] = struct{}{}
	w.stats.GIDs[n.GID] = struct{}{}
	switch n.Type {
	case File:
		w.stats.Files++
	case Dir:
		w.stats.Dirs++
	default:
		w.stats.Other++
	}
}

func (w *restorer) warn(message string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Warnings = append(w.stats.Warnings, message)
	if w.opts.Warn != nil {
		w.opts.Warn(message)
	}
}

// warnOnce is for what would otherwise be said of every file of a tree.
func (w *restorer) warnOnce(kind, message string) {
	w.mu.Lock()
	seen := w.warned[kind]
	w.warned[kind] = true
	w.mu.Unlock()
	if !seen {
		w.warn(message + " (said once, for the first file)")
	}
}

// failed notes an entry that could not be restored. A full disk ends everything.
func (w *restorer) failed(op, name string, err error) {
	if full := w.full(err); errors.Is(full, ErrNoSpace) {
		w.stop(full)
		return
	}
	if w.ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, &PathError{Op: op, Path: name, Err: err})
}

// full turns the system's ways to say that a disk is full into ours.
func (w *restorer) full(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return hint(fmt.Errorf("%w: %w", ErrNoSpace, err), "make room and restore again; what was written so far is incomplete")
	}
	return err
}

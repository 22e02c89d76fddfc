package repository

import (
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// scan is one AddPath call. Directories are read by a few walkers; files are
// given to the session's readers. A directory is stored by whoever finishes the
// last of its entries, so that nobody waits for anybody.
type scan struct {
	s       *Session
	ctx     context.Context
	opts    PathOptions
	above   string // the stored path of the directory that the tree lies in
	place   string // where that directory is for this process
	names   *names
	count   counter
	running sync.WaitGroup // walkers, and files that were not taken yet
	walkers chan struct{}

	mu       sync.Mutex
	stats    Stats
	failures []*PathError
}

// dirScan is a directory whose entries are being stored.
type dirScan struct {
	parent *dirScan
	slot   int // in the parent
	path   string
	node   *Node
	before *Tree // the same directory in the parent snapshot

	fd   int
	refs atomic.Int32 // who still needs fd

	nodes []*Node
	open  atomic.Int32 // entries that are not finished
}

func (d *dirScan) release() {
	if d.refs.Add(-1) == 0 {
		unix.Close(d.fd)
	}
}

// disk is where a stored path stands for this process.
func (c *scan) disk(path string) string {
	return join(c.place, strings.TrimPrefix(strings.TrimPrefix(path, c.above), "/"))
}

func (c *scan) warn(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Warnings = append(c.stats.Warnings, text)
}

// problem notes an entry that could not be stored. One that went away is no
// failure: live trees change.
func (c *scan) problem(op, path string, err error) {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESTALE) {
		c.warn(quoted(path) + " vanished while it was being stored")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures = append(c.failures, &PathError{Op: op, Path: path, Err: err})
}

// entry stores one entry of a directory, or hands it on.
func (c *scan) entry(d *dirScan, slot int, name string) {
	path := join(d.path, name)
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		c.problem("stat", path, err)
		c.finish(d, slot, nil)
		return
	}
	switch nodeType(st.Mode) {
	case Dir:
		c.subdirectory(d, slot, name)
	case File:
		c.file(d, slot, name, &st)
	case Socket:
		c.finish(d, slot, nil)
	case UnknownNode:
		c.warn(quoted(path) + " is of an unknown type and was not stored")
		c.finish(d, slot, nil)
	default:
		c.finish(d, slot, c.special(d, name, path, &st))
	}
}

// special makes the node of a symbolic link, device or FIFO.
func (c *scan) special(d *dirScan, name, path string, st *unix.Stat_t) *Node {
	n := newNode(name, st, c.names)
	if n.Type == Symlink {
		target, err := growingString(func(buf []byte) (int, error) { return unix.Readlinkat(d.fd, name, buf) })
		if err != nil {
			c.problem("read link", path, err)
			return nil
		}
		n.LinkTarget = target
	}
	var err error
	if n.ExtendedAttributes, err = attributesAt(c.disk(path)).read(); err != nil {
		c.problem("read attributes of", path, err)
	}
	return n
}

// growingString reads a link's target, which tells of no truncation but filling
// the buffer.
func growingString(call func([]byte) (int, error)) (string, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := call(buf)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
}

// subdirectory opens a directory and reads it, in another goroutine if one is free.
func (c *scan) subdirectory(d *dirScan, slot int, name string) {
	path := join(d.path, name)
	fd, err := unix.Openat(d.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		c.problem("open directory", path, err)
		c.finish(d, slot, nil)
		return
	}
	sub := &dirScan{parent: d, slot: slot, path: path, fd: fd}
	if d.before != nil {
		if n := d.before.find(name); n != nil && n.Type == Dir {
			sub.before = c.s.oldTree(c.ctx, *n.Subtree)
		}
	}
	select {
	case c.walkers <- struct{}{}:
		c.running.Go(func() {
			c.directory(sub, name)
			<-c.walkers
		})
	default:
		c.directory(sub, name)
	}
}

// directory stores the entries of an open directory.
func (c *scan) directory(d *dirScan, name string) {
	d.refs.Store(1)
	defer d.release()
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		c.problem("stat", d.path, err)
		c.finish(d.parent, d.slot, nil)
		return
	}
	d.node = newNode(name, &st, c.names)
	var err error
	if d.node.ExtendedAttributes, err = attributesOf(d.fd).read(); err != nil {
		c.problem("read attributes of", d.path, err)
	}
	entries, err := readNames(d.fd)
	if err != nil {
		c.problem("read directory", d.path, err)
	}
	if c.opts.Exclude != nil {
		entries = slices.DeleteFunc(entries, func(name string) bool { return c.opts.Exclude(join(d.path, name)) })
	}
	slices.Sort(entries)
	d.nodes = make([]*Node, len(entries))
	d.open.Store(int32(len(entries)) + 1) // one is this loop
	for i, name := range entries {
		if c.ctx.Err() != nil {
			return // the call fails; nobody waits for this directory
		}
		c.entry(d, i, name)
	}
	c.finished(d)
}

func readNames(fd int) ([]string, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(dup), "directory")
	defer f.Close()
	list, err := f.Readdirnames(-1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return list, err
}

// finish records what became of an entry; nil leaves it out.
func (c *scan) finish(d *dirScan, slot int, n *Node) {
	if n != nil {
		c.tally(n)
	}
	d.nodes[slot] = n
	c.finished(d)
}

// finished counts an entry off. With the last one the directory is stored, and
// counts off in its parent in turn.
func (c *scan) finished(d *dirScan) {
	for d.parent != nil && d.open.Add(-1) == 0 {
		tree := &Tree{Nodes: slices.DeleteFunc(d.nodes, func(n *Node) bool { return n == nil })}
		d.nodes = nil
		id, err := c.s.saveTree(tree, &c.count)
		if err != nil {
			c.s.writer.fail(err)
			return
		}
		d.node.Subtree = &id
		c.tally(d.node)
		d.parent.nodes[d.slot] = d.node
		d = d.parent
	}
}

// tally counts a node that was stored.
func (c *scan) tally(n *Node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.UIDs[n.UID] = struct{}{}
	c.stats.GIDs[n.GID] = struct{}{}
	for _, a := range n.ExtendedAttributes {
		if !isACL(a.Name) {
			continue
		}
		uids, gids := ACLIDs(a.Value)
		for _, id := range uids {
			c.stats.UIDs[id] = struct{}{}
		}
		for _, id := range gids {
			c.stats.GIDs[id] = struct{}{}
		}
	}
	switch n.Type {
	case File:
		c.stats.Files++
	case Dir:
		c.stats.Dirs++
	default:
		c.stats.Other++
	}
}

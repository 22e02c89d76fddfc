package repository

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/host"
)

// CompareOptions says how a snapshot is compared with a live tree.
type CompareOptions struct {
	// Exclude decides by absolute path, as in PathOptions; what it takes out
	// counts on neither side.
	Exclude func(path string) bool
	// UID and GID translate stored owners and ACL entries to this machine's; nil
	// keeps them.
	UID, GID func(old uint32) uint32
	// Host gives the names of owners; nil is this machine.
	Host *host.Host
	// Since is when the tree was stored. An entry that the snapshot does not have
	// is suspicious when it is older. Zero trusts no change time, neither of the
	// snapshot: it was stored from a copy of the tree.
	Since time.Time
	// Quick takes a file with the stored inode, size, modification and change
	// time for unchanged and does not read it. Only root can set a change time
	// back, with the clock; but what a disk has lost is then not seen.
	Quick bool
	// Progress is called with increments of content bytes that were read, from
	// several goroutines at once.
	Progress func(bytes int64)

	// seen, in tests, is called after a part of a file was read.
	seen func(path string)
	// unsealed, in tests, does without the kernel's read-only view.
	unsealed bool
}

// DifferenceKind says how something live is not as it was stored.
type DifferenceKind string

// The kinds of differences.
const (
	Missing    DifferenceKind = "missing"    // stored, and not there
	New        DifferenceKind = "new"        // there, and not stored
	Changed    DifferenceKind = "content"    // content, link target, device or type
	Metadata   DifferenceKind = "metadata"   // and the content is the same
	Moving     DifferenceKind = "changing"   // it was written to while it was read
	Unreadable DifferenceKind = "unreadable" // it could not be compared
)

// Difference is something live that is not as a snapshot has it.
type Difference struct {
	Path   string         `json:"path"`
	Kind   DifferenceKind `json:"kind"`
	Fields []Field        `json:"fields,omitempty"`
	// Below counts what is in a directory that is missing or new.
	Below int64 `json:"below,omitempty"`
	// Suspicious says that nothing explains the difference: the times of the
	// entry, or of its directory, say that it was not written to since.
	Suspicious bool   `json:"suspicious,omitempty"`
	Note       string `json:"note,omitempty"` // for a person
}

// Field is one property that differs.
type Field struct {
	Name string `json:"field"`
	Was  string `json:"was,omitempty"`
	Now  string `json:"now,omitempty"`
}

// CompareStats counts what Compare looked at. Bytes are of content read.
type CompareStats struct {
	Entries, Bytes int64
	Unread         int64 // files that Quick trusted
}

// Compare compares what a snapshot holds at an absolute path with the live
// entry or tree at place, and gives every difference to report, from one
// goroutine at a time and in no particular order. Content is read and its
// chunks' hashes are compared; none of it is fetched from the store.
//
// The live tree is only read. As root, on Linux 5.12 and newer, that is through
// a mount of it that the kernel keeps read-only and without access times;
// elsewhere files and directories are opened with O_NOATIME, and what may not be
// is Unreadable (reading a symbolic link then may set the link's access time).
// Not compared are access times, the modification time of a directory that is
// newer than the stored one (that comes from entries coming and going), security
// labels, sockets.
//
// fs.ErrNotExist if the snapshot has no such path, ErrDamaged if it cannot be
// read.
func (r *Repository) Compare(ctx context.Context, snapshot *Snapshot, name, place string, opts CompareOptions, report func(Difference)) (CompareStats, error) {
	name = path.Clean("/" + name)
	node, err := r.Find(ctx, snapshot, name)
	if err != nil {
		return CompareStats{}, err
	}
	if opts.Host == nil {
		opts.Host = host.Local()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c := &comparison{
		r: r, ctx: ctx, opts: opts, report: report, names: newNames(opts.Host),
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)), then: map[linkID]*sameFile{}, now: map[linkID]*sameFile{},
	}
	if err := c.top(node, name, place); err != nil {
		cancel(err)
	}
	if err := context.Cause(ctx); err != nil {
		return c.stats, fmt.Errorf("compare %s: %w", quoted(name), err)
	}
	return c.stats, nil
}

// comparison is one Compare. One goroutine walks; files are read by others.
type comparison struct {
	r     *Repository
	ctx   context.Context
	opts  CompareOptions
	names *names
	slots chan struct{}

	then, now map[linkID]*sameFile

	mu     sync.Mutex
	stats  CompareStats
	report func(Difference)
}

func (c *comparison) tell(d Difference) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report(d)
}

func (c *comparison) count(add CompareStats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Entries += add.Entries
	c.stats.Bytes += add.Bytes
	c.stats.Unread += add.Unread
}

// liveDir is an open directory of the live tree.
type liveDir struct {
	fd      int
	path    string
	running sync.WaitGroup // files of it that are being read
}

func (d *liveDir) close() {
	d.running.Wait()
	unix.Close(d.fd)
}

// top compares the entry that Compare was called for.
func (c *comparison) top(node *Node, name, place string) error {
	if name == "/" {
		fd, err := openView(place, c.opts.unsealed)
		if err != nil {
			return err
		}
		d := &liveDir{fd: fd, path: "/"}
		defer d.close()
		return c.directory(d, node)
	}
	parent, base := filepath.Split(place)
	fd, err := openView(parent, c.opts.unsealed)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return c.missing(name, node, false, "the directory it was in is not there either")
	}
	if err != nil {
		return err
	}
	d := &liveDir{fd: fd, path: path.Dir(name)}
	defer d.close()
	var above, st unix.Stat_t
	if err := unix.Fstat(fd, &above); err != nil {
		return err
	}
	err = unix.Fstatat(fd, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return c.missing(name, node, !c.newer(changeTime(&above)), "")
	}
	if err != nil {
		return err
	}
	return c.entry(d, base, name, node, &st)
}

// newer tells whether a change time is after the tree was stored.
func (c *comparison) newer(at time.Time) bool { return !at.Before(c.opts.Since) }

// directory compares the entries of a live directory with those stored.
func (c *comparison) directory(d *liveDir, node *Node) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	tree, err := c.r.LoadTree(c.ctx, *node.Subtree)
	if err != nil {
		return fmt.Errorf("%s: %w", quoted(d.path), err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return err
	}
	live, err := readNames(d.fd)
	if err != nil {
		c.tell(Difference{Path: d.path, Kind: Unreadable, Note: err.Error()})
		return nil
	}
	slices.Sort(live)
	stored := tree.Nodes
	// What went leaves its trace in the directory's times.
	touched := c.opts.Since.IsZero() || !modTime(&st).Equal(node.ModTime) && changeTime(&st).After(node.ChangeTime)
	for len(stored) > 0 || len(live) > 0 {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		name := ""
		var n *Node
		switch {
		case len(live) == 0 || len(stored) > 0 && stored[0].Name < live[0]:
			n, stored, name = stored[0], stored[1:], stored[0].Name
			at := join(d.path, name)
			if n.Type != Socket && !c.excluded(at) {
				if err := c.missing(at, n, !touched, ""); err != nil {
					return err
				}
			}
			continue
		case len(stored) > 0 && stored[0].Name == live[0]:
			n, stored = stored[0], stored[1:]
		}
		name, live = live[0], live[1:]
		at := join(d.path, name)
		if c.excluded(at) {
			continue
		}
		var found unix.Stat_t
		err := unix.Fstatat(d.fd, name, &found, unix.AT_SYMLINK_NOFOLLOW)
		switch {
		case errors.Is(err, unix.ENOENT) && n != nil: // gone since the directory was read
			err = c.missing(at, n, false, "")
		case errors.Is(err, unix.ENOENT):
			err = nil
		case err != nil:
			c.tell(Difference{Path: at, Kind: Unreadable, Note: err.Error()})
			err = nil
		case n == nil:
			err = c.fresh(d, name, at, &found)
		default:
			err = c.entry(d, name, at, n, &found)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) excluded(at string) bool { return c.opts.Exclude != nil && c.opts.Exclude(at) }

// missing tells of something stored that is not there.
func (c *comparison) missing(at string, node *Node, suspicious bool, note string) error {
	d := Difference{Path: at, Kind: Missing, Suspicious: suspicious, Note: note}
	if suspicious {
		d.Note = "its directory was not changed since"
	}
	if node.Type == Dir {
		err := c.r.walk(c.ctx, at, node, nil, func(below string, n *Node) error {
			if below != at && c.excluded(below) {
				if n.Type == Dir {
					return fs.SkipDir
				}
				return nil
			}
			d.Below++
			return nil
		})
		if err != nil {
			return err
		}
		d.Below-- // itself
	}
	c.count(CompareStats{Entries: 1 + d.Below})
	c.tell(d)
	return nil
}

// fresh tells of something that is not stored.
func (c *comparison) fresh(d *liveDir, name, at string, st *unix.Stat_t) error {
	if t := nodeType(st.Mode); t == Socket || t == UnknownNode {
		return nil
	}
	found := Difference{Path: at, Kind: New, Suspicious: !c.newer(changeTime(st))}
	if found.Suspicious {
		found.Note = "it is older than the recovery point, which does not have it"
	}
	if nodeType(st.Mode) == Dir {
		found.Below = c.below(d.fd, name, at)
	}
	c.count(CompareStats{Entries: 1 + found.Below})
	c.tell(found)
	return c.ctx.Err()
}

// below counts the entries in a live directory, as far as it can be read.
func (c *comparison) below(dir int, name, at string) (n int64) {
	fd, err := openLive(dir, name, unix.O_DIRECTORY)
	if err != nil || c.ctx.Err() != nil {
		return 0
	}
	defer unix.Close(fd)
	list, _ := readNames(fd)
	for _, name := range list {
		var st unix.Stat_t
		below := join(at, name)
		if c.excluded(below) || unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || nodeType(st.Mode) == Socket {
			continue
		}
		n++
		if nodeType(st.Mode) == Dir {
			n += c.below(fd, name, below)
		}
	}
	return n
}

package repository

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

func modTime(st *unix.Stat_t) time.Time    { return time.Unix(st.Mtim.Unix()) }
func changeTime(st *unix.Stat_t) time.Time { return time.Unix(st.Ctim.Unix()) }

// openView opens a directory to be read through. What the kernel grants is a
// private copy of its mounts that refuses writing and keeps access times; it
// goes away with the descriptor.
func openView(dir string, unsealed bool) (int, error) {
	if unsealed {
		return openLive(unix.AT_FDCWD, dir, unix.O_DIRECTORY)
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil { // an older kernel, or no right to mount
		return openView(dir, true)
	}
	defer unix.Close(fd)
	sealed := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOATIME, Attr_clr: unix.MOUNT_ATTR__ATIME}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, sealed); err != nil {
		return openView(dir, true)
	}
	return openLive(fd, ".", unix.O_DIRECTORY)
}

// openLive opens an entry without following, waiting, or touching its access time.
func openLive(dir int, name string, flags int) (int, error) {
	fd, err := unix.Openat(dir, name, flags|unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) {
		return -1, fmt.Errorf("%w: reading it would change its access time; only root and its owner may leave that alone", err)
	}
	return fd, err
}

// entry compares a live entry with its node.
func (c *comparison) entry(d *liveDir, name, at string, node *Node, st *unix.Stat_t) error {
	c.count(CompareStats{Entries: 1})
	found := Difference{Path: at, Kind: Metadata}
	if kind := nodeType(st.Mode); kind != node.Type {
		found.Kind = Changed
		found.Fields = []Field{{Name: "type", Was: string(node.Type), Now: string(kind)}}
		c.judge(&found, node, st)
		c.tell(found)
		return nil
	}
	c.metadata(d, name, node, st, &found)
	var check *sameFile
	if node.Type != Dir {
		var split bool
		if check, split = c.links(node, st); split {
			found.Fields = append(found.Fields, Field{Name: "hard links", Now: "not the same names for one file"})
		}
	}
	switch node.Type {
	case Dir:
		c.finish(found, node, st)
		fd, err := openLive(d.fd, name, unix.O_DIRECTORY)
		if err != nil {
			c.tell(Difference{Path: at, Kind: Unreadable, Note: err.Error()})
			return nil
		}
		sub := &liveDir{fd: fd, path: at}
		defer sub.close()
		return c.directory(sub, node)
	case Symlink:
		target, err := growingString(func(buf []byte) (int, error) { return unix.Readlinkat(d.fd, name, buf) })
		if err != nil {
			c.tell(Difference{Path: at, Kind: Unreadable, Note: err.Error()})
			return nil
		}
		if target != node.LinkTarget {
			found.Kind = Changed
			found.Fields = append(found.Fields, Field{Name: "target", Was: node.LinkTarget, Now: target})
		}
	case Device, CharDevice:
		if st.Rdev != node.Device {
			found.Kind = Changed
			found.Fields = append(found.Fields, Field{Name: "device", Was: strconv.FormatUint(node.Device, 10), Now: strconv.FormatUint(st.Rdev, 10)})
		}
	case File:
		return c.file(d, name, node, st, found, check)
	}
	c.finish(found, node, st)
	return nil
}

// finish tells of a difference, if there is one.
func (c *comparison) finish(found Difference, node *Node, st *unix.Stat_t) {
	if len(found.Fields) == 0 && found.Kind == Metadata {
		return
	}
	c.judge(&found, node, st)
	c.tell(found)
}

// judge says whether times explain a difference. A change time cannot be set
// back but with the clock; a modification time can, which is what hides a change
// of content.
func (c *comparison) judge(d *Difference, node *Node, st *unix.Stat_t) {
	sameTime := modTime(st).Equal(node.ModTime)
	switch {
	case d.Kind == Unreadable || d.Kind == Moving:
	case d.Kind == Changed && node.Type == File && sameTime:
		d.Suspicious = true
		d.Note = "other content under the same modification time"
	case !c.opts.Since.IsZero() && !changeTime(st).After(node.ChangeTime) && !onlyTranslated(d.Fields):
		d.Suspicious = true
		d.Note = "its change time says that nobody wrote to it since"
	}
}

// translated marks an owner whose number is as stored: not the file changed but
// the accounts did.
const translated = " (by name)"

func onlyTranslated(fields []Field) bool {
	return !slices.ContainsFunc(fields, func(f Field) bool { return !strings.HasSuffix(f.Name, translated) })
}

// file compares a regular file. Its content is read by another goroutine.
func (c *comparison) file(d *liveDir, name string, node *Node, st *unix.Stat_t, found Difference, check *sameFile) error {
	if uint64(st.Size) != node.Size {
		found.Kind = Changed
		found.Fields = append(found.Fields, Field{Name: "size", Was: strconv.FormatUint(node.Size, 10), Now: strconv.FormatInt(st.Size, 10)})
		c.finish(found, node, st)
		return nil
	}
	if st.Size == 0 {
		c.finish(found, node, st)
		return nil
	}
	if c.opts.Quick && !c.opts.Since.IsZero() && st.Ino == node.Inode && modTime(st).Equal(node.ModTime) && changeTime(st).Equal(node.ChangeTime) {
		c.count(CompareStats{Unread: 1})
		c.finish(found, node, st)
		return nil
	}
	sizes, err := c.sizes(node)
	if err != nil {
		return err
	}
	select {
	case c.slots <- struct{}{}:
	case <-c.ctx.Done():
		return c.ctx.Err()
	}
	d.running.Go(func() {
		defer func() { <-c.slots }()
		read := func() contentVerdict { return c.read(d, name, node, sizes) }
		var v contentVerdict
		if check != nil && slices.Equal(check.content, node.Content) {
			check.once.Do(func() { check.verdict = read() })
			v = check.verdict
		} else {
			v = read()
		}
		switch {
		case c.ctx.Err() != nil:
			return
		case v.err != nil && errors.Is(v.err, unix.ENOENT):
			found = Difference{Path: found.Path, Kind: Missing, Note: "it vanished meanwhile"}
		case v.err != nil:
			found = Difference{Path: found.Path, Kind: Unreadable, Note: v.err.Error()}
		case v.moving:
			found.Kind, found.Note = Moving, "it was written to while it was read; compare again"
		case v.differs >= 0:
			found.Kind = Changed
			st = &v.st
			found.Fields = append(found.Fields, Field{Name: "content", Now: fmt.Sprintf("other bytes among the %d from byte %d", v.length, v.differs)})
		}
		c.finish(found, node, st)
	})
	return nil
}

// sizes are the lengths of a file's chunks, from the index.
func (c *comparison) sizes(node *Node) ([]uint32, error) {
	sizes := make([]uint32, len(node.Content))
	total := uint64(0)
	for i, id := range node.Content {
		p, err := c.r.locate(c.ctx, DataBlob, id)
		if err != nil {
			return nil, fmt.Errorf("content of %s: %w", quoted(node.Name), err)
		}
		sizes[i] = p.blob.size()
		total += uint64(sizes[i])
	}
	if total != node.Size {
		return nil, fmt.Errorf("content of %s: %w: %d bytes are stored, its size is given as %d", quoted(node.Name), ErrDamaged, total, node.Size)
	}
	return sizes, nil
}

// contentVerdict is what reading a file has shown.
type contentVerdict struct {
	differs int64 // where the first other chunk begins; -1 for none
	length  int64 // of that chunk
	moving  bool
	st      unix.Stat_t // when it was read
	err     error
}

// readPart is how much of a file is read at once.
const readPart = 128 << 10

var readBuffers = newSpare(4, func() *[readPart]byte { return new([readPart]byte) })

// read hashes a live file chunk by chunk.
func (c *comparison) read(d *liveDir, name string, node *Node, sizes []uint32) contentVerdict {
	fd, err := openLive(d.fd, name, 0)
	if err != nil {
		return contentVerdict{err: err}
	}
	f := fdReader(fd)
	defer f.Close()
	var before, after unix.Stat_t
	if err := unix.Fstat(fd, &before); err != nil {
		return contentVerdict{err: err}
	}
	if nodeType(before.Mode) != File {
		return contentVerdict{moving: true}
	}
	v := contentVerdict{differs: -1}
	var at int64
	buf := readBuffers.get()
	defer readBuffers.put(buf)
	h := sha256.New()
	for i, id := range node.Content {
		if err := c.ctx.Err(); err != nil {
			return contentVerdict{err: err}
		}
		h.Reset()
		n, err := io.CopyBuffer(h, io.LimitReader(f, int64(sizes[i])), buf[:])
		c.progress(d, name, n)
		if err != nil {
			return contentVerdict{err: err}
		}
		if n < int64(sizes[i]) || !bytes.Equal(h.Sum(nil), id[:]) {
			v.differs, v.length = at, int64(sizes[i])
			break
		}
		at += n
	}
	if err := unix.Fstat(fd, &after); err != nil {
		return contentVerdict{err: err}
	}
	if after.Mtim != before.Mtim || after.Size != before.Size || uint64(after.Size) != node.Size {
		v.moving = true
	}
	v.st = after
	return v
}

func (c *comparison) progress(d *liveDir, name string, n int64) {
	c.count(CompareStats{Bytes: n})
	if c.opts.Progress != nil {
		c.opts.Progress(n)
	}
	if c.opts.seen != nil {
		c.opts.seen(join(d.path, name))
	}
}

type linkID struct{ dev, ino uint64 }

// sameFile is one file with several names, there and here.
type sameFile struct {
	then, now linkID
	left      uint64 // names that were not met yet
	content   []ID
	once      sync.Once
	verdict   contentVerdict
}

// links tells whether names that were one file still are one, and no others.
// The result remembers the content's verdict, so that it is read once.
func (c *comparison) links(node *Node, st *unix.Stat_t) (same *sameFile, split bool) {
	if node.Links < 2 && st.Nlink < 2 || node.Links == 0 {
		return nil, false
	}
	then, now := linkID{node.DeviceID, node.Inode}, linkID{st.Dev, st.Ino}
	a, b := c.then[then], c.now[now]
	switch {
	case a == nil && b == nil:
		same = &sameFile{then: then, now: now, left: max(node.Links, uint64(st.Nlink)), content: node.Content}
		c.then[then], c.now[now] = same, same
	case a != b:
		return nil, true
	default:
		same = a
	}
	if same.left--; same.left == 0 { // that was its last name
		delete(c.then, then)
		delete(c.now, now)
	}
	return same, false
}

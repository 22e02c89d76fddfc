package repository

import (
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/repository/chunker"
)

// fileJob is a regular file for a reader. done is called exactly once, with
// nil and nil for a file that is left out.
type fileJob struct {
	scan *scan
	dir  *dirScan
	name string
	done func(*Node, error)
}

// file stores a regular file.
func (c *scan) file(d *dirScan, slot int, name string, st *unix.Stat_t) {
	d.refs.Add(1)
	c.running.Add(1)
	finish := func(n *Node, err error) {
		if err != nil && c.ctx.Err() == nil {
			c.problem("read", join(d.path, name), err)
		}
		c.finish(d, slot, n)
		d.release()
		c.running.Done()
	}
	if st.Nlink > 1 {
		c.s.links.once(c, d, name, st, finish)
		return
	}
	c.content(d, name, st, finish)
}

// content finds the content of a file: in the parent snapshot, or by reading.
func (c *scan) content(d *dirScan, name string, st *unix.Stat_t, done func(*Node, error)) {
	if n := c.unchanged(d, name, st); n != nil {
		c.count.read(int(n.Size))
		c.count.unchanged.Add(1)
		done(n, nil)
		return
	}
	select {
	case c.s.files <- fileJob{scan: c, dir: d, name: name, done: done}:
	case <-c.ctx.Done():
		done(nil, c.ctx.Err())
	}
}

// unchanged returns the node of the parent snapshot, if the file is the same.
// The change time covers content and all metadata; it cannot be set back.
func (c *scan) unchanged(d *dirScan, name string, st *unix.Stat_t) *Node {
	old := d.before.find(name)
	if old == nil || old.Type != File || old.Size != uint64(st.Size) || old.Inode != st.Ino ||
		!old.ModTime.Equal(time.Unix(st.Mtim.Unix())) || !old.ChangeTime.Equal(time.Unix(st.Ctim.Unix())) {
		return nil
	}
	for _, id := range old.Content {
		if !c.s.repo.index.has(DataBlob, id) {
			return nil
		}
	}
	n := newNode(name, st, c.names)
	n.Content = old.Content
	n.ExtendedAttributes = old.ExtendedAttributes
	return n
}

// readFiles stores the content of files until there are no more.
func (s *Session) readFiles() {
	for job := range s.files {
		job.run()
	}
}

func (j fileJob) run() {
	c := j.scan
	if err := c.ctx.Err(); err != nil {
		j.done(nil, err)
		return
	}
	f, st, err := openFile(j.dir.fd, j.name)
	if err != nil {
		j.done(nil, err)
		return
	}
	defer f.Close()
	path := join(j.dir.path, j.name)
	if nodeType(st.Mode) != File {
		c.warn(quoted(path) + " changed its type while it was being stored and was left out")
		j.done(nil, nil)
		return
	}
	n := newNode(j.name, &st, c.names)
	if n.ExtendedAttributes, err = attributesOf(int(f)).read(); err != nil {
		c.problem("read attributes of", path, err)
	}
	buf := newBuffer(int(min(st.Size+1, chunker.Min)))
	have, err := f.start(*buf, st.Size)
	if have > 0 {
		c.count.read(have)
	}
	if err == nil && have == len(*buf) {
		j.large(f, path, n, &st, buf, have)
		return
	}
	defer recycle(buf)
	if err == nil {
		c.compare(f, path, &st, int64(have))
		n.Size, n.Content = uint64(have), []ID{}
		if have > 0 {
			var id ID
			if id, err = c.s.saveData((*buf)[:have], &c.count); err == nil {
				n.Content = []ID{id}
			}
		}
	}
	if err != nil {
		n = nil
	}
	j.done(n, err)
}

// large stores a file whose first bytes were read already. Only a few are read
// at once: their chunks take memory.
func (j fileJob) large(f fdReader, path string, n *Node, st *unix.Stat_t, buf *[]byte, have int) {
	c := j.scan
	content := newContent(c.ctx, &c.count, func(ids []ID, err error) {
		n.Content = ids
		if err != nil {
			n = nil
		}
		j.done(n, err)
	})
	c.s.large <- struct{}{}
	total, err := c.s.cut(content, f, buf, have)
	<-c.s.large
	n.Size = uint64(total)
	if err == nil {
		c.compare(f, path, st, total)
	}
	content.done(-1, ID{}, err)
}

// compare warns when a file changed under the reader's eyes.
func (c *scan) compare(f fdReader, path string, before *unix.Stat_t, size int64) {
	var after unix.Stat_t
	if err := unix.Fstat(int(f), &after); err != nil {
		return
	}
	if size != before.Size || after.Mtim != before.Mtim || after.Size != before.Size {
		c.warn(quoted(path) + " changed while it was being read; what was read is stored")
	}
}

// tick is the resolution of file times in the kernel. A file that is written
// to within the same tick twice keeps its change time, so one that has just
// changed is left to settle before it is read: else the second change would
// never be noticed.
const tick = 20 * time.Millisecond

// openFile opens a regular file without waiting for what else it may have
// become, and without following it if it became a symbolic link.
func openFile(dir int, name string) (fdReader, unix.Stat_t, error) {
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	var st unix.Stat_t
	fd, err := unix.Openat(dir, name, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) { // only the owner may leave the access time alone
		fd, err = unix.Openat(dir, name, flags, 0)
	}
	if err != nil {
		return 0, st, err
	}
	for range 2 {
		if err := unix.Fstat(fd, &st); err != nil {
			unix.Close(fd)
			return 0, st, err
		}
		age := time.Since(time.Unix(st.Ctim.Unix()))
		if age < 0 || age >= tick {
			break
		}
		time.Sleep(tick - age)
	}
	return fdReader(fd), st, nil
}

// fdReader reads a regular file without the runtime's poller.
type fdReader int

func (f fdReader) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(f), p)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, err
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (f fdReader) Close() { unix.Close(int(f)) }

// start fills buf from the beginning of a file that should have size bytes. It
// returns less than was asked for only at the end of the file.
func (f fdReader) start(buf []byte, size int64) (have int, err error) {
	for have < len(buf) {
		n, err := f.Read(buf[have:])
		have += n
		if errors.Is(err, io.EOF) {
			return have, nil
		}
		if err != nil {
			return have, err
		}
		if int64(have) == size && have < len(buf) {
			return have, nil // a short read at the expected end is the end
		}
	}
	return have, nil
}

package repository

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"lifeboat/internal/repository/chunker"
)

// Sizes of buffers, in bytes. Most files fit the first, most chunks the third;
// the last holds the largest chunk and what was read beyond it. What is read
// beyond a cut is copied to the next buffer, so steps are small.
const (
	readStep    = 256 << 10
	smallBuffer = 64 << 10
	usualBuffer = 2 << 20
	largeBuffer = chunker.Max + readStep
)

// bufferClass is a size of buffers, and unused ones of it.
type bufferClass struct {
	size int
	free spare[[]byte]
}

var bufferSizes = [...]bufferClass{
	sparesOf(smallBuffer, 16),
	sparesOf(chunker.Min, 16),
	sparesOf(usualBuffer, 8),
	sparesOf(4<<20, 2),
	sparesOf(largeBuffer, 1),
}

func sparesOf(size, keep int) bufferClass {
	return bufferClass{size, newSpare(keep, func() *[]byte {
		b := make([]byte, size)
		return &b
	})}
}

// newBuffer returns a buffer of at least size bytes, of those there are.
func newBuffer(size int) *[]byte {
	for _, class := range bufferSizes {
		if size <= class.size {
			return class.free.get()
		}
	}
	panic("no buffer is as large as that")
}

func recycle(b *[]byte) {
	for _, class := range bufferSizes {
		if len(*b) == class.size {
			class.free.put(b)
		}
	}
}

// content is a file or stream on its way into the repository.
type content struct {
	owner *counter
	ctx   context.Context // over: the rest need not be done

	mu     sync.Mutex
	ids    []ID
	err    error
	open   int // chunks under way, and one while it is being read
	finish func(ids []ID, err error)
}

func newContent(ctx context.Context, owner *counter, finish func([]ID, error)) *content {
	return &content{ctx: ctx, owner: owner, finish: finish, open: 1, ids: []ID{}}
}

// slot makes room for the next chunk's ID.
func (c *content) slot() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids = append(c.ids, ID{})
	c.open++
	return len(c.ids) - 1
}

// done takes a chunk's ID, or with slot -1 the end of reading. The last of all
// calls finish.
func (c *content) done(slot int, id ID, err error) {
	c.mu.Lock()
	if slot >= 0 {
		c.ids[slot] = id
	}
	if err != nil && c.err == nil {
		c.err = err
	}
	c.open--
	last := c.open == 0
	c.mu.Unlock()
	if last {
		c.finish(c.ids, c.err)
	}
}

// counter collects the numbers of one call.
type counter struct {
	fresh, stored, bytes, unchanged atomic.Int64
	progress                        func(int64)
}

func (c *counter) read(n int) {
	c.bytes.Add(int64(n))
	if c.progress != nil {
		c.progress(int64(n))
	}
}

// chunk is one piece of content for a worker.
type chunk struct {
	content *content
	slot    int
	buffer  *[]byte
	size    int
}

// work compresses and seals chunks until there are no more.
func (s *Session) work() {
	for c := range s.chunks {
		var id ID
		err := c.content.ctx.Err()
		if err == nil {
			id, err = s.saveData((*c.buffer)[:c.size], c.content.owner)
		}
		recycle(c.buffer)
		c.content.done(c.slot, id, err)
	}
}

// saveData stores one chunk. An error ends the session.
func (s *Session) saveData(data []byte, owner *counter) (ID, error) {
	v, err := s.writer.save(DataBlob, data)
	if err != nil {
		s.writer.fail(err)
		return ID{}, err
	}
	if v.fresh {
		owner.fresh.Add(int64(len(data)))
	}
	owner.stored.Add(int64(v.stored))
	return v.id, nil
}

// saveTree stores one directory.
func (s *Session) saveTree(tree *Tree, owner *counter) (ID, error) {
	text, err := tree.encode()
	if err != nil {
		return ID{}, err
	}
	v, err := s.writer.save(TreeBlob, text)
	owner.stored.Add(int64(v.stored))
	return v.id, err
}

// cut reads r to its end, cuts it into chunks and gives them to the workers,
// and returns the number of bytes. The first bytes may be in buf already, which
// is taken over. The caller ends the content with done(-1).
func (s *Session) cut(c *content, r io.Reader, buf *[]byte, have int) (total int64, err error) {
	defer func() {
		if buf != nil {
			recycle(buf)
		}
	}()
	total = int64(have)
	cutter := chunker.Cutter{Table: s.repo.table}
	for {
		if err := c.ctx.Err(); err != nil {
			return total, err
		}
		if have == len(*buf) { // never the largest
			large := newBuffer(have + 1)
			copy(*large, *buf)
			recycle(buf)
			buf = large
		}
		n, readErr := r.Read((*buf)[have:min(have+readStep, len(*buf))])
		have += n
		total += int64(n)
		if n > 0 {
			c.owner.read(n)
		}
		for {
			size := cutter.Cut((*buf)[:have])
			if size == 0 {
				break
			}
			next := newBuffer(usualBuffer)
			rest := copy(*next, (*buf)[size:have])
			full := buf
			buf, have = next, rest
			if err := s.submit(c, full, size); err != nil {
				return total, err
			}
		}
		if readErr == nil {
			continue
		}
		if !errors.Is(readErr, io.EOF) {
			return total, readErr
		}
		if have > 0 {
			last := buf
			buf = nil
			err = s.submit(c, last, have)
		}
		return total, err
	}
}

// submit gives the buffer to a worker. After an error it has been given back.
func (s *Session) submit(c *content, buf *[]byte, size int) error {
	slot := c.slot()
	select {
	case s.chunks <- chunk{content: c, slot: slot, buffer: buf, size: size}:
		return nil
	case <-c.ctx.Done():
		recycle(buf)
		c.done(slot, ID{}, c.ctx.Err())
		return context.Cause(c.ctx)
	}
}

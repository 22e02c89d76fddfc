package cache

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxFile bounds what is kept as one file.
	maxFile = 64 << 20
	// spare is what is left free of the disk.
	spare = 256 << 20
	// fresh is how long a file that was used counts as just used.
	fresh = time.Hour
	// partSuffix marks a file that is being written; abandoned ones are removed
	// after a day.
	partSuffix = ".part"
	abandoned  = 24 * time.Hour
)

func (k Kind) path(name string) string { return path.Join(string(k), name) }

// associated binds sealed bytes to their place.
func (c *Cache) associated(kind Kind, name string) []byte {
	return []byte(c.repo + "/" + kind.path(name))
}

// Get returns the content that PutSealed kept under a name, in the memory of buf
// as far as that reaches. A file that is not genuine is removed.
func (c *Cache) Get(kind Kind, name string, buf []byte) (content []byte, found bool) {
	if c == nil {
		return nil, false
	}
	f, size := c.open(kind, name)
	if f == nil {
		return nil, false
	}
	defer f.Close()
	sealed := slices.Grow(buf[:0], int(size))[:size]
	if _, err := io.ReadFull(f, sealed); err != nil {
		return nil, false
	}
	content, err := c.seal.Open(sealed[:0], nil, sealed, c.associated(kind, name))
	if err != nil {
		c.Remove(kind, name)
		return nil, false
	}
	return content, true
}

// PutSealed keeps content so that Get notices any change of it. It is sealed in
// the memory of buf, which is returned, larger if need be.
func (c *Cache) PutSealed(kind Kind, name string, content, buf []byte) []byte {
	if c == nil {
		return buf
	}
	buf = c.seal.Seal(buf[:0], nil, content, c.associated(kind, name))
	c.Put(kind, name, buf)
	return buf
}

// ReadAt fills buf from a file that Put kept. Whoever asks must check what he
// gets.
func (c *Cache) ReadAt(kind Kind, name string, buf []byte, offset int64) (found bool) {
	if c == nil {
		return false
	}
	f, _ := c.open(kind, name)
	if f == nil {
		return false
	}
	defer f.Close()
	_, err := f.ReadAt(buf, offset)
	return err == nil
}

// open returns a file that is there, and notes that it is used.
func (c *Cache) open(kind Kind, name string) (*os.File, int64) {
	f, err := c.root.OpenFile(kind.path(name), os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, 0
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxFile {
		f.Close()
		return nil, 0
	}
	if now := time.Now(); now.Sub(info.ModTime()) > fresh {
		_ = c.root.Chtimes(kind.path(name), now, now)
	}
	return f, info.Size()
}

// Put keeps data as it is. Where it does not fit it is left out. Nothing is
// synced: what a power cut leaves behind does not pass for genuine.
func (c *Cache) Put(kind Kind, name string, data []byte) {
	if c == nil || len(data) > maxFile || int64(len(data)) > c.max || !c.room(int64(len(data))) {
		return
	}
	part := kind.path(name + "." + strconv.FormatUint(rand.Uint64(), 36) + partSuffix)
	err := c.write(part, data)
	if err == nil {
		err = c.root.Rename(part, kind.path(name))
	}
	if err != nil {
		_ = c.root.Remove(part)
		c.mu.Lock()
		c.off = true
		c.mu.Unlock()
	}
}

func (c *Cache) write(part string, data []byte) error {
	f, err := c.root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// Remove drops a file, if it is there.
func (c *Cache) Remove(kind Kind, name string) {
	if c != nil {
		_ = c.root.Remove(kind.path(name))
	}
}

// Keep drops the files of a kind that keep does not want.
func (c *Cache) Keep(kind Kind, keep func(name string) bool) {
	if c == nil {
		return
	}
	for _, f := range c.list(kind) {
		if !strings.HasSuffix(f.path, partSuffix) && !keep(path.Base(f.path)) {
			_ = c.root.Remove(f.path)
		}
	}
}

// room makes room for so many bytes more.
func (c *Cache) room(bytes int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off {
		return false
	}
	if c.size < 0 || c.size+bytes > c.max {
		c.clean(bytes)
	}
	if !c.spacious(bytes) {
		c.off = true
		return false
	}
	c.size += bytes
	return true
}

// clean counts what is there and removes what was not used for the longest time
// until bytes fit in, and a tenth of the limit besides.
func (c *Cache) clean(bytes int64) {
	files := slices.Concat(c.list(Index), c.list(Tree))
	slices.SortFunc(files, func(a, b file) int { return a.used.Compare(b.used) })
	c.size = 0
	for _, f := range files {
		c.size += f.size
	}
	limit := c.max
	if c.size+bytes > limit {
		limit -= limit / 10
	}
	for _, f := range files {
		old := strings.HasSuffix(f.path, partSuffix) && time.Since(f.used) > abandoned
		if (c.size+bytes > limit || old) && c.root.Remove(f.path) == nil {
			c.size -= f.size
		}
	}
}

// spacious tells whether the disk has room for so many bytes and to spare.
func (c *Cache) spacious(bytes int64) bool {
	dir, err := c.root.Open(".")
	if err != nil {
		return false
	}
	defer dir.Close()
	var stat unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &stat); err != nil {
		return false
	}
	return int64(stat.Bavail)*stat.Bsize >= bytes+spare
}

type file struct {
	path string
	size int64
	used time.Time
}

func (c *Cache) list(kind Kind) (files []file) {
	dir, err := c.root.Open(string(kind))
	if err != nil {
		return nil
	}
	defer dir.Close()
	entries, _ := dir.ReadDir(-1)
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.Mode()&fs.ModeType == 0 {
			files = append(files, file{kind.path(e.Name()), info.Size(), info.ModTime()})
		}
	}
	return files
}

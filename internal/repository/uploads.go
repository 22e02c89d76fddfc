package repository

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"lifeboat/internal/storage"
)

// maxUploads bounds a record, in bytes: far more packs than are ever between
// two index files.
const maxUploads = 8 << 20

// uploadRecord is a record on this machine of the packs that were sent to the store
// and are in no index file yet. A process that is killed leaves its record, and
// so the next one finds those packs without listing a store of a million files.
// Each process has a file of its own, locked for as long as it lives. A record
// is only a hint: it is not made durable, and losing it costs that packs are sent
// again. All methods may be called from several goroutines; those of nil do nothing.
type uploadRecord struct {
	dir string

	mu     sync.Mutex
	file   *os.File
	open   map[ID]struct{}
	broken bool // nothing can be recorded
}

func newUploads(dir, repository string) *uploadRecord {
	if dir == "" || !storage.ValidName(repository) {
		return nil
	}
	return &uploadRecord{dir: filepath.Join(dir, repository), open: make(map[ID]struct{})}
}

// begin records that a pack is going to be saved.
func (u *uploadRecord) begin(pack ID) {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.file == nil && !u.broken {
		var err error
		u.file, err = u.create()
		u.broken = err != nil
	}
	if u.broken {
		return
	}
	u.open[pack] = struct{}{}
	if _, err := u.file.WriteString(pack.String() + "\n"); err != nil {
		u.broken = true
	}
}

// indexed records that packs are in an index file now.
func (u *uploadRecord) indexed(packs []indexPack) {
	if u == nil || len(packs) == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, p := range packs {
		delete(u.open, p.ID)
	}
	if u.file == nil || u.broken {
		return
	}
	var text strings.Builder
	for id := range u.open {
		text.WriteString(id.String() + "\n")
	}
	err := u.file.Truncate(0)
	if err == nil {
		_, err = u.file.WriteString(text.String())
	}
	u.broken = err != nil
}

// close leaves the record to the next process if there is anything in it.
func (u *uploadRecord) close() {
	if u == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.file == nil {
		return
	}
	if len(u.open) == 0 {
		os.Remove(u.file.Name())
	}
	u.file.Close()
	u.file = nil
	u.broken = true
}

// create makes and locks the record of this process. Another that is looking for
// records may just have taken it away.
func (u *uploadRecord) create() (*os.File, error) {
	if err := os.MkdirAll(u.dir, 0o700); err != nil {
		return nil, err
	}
	for range 10 {
		f, err := os.CreateTemp(u.dir, "")
		if err != nil {
			return nil, err
		}
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); err == nil {
			if err = unix.Access(f.Name(), unix.F_OK); err == nil {
				// Appending keeps lines whole when the record is cut.
				_, err = unix.FcntlInt(f.Fd(), unix.F_SETFL, unix.O_APPEND)
			}
		}
		if err == nil {
			return f, nil
		}
		f.Close()
		if !errors.Is(err, unix.ENOENT) {
			return nil, err
		}
	}
	return nil, errors.New("records vanish")
}

// left is a record of a process that is no more. It is locked until it is closed.
type left struct {
	file  *os.File
	packs []ID
}

// remove takes the record away.
func (l left) remove() {
	os.Remove(l.file.Name())
	l.file.Close()
}

// left returns the records of processes that have ended.
func (u *uploadRecord) left() ([]left, error) {
	if u == nil {
		return nil, nil
	}
	entries, err := os.ReadDir(u.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for interrupted uploads: %w", err)
	}
	var found []left
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		f, err := os.OpenFile(filepath.Join(u.dir, e.Name()), os.O_RDONLY|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close() // its process lives, or is looking at it like us
			continue
		}
		found = append(found, left{f, readUploads(f)})
	}
	return found, nil
}

// readUploads reads the names in a record. A last line that is not whole, and
// whatever else is no name, is passed over.
func readUploads(r io.Reader) []ID {
	seen := make(map[ID]struct{})
	var packs []ID
	lines := bufio.NewScanner(io.LimitReader(r, maxUploads))
	for lines.Scan() {
		id, err := ParseID(lines.Text())
		if err != nil {
			continue
		}
		if _, twice := seen[id]; !twice {
			seen[id] = struct{}{}
			packs = append(packs, id)
		}
	}
	return packs
}

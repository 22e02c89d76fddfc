package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// restoreFile is an entry on its way to disk.
type restoreFile struct {
	dir  *restoreDir
	name string // on disk
	path string // in the snapshot
	node *Node

	first    *restoreFile // the file that this is another name of
	complete bool         // read only by who restores it, and when all workers have ended
	failed   bool         // by who restores it
}

// same tells whether another node can be a name of the same file. Device and
// inode numbers come from the repository and prove nothing.
func (f *restoreFile) same(n *Node) bool {
	return f.node.Type == n.Type && f.node.LinkTarget == n.LinkTarget && f.node.Device == n.Device &&
		slices.Equal(f.node.Content, n.Content)
}

// TempPrefix begins the names of temporary files of a restore in place, which
// stand beside what they replace. Leftovers of one that was killed are removed
// by the next.
const TempPrefix = ".lifeboat-restore-"

func (w *restorer) temp() string {
	return w.tag + strconv.FormatInt(w.temps.Add(1), 10)
}

// file restores one regular file by itself.
func (w *restorer) file(f *restoreFile) {
	defer f.dir.release()
	if w.ctx.Err() != nil {
		return
	}
	kept, err := w.keepInPlace(f)
	if !kept && err == nil {
		err = w.create(f, nil)
	}
	w.ended(f, true, err)
}

// create writes a file. Data is its whole content; if it is nil the blobs are read.
func (w *restorer) create(f *restoreFile, data []byte) error {
	name := f.name
	if w.opts.InPlace {
		name = w.temp()
	}
	fd, err := unix.Openat(f.dir.fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if data == nil {
		err = w.content(fd, f)
	} else {
		err = w.whole(fd, f, data)
	}
	if err == nil {
		err = w.metadata(fd, f.node, f.path, false)
	}
	if closeErr := unix.Close(fd); err == nil {
		err = closeErr
	}
	if err == nil && w.opts.InPlace {
		err = w.replace(f, name)
	}
	if err != nil { // a file under its own name is a whole one
		unix.Unlinkat(f.dir.fd, name, 0)
	}
	return err
}

// whole writes the content of a file that is one blob.
func (w *restorer) whole(fd int, f *restoreFile, data []byte) error {
	w.checkSize(f, int64(len(data)))
	if len(data) >= holeMin {
		if err := unix.Ftruncate(fd, int64(len(data))); err != nil {
			return err
		}
	}
	if err := writeSparse(fd, data, 0); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	w.progress(int64(len(data)), true)
	return nil
}

func (w *restorer) checkSize(f *restoreFile, size int64) {
	if uint64(size) != f.node.Size {
		w.warn(fmt.Sprintf("%s has %d bytes of content, its size was given as %d", quoted(f.path), size, f.node.Size))
	}
}

// keepInPlace keeps the file that is there, if that is what is asked for.
func (w *restorer) keepInPlace(f *restoreFile) (bool, error) {
	if !w.opts.InPlace {
		return false, nil
	}
	return w.keep(f)
}

// keep leaves an unchanged file alone but for its metadata.
func (w *restorer) keep(f *restoreFile) (bool, error) {
	var st unix.Stat_t
	err := unix.Fstatat(f.dir.fd, f.name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil || nodeType(st.Mode) != File || uint64(st.Size) != f.node.Size {
		return false, nil // it is replaced, whatever it is
	}
	fd, st, err := openFile(f.dir.fd, f.name)
	if err != nil {
		return false, nil
	}
	defer fd.Close()
	if nodeType(st.Mode) != File || uint64(st.Size) != f.node.Size {
		return false, nil
	}
	// A file that has more names here than in the snapshot would get the
	// metadata of this one under all of them.
	if st.Nlink > 1 && f.node.Links <= 1 {
		return false, nil
	}
	same := f.node.ModTime.Equal(time.Unix(st.Mtim.Unix()))
	if w.opts.Verify {
		if same, err = w.holds(int(fd), f.node); err != nil {
			return false, err
		}
	}
	if !same {
		return false, nil
	}
	w.unchanged.Add(1)
	w.progress(int64(f.node.Size), false)
	return true, w.metadata(int(fd), f.node, f.path, true)
}

// holds compares a file on disk with the blobs of a node by their hashes.
func (w *restorer) holds(fd int, n *Node) (bool, error) {
	var offset int64
	buf := newBuffer(largeBuffer)
	defer recycle(buf)
	for _, id := range n.Content {
		p, err := w.r.locate(w.ctx, DataBlob, id)
		if err != nil {
			return false, err
		}
		size := int(p.blob.size())
		if size > len(*buf) {
			return false, nil
		}
		got, err := unix.Pread(fd, (*buf)[:size], offset)
		if err != nil || got != size || Hash((*buf)[:size]) != id {
			return false, err
		}
		offset += int64(size)
	}
	return offset == int64(n.Size), nil
}

// replace puts a complete temporary file in the place of what stands there.
func (w *restorer) replace(f *restoreFile, temp string) error {
	err := unix.Renameat(f.dir.fd, temp, f.dir.fd, f.name)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOTEMPTY) {
		if err := w.clear(f.dir.fd, f.name, f.path); err != nil {
			return err
		}
		err = unix.Renameat(f.dir.fd, temp, f.dir.fd, f.name)
	}
	return err
}

// content writes all blobs of a file. Blobs of a large one are decoded at the
// same time, as far as there are processors to spare.
func (w *restorer) content(fd int, f *restoreFile) error {
	offsets := make([]int64, len(f.node.Content)+1)
	for i, id := range f.node.Content {
		p, err := w.r.locate(w.ctx, DataBlob, id)
		if err != nil {
			return err
		}
		offsets[i+1] = offsets[i] + int64(p.blob.size())
	}
	total := offsets[len(offsets)-1]
	w.checkSize(f, total)
	if total == 0 {
		return nil
	}
	// Holes at the end are made by the size alone; writes then only fill in.
	if err := unix.Ftruncate(fd, total); err != nil {
		return err
	}
	if len(f.node.Content) == 1 {
		return w.blob(w.ctx, fd, f.node.Content[0], 0)
	}
	ctx, cancel := context.WithCancelCause(w.ctx)
	defer cancel(nil)
	var running sync.WaitGroup
	for i, id := range f.node.Content {
		if ctx.Err() != nil {
			break
		}
		one := func() {
			if err := w.blob(ctx, fd, id, offsets[i]); err != nil {
				cancel(err)
			}
		}
		select {
		case w.spare <- struct{}{}:
			running.Go(func() {
				one()
				<-w.spare
			})
		default:
			one()
		}
	}
	running.Wait()
	return context.Cause(ctx)
}

// blob writes one blob at its place.
func (w *restorer) blob(ctx context.Context, fd int, id ID, offset int64) error {
	buf := blobBuffers.get()
	defer buf.recycle()
	data, err := w.r.loadBlob(ctx, DataBlob, id, buf)
	if err != nil {
		return err
	}
	if err := writeSparse(fd, data, offset); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	w.progress(int64(len(data)), true)
	return nil
}

func (w *restorer) progress(n int64, written bool) {
	w.bytes.Add(n)
	if written {
		w.written.Add(n)
	}
	if w.opts.Progress != nil {
		w.opts.Progress(n)
	}
}

// Holes are made of whole blocks, and only where they save something worth
// the fragmentation.
const (
	holeBlock = 4 << 10
	holeMin   = 64 << 10
)

var zeros [holeBlock]byte

// writeSparse writes data at an offset of a file of zeros and leaves out its
// long runs of zeros.
func writeSparse(fd int, data []byte, offset int64) error {
	start := 0 // of what is to be written
	for at := int(-offset & (holeBlock - 1)); at+holeMin <= len(data); {
		end := at
		for end+holeBlock <= len(data) && bytes.Equal(data[end:end+holeBlock], zeros[:]) {
			end += holeBlock
		}
		if end-at >= holeMin {
			if err := pwrite(fd, data[start:at], offset+int64(start)); err != nil {
				return err
			}
			start = end
		}
		at = end + holeBlock
	}
	return pwrite(fd, data[start:], offset+int64(start))
}

func pwrite(fd int, data []byte, offset int64) error {
	for len(data) > 0 {
		n, err := unix.Pwrite(fd, data, offset)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		data, offset = data[n:], offset+int64(n)
	}
	return nil
}

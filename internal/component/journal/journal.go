// Package journal is the record of a restore that a database kind goes on from, or takes
// back by, when its process was killed: JSON lines that are on the disk before what they
// announce is done. What the lines mean belongs to the kind.
package journal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"lifeboat/internal/component/boundary"
)

// maxLine bounds one record, in bytes.
const maxLine = 64 << 20

// File is a journal. It must not be used concurrently.
type File struct {
	file *os.File
	path string
	size int64 // of the records that count
}

// Open reads the journal at a path, of at most limit bytes, and gives each whole line to
// apply, in order; a torn last line, which a crash leaves, is cut off. With create it makes
// the journal, and its directory, durably; without, a missing one is nil.
func Open(path string, limit int64, create bool, apply func(line []byte) error) (*File, error) {
	dir := filepath.Dir(path)
	flags := os.O_RDWR | os.O_APPEND
	if create {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("journal %s: %w", path, err)
		}
		flags |= os.O_CREATE
	}
	file, err := os.OpenFile(path, flags, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no journal is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	j := &File{file: file, path: path}
	err = j.read(limit, apply)
	if err == nil {
		err = SyncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", path, err), file.Close())
	}
	return j, nil
}

func (j *File) read(limit int64, apply func([]byte) error) error {
	if info, err := j.file.Stat(); err != nil {
		return err
	} else if !info.Mode().IsRegular() || info.Size() > limit {
		return errors.New("it is no journal")
	}
	data, err := os.ReadFile(j.path)
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(data, '\n') + 1
	lines := bufio.NewScanner(bytes.NewReader(data[:whole]))
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		if err := apply(lines.Bytes()); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	j.size = int64(whole)
	if whole < len(data) {
		return j.file.Truncate(int64(whole))
	}
	return nil
}

// Add makes a record durable and then has it applied; after an error it does not count. What it does names the places
// before and after, at which kills are tried.
func (j *File) Add(ctx context.Context, does string, record any, apply func()) error {
	boundary.Reached(ctx, "before "+does)
	line, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	line = append(line, '\n')
	if _, err = j.file.Write(line); err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		// What does not count must not stand before the next record.
		return errors.Join(fmt.Errorf("journal %s: %w", j.path, err), j.file.Truncate(j.size))
	}
	j.size += int64(len(line))
	apply()
	boundary.Reached(ctx, "after "+does)
	return nil
}

// Path is where the journal is.
func (j *File) Path() string { return j.path }

// Close closes it; all of it is on the disk already.
func (j *File) Close() { _ = j.file.Close() }

// SyncDir has the names of a directory's files on the disk.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("flush %s: %w", dir, err)
	}
	return nil
}

package runbook

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	journalName = "journal.jsonl"
	// maxLine bounds one record of a journal that is read, in bytes.
	maxLine = 4 << 20
	// maxText bounds the free text of one event, in bytes.
	maxText = 64 << 10
	// maxKept bounds one kept value, in bytes of JSON.
	maxKept = 1 << 20
	// reserve is the disk space set aside for a journal when it is opened, in
	// bytes, so that a disk filled by something else does not stop the run.
	reserve = 256 << 10
)

// journalFile is the part of os.File that a journal uses.
type journalFile interface {
	io.WriteCloser
	Sync() error
	Truncate(size int64) error
}

// journal appends events to a file, one JSON line each. It is not safe for
// concurrent use.
type journal struct {
	file journalFile
	seq  int64
	size int64
	err  error // why nothing more can be appended
}

// createJournal makes the journal of a new run durable before it returns.
func createJournal(dir string, wrap func(*os.File) journalFile) (*journal, error) {
	f, err := os.OpenFile(filepath.Join(dir, journalName), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create %w: %w", ErrJournal, err)
	}
	if err := errors.Join(reserveSpace(f), f.Sync(), syncDir(dir)); err != nil {
		f.Close()
		return nil, fmt.Errorf("create %w in %s: %w", ErrJournal, dir, err)
	}
	return &journal{file: wrap(f)}, nil
}

// openJournal cuts off a torn last line and continues after the last whole
// record, which was seq and ended at size.
func openJournal(dir string, seq, size int64, wrap func(*os.File) journalFile) (*journal, error) {
	f, err := os.OpenFile(filepath.Join(dir, journalName), os.O_WRONLY|os.O_APPEND|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("open %w: %w", ErrJournal, err)
	}
	if err := errors.Join(f.Truncate(size), reserveSpace(f), f.Sync()); err != nil {
		f.Close()
		return nil, fmt.Errorf("open %w: %w", ErrJournal, err)
	}
	return &journal{file: wrap(f), seq: seq, size: size}, nil
}

// append gives the event its number and writes it; with durable set it is on
// disk when append returns. After an error the file holds the records before
// it and the event does not count.
func (j *journal) append(e *Event, durable bool) error {
	if j.err != nil {
		return j.err
	}
	e.Seq = j.seq + 1
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("%w: encode %s: %w", ErrJournal, e.Type, err)
	}
	line = append(line, '\n')
	if _, err := j.file.Write(line); err != nil {
		return j.fail(err)
	}
	if durable {
		if err := j.file.Sync(); err != nil {
			// What of the unsynced records is on disk is unknown from here on.
			j.err = j.fail(err)
			return j.err
		}
	}
	j.seq++
	j.size += int64(len(line))
	return nil
}

func (j *journal) fail(err error) error {
	err = fmt.Errorf("%w: %w", ErrJournal, err)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		err = fmt.Errorf("%w; free space in the state directory, then resume the run", err)
	}
	if cut := j.file.Truncate(j.size); cut != nil {
		j.err = errors.Join(err, cut)
	}
	return err
}

// close syncs what is left, gives reserved space back and closes the file.
func (j *journal) close() error {
	var err error
	if j.err == nil {
		err = errors.Join(j.file.Truncate(j.size), j.file.Sync())
	}
	return errors.Join(err, j.file.Close())
}

// readJournal calls visit for every whole record and returns the number of the
// last one and where it ends, in bytes. A torn last line, which a crash or a
// full disk leaves, is ignored; anything else unexpected is an ErrJournal that
// names the line.
func readJournal(r io.Reader, visit func(Event)) (seq, size int64, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	for number := 1; ; number++ {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			return seq, size, nil // nothing more, or a line without its end
		}
		if err != nil {
			return seq, size, fmt.Errorf("%w: line %d: %w", ErrJournal, number, err)
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			if _, more := in.Peek(1); errors.Is(more, io.EOF) {
				return seq, size, nil // torn: space was given to the line but not all of it written
			}
			return seq, size, fmt.Errorf("%w: line %d is damaged: %w", ErrJournal, number, err)
		}
		if e.Version > Version {
			return seq, size, fmt.Errorf("%w: line %d: format version %d was written by a newer program", ErrJournal, number, e.Version)
		}
		if e.Seq != seq+1 {
			return seq, size, fmt.Errorf("%w: line %d: record %d follows %d", ErrJournal, number, e.Seq, seq)
		}
		seq, size = e.Seq, size+int64(len(line))
		visit(e)
	}
}

// readLine returns the next line with its end; io.EOF when there is no end.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return nil, errors.New("too long")
		}
		if err == nil {
			return line, nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
	}
}

// reserveSpace sets disk space aside behind the end of the file. File systems
// that cannot are none the worse.
func reserveSpace(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, info.Size(), reserve)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) {
		return fmt.Errorf("reserve %d KiB: %w; free space there, then repeat the command", reserve>>10, err)
	}
	return nil
}

// writeDurably writes a new file and makes it and its name durable.
func writeDurably(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, bytes.NewReader(data))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

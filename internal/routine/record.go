package routine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// Record is what is remembered of a job: its last run.
type Record struct {
	Since     time.Time `json:"since,omitzero"` // when the schedule was switched on
	Started   time.Time `json:"started,omitzero"`
	Finished  time.Time `json:"finished,omitzero"`  // zero while it runs, or if it was killed
	Exit      int       `json:"exit"`               // of lifeboat
	Succeeded time.Time `json:"succeeded,omitzero"` // end of the last run that did its work, with warnings or without
}

// Book keeps the records below a state directory. A record is written durably, by
// whoever holds the lock of the system's runs or finds it free.
type Book struct{ dir string }

// NewBook returns the book of a state directory. Nothing is written before the
// first record.
func NewBook(stateDir string) Book { return Book{dir: filepath.Join(stateDir, "routine")} }

// ErrDamaged says that something that was remembered cannot be read.
var ErrDamaged = errors.New("is damaged")

// maxRecord bounds a file of the book, in bytes.
const maxRecord = 1 << 20

// Run reads the record of a job; the zero one where there is none.
func (b Book) Run(system, job string) (Record, error) {
	var r Record
	return r, b.read(filepath.Join("runs", plain(system), plain(job)+".json"), &r)
}

// SetRun writes the record of a job.
func (b Book) SetRun(system, job string, r Record) error {
	return b.write(filepath.Join("runs", plain(system), plain(job)+".json"), r)
}

// Told is what is remembered of a notice.
type Told struct {
	Sent   time.Time `json:"sent,omitzero"`   // last time that it arrived
	Failed time.Time `json:"failed,omitzero"` // since when it does not; zero if the last one did
	Error  string    `json:"error,omitempty"`
	Partly bool      `json:"partly,omitempty"` // all but those whom Error names had the last one
}

// Told reads what became of a notice last; the zero value where none was sent.
func (b Book) Told(notice string) (Told, error) {
	var t Told
	return t, b.read(filepath.Join("notices", plain(notice)+".json"), &t)
}

// SetTold remembers whether a notice could be sent, or partly.
func (b Book) SetTold(notice string, now time.Time, failure error, partly bool) error {
	t, err := b.Told(notice)
	if err != nil {
		t = Told{} // damaged: it is written anew
	}
	switch {
	case failure == nil:
		t = Told{Sent: now}
	case t.Failed.IsZero():
		t.Failed, t.Error = now, failure.Error()
	default:
		t.Error = failure.Error()
	}
	t.Partly = partly && failure != nil
	return b.write(filepath.Join("notices", plain(notice)+".json"), t)
}

// plain keeps a name from leading elsewhere. Those of a configuration never do.
func plain(name string) string { return strings.ReplaceAll(name, "/", "_") }

// read reads a file into a value, which stays as it is where there is none.
func (b Book) read(name string, into any) error {
	path := filepath.Join(b.dir, name)
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if errors.Is(err, unix.ENOTDIR) {
		return fmt.Errorf("read a record of the routine: %w; a file stands where a directory belongs: move it away", err)
	}
	if err != nil {
		return fmt.Errorf("read a record of the routine: %w", err)
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxRecord)).Decode(into); err != nil {
		return fmt.Errorf("%s %w (%w); it may be removed, and what it tells is not known until it is written anew", path, ErrDamaged, err)
	}
	return nil
}

// write puts a file in place; it is durable when write returns.
func (b Book) write(name string, value any) error {
	path := filepath.Join(b.dir, name)
	data, err := json.MarshalIndent(value, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = renameio.WriteFile(path, append(data, '\n'), 0o600, renameio.IgnoreUmask())
	}
	if err == nil {
		err = syncDirs(filepath.Dir(path), b.dir)
	}
	if err != nil {
		return fmt.Errorf("remember what is done by schedule: %w", err)
	}
	return nil
}

// syncDirs makes the entries of a directory and its parents durable, up to one.
func syncDirs(dir, up string) error {
	for {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
		if dir == up || len(dir) <= len(up) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

// locked lets one process at a time change what is installed.
func (b Book) locked(do func() error) error {
	if err := os.MkdirAll(b.dir, 0o700); errors.Is(err, unix.ENOTDIR) {
		return fmt.Errorf("%w; a file stands where a directory belongs: move it away", err)
	} else if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(b.dir, "lock"), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() // and with it the lock
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return do()
}

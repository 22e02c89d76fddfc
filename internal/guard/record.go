package guard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

const (
	version = 1
	// maxRecord bounds a record that is read, in bytes.
	maxRecord = 1 << 20
)

var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$`)

// Record is what stands on disk while services are stopped, or when they could
// not be started again.
type Record struct {
	Version int        `json:"version"`
	System  string     `json:"system"`
	Run     string     `json:"run,omitempty"`
	Start   [][]string `json:"start"`
	Boot    string     `json:"boot"` // boot in which they were stopped
	Created time.Time  `json:"created"`
	PID     int        `json:"pid"` // of the guard

	Retries int           `json:"retries"`
	Wait    time.Duration `json:"wait"`    // ns
	Timeout time.Duration `json:"timeout"` // ns

	// Started says which of Start have ended well in this boot.
	Started []bool `json:"started,omitempty"`
	// Errors are of the last attempt; empty while nothing was attempted.
	Errors []string  `json:"errors,omitempty"`
	Tried  time.Time `json:"tried,omitzero"`

	// Guarded says that a guard process is alive. It is not stored.
	Guarded bool `json:"-"`
}

// UnreadError is of a record that cannot be read: whether services of the system were
// left stopped is not known.
type UnreadError struct {
	System string
	Err    error
}

func (e *UnreadError) Error() string {
	return "whether a backup has left services of " + e.System + " stopped is not known: " + e.Err.Error() + "; see that they run, then remove that file"
}

// Unwrap returns why.
func (e *UnreadError) Unwrap() error { return e.Err }

// List returns the records below the state directory dir: of backups that have
// services stopped (Guarded), and of services that nobody has started again yet.
// Records that cannot be read are joined in the error.
func List(dir string) ([]Record, error) {
	names, err := filepath.Glob(filepath.Join(recordDir(dir), "*.json"))
	if err != nil {
		return nil, fmt.Errorf("list stopped services: %w", err)
	}
	var records []Record
	var unread []error
	for _, file := range names {
		system := strings.TrimSuffix(filepath.Base(file), ".json")
		r, err := readRecord(dir, system)
		if errors.Is(err, fs.ErrNotExist) {
			continue // started again just now
		}
		if err != nil {
			unread = append(unread, &UnreadError{system, err})
			continue
		}
		lock, err := lockRecord(dir, system)
		switch {
		case errors.Is(err, ErrGuarded):
			r.Guarded = true
		case err != nil:
			unread = append(unread, &UnreadError{system, err})
		default:
			lock.Close()
		}
		records = append(records, *r)
	}
	return records, errors.Join(unread...)
}

func (r *Record) validate(system string) error {
	switch {
	case !name.MatchString(system):
		return fmt.Errorf("system name %q: letters, digits and ._@+- only", system)
	case r.System != system:
		return fmt.Errorf("the record is of system %q", r.System)
	case r.Version > version:
		return fmt.Errorf("the record's format version %d was written by a newer program", r.Version)
	case len(r.Start) == 0:
		return errors.New("no command that starts the services again")
	}
	for _, args := range r.Start {
		if len(args) == 0 || args[0] == "" {
			return errors.New("an empty start command")
		}
	}
	return nil
}

func readRecord(dir, system string) (*Record, error) {
	f, err := os.OpenFile(recordPath(dir, system), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("record of stopped services: %w", err)
	}
	defer f.Close()
	r := new(Record)
	if err := json.NewDecoder(io.LimitReader(f, maxRecord)).Decode(r); err != nil {
		return nil, fmt.Errorf("record of stopped services %s: %w", f.Name(), err)
	}
	if err := r.validate(system); err != nil {
		return nil, fmt.Errorf("record of stopped services %s: %w", f.Name(), err)
	}
	return r, nil
}

// write puts the record on disk; it is durable when write returns.
func (r *Record) write(dir string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	path := recordPath(dir, r.System)
	if err := renameio.WriteFile(path, append(data, '\n'), 0o600, renameio.IgnoreUmask()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(filepath.Dir(path))
}

func (r *Record) remove(dir string) error {
	path := recordPath(dir, r.System)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// lockRecord takes the lock that a living guard holds, or returns ErrGuarded.
// A dead process does not keep it.
func lockRecord(dir, system string) (*os.File, error) {
	path := filepath.Join(recordDir(dir), system+".lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrGuarded
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

func recordDir(dir string) string { return filepath.Join(dir, "quiesced") }

func recordPath(dir, system string) string { return filepath.Join(recordDir(dir), system+".json") }

func logPath(dir, system string) string { return filepath.Join(recordDir(dir), system+".log") }

// boot identifies the present boot of the machine.
func boot() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(bytes.TrimSpace(id))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

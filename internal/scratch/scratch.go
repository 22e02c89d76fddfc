// Package scratch makes private directories that are gone when their process is:
// each is held by a lock that dies with the process, and whoever makes or looks for
// one removes those whose lock is free, with the database servers that still run on
// them. All that is written for a while only, most of it secret, lies in one. What
// outlives its process on purpose (journals, caches, records) does not belong here.
package scratch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	prefix  = "lifeboat-scratch-" // of the name, in whatever place
	lock    = "lock"              // held as long as the process lives
	content = "d"                 // what its user sees
	below   = "scratch"           // the place in a state directory
)

// Dir is a private directory of this process.
type Dir struct {
	outer string
	lock  *os.File
}

// Make makes a directory of mode 0700 below the state directory, or, if that is ""
// or cannot be written, below the system's temporary one. Dead ones in the same
// place are removed first.
func Make(state string) (*Dir, error) {
	if state != "" {
		place := filepath.Join(state, below)
		if err := os.MkdirAll(place, 0o700); err == nil {
			if d, err := sweptIn(place); err == nil {
				return d, nil
			}
		}
	}
	return sweptIn(os.TempDir())
}

// sweptIn makes a directory. What cannot be removed there is for Sweep to tell.
func sweptIn(place string) (*Dir, error) {
	_ = SweepIn(place, nil)
	return In(place)
}

// In makes a directory of mode 0700 in a place that is there. What dead processes
// have left in it is for whoever knows the place: see SweepIn.
func In(place string) (*Dir, error) {
	for range 10 {
		outer, err := os.MkdirTemp(place, prefix) // 0700
		if err != nil {
			return nil, fmt.Errorf("make a private directory: %w", err)
		}
		d := &Dir{outer: outer}
		// A sweep that comes in between takes it for a dead one.
		if d.lock, err = take(outer, os.O_CREATE); err == nil {
			if err = os.Mkdir(d.Path(), 0o700); err == nil {
				return d, nil
			}
			return nil, errors.Join(fmt.Errorf("make a private directory: %w", err), d.Remove())
		}
		if !errors.Is(err, errTaken) && !errors.Is(err, os.ErrNotExist) {
			return nil, errors.Join(fmt.Errorf("make a private directory: %w", err), os.RemoveAll(outer))
		}
	}
	return nil, fmt.Errorf("make a private directory: those in %s vanish", place)
}

// Path is the directory.
func (d *Dir) Path() string { return filepath.Join(d.outer, content) }

// Admit lets a group pass to the directory, which whoever calls then gives to an
// account of it. The lock stays out of the account's reach.
func (d *Dir) Admit(gid int) error {
	return errors.Join(os.Chown(d.outer, -1, gid), os.Chmod(d.outer, 0o710))
}

// Release gives the lock back and leaves the directory to the next sweep that does
// not spare it.
func (d *Dir) Release() error { return d.lock.Close() }

// Remove removes the directory with all that is in it, and gives its lock back. The
// lock goes last: without one a directory is empty.
func (d *Dir) Remove() error {
	err := os.RemoveAll(d.Path())
	if err == nil {
		err = errors.Join(gone(os.Remove(d.lock.Name())), gone(os.Remove(d.outer)))
	}
	return errors.Join(err, d.lock.Close())
}

func gone(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

var errTaken = errors.New("another process holds it")

// take locks a directory without waiting.
func take(outer string, create int) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(outer, lock), create|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := hold(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// hold locks an open file, if it still has its name.
func hold(f *os.File) error {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return errTaken
	} else if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	held, err := f.Stat()
	if err != nil {
		return err
	}
	named, err := os.Lstat(f.Name())
	if err == nil && !os.SameFile(held, named) {
		err = os.ErrNotExist
	}
	return err
}

// Sweep removes what dead processes have left below a state directory and in the
// temporary directories. That something could not be removed is an error; what
// belongs to other accounts, or to a process that lives, is left alone.
func Sweep(state string) error {
	var all []error
	for _, place := range places(state) {
		all = append(all, SweepIn(place, nil))
	}
	return errors.Join(all...)
}

// places are where directories may lie, each once.
func places(state string) []string {
	var found []string
	if state != "" {
		found = append(found, filepath.Join(state, below))
	}
	seen := map[string]bool{}
	for _, dir := range Temporary() {
		if real, err := filepath.EvalSymlinks(dir); err == nil && !seen[real] {
			seen[real] = true
			found = append(found, real)
		}
	}
	return found
}

// Temporary lists the temporary directories that are tried, the best first.
func Temporary() []string { return []string{os.TempDir(), "/var/tmp", "/tmp"} }

// SweepIn removes what dead processes have left in one place, but for what spare
// wants to keep; nil keeps nothing.
func SweepIn(place string, spare func(path string) bool) error {
	entries, err := os.ReadDir(place)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) { // or it is another account's
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for what dead processes have left: %w", err)
	}
	var all []error
	for _, e := range entries {
		d := &Dir{outer: filepath.Join(place, e.Name())}
		if !strings.HasPrefix(e.Name(), prefix) || !e.IsDir() || !own(d.outer) || spare != nil && spare(d.Path()) {
			continue
		}
		if d.lock, err = take(d.outer, 0); err != nil {
			if errors.Is(err, os.ErrNotExist) {
				_ = os.Remove(d.outer) // its process died before it had the lock, or just now removes it
			} else if !errors.Is(err, errTaken) {
				all = append(all, err)
			}
			continue
		}
		err := end(d.outer)
		if err == nil {
			err = d.Remove()
		} else {
			err = errors.Join(err, d.lock.Close())
		}
		if err != nil {
			all = append(all, fmt.Errorf("remove %s, which a dead process has left: %w", d.outer, err))
		}
	}
	return errors.Join(all...)
}

// own tells whether a directory is one of this account that nobody else may write
// into: in a temporary directory everybody may make something of that name.
func own(dir string) bool {
	var info unix.Stat_t
	err := unix.Lstat(dir, &info)
	return err == nil && info.Mode&unix.S_IFMT == unix.S_IFDIR && int(info.Uid) == os.Geteuid() && info.Mode&0o067 == 0
}

package drill

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/sandbox"
)

// Below the state directory each drill has a directory of its own, with a lock that
// ends with its process. Whoever finds one without a holder removes it.
const (
	drillsDir = "drills"
	allLock   = ".lock" // held while a directory is made or looked at
	ownLock   = "lock"
	keptMark  = "kept"
	boxDir    = "box"
)

// claimed is the directory of a drill whose lock this process holds.
type claimed struct {
	dir  string
	lock *os.File
}

func (c *claimed) box() string { return filepath.Join(c.dir, boxDir) }

// claim makes the directory of a drill.
func claim(state, id string) (*claimed, error) {
	c := &claimed{dir: Directory(state, id)}
	err := alone(state, func() (err error) {
		if err := os.Mkdir(c.dir, 0o700); err != nil {
			return err
		}
		c.lock, err = take(filepath.Join(c.dir, ownLock))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make the directory of the drill: %w", err)
	}
	return c, nil
}

// remove takes the sandbox away with all that was written in it.
func (c *claimed) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	defer c.lock.Close()
	if err := sandbox.Remove(ctx, c.box()); err != nil {
		return fmt.Errorf("remove the sandbox of the drill: %w", err)
	}
	if err := removeGroups(filepath.Base(c.dir)); err != nil {
		return fmt.Errorf("remove the control group of the drill: %w", err)
	}
	return os.RemoveAll(c.dir)
}

func (c *claimed) keep() error {
	defer c.lock.Close()
	return os.WriteFile(filepath.Join(c.dir, keptMark), nil, 0o600)
}

var errTaken = errors.New("another process holds it")

// take locks a file, which is made when missing.
func take(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errTaken
		}
		return nil, err
	}
	return f, nil
}

// alone does something while no other process makes or removes a drill's directory.
func alone(state string, do func() error) error {
	dir := filepath.Join(state, drillsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, allLock), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			if err != nil {
				return err
			}
			break
		}
	}
	return do()
}

// Sweep removes what drills that were killed have left below a state directory, and
// with kept those sandboxes too that were kept. It returns the ids of the drills. A drill
// that runs is left alone, and a machine without drills is not looked at further.
func Sweep(state string, kept bool) ([]string, error) {
	if _, err := os.Stat(filepath.Join(state, drillsDir)); errors.Is(err, fs.ErrNotExist) || os.Geteuid() != 0 {
		return nil, nil
	}
	var dead []*claimed
	err := alone(state, func() error {
		entries, err := os.ReadDir(filepath.Join(state, drillsDir))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !e.IsDir() {
				continue
			}
			c := &claimed{dir: Directory(state, e.Name())}
			if _, err := os.Lstat(filepath.Join(c.dir, keptMark)); err == nil && !kept {
				continue
			}
			if c.lock, err = take(filepath.Join(c.dir, ownLock)); err == nil {
				dead = append(dead, c)
			} else if !errors.Is(err, errTaken) {
				return err
			}
		}
		return nil
	})
	var removed []string
	for _, c := range dead {
		if rmErr := c.remove(); rmErr != nil {
			err = errors.Join(err, rmErr)
			continue
		}
		removed = append(removed, filepath.Base(c.dir))
	}
	if err != nil {
		err = fmt.Errorf("clear away what drills have left in %s: %w", filepath.Join(state, drillsDir), err)
	}
	return removed, err
}

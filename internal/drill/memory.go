package drill

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/runbook"
)

// A limit on memory is a control group of its own (cgroups(7)), of the second version
// where its memory controller is there, else of the first.
const (
	groupRoot   = "/sys/fs/cgroup"
	groupPrefix = "lifeboat-drill-"
)

// group is a control group.
type group struct{ dir string }

// places of a group: its parent directory and the file with the limit.
var groupPlaces = []struct{ parent, limit, swap string }{
	{groupRoot, "memory.max", "memory.swap.max"},
	{groupRoot + "/memory", "memory.limit_in_bytes", ""},
}

// limitMemory makes the group of a drill. A limit that cannot be kept is refused.
func limitMemory(id string, limit int64) (*group, error) {
	// Writing it again changes nothing; a machine of the first version has no such file.
	_ = os.WriteFile(groupRoot+"/cgroup.subtree_control", []byte("+memory"), 0)
	var tried []error
	for _, place := range groupPlaces {
		g := &group{filepath.Join(place.parent, groupPrefix+id)}
		err := os.Mkdir(g.dir, 0o755)
		if err == nil {
			err = writeGroup(filepath.Join(g.dir, place.limit), strconv.FormatInt(limit, 10))
			if err == nil && place.swap != "" {
				// Without swap of its own; kernels without swap have no such file.
				if swapErr := writeGroup(filepath.Join(g.dir, place.swap), "0"); !errors.Is(swapErr, fs.ErrNotExist) {
					err = swapErr
				}
			}
			if err != nil {
				err = errors.Join(err, g.remove())
			}
		}
		if err == nil {
			return g, nil
		}
		tried = append(tried, err)
	}
	return nil, runbook.Refuse("", "--memory-limit cannot be kept on this machine (%v): leave it out, and run the drill when there is memory to spare", errors.Join(tried...))
}

// writeGroup writes a file of the kernel's, which must be there.
func writeGroup(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// add puts a process, and what it will start, under the limit.
func (g *group) add(pid int) error {
	if g == nil {
		return nil
	}
	if err := writeGroup(filepath.Join(g.dir, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
		return fmt.Errorf("put process %d under the limit of memory: %w", pid, err)
	}
	return nil
}

// remove removes the group. The kernel lets go of ended processes a moment later.
func (g *group) remove() error {
	if _, err := os.Lstat(g.dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var err error
	for range 500 {
		if err = os.Remove(g.dir); !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return err
}

// removeGroups removes the group that a drill may have had, wherever it is. Its
// processes have ended.
func removeGroups(id string) error {
	var errs []error
	for _, place := range groupPlaces {
		errs = append(errs, (&group{filepath.Join(place.parent, groupPrefix+id)}).remove())
	}
	return errors.Join(errs...)
}

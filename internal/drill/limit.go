package drill

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"lifeboat/internal/component"
	"lifeboat/internal/runbook"
)

// Limits bound what a drill may take of the machine, in bytes; 0 is what is free.
type Limits struct {
	Disk   int64 // written in the sandbox
	Memory int64 // of the database server and all that runs inside
}

// What a drill needs besides the data, in bytes.
const (
	spareDisk   = 1 << 30   // an empty database server, logs, the file system itself
	spareMemory = 256 << 20 // the database server and this program
)

// measure looks whether there is room for the drill, and refuses before anything is
// begun.
func (d *drill) measure(_ context.Context) error {
	need := d.need()
	var st unix.Statfs_t
	if err := os.MkdirAll(d.State, 0o700); err != nil {
		return fmt.Errorf("drill: %w", err)
	}
	if err := unix.Statfs(d.State, &st); err != nil {
		return fmt.Errorf("drill: free space of %s: %w", d.State, err)
	}
	free := int64(st.Bavail) * st.Bsize
	tenth := int64(st.Blocks) * st.Bsize / 10 // a production machine keeps that
	d.size = need + need/2
	if d.Limits.Disk > 0 {
		d.size = d.Limits.Disk
		if need > d.Limits.Disk {
			return runbook.Refuse("", "the drill needs about %s of disk, and --disk-limit is %s: allow more, or rehearse less with --quick", humanize.IBytes(uint64(need)), humanize.IBytes(uint64(d.Limits.Disk)))
		}
	}
	if need > free-tenth {
		return runbook.Refuse("", "the drill needs about %s of disk, and %s has %s free, of which a tenth of the disk stays: choose another --state-dir, or rehearse less with --quick", humanize.IBytes(uint64(need)), d.State, humanize.IBytes(uint64(free)))
	}
	d.size = min(d.size, free-tenth)
	return d.measureMemory()
}

// need is about what a recovery writes: files once, a database as dump, tables beside
// the present ones and indexes.
func (d *drill) need() int64 {
	need := int64(spareDisk)
	for _, c := range d.Point.Manifest.Components {
		switch {
		case c.Status != component.StatusCaptured, !d.Depth.chosen(c.Importance):
		case len(c.Paths) == 0:
			need += 4 * c.Bytes
		default:
			need += c.Bytes + c.Bytes/10 + c.Items*4096
		}
	}
	return need
}

func (d *drill) measureMemory() error {
	available, err := availableMemory()
	if err != nil {
		return fmt.Errorf("drill: %w", err)
	}
	if d.Limits.Memory > 0 && d.Limits.Memory < spareMemory {
		return runbook.Refuse("", "the drill needs about %s of memory, and --memory-limit is %s", humanize.IBytes(spareMemory), humanize.IBytes(uint64(d.Limits.Memory)))
	}
	if available < spareMemory {
		return runbook.Refuse("", "the drill needs about %s of memory, and %s is available: run it when the machine has less to do", humanize.IBytes(spareMemory), humanize.IBytes(uint64(available)))
	}
	return nil
}

// availableMemory is what can be used without swapping, as proc(5) says, in bytes.
func availableMemory() (int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	return memAvailable(string(text))
}

func memAvailable(text string) (int64, error) {
	values := map[string]int64{}
	for _, name := range []string{"MemAvailable:", "MemFree:", "Cached:"} {
		values[name] = field(text, name)
	}
	if values["MemAvailable:"] > 0 {
		return values["MemAvailable:"] << 10, nil
	}
	if values["MemFree:"] == 0 { // kernels before 3.14 do not say more
		return 0, fmt.Errorf("/proc/meminfo does not say how much memory is free")
	}
	return (values["MemFree:"] + values["Cached:"]/2) << 10, nil
}

// field is the number behind a name at the beginning of a line.
func field(text, name string) int64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			if words := strings.Fields(rest); len(words) > 0 {
				n, _ := strconv.ParseInt(words[0], 10, 64)
				return n
			}
		}
	}
	return 0
}

// packageRecords are what package managers change with every package.
var packageRecords = []string{"/var/lib/rpm/*", "/usr/lib/sysimage/rpm/*", "/var/lib/dpkg/status"}

// packages tells two states of the machine's packages apart.
func (d *drill) packages() []string {
	var state []string
	for _, pattern := range packageRecords {
		found, _ := filepath.Glob(pattern)
		for _, f := range found {
			// Locks and memory maps of Berkeley DB change when packages are only listed.
			if base := filepath.Base(f); base[0] == '.' || len(base) > 4 && base[:4] == "__db" {
				continue
			}
			if info, err := os.Stat(f); err == nil {
				state = append(state, fmt.Sprint(f, info.Size(), info.ModTime().UnixNano()))
			}
		}
	}
	slices.Sort(state)
	return state
}

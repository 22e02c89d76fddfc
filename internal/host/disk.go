package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNoDisk says that a path lies on no disk that this machine can name: on a
// server, in memory, in a file system that does not tell.
var ErrNoDisk = errors.New("it lies on no disk of this machine that can be told")

// Disks names the disks that a path of this process lies on, as the kernel calls
// them, sorted: sda, nvme0n1. What is between is looked through: partitions, LVM,
// RAID, encryption, the devices of a btrfs, files used as devices. The path's last
// parts may be missing. ErrNoDisk when it lies on none.
func Disks(path string) ([]string, error) {
	return devices{sys: "/sys"}.of(path, 0)
}

// SharedDisks names the disks that two paths of this process have in common. A
// failing disk takes both away. What another machine has shares none with what lies on
// this one. Where it cannot be told, the error says of which path and why; one file
// system is shared all the same, and named instead of its disks.
func SharedDisks(a, b string) ([]string, error) {
	var mounts [2]Mount
	var both [2][]string
	var unknown error
	away := false
	for i, path := range []string{a, b} {
		var err error
		if mounts[i], err = MountAt(path); err != nil {
			return nil, fmt.Errorf("find the disk of %s: %w", path, err)
		}
		if mounts[i].Remote() {
			away = true
			continue
		}
		both[i], err = Disks(path)
		unknown = errors.Join(unknown, err)
	}
	switch {
	case mounts[0].Device == mounts[1].Device && (unknown != nil || away):
		return []string{fmt.Sprintf("one file system (%s, %s)", mounts[0].Type, mounts[0].Source)}, nil
	case away:
		return nil, nil
	case unknown != nil:
		return nil, unknown
	}
	return slices.DeleteFunc(both[0], func(d string) bool { return !slices.Contains(both[1], d) }), nil
}

// devices looks devices up in sysfs.
type devices struct{ sys string }

// deepest bounds the layers between a path and its disks.
const deepest = 32

func (d devices) of(path string, depth int) ([]string, error) {
	m, err := MountAt(path)
	if err != nil {
		return nil, fmt.Errorf("find the disk of %s: %w", path, err)
	}
	disks, err := d.mount(m, depth)
	if err != nil {
		return nil, fmt.Errorf("find the disk of %s (%s on %s): %w", path, m.Type, m.Source, err)
	}
	return disks, nil
}

func (d devices) mount(m Mount, depth int) ([]string, error) {
	var found []string
	add := func(disks []string, err error) error {
		found = append(found, disks...)
		return err
	}
	switch {
	case depth > deepest:
		return nil, errors.New("there are too many layers of devices")
	case m.Type == "overlay":
		// What is written goes to the upper layer.
		upper, ok := m.Option("upperdir")
		if !ok {
			return nil, ErrNoDisk
		}
		// The path is of the namespace that has mounted it, and relative to some directory
		// of then. Here another may be at it, also one in this overlay.
		if in, err := MountAt(upper); err != nil || !filepath.IsAbs(upper) || in.ID == m.ID {
			return nil, ErrNoDisk
		}
		if _, err := os.Stat(upper); err != nil {
			return nil, ErrNoDisk
		}
		return d.of(upper, depth+1)
	case !m.Local() || m.Type == "zfs":
		return nil, ErrNoDisk
	}
	// The numbers of a btrfs, and of whatever else has several devices, are its own.
	var st unix.Stat_t
	if err := unix.Stat(m.Source, &st); err != nil {
		return nil, ErrNoDisk
	}
	members := []string{fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))}
	if m.Type == "btrfs" {
		var err error
		if members, err = d.btrfs(members[0]); err != nil {
			return nil, err
		}
	}
	for _, number := range members {
		if err := add(d.block(number, depth+1)); err != nil {
			return nil, err
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// btrfs gives the numbers of all devices of the file system that one belongs to
// (/sys/fs/btrfs/UUID/devices).
func (d devices) btrfs(member string) ([]string, error) {
	lists, err := filepath.Glob(d.sys + "/fs/btrfs/*/devices")
	if err != nil {
		return nil, err
	}
	for _, list := range lists {
		entries, err := os.ReadDir(list)
		if err != nil {
			return nil, err
		}
		var numbers []string
		for _, e := range entries {
			number, err := os.ReadFile(filepath.Join(list, e.Name(), "dev"))
			if err != nil {
				return nil, err
			}
			numbers = append(numbers, strings.TrimSpace(string(number)))
		}
		if slices.Contains(numbers, member) {
			return numbers, nil
		}
	}
	return []string{member}, nil
}

// block gives the disks that the block device with a number lies on.
func (d devices) block(number string, depth int) ([]string, error) {
	if depth > deepest {
		return nil, errors.New("there are too many layers of devices")
	}
	dir, err := filepath.EvalSymlinks(filepath.Join(d.sys, "dev/block", number))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoDisk
	}
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "partition")); err == nil {
		dir = filepath.Dir(dir)
	}
	if file, err := os.ReadFile(filepath.Join(dir, "loop/backing_file")); err == nil {
		path := strings.TrimSuffix(strings.TrimSpace(string(file)), " (deleted)")
		if disks, err := d.of(path, depth+1); err == nil {
			return disks, nil
		}
		return []string{filepath.Base(dir)}, nil
	}
	below, err := os.ReadDir(filepath.Join(dir, "slaves"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var found []string
	for _, e := range below {
		number, err := os.ReadFile(filepath.Join(dir, "slaves", e.Name(), "dev"))
		if err != nil {
			return nil, err
		}
		disks, err := d.block(strings.TrimSpace(string(number)), depth+1)
		if err != nil {
			return nil, err
		}
		found = append(found, disks...)
	}
	if len(found) == 0 {
		found = []string{filepath.Base(dir)}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

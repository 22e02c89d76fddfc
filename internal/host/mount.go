package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Mount is one line of mountinfo (proc_pid_mountinfo(5)).
type Mount struct {
	ID, Parent string
	Device     string // major:minor
	Root       string // what of the file system is mounted: a directory or subvolume of it
	Point      string // where, for this process
	Type       string // ext4, btrfs, nfs4 …
	Source     string // a device, a server …
	Options    string // of this mount
	Super      string // options of the file system
}

// Mounts lists what is mounted for this process, what covers others after them.
// Mount points are absolute, without links.
func Mounts() ([]Mount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list what is mounted: %w", err)
	}
	defer f.Close()
	return readMounts(f)
}

func readMounts(r io.Reader) ([]Mount, error) {
	var all []Mount
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		own, shared, ok := strings.Cut(lines.Text(), " - ")
		a, b := strings.Fields(own), strings.Fields(shared)
		if !ok || len(a) < 6 || len(b) < 2 {
			return nil, fmt.Errorf("list what is mounted: %q is not understood", lines.Text())
		}
		m := Mount{ID: a[0], Parent: a[1], Device: a[2], Root: unescape(a[3]), Point: unescape(a[4]), Options: a[5], Type: b[0], Source: unescape(b[1])}
		if len(b) > 2 {
			m.Super = b[2]
		}
		all = append(all, m)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("list what is mounted: %w", err)
	}
	return all, nil
}

// unescape undoes the octal escapes of mountinfo: \040 is a space.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			var n, bad byte
			for _, c := range []byte(s[i+1 : i+4]) {
				if c < '0' || c > '7' {
					bad = 1
				}
				n = n<<3 | (c - '0')
			}
			if bad == 0 {
				out.WriteByte(n)
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// Local tells whether the content of a mount lies on a disk of this machine, and may
// be written: neither what the kernel makes up, nor what another machine or a medium
// has.
func (m Mount) Local() bool {
	switch m.Type {
	case "iso9660", "udf", "squashfs", "erofs":
		return false
	case "btrfs", "zfs", "overlay":
		return true
	}
	return strings.HasPrefix(m.Source, "/dev/") && !strings.HasPrefix(m.Type, "fuse.")
}

// remote are the file systems that another machine has, as mount(8) names them.
var remote = []string{"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "ceph", "afs", "9p", "virtiofs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.rclone", "davfs", "fuse.davfs"}

// Remote tells whether another machine has the content of a mount.
func (m Mount) Remote() bool { return slices.Contains(remote, m.Type) }

// Foreign lists where something is mounted in the machine's tree that lies on none of
// its disks, see Mount.Local.
func (h *Host) Foreign() ([]string, error) {
	all, err := Mounts()
	if err != nil {
		return nil, err
	}
	root, err := filepath.EvalSymlinks(h.root)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, m := range all {
		if within(m.Point, root) && m.Point != root && !m.Local() {
			found = append(found, filepath.Clean("/"+strings.TrimPrefix(m.Point, root)))
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// Option gives the value of one of the file system's options, "" for one without.
func (m Mount) Option(name string) (string, bool) {
	for _, o := range append(strings.Split(m.Super, ","), strings.Split(m.Options, ",")...) {
		if key, value, _ := strings.Cut(o, "="); key == name {
			return value, true
		}
	}
	return "", false
}

// MountAt finds the mount that a path of this process lies in; its last parts may be
// missing. Symbolic links are followed.
func MountAt(path string) (Mount, error) {
	all, err := Mounts()
	if err != nil {
		return Mount{}, err
	}
	real, err := filepath.EvalSymlinks(path)
	for err != nil && errors.Is(err, os.ErrNotExist) && path != "/" {
		path = filepath.Dir(path)
		real, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return Mount{}, err
	}
	return mountOf(all, real)
}

func mountOf(all []Mount, path string) (found Mount, err error) {
	for _, m := range all {
		if within(path, m.Point) && len(m.Point) >= len(found.Point) {
			found = m // of several at one place the last one covers the others
		}
	}
	if found.Point == "" {
		return found, fmt.Errorf("nothing is mounted that %s could lie in", path)
	}
	return found, nil
}

// within tells whether a clean path is dir or lies below it.
func within(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir+"/")
}

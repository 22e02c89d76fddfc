package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// diskKinds are file systems that an overlay can cover and that hold what
// packages install. A mount of another kind is state, or belongs to another
// machine, and is an empty directory inside.
var diskKinds = []string{"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "reiserfs", "bcachefs", "zfs", "squashfs", "erofs"}

// findLayers lists the overlays that make up root: one for itself and one per
// on-disk file system mounted below it. dir is the sandbox's own directory.
func findLayers(root, dir string) ([]layer, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	layers := []layer{{Mount: "/", Lower: root}}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		at, kind, ok := parseMount(lines.Text())
		if !ok || at == root || !within(root, at) || within(dir, at) || !slices.Contains(diskKinds, kind) {
			continue
		}
		// A single file may be a mount point too (containers do that); the
		// file below it is good enough.
		if info, err := os.Stat(at); err != nil || !info.IsDir() {
			continue
		}
		inside := "/" + strings.TrimPrefix(strings.TrimPrefix(at, root), "/")
		if !slices.ContainsFunc(layers, func(l layer) bool { return l.Mount == inside }) {
			layers = append(layers, layer{Mount: inside, Lower: at})
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	slices.SortFunc(layers, func(a, b layer) int { return strings.Compare(a.Mount, b.Mount) })
	return layers, nil
}

// lookAgain marks the file systems that are mounted no more. Machines live on: somebody
// unmounts a disk while a sandbox starts, or between two starts of it.
func (r *record) lookAgain() error {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer f.Close()
	mounted := map[string]bool{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if at, _, ok := parseMount(lines.Text()); ok {
			mounted[at] = true
		}
	}
	for i := range r.Layers {
		l := &r.Layers[i]
		l.gone = l.Mount != "/" && !l.Late && !mounted[l.Lower]
	}
	return lines.Err()
}

// left tells whether an error came of a file system that was unmounted just now.
func (r *record) left(i int, err error) bool {
	vanished := errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESTALE)
	return vanished && r.lookAgain() == nil && r.Layers[i].gone
}

// parseMount takes mount point and kind from a line of mountinfo, whose format
// is that of proc(5).
func parseMount(line string) (at, kind string, ok bool) {
	fields := strings.Fields(line)
	sep := slices.Index(fields, "-")
	if len(fields) < 7 || sep < 6 || sep+1 >= len(fields) {
		return "", "", false
	}
	return unescape(fields[4]), fields[sep+1], true
}

// unescape undoes the \ooo of mountinfo.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// within tells whether path is dir or below it. Both are clean.
func within(dir, path string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}

// depth returns how many overlays a sandbox on root would stack, its own
// included, and whether root is one.
func depth(root string) (depth int, nested bool, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(root, &st); err != nil {
		return 0, false, fmt.Errorf("look at %s: %w", root, err)
	}
	if st.Type != unix.OVERLAYFS_SUPER_MAGIC {
		return 1, false, nil
	}
	raw, err := os.ReadFile(filepath.Join(root, depthFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 2, true, nil // the overlay of a container engine
	}
	if err != nil {
		return 0, true, err
	}
	outer, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0, true, fmt.Errorf("read %s: %w", depthFile, err)
	}
	return outer + 1, true, nil
}

// mountOverlay puts an overlay of lower on target. redirect_dir lets lower
// directories be renamed and index keeps lower hard links together; xino gives
// all files one device number. Older kernels know no xino. Device nodes can be made
// there, and not opened: those of a restored tree would lead to this machine's disks.
func mountOverlay(lower, upper, work, target string, nested bool) error {
	dirs := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", escape(lower), escape(upper), escape(work))
	index := "on"
	if nested {
		index = "off" // needs file handles, which an overlay has none of
	}
	var err error
	for _, options := range []string{",redirect_dir=on,index=" + index + ",xino=auto", ",redirect_dir=on,index=" + index} {
		if err = retryBusy(func() error { return unix.Mount("overlay", target, "overlay", unix.MS_NODEV, dirs+options) }); err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINVAL) {
			break
		}
	}
	return fmt.Errorf("overlay %s: %w (the kernel log, dmesg, says why)", lower, err)
}

// escape quotes a path for the options of an overlay.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`).Replace(path)
}

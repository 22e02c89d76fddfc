package wayback

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/host"
)

// volume is a file system that a root is put together from.
type volume struct {
	path   string // on the root's machine
	source string
	kind   string // ext4 …
}

// volumes lists which file systems of disks a root is put together from besides its
// own: those that are mounted, and those that its fstab(5) names.
func (t Target) volumes() ([]volume, error) {
	mounts, err := host.Mounts()
	if err != nil {
		return nil, err
	}
	root, err := filepath.EvalSymlinks(t.Root)
	if err != nil {
		return nil, err
	}
	var all []volume
	add := func(v volume) {
		if v.path != "/" && !slices.ContainsFunc(all, func(a volume) bool { return a.path == v.path }) {
			all = append(all, v)
		}
	}
	for _, m := range mounts {
		path, in := strings.CutPrefix(m.Point, strings.TrimSuffix(root, "/"))
		if in && strings.HasPrefix(path, "/") && m.Local() && !below(path, transient) {
			add(volume{path, m.Source, m.Type})
		}
	}
	lines, err := t.fstab()
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		if local(l) {
			add(volume{filepath.Clean(l.point), l.source, l.kind})
		}
	}
	slices.SortFunc(all, func(a, b volume) int { return strings.Compare(a.path, b.path) })
	return all, nil
}

// transient are places of a running system that are no part of its root.
var transient = []string{"/proc", "/sys", "/dev", "/run", "/tmp", "/mnt", "/media"}

// tab is one line of fstab(5).
type tab struct{ source, point, kind, options string }

func (l tab) option(name string) (string, bool) {
	for o := range strings.SplitSeq(l.options, ",") {
		if key, value, _ := strings.Cut(o, "="); key == name {
			return value, true
		}
	}
	return "", false
}

func local(l tab) bool {
	if !strings.HasPrefix(l.point, "/") || strings.HasPrefix(l.kind, "nfs") || below(filepath.Clean(l.point), transient) {
		return false
	}
	for _, begin := range []string{"/dev/", "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL="} {
		if strings.HasPrefix(l.source, begin) {
			return true
		}
	}
	return false
}

func (t Target) fstab() ([]tab, error) {
	h, err := t.host()
	if err != nil {
		return nil, err
	}
	path, err := h.Path("/etc/fstab")
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []tab
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(text)
		if len(fields) < 4 {
			continue
		}
		all = append(all, tab{fields[0], strings.NewReplacer(`\040`, " ", `\011`, "\t").Replace(fields[1]), fields[2], fields[3]})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return all, nil
}

// databases are where package databases are. What stands in them has to go back
// together with what packages have installed.
var databases = []string{"/usr/lib/sysimage/rpm", "/var/lib/rpm", "/var/lib/dpkg"}

// torn tells which of the volumes that do not go back hold what has to go back
// together with the root.
func (t Target) torn(volumes []volume) (volume, bool, error) {
	h, err := t.host()
	if err != nil {
		return volume{}, false, err
	}
	together := []string{"/bin", "/boot", "/etc", "/lib", "/lib64", "/sbin", "/usr"}
	for _, dir := range databases {
		at, err := h.Entry(dir)
		if err != nil {
			return volume{}, false, err
		}
		if info, err := os.Lstat(at); err == nil && info.IsDir() {
			together = append(together, dir)
		}
	}
	for _, v := range volumes {
		if slices.ContainsFunc(together, func(dir string) bool { return below(dir, []string{v.path}) }) {
			return v, true, nil
		}
	}
	return volume{}, false, nil
}

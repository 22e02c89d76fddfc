package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"
	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// Paths inside that belong to the sandbox itself.
const (
	ownDir    = "/run/sandbox"
	depthFile = ownDir + "/depth"
	shimDir   = ownDir + "/bin"
)

// mounter mounts below the assembled root, whose own links never lead out.
type mounter struct {
	root string
	err  error
}

// at resolves a path inside to a path out here.
func (m *mounter) at(path string) string {
	p, err := securejoin.SecureJoin(m.root, path)
	m.fail(err, "resolve "+path)
	return p
}

func (m *mounter) fail(err error, what string) {
	if err != nil && m.err == nil {
		m.err = fmt.Errorf("%s: %w", what, err)
	}
}

// mount makes the mount point and mounts, unless something failed before.
func (m *mounter) mount(source, path, kind string, flags uintptr, data string) {
	to := m.at(path)
	if m.err != nil {
		return
	}
	m.fail(os.MkdirAll(to, 0o755), "make mount point "+path)
	if m.err == nil {
		m.fail(unix.Mount(source, to, kind, flags, data), "mount "+kind+" on "+path)
	}
}

// bind binds source over path and makes it read-only when asked.
func (m *mounter) bind(source, path string, readOnly bool) {
	to := m.at(path)
	if m.err != nil {
		return
	}
	m.fail(unix.Mount(source, to, "", unix.MS_BIND|unix.MS_REC, ""), "bind "+source+" on "+path)
	if readOnly && m.err == nil {
		m.fail(unix.Mount("", to, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""), "make "+path+" read-only")
	}
}

// prepared is kept with the layers once they hold what makes paths empty.
type prepared struct{ Cleared []string }

// assemble mounts the root at DIR/root. It runs in the init's own mount
// namespace, with this machine's root still in place.
func (r *record) assemble(bootID string) (root string, err error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("make mounts private: %w", err)
	}
	if err := r.lookAgain(); err != nil {
		return "", fmt.Errorf("read mounts: %w", err)
	}
	base, m := filepath.Join(r.Options.Dir, "layers"), &mounter{root: filepath.Join(r.Options.Dir, "root")}
	if err := r.mountImage(base); err != nil {
		return "", err
	}
	uppers, err := r.makeUppers(base)
	if err != nil {
		return "", err
	}
	var prep prepared
	raw, err := os.ReadFile(filepath.Join(base, "prepared"))
	first := errors.Is(err, fs.ErrNotExist)
	switch {
	case first:
		for _, path := range append([]string{r.Options.Dir}, r.Options.Empty...) {
			if err := r.clear(uppers, &prep.Cleared, path, 0); err != nil {
				return "", fmt.Errorf("empty %s: %w", path, err)
			}
		}
	case err != nil:
		return "", err
	default:
		if err := json.Unmarshal(raw, &prep); err != nil {
			return "", err
		}
	}
	for i, l := range r.Layers {
		if l.Late {
			continue
		}
		if err := r.mountLayer(m, l, filepath.Join(base, strconv.Itoa(i)), prep.Cleared); err != nil && !r.left(i, err) {
			return "", err
		}
	}
	if first {
		m.fail(writeIdentity(m, r.Options.Hostname), "write the host name")
	}
	m.system(bootID, r.Depth, r.Options.Devices)
	for i, l := range r.Layers {
		if l.Late {
			m.cover(l, filepath.Join(base, strconv.Itoa(i)))
		}
	}
	for _, c := range r.Options.Covers {
		if c.System {
			m.lend(filepath.Clean(c.Path))
		}
	}
	for _, b := range r.Options.Binds {
		m.share(b)
	}
	if first && m.err == nil {
		raw, err := json.Marshal(prep)
		m.fail(err, "record")
		m.fail(renameio.WriteFile(filepath.Join(base, "prepared"), raw, 0o600), "record what starts empty")
	}
	return m.root, m.err
}

func (r *record) mountImage(base string) error {
	if r.Options.Plain {
		return nil
	}
	device, err := attach(filepath.Join(r.Options.Dir, "layers.img"))
	if err != nil {
		return err
	}
	defer device.Close()
	options := ""
	if r.Options.Volatile {
		options = "barrier=0,data=writeback"
	}
	if err := unix.Mount(device.Name(), base, "ext4", unix.MS_NOATIME|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount the sandbox's layers: %w", err)
	}
	return nil
}

// makeUppers makes upper and work directories of all layers.
func (r *record) makeUppers(base string) ([]string, error) {
	var uppers []string
	for i, l := range r.Layers {
		dir := filepath.Join(base, strconv.Itoa(i))
		upper := filepath.Join(dir, "upper")
		uppers = append(uppers, upper)
		if _, err := os.Lstat(upper); err == nil || l.gone {
			continue
		}
		if err := os.MkdirAll(filepath.Join(dir, "work"), 0o700); err != nil {
			return nil, err
		}
		// Complete before it has its name, so that a killed start leaves none half made.
		part := filepath.Join(dir, "part")
		if err := errors.Join(os.RemoveAll(part), os.Mkdir(part, 0o700)); err != nil {
			return nil, err
		}
		if err := errors.Join(copyMeta(l.Lower, part), os.Rename(part, upper)); err != nil && !r.left(i, err) {
			return nil, err
		}
	}
	return uppers, nil
}

func (r *record) mountLayer(m *mounter, l layer, dir string, cleared []string) error {
	hidden := slices.ContainsFunc(cleared, func(p string) bool { return within(p, l.Mount) })
	if hidden && !slices.Contains(cleared, l.Mount) || !hidden && l.gone {
		return nil
	}
	to := m.at(l.Mount)
	if m.err != nil {
		return m.err
	}
	if l.Mount != "/" {
		if err := os.MkdirAll(to, 0o755); err != nil {
			return err
		}
	}
	if hidden {
		if err := unix.Mount(filepath.Join(dir, "upper"), to, "", unix.MS_BIND, ""); err != nil {
			return err
		}
		return unix.Mount("", to, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_NODEV|unix.MS_NOATIME, "")
	}
	return mountOverlay(l.Lower, filepath.Join(dir, "upper"), filepath.Join(dir, "work"), to, r.Nested)
}

// cover mounts a further tree at its own place.
func (m *mounter) cover(l layer, dir string) {
	to := m.at(l.Mount)
	if m.err != nil {
		return
	}
	m.fail(os.MkdirAll(to, 0o755), "make mount point "+l.Mount)
	if m.err == nil {
		m.fail(mountOverlay(l.Lower, filepath.Join(dir, "upper"), filepath.Join(dir, "work"), to, l.Nested), "cover "+l.Mount)
	}
}

// lend gives a covered system what the sandbox has of a kernel.
func (m *mounter) lend(tree string) {
	for _, dir := range []string{"/dev", "/proc"} {
		at := m.at(filepath.Join(tree, dir))
		if m.err != nil {
			return
		}
		m.fail(os.MkdirAll(at, 0o755), "make "+dir+" of "+tree)
		if m.err == nil {
			m.bind(m.at(dir), filepath.Join(tree, dir), false)
		}
	}
}

// share binds a part of the outer machine, making its mount point when missing.
func (m *mounter) share(b Bind) {
	to := m.at(b.Target)
	info, err := os.Stat(b.Source)
	m.fail(err, "share")
	if m.err != nil {
		return
	}
	if info.IsDir() {
		m.fail(os.MkdirAll(to, 0o755), "share")
	} else {
		m.fail(os.MkdirAll(filepath.Dir(to), 0o755), "share")
		f, err := os.OpenFile(to, os.O_CREATE|os.O_RDONLY, 0o644)
		m.fail(err, "share")
		if err == nil {
			f.Close()
		}
	}
	m.bind(b.Source, b.Target, b.ReadOnly)
}

// writeIdentity gives the sandbox its name at the first start.
func writeIdentity(m *mounter, hostname string) error {
	if hostname == "" {
		return nil
	}
	names := hostname
	if short, _, dotted := strings.Cut(hostname, "."); dotted {
		names += " " + short
	}
	hosts := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t" + names + "\n"
	for path, text := range map[string]string{"/etc/hostname": hostname + "\n", "/etc/hosts": hosts} {
		to := m.at(path)
		if m.err != nil {
			return m.err
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := renameio.WriteFile(to, []byte(text), 0o644, renameio.IgnoreUmask()); err != nil {
			return err
		}
	}
	return nil
}

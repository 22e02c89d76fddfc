package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// deviceNodes is the whole of a sandbox's /dev besides terminals, shared memory
// and links.
var deviceNodes = []struct {
	name         string
	major, minor uint32
}{
	{"null", 1, 3},
	{"zero", 1, 5},
	{"full", 1, 7},
	{"random", 1, 8},
	{"urandom", 1, 9},
	{"tty", 5, 0},
}

// system mounts what a kernel and an early boot give to a machine: /proc, /sys,
// /dev, /run and /tmp, all fresh. What would reach the outer kernel (sysctls
// outside the network, sysrq) is read-only.
func (m *mounter) system(bootID string, depth int, devices bool) {
	const plain = unix.MS_NOSUID | unix.MS_NODEV
	m.mount("proc", "/proc", "proc", plain|unix.MS_NOEXEC, "")
	m.mount("sysfs", "/sys", "sysfs", plain|unix.MS_NOEXEC|unix.MS_RDONLY, "")
	m.mount("tmpfs", "/run", "tmpfs", plain, "mode=755")
	m.mount("tmpfs", "/tmp", "tmpfs", plain, "mode=1777")
	if m.err != nil {
		return
	}
	if info, err := os.Lstat(filepath.Join(m.root, "var/run")); err == nil && info.IsDir() {
		m.mount("tmpfs", "/var/run", "tmpfs", plain, "mode=755") // before /run there was this
	}
	m.devices(devices)
	m.fail(os.MkdirAll(m.at("/run/lock"), 0o755), "make /run/lock")
	m.fail(os.Chmod(m.at("/run/lock"), 0o1777|os.ModeSticky), "make /run/lock")
	m.fail(os.MkdirAll(m.at(shimDir), 0o755), "make "+shimDir)
	m.write(depthFile, strconv.Itoa(depth)+"\n")
	m.write(ownDir+"/boot_id", bootID+"\n")
	for name := range shims {
		m.link("/proc/1/exe", shimDir+"/"+name)
	}
	for _, p := range []string{"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"} {
		if _, err := os.Stat(filepath.Join(m.root, p)); err == nil {
			m.bind(filepath.Join(m.root, p), p, true)
		}
	}
	m.bind(m.at("/run/sandbox/boot_id"), "/proc/sys/kernel/random/boot_id", true)
}

// devices makes /dev. Unless all may be opened, that is left to the nodes made here:
// each is mounted over itself, and their directory then is without devices.
func (m *mounter) devices(all bool) {
	m.mount("tmpfs", "/dev", "tmpfs", unix.MS_NOSUID, "mode=755")
	m.mount("devpts", "/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5")
	m.mount("tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777")
	if m.err != nil {
		return
	}
	for _, d := range deviceNodes {
		path := filepath.Join(m.root, "dev", d.name)
		m.fail(unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor))), "make "+d.name)
		m.fail(os.Chmod(path, 0o666), "make "+d.name)
		if !all && m.err == nil {
			m.bind(path, "/dev/"+d.name, false)
		}
	}
	if !all && m.err == nil {
		m.fail(unix.Mount("", filepath.Join(m.root, "dev"), "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV, ""), "close /dev")
	}
	for name, target := range map[string]string{
		"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0",
		"stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		m.link(target, "/dev/"+name)
	}
}

// write and link work on the fresh tmpfs mounts only.
func (m *mounter) write(path, text string) {
	to := m.at(path)
	if m.err == nil {
		m.fail(os.WriteFile(to, []byte(text), 0o644), "write "+path)
		m.fail(os.Chmod(to, 0o644), "write "+path)
	}
}

func (m *mounter) link(target, path string) {
	m.fail(os.Symlink(target, filepath.Join(m.root, path)), "link "+path)
}

// enter makes the assembled root the root of this process and drops the old one.
func enter(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	// With both arguments ".", the old root ends up on top of the new one
	// (pivot_root(2), NOTES) and can be detached without a directory for it.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach the old root: %w", err)
	}
	return os.Chdir("/")
}

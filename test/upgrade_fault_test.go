package test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/lab/sles"
	"lifeboat/internal/upgrade/wayback/inventory"
)

// upgradable is a root of the lab on a disk of its own, as a rescue system has it mounted,
// and a configuration that upgrades it.
type upgradable struct {
	*site
	lab    *sles.Lab
	before []byte // what the root was
}

// newUpgradable installs an SLES 12 on a file system of that kind.
func newUpgradable(t *testing.T, kind string, faults ...string) *upgradable {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: installs and upgrades a root")
	}
	m := &upgradable{site: newSite(t)}
	var err error
	m.lab, err = sles.Build(t.Context(), filepath.Join(m.dir, "lab"), sles.Options{From: sles.SLES12, Break: faults, Big: 1 << 20})
	must(t, err)
	installed := m.lab.Root + ".installed"
	must(t, os.Rename(m.lab.Root, installed))
	must(t, os.Mkdir(m.lab.Root, 0o755))
	image := filepath.Join(m.dir, "disk")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 768<<20))
	m.do("mkfs."+kind, "-q", image)
	m.do("mount", "-o", "loop", image, m.lab.Root)
	t.Cleanup(func() { m.do("umount", "--recursive", m.lab.Root) })
	m.do("cp", "-a", installed+"/.", m.lab.Root)
	m.configure()
	return m
}

// configure has a rescue system upgrade the root.
func (m *upgradable) configure() {
	m.t.Helper()
	m.put("password", "secret")
	m.put("lifeboat.yaml", "state_dir: DIR/state\nrepositories:\n  - {name: main, url: DIR/repository, password: {file: DIR/password}}\n"+
		"systems:\n  - {name: server, profile: sles}\n")
	m.lifeboat(0, "repository", "create")
}

func (m *upgradable) do(args ...string) string {
	m.t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// left is what profile sles leaves out, and what readers of a package database touch.
func (m *upgradable) left(path string) bool {
	return slices.Contains([]string{"/run", "/var/run", "/var/log", "/var/cache/zypp", "/tmp", "/var/tmp", "/lost+found", "/home", "/srv", "/.snapshots", "/proc", "/sys", "/dev", "/mnt", "/media", "/var/lib/lifeboat", "/var/cache/lifeboat"}, path) ||
		strings.HasSuffix(path, ".sqlite-shm") || strings.HasSuffix(path, ".sqlite-wal")
}

// remember takes down what the root is.
func (m *upgradable) remember() {
	m.t.Helper()
	var list bytes.Buffer
	_, err := inventory.Take(m.t.Context(), m.lab.Root, inventory.Options{Skip: m.left}, &list)
	must(m.t, err)
	m.before = list.Bytes()
}

// differences are those of the root from what was remembered.
func (m *upgradable) differences() (list []string) {
	m.t.Helper()
	_, err := inventory.Compare(m.t.Context(), bytes.NewReader(m.before), m.lab.Root, inventory.Options{Skip: m.left}, func(d inventory.Difference) error {
		list = append(list, d.String())
		return nil
	})
	must(m.t, err)
	return list
}

func (m *upgradable) same() {
	m.t.Helper()
	if list := m.differences(); len(list) > 0 {
		m.t.Errorf("the root is not what it was:\n%s\n%s", strings.Join(list, "\n"), m.spoken.String())
	}
}

// accepted is what stands in the way of every upgrade of the lab's SLES 12.
var accepted = []string{
	"release-notes=SLES-12-SP1", "recovery-point-same-disk", "third-party-removed=acme-backup", "packages-removed=1ab3f351", "repositories-unsigned=acme",
}

// upgrade is the command line that upgrades the root.
func (m *upgradable) upgrade(more ...string) []string {
	args := []string{"upgrade", "run", "--yes", "--root", m.lab.Root, "--to", "SLES 12 SP1"}
	for _, r := range m.lab.Target {
		args = append(args, "--target", r.Alias+"="+r.URL)
	}
	for _, a := range accepted {
		args = append(args, "--accept", a)
	}
	return append(args, more...)
}

// held starts an upgrade that waits in the middle of its packages.
type held struct {
	m    *upgradable
	cmd  *exec.Cmd
	said shared
	end  chan error
}

// shared is written by a program and read meanwhile.
type shared struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// waitFor waits until the program has said something.
func (h *held) waitFor(text string) {
	h.m.t.Helper()
	for !strings.Contains(h.said.String(), text) {
		select {
		case err := <-h.end:
			h.m.t.Fatalf("it does not say %q: %v\n%s", text, err, h.said.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (m *upgradable) hold() *held {
	m.t.Helper()
	must(m.t, m.lab.Hold(false))
	m.remember()
	h := &held{m: m, end: make(chan error, 1)}
	h.cmd = exec.Command(filepath.Join(programs, "lifeboat"), append([]string{"--config", filepath.Join(m.dir, "lifeboat.yaml")}, m.upgrade("--no-rehearsal")...)...)
	h.cmd.Stdout, h.cmd.Stderr = &h.said, &h.said
	h.cmd.WaitDelay = time.Minute // what it leaves behind has its output
	must(m.t, h.cmd.Start())
	go func() { h.end <- h.cmd.Wait() }()
	for !m.lab.Waiting() {
		select {
		case err := <-h.end:
			m.t.Fatalf("it did not wait: %v\n%s", err, h.said.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return h
}

// ends waits until the program has ended, with an exit code.
func (h *held) ends(want int) string {
	h.m.t.Helper()
	err := <-h.end
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if code != want {
		h.m.t.Fatalf("it ended with %d and not %d: %v\n%s", code, want, err, h.said.String())
	}
	h.m.spoken.WriteString(h.said.String())
	return h.said.String()
}

// zyppers are the zyppers that work on the root.
func (m *upgradable) zyppers() (list []int) {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		line, _ := os.ReadFile(name)
		words := strings.Split(string(line), "\x00")
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil && filepath.Base(words[0]) == "zypper" && slices.Contains(words, m.lab.Root) {
			list = append(list, pid)
		}
	}
	return list
}

// newSet fails when the root is not the new release, wholly.
func (m *upgradable) newSet() {
	m.t.Helper()
	list, err := m.lab.Packages(m.t.Context())
	must(m.t, err)
	if !slices.Contains(list, "sles-release-12.1-1.331") || len(list) != 15 {
		m.t.Errorf("installed: %v\n%s", list, m.spoken.String())
	}
	if out, err := m.lab.RPM(m.t.Context(), "-Va", "--nofiles"); err != nil {
		m.t.Errorf("%v: %s", err, out)
	}
}

// fill takes all that is free on the root's disk, into a file.
func (m *upgradable) fill(name string) string {
	m.t.Helper()
	path := filepath.Join(m.lab.Root, name)
	must(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
	f, err := os.Create(path)
	must(m.t, err)
	defer f.Close()
	for at, step := int64(0), int64(64<<20); step >= 512; {
		err := unix.Fallocate(int(f.Fd()), 0, at, step)
		switch {
		case err == nil:
			at += step
		case errors.Is(err, unix.ENOSPC):
			step /= 2
		default:
			m.t.Fatal(err)
		}
	}
	return path
}

// An upgrade that is told to end does so behind zypper, which is not broken off, and is
// resumed. Told twice it leaves zypper behind, which is waited for. A zypper that is told
// to end leaves half of both releases, which go back.
func TestUpgradeThatIsToldToEnd(t *testing.T) {
	t.Run("once", func(t *testing.T) {
		t.Parallel()
		m := newUpgradable(t, "ext4", sles.FaultSlow)
		h := m.hold()
		must(t, h.cmd.Process.Signal(syscall.SIGTERM))
		h.waitFor("told to end")
		must(t, m.lab.Release())
		m.says(h.ends(130), "interrupted; resume it with: lifeboat upgrade resume --root", "interrupted behind the point of no return")
		m.newSet()
		m.says(m.lifeboat(0, "upgrade", "status", "--root", m.lab.Root), "interrupted behind the point of no return", "lifeboat upgrade rollback --root")
		m.says(m.lifeboat(3, "upgrade", "resume", "--root", m.lab.Root), "The host is SLES 12 SP1, with 15 packages")
		m.lifeboat(0, "upgrade", "rollback", "--yes", "--root", m.lab.Root)
		m.same()
	})
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		m := newUpgradable(t, "ext4", sles.FaultSlow)
		h := m.hold()
		must(t, h.cmd.Process.Signal(syscall.SIGINT))
		h.waitFor("told to end")
		must(t, h.cmd.Process.Signal(syscall.SIGINT))
		said := h.ends(130)
		left := m.zyppers()
		if len(left) != 1 {
			t.Fatalf("zypper is not there any more: %v", left)
		}
		m.says(said, "Packages are still being changed", "goes on: lifeboat upgrade resume --root "+m.lab.Root)
		m.says(m.lifeboat(0, "upgrade", "status", "--root", m.lab.Root), "Packages are still being changed", strconv.Itoa(left[0]))
		resumed := make(chan string)
		go func() { resumed <- m.lifeboat(3, "upgrade", "resume", "--root", m.lab.Root) }()
		must(t, m.lab.Release())
		m.says(<-resumed, "The host is SLES 12 SP1, with 15 packages")
		m.newSet()
	})
	t.Run("zypper", func(t *testing.T) {
		t.Parallel()
		m := newUpgradable(t, "ext4", sles.FaultSlow)
		h := m.hold()
		list := m.zyppers()
		if len(list) != 1 {
			t.Fatalf("zypper: %v", list)
		}
		must(t, syscall.Kill(list[0], syscall.SIGTERM))
		must(t, m.lab.Release())
		m.says(h.ends(1), "exit code 8", "the upgrade was taken back, and the host is what it was before")
		m.same()
	})
}

// A disk that is full in the middle of the packages: what the upgrade has brought makes
// room for the way back; what others have written has to be removed by them.
func TestUpgradeThatFillsTheDisk(t *testing.T) {
	t.Run("by itself", func(t *testing.T) {
		t.Parallel()
		m := newUpgradable(t, "ext4", sles.FaultSlow)
		h := m.hold()
		m.fill("usr/share/filler")
		must(t, m.lab.Release())
		m.says(h.ends(1), "more space on the / filesystem", "the upgrade was taken back, and the host is what it was before")
		m.same()
	})
	t.Run("by others", func(t *testing.T) {
		t.Parallel()
		m := newUpgradable(t, "ext4", sles.FaultSlow)
		h := m.hold()
		filler := m.fill("var/log/filler")
		must(t, m.lab.Release())
		m.says(h.ends(1), "more space on the / filesystem", "no space for the way back", "make room", "on its way back, and not there yet")
		m.lifeboat(1, "upgrade", "rollback", "--yes", "--root", m.lab.Root)
		must(t, os.Remove(filler))
		m.lifeboat(0, "upgrade", "resume", "--root", m.lab.Root)
		m.same()
	})
}

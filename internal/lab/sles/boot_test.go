package sles

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"lifeboat/internal/host"
	"lifeboat/internal/lab/pc"
	"lifeboat/internal/upgrade/boot"
)

func TestMain(m *testing.M) {
	Init()
	os.Exit(m.Run())
}

// computer is a PC with a root of the lab on its disk.
type computer struct {
	t            *testing.T
	disk, system string
	boots        int
}

func newComputer(t *testing.T, l *Lab, loader string) *computer {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("needs amd64: boots a PC")
	}
	c := &computer{t: t, disk: filepath.Join(l.Dir, "disk.img"), system: filepath.Join(l.Dir, "system.img")}
	if err := pc.MakeDisk(t.Context(), c.disk, l.Root, loader, 128<<20); err != nil {
		t.Fatal(err)
	}
	if err := l.InstallationSystem(t.Context(), c.system); err != nil {
		t.Fatal(err)
	}
	return c
}

// root returns a copy of what is on the PC's disk.
func (c *computer) root() string {
	c.t.Helper()
	dir := filepath.Join(c.t.TempDir(), "root")
	if err := os.Mkdir(dir, 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := pc.Extract(c.t.Context(), c.disk, dir); err != nil {
		c.t.Fatal(err)
	}
	return dir
}

// boot starts the PC and returns what it printed until it was off.
func (c *computer) boot() string {
	c.t.Helper()
	c.boots++
	console := c.disk + ".console"
	if err := pc.Boot(c.t.Context(), pc.Options{Disks: []string{c.disk, c.system}, Console: console}); err != nil {
		c.t.Fatal(err)
	}
	raw, err := os.ReadFile(console)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(raw)
}

// entry makes the boot entry in the root, from a medium of the target.
func entry(t *testing.T, l *Lab, auto bool) {
	t.Helper()
	dvd := filepath.Join(l.Dir, "dvd")
	if err := l.Medium(t.Context(), dvd); err != nil {
		t.Fatal(err)
	}
	e, err := menu(t, l.Root).Add(t.Context(), boot.Request{From: dvd, Arch: "x86_64", Auto: auto})
	if err != nil {
		t.Fatal(err)
	}
	if e.Selection != boot.Selected {
		t.Fatalf("the entry is not selected: %s", e.Why)
	}
}

func menu(t *testing.T, root string) *boot.Menu {
	t.Helper()
	h, err := host.At(root)
	if err != nil {
		t.Fatal(err)
	}
	return &boot.Menu{Host: h}
}

func overwrite(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// GRUB legacy starts the installer by the entry in the menu of SLES 11 SP3, and what is
// left of the entry afterwards goes. Debian's GRUB does not know by which SUSE's starts
// an entry once, so here it is the standard one for this start.
func TestAcceptance12EntryIsBooted(t *testing.T) {
	t.Parallel()
	l := built(t, Options{})
	before := read(t, filepath.Join(l.Root, "boot/grub/menu.lst"))
	entry(t, l, true)
	made := read(t, filepath.Join(l.Root, "boot/grub/menu.lst"))
	overwrite(t, filepath.Join(l.Root, "boot/grub/menu.lst"), strings.NewReplacer("default 0", "default 2", "timeout 8", "timeout 0").Replace(made))
	c := newComputer(t, l, pc.GRUBLegacy)
	if said := c.boot(); !strings.Contains(said, "the installer succeeded") {
		t.Fatal(said)
	}
	l.Root = c.root()
	dir := l.Root
	equal(t, packages(t, l), of12)
	_, list := zypper(t.Context(), t, l, "repos")
	for alias, enabled := range map[string]string{"SLES11-SP3-Pool": "No", "SLES11-SP3-Updates": "No", "acme": "No", "SLES12-GA-Pool": "Yes", "SLES12-GA-Updates": "Yes"} {
		if !regexp.MustCompile(`\| ` + alias + ` +\|[^|]*\| ` + enabled).MatchString(list) {
			t.Errorf("%s is not enabled: %s\n%s", alias, enabled, list)
		}
	}
	if said := read(t, filepath.Join(dir, log)); !strings.Contains(said, "upgrade finished") {
		t.Error(said)
	}
	m := menu(t, dir)
	overwrite(t, filepath.Join(dir, "boot/grub/menu.lst"), made)
	if r, err := m.Remove(t.Context()); err != nil || len(r.Changed) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if after := read(t, filepath.Join(dir, "boot/grub/menu.lst")); after != before {
		t.Errorf("the menu is now\n%s", after)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "boot/*.upgrade")); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}

// GRUB 2 takes the entry once, and then what it took before.
func TestEntryIsTakenOnce(t *testing.T) {
	t.Parallel()
	l := built(t, Options{From: SLES12})
	entry(t, l, false)
	// The ordinary entry starts the same, without upgrade=1.
	kernels, _ := filepath.Glob(filepath.Join(l.Root, "boot/vmlinuz-*"))
	for _, k := range kernels {
		for from, to := range map[string]string{"linux.upgrade": k, "initrd.upgrade": strings.Replace(k, "vmlinuz", "initrd", 1)} {
			if err := run(t.Context(), "", nil, "cp", filepath.Join(l.Root, "boot", from), to); err != nil {
				t.Fatal(err)
			}
		}
	}
	config := filepath.Join(l.Root, "boot/grub2/grub.cfg")
	overwrite(t, config, strings.Replace(read(t, config), "timeout=8", "timeout=0", 1))
	c := newComputer(t, l, pc.GRUB2)
	for _, want := range []string{"has no autoupgrade=1", "has no upgrade=1"} {
		if said := c.boot(); !strings.Contains(said, want) {
			t.Fatalf("start %d does not say that the command line %s:\n%s", c.boots, want, said)
		}
	}
}

package sles

import (
	"os"
	"path/filepath"
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

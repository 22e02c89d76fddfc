package test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"lifeboat/internal/lab/pc"
	"lifeboat/internal/lab/sles"
)

// An upgrade that only the installer may do is handed over: the entry that it makes is
// started by GRUB in a PC, the double of the installer upgrades the disk, and the same run
// sees that it has, and takes the entry away to the byte. Debian's GRUB legacy does not
// know by which SUSE's starts an entry once, so here it is the standard one for this start.
func TestAcceptance12EntryIsBooted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: installs and upgrades a root")
	}
	if runtime.GOARCH != "amd64" {
		t.Skip("needs amd64: boots a PC")
	}
	t.Parallel()
	m := &upgradable{site: newSite(t)}
	var err error
	m.lab, err = sles.Build(t.Context(), filepath.Join(m.dir, "lab"), sles.Options{})
	must(t, err)
	m.configure()
	root, dvd := m.lab.Root, filepath.Join(m.dir, "dvd")
	must(t, m.lab.Medium(t.Context(), dvd))
	menu := filepath.Join(root, "boot/grub/menu.lst")
	before := m.do("cat", menu)
	args := []string{"upgrade", "run", "--yes", "--root", root, "--to", "SLES 12", "--medium", dvd, "--auto", "--answer", "license=accept", "--answer", "registration=skip"}
	for _, a := range []string{"release-notes=SLES-12", "recovery-point-same-disk", "transaction-unknown", "repositories-missing", "repositories-unsigned=acme", "desktop-changes"} {
		args = append(args, "--accept", a)
	}
	m.says(m.lifeboat(5, args...), "Let the installer upgrade the host", "Then: lifeboat upgrade resume --root "+root)
	m.says(m.lifeboat(0, "upgrade", "boot-entry", "show", "--root", root), "The next start takes it, once.")
	made := m.do("cat", menu)
	m.says(made, "/boot/linux.upgrade root=/dev/disk/by-id/ata-lab-part2 upgrade=1", "autoupgrade=1")
	m.says(m.lifeboat(5, "upgrade", "resume", "--root", root), "restart this machine")

	must(t, os.WriteFile(menu, []byte(strings.NewReplacer("default 0", "default 2", "timeout 8", "timeout 0").Replace(made)), 0o600))
	disk, system, console := filepath.Join(m.dir, "disk"), filepath.Join(m.dir, "system"), filepath.Join(m.dir, "console")
	must(t, pc.MakeDisk(t.Context(), disk, root, pc.GRUBLegacy, 128<<20))
	must(t, m.lab.InstallationSystem(t.Context(), system))
	must(t, pc.Boot(t.Context(), pc.Options{Disks: []string{disk, system}, Console: console}))
	m.says(m.do("cat", console), "the installer succeeded")
	m.do("find", root, "-mindepth", "1", "-delete") // the directory itself is how the root is known again
	must(t, pc.Extract(t.Context(), disk, root))
	must(t, os.WriteFile(menu, []byte(made), 0o600))

	m.says(m.lifeboat(3, "upgrade", "resume", "--root", root), "The host is SLES 12, with")
	if after := m.do("cat", menu); after != before {
		t.Errorf("the menu was\n%s\nand is\n%s", before, after)
	}
	if left, _ := filepath.Glob(filepath.Join(root, "boot/*.upgrade")); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}

package test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/upgrade/wayback/subvolume"
)

// hooksDir is where hooks are looked for.
const hooksDir = "/var/lib/YaST2/wagon/hooks"

// hook puts a hook into the root that says which occasion it is called for, and then
// does something.
func (m *upgradable) hook(occasion, more string) string {
	m.t.Helper()
	path := filepath.Join(m.lab.Root, hooksDir, occasion+"_10_site_trace")
	must(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(m.t, os.WriteFile(path, []byte("#!/bin/sh\necho called:$LIFEBOAT_HOOK\n"+more+"\n"), 0o755))
	return path
}

var calledFor = regexp.MustCompile(`called:([a-z_]+)`)

// called are the occasions for which hooks were called in the last run, in order.
func (m *upgradable) called() string {
	m.t.Helper()
	journals, err := filepath.Glob(filepath.Join(m.dir, "state/runs/*-upgrade-*/journal.jsonl"))
	must(m.t, err)
	slices.SortFunc(journals, func(a, b string) int {
		first, err := os.Stat(a)
		must(m.t, err)
		second, err := os.Stat(b)
		must(m.t, err)
		return first.ModTime().Compare(second.ModTime())
	})
	if len(journals) == 0 {
		m.t.Fatal("there is no run")
	}
	text, err := os.ReadFile(journals[len(journals)-1])
	must(m.t, err)
	var list []string
	for _, match := range calledFor.FindAllStringSubmatch(string(text), -1) {
		list = append(list, match[1])
	}
	return strings.Join(list, " ")
}

// Up to the switch of the package repositories, and what follows.
const (
	hooksBefore = "before_init before_welcome after_welcome before_registration_check after_registration_check before_self_update after_self_update " +
		"before_installing_migration_products after_installing_migration_products before_selecting_migration_source after_selecting_migration_source " +
		"before_repo_selection after_repo_selection before_set_migration_repo after_set_migration_repo before_package_migration"
	hooksBehind = " before_registration after_registration before_congratulate after_congratulate before_exit"
)

// The hooks of Wagon are called at their places of an upgrade of a root on btrfs. One that
// fails stops the upgrade while nothing has changed; behind the point of no return the root
// changes places with its snapshot.
func TestUpgradeOnBtrfsWithHooks(t *testing.T) {
	t.Parallel()
	m := newUpgradable(t, "btrfs")
	// As a distribution has it: the root is a subvolume.
	device := strings.TrimSpace(m.do("findmnt", "-n", "-o", "SOURCE", "--nofsroot", m.lab.Root))
	must(t, subvolume.Create(m.lab.Root+"/@"))
	m.do("sh", "-ec", `cd "$1"; for name in * .[!.]*; do [ "$name" = @ ] || [ ! -e "$name" ] || cp -a "$name" @/; done`, "sh", m.lab.Root)
	top := filepath.Join(m.dir, "top")
	must(t, os.Mkdir(top, 0o700))
	m.do("mount", "--bind", m.lab.Root, top)
	t.Cleanup(func() { m.do("umount", top) })
	m.do("umount", m.lab.Root)
	m.do("mount", "-o", "noatime,subvol=@", device, m.lab.Root)
	for _, occasion := range strings.Fields(hooksBefore + hooksBehind + " before_abort before_abort_rollback after_abort_rollback before_restart after_restart") {
		m.hook(occasion, "")
	}
	m.hook("before_package_migration", "exit 3")
	m.remember()
	m.says(m.lifeboat(1, m.upgrade("--no-rehearsal", "--way-back", "point")...), "before_package_migration_10_site_trace", "the upgrade was taken back")
	m.same()
	if got, want := m.called(), hooksBefore+" before_abort before_exit"; got != want {
		t.Errorf("called for\n%s, want\n%s", got, want)
	}

	// A snapshot is no backup: one that was verified has to be there, too.
	run := m.upgrade("--no-rehearsal", "--way-back", "btrfs")
	m.says(m.lifeboat(4, run...), "recovery-point-unverified")
	m.lifeboat(0, "verify", "server", "--read-data")

	m.hook("before_package_migration", "")
	failing := m.hook("after_registration", "cat /etc/os-release; exit 3")
	m.remember()
	m.says(m.lifeboat(1, run...), filepath.Base(failing), "the upgrade was taken back")
	m.same()
	if got, want := m.called(), hooksBefore+" before_registration after_registration before_abort before_abort_rollback after_abort_rollback before_exit"; got != want {
		t.Errorf("called for\n%s, want\n%s", got, want)
	}

	// Wagon's leniency goes on.
	m.hook("before_congratulate", "exit 3")
	m.remember()
	m.says(m.lifeboat(3, append(run, "--hooks", "wagon")...), "the upgrade goes on, as it does with Wagon", "The host is SLES 12 SP1, with 15 packages")
	m.newSet()
	if got, want := m.called(), hooksBefore+hooksBehind; got != want {
		t.Errorf("called for\n%s, want\n%s", got, want)
	}
	m.lifeboat(0, "upgrade", "rollback", "--yes", "--root", m.lab.Root)
	m.same()
}

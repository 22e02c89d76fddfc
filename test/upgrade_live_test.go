package test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/lab/pc"
)

// running starts a command on the root as the machine's own: "/" is its disk, its first
// process is a shell, and /proc, /sys, /dev and /run are mounted in it. This machine is
// gone, but for the directory of the test. A restart by systemd's signal ends it with 77.
const running = `
root=$1 dir=$2
shift 2
mount -t proc proc $root/proc
mount --rbind /sys $root/sys
mount --rbind /dev $root/dev
mount -t tmpfs -o mode=755 run $root/run
mkdir -p $root$dir
mount --bind $dir $root$dir
cd $root
pivot_root . mnt
umount -l /mnt
trap 'exit 77' 39
"$@" &
wait $!
`

// restarted is how running ends when something has restarted the machine.
const restarted = 77

// tools are what a machine needs of its own to be upgraded by this program.
var tools = []string{
	"/bin/sh", "/bin/tar", "/bin/gzip", "/usr/bin/zypper", "/usr/bin/rpmdb2solv", "/usr/bin/repo2solv", "/usr/bin/rpm", "/usr/bin/rpmkeys", "/usr/bin/gpg", "/usr/bin/gpgconf",
	"/usr/bin/gpg-agent", "/usr/bin/mount", "/usr/bin/umount", "/usr/sbin/mkfs.ext4", "/usr/bin/df", "/usr/sbin/pivot_root",
}

// furnish gives the root what lets it run and upgrade itself.
func (m *upgradable) furnish() {
	m.t.Helper()
	root := m.lab.Root
	for _, tool := range tools {
		// What the lab's packages have stays theirs.
		if _, err := os.Lstat(filepath.Join(root, tool)); err != nil {
			must(m.t, pc.Copy(m.t.Context(), root, tool))
		}
	}
	must(m.t, pc.Copy(m.t.Context(), root, filepath.Join(programs, "lifeboat")))
	m.do("cp", "-a", "/usr/lib/rpm", root+"/usr/lib/")
	m.do("cp", "-a", "/usr/share/zypper", root+"/usr/share/")
	for _, dir := range []string{"proc", "sys", "dev", "run", "tmp", "mnt", "var/tmp", "etc/lifeboat", "usr/lib/systemd", "var/lib/lifeboat", "var/cache/lifeboat"} {
		must(m.t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	must(m.t, os.Rename(filepath.Join(root, programs, "lifeboat"), root+"/usr/bin/lifeboat"))
	must(m.t, os.RemoveAll(filepath.Join(root, programs)))
	m.do("strip", root+"/usr/bin/lifeboat")
	must(m.t, os.WriteFile(root+"/usr/lib/systemd/systemd", nil, 0o755)) // what shows that a boot unit would be heard
	m.put("lab/root/etc/lifeboat/lifeboat.yaml", "repositories:\n  - {name: main, url: DIR/repository, password: {file: DIR/password}}\n"+
		"systems:\n  - {name: server, profile: sles}\n")
}

// on runs a command on the machine itself, which has to end with an exit code.
func (m *upgradable) on(want int, args ...string) string {
	m.t.Helper()
	cmd := exec.Command("unshare", append([]string{"--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-ec", running, "sh", m.lab.Root, m.dir}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		m.t.Fatal(err)
	}
	m.spoken.Write(out)
	if code != want {
		m.t.Fatalf("%v ended with %d and not %d:\n%s", args, code, want, out)
	}
	return string(out)
}

// boot starts the machine: what a unit of systemd has to do is done, and must restart it.
func (m *upgradable) boot(want int) {
	m.t.Helper()
	unit, err := os.ReadFile(m.lab.Root + "/etc/systemd/system/lifeboat-wayback.service")
	must(m.t, err)
	for line := range strings.Lines(string(unit)) {
		if call, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart="); ok {
			m.on(want, strings.Fields(call)...)
			return
		}
	}
	m.t.Fatalf("the unit starts nothing:\n%s", unit)
}

// replaced is a hook that has the program exchanged while it runs, as its package does.
const replaced = `#!/bin/sh
cp /usr/bin/lifeboat /usr/bin/lifeboat.new && mv /usr/bin/lifeboat.new /usr/bin/lifeboat && echo new >>/usr/bin/lifeboat
`

// A machine upgrades its own running root, journals and program and all on the same disk.
// It goes back at its next boot, or from a rescue system that knows nothing but the disk.
func TestUpgradeOfTheRunningRoot(t *testing.T) {
	t.Parallel()
	m := newUpgradable(t, "ext4")
	m.furnish()
	hook := m.lab.Root + "/var/lib/YaST2/wagon/hooks/before_package_migration_00_site_program"
	must(t, os.MkdirAll(filepath.Dir(hook), 0o755))
	must(t, os.WriteFile(hook, []byte(replaced), 0o755))
	m.remember()
	args := m.upgrade()
	i := slices.Index(args, "--root")
	m.says(m.on(3, append([]string{"lifeboat"}, slices.Delete(args, i, i+2)...)...), "done    Rehearse the transaction", "The host is SLES 12 SP1, with 15 packages")
	m.newSet()
	if len(m.differences()) == 0 {
		t.Error("nothing has changed")
	}
	m.do("sync")
	m.do("cp", "--sparse=always", filepath.Join(m.dir, "disk"), filepath.Join(m.dir, "rescued"))

	m.says(m.on(5, "lifeboat", "upgrade", "rollback", "--yes"), "waiting restart this machine: it goes back before anything starts", "Then: lifeboat upgrade resume")
	m.says(m.on(0, "lifeboat", "upgrade", "status"), "on its way back, and not there yet")
	m.newSet()
	m.boot(restarted)
	m.same()
	m.on(0, "lifeboat", "upgrade", "resume")
	m.says(m.on(0, "lifeboat", "upgrade", "status"), "rolled back")
	m.same()

	// What a machine that does not start any more leaves is its disk.
	m.do("umount", m.lab.Root)
	m.do("mount", "-o", "loop", filepath.Join(m.dir, "rescued"), m.lab.Root)
	must(t, os.Remove(filepath.Join(m.dir, "lifeboat.yaml")))
	must(t, os.RemoveAll(filepath.Join(m.dir, "repository")))
	m.says(m.lifeboat(0, "upgrade", "status", "--root", m.lab.Root), "done with warnings", "lifeboat upgrade rollback --root "+m.lab.Root)
	m.says(m.lifeboat(4, "upgrade", "resume", "--root", m.lab.Root), "was run on the system itself")
	m.lifeboat(0, "upgrade", "rollback", "--yes", "--root", m.lab.Root)
	m.same()
}

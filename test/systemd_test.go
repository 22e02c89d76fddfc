package test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/sandbox"
)

// booted is a sandbox in which systemd runs as the first process of a further PID
// namespace: the real one, with units of its own.
type booted struct {
	t   *testing.T
	box *sandbox.Sandbox
}

// bootSystemd gives systemd what a container has: mounts, processes and a control group
// of its own. It writes nothing outside of the sandbox but a control group, which is
// named by its first argument.
const bootSystemd = `
set -e
mkdir -p /run/cgroup
mount -t cgroup2 cgroup2 /run/cgroup
mkdir /run/cgroup/$1
echo 0 >/run/cgroup/$1/cgroup.procs
umount /run/cgroup
mkdir -p /etc/systemd/system
cat >/etc/systemd/system/proof.target <<END
[Unit]
Wants=systemd-journald.service
Requires=basic.target
After=basic.target
END
echo 00000000000000000000000000000001 >/etc/machine-id
for unit in systemd-udevd systemd-udev-trigger systemd-modules-load systemd-networkd systemd-resolved systemd-timesyncd systemd-sysctl systemd-binfmt; do
	ln -s /dev/null /etc/systemd/system/$unit.service
done
exec env -i container=lifeboat PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	unshare --mount --pid --fork --kill-child --cgroup --mount-proc sh -c '
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	mount -t tmpfs -o mode=755 run /run
	exec /lib/systemd/systemd --system --unit=proof.target --log-target=console --show-status=no'
`

// removeGroup removes the control group; its processes have ended, or are about to.
const removeGroup = `
mount -t cgroup2 cgroup2 /mnt
for i in $(seq 600); do
	test -d /mnt/$1 || exit 0
	find /mnt/$1 -depth -type d -exec rmdir {} + 2>/dev/null && exit 0
	sleep 0.1
done
exit 1`

func needsSystemd(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: builds sandboxes")
	}
	if _, err := os.Stat("/lib/systemd/systemd"); err != nil {
		t.Skip("needs systemd (package systemd): it runs the timers")
	}
	if out, err := exec.Command("unshare", "--mount", "sh", "-c", "mount -t cgroup2 cgroup2 /mnt").CombinedOutput(); err != nil {
		t.Skipf("needs control groups of version 2, which systemd runs in: %s", out)
	}
}

func bootMachine(t *testing.T) *booted {
	t.Helper()
	needsSystemd(t)
	ctx, dir, group := context.Background(), t.TempDir(), "lifeboat-test-"+strings.ToLower(rand.Text())
	box, err := sandbox.Create(ctx, sandbox.Options{
		Dir: filepath.Join(dir, "box"), Hostname: "timers.example.com", Volatile: true, DieWithParent: true, Devices: true,
		Empty: []string{"/etc/systemd/system", "/etc/machine-id", "/etc/lifeboat", "/var/lib/lifeboat", "/var/lib/systemd", "/var/log", "/srv"},
		Binds: []sandbox.Bind{{Source: programs, Target: "/opt/programs", ReadOnly: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(box.Kill(), box.Destroy(ctx)); err != nil {
			t.Error(err)
		}
		if out, err := exec.Command("unshare", "--mount", "sh", "-c", removeGroup, "sh", group).CombinedOutput(); err != nil {
			t.Errorf("remove the control group: %v: %s", err, out)
		}
	})
	if err := box.Start(ctx); err != nil {
		t.Fatal(err)
	}
	said, err := os.Create(filepath.Join(dir, "systemd.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	systemd, err := box.Spawn(ctx, sandbox.Command{Args: []string{"sh", "-c", bootSystemd, "sh", group}, Stdout: said, Stderr: said})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- systemd.Wait() }()
	m := &booted{t: t, box: box}
	m.eventually("systemctl is-active --quiet proof.target", func() {
		select {
		case err := <-ended:
			text, _ := os.ReadFile(said.Name())
			t.Fatalf("systemd ended: %v: %s", err, text)
		default:
		}
	})
	return m
}

// try runs a shell's commands beside systemd.
func (m *booted) try(commands string) (string, error) {
	var out bytes.Buffer
	err := m.box.Run(context.Background(), sandbox.Command{
		Args: []string{"sh", "-c", `exec nsenter --target "$(pgrep -x -o systemd)" --mount --pid --cgroup -- sh -ec "$1"`, "sh", commands},
		Env:  []string{"PATH=/opt/programs:/usr/sbin:/usr/bin:/sbin:/bin"}, Stdout: &out, Stderr: &out,
	})
	return out.String(), err
}

// run is try, and the commands must succeed and print what the patterns say.
func (m *booted) run(commands string, patterns ...string) string {
	m.t.Helper()
	out, err := m.try(commands)
	if err != nil {
		journal, _ := m.try("journalctl --no-pager -n 50")
		m.t.Fatalf("%s: %v\n%s\n%s", commands, err, out, journal)
	}
	for _, pattern := range patterns {
		if !regexp.MustCompile("(?m)" + pattern).MatchString(out) {
			m.t.Fatalf("%s: no %q in\n%s", commands, pattern, out)
		}
	}
	return out
}

// eventually repeats commands until they succeed, and calls look in between.
func (m *booted) eventually(commands string, look func()) {
	m.t.Helper()
	for end := time.Now().Add(5 * patience); ; time.Sleep(200 * time.Millisecond) {
		out, err := m.try(commands)
		if err == nil {
			return
		}
		look()
		if time.Now().After(end) {
			m.t.Fatalf("%s did not succeed within %v: %v\n%s", commands, 5*patience, err, out)
		}
	}
}

const timedSite = `
umask 077
mkdir -p /etc/lifeboat/profiles /srv/documents
echo first >/srv/documents/one
echo correct horse >/etc/lifeboat/password
cat >/etc/lifeboat/profiles/site.yaml <<END
profile: site
title: A site
detect: {file: /srv/documents}
components:
  - {name: documents, kind: files, importance: critical, capture: live, loss: All., paths: [/srv/documents]}
recovery:
  restore: [{restore: documents}]
END
cat >/etc/lifeboat/lifeboat.yaml <<END
repositories:
  - {name: main, url: /srv/repository, password: {file: /etc/lifeboat/password}}
systems:
  - name: site
    profile: site
    retention: {last: 1}
    schedule: {backup: daily 02:22, verify: {at: Sun 04:22, read_data: all}, prune: Sun 06:00, drill: {at: "*-*-01 04:22"}}
END
restic --quiet --no-cache --repo /srv/repository --password-file /etc/lifeboat/password init --repository-version 2
`

// systemd itself calls what the schedule says: its timers are loaded and fire, its
// services may do what they must though they are confined, its journal has what they say.
func TestTimersOfSystemd(t *testing.T) {
	if _, err := exec.LookPath("restic"); err != nil {
		t.Skip("needs restic: makes the repository")
	}
	m := bootMachine(t)
	m.run(timedSite)
	m.run("lifeboat schedule on", "site  schedule on, by systemd")
	m.run("systemctl list-timers --all --no-pager", `lifeboat-site\.backup\.timer`, `lifeboat-site\.verify\.timer`, `lifeboat-site\.prune\.timer`)
	for _, job := range []string{"backup", "verify", "prune", "drill"} {
		m.run("systemctl is-active lifeboat-site." + job + ".timer")
		m.run("systemctl start lifeboat-site." + job + ".service")
	}
	m.run("journalctl --no-pager -u lifeboat-site.backup.service", `Recovery point [0-9a-f]+ sealed`)
	m.run("journalctl --no-pager -u lifeboat-site.verify.service", `1 recovery point`)
	m.run("journalctl --no-pager -u lifeboat-site.drill.service", `state +passed`)
	m.run("lifeboat --json list", `"trigger":"scheduled"`)
	m.run("lifeboat schedule status", `site +backup .* done$`, `site +verify .* done$`, `site +prune .* done$`, `site +drill .* done$`)

	// The timer fires.
	before := m.run("systemctl show --property=InvocationID lifeboat-site.backup.service")
	m.run(`mkdir -p /run/systemd/system/lifeboat-site.backup.timer.d
printf '[Timer]\nOnActiveSec=1s\nAccuracySec=1s\n' >/run/systemd/system/lifeboat-site.backup.timer.d/soon.conf
systemctl daemon-reload
systemctl restart lifeboat-site.backup.timer`)
	m.eventually(fmt.Sprintf(`test "$(systemctl show --property=InvocationID lifeboat-site.backup.service)" != %q
test "$(systemctl show --property=ActiveState --value lifeboat-site.backup.service)" = inactive
test "$(lifeboat --json list | grep -c '"trigger":"scheduled"')" -ge 2`, strings.TrimSpace(before)), func() {})
	m.run("systemctl show lifeboat-site.backup.service", "^Result=success$")

	// One that somebody has stopped is told.
	m.run("systemctl stop lifeboat-site.verify.timer; if lifeboat schedule status; then exit 1; fi", `systemctl start lifeboat-site\.verify\.timer`)
	m.run("systemctl start lifeboat-site.verify.timer; lifeboat schedule status")

	// One that fails is a failed unit.
	m.run(`mv /srv/documents /srv/away
if systemctl start lifeboat-site.backup.service; then exit 1; fi
systemctl is-failed lifeboat-site.backup.service`)

	// Off: nothing is left.
	m.run("lifeboat schedule off", "schedule off")
	m.run(`if systemctl list-timers --all --no-pager | grep lifeboat; then exit 1; fi
if find /etc/systemd | grep lifeboat; then exit 1; fi
if systemctl is-active lifeboat-site.backup.timer; then exit 1; fi`)
	m.run("restic --no-cache --repo /srv/repository --password-file /etc/lifeboat/password check --read-data", "no errors were found")
}

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
	"strings"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/component/files"
	"lifeboat/internal/product"
	"lifeboat/internal/profile"
	"lifeboat/internal/recovery"
	format "lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/sandbox"
	"lifeboat/internal/storage"
	"lifeboat/internal/upgrade/wayback"
	"lifeboat/internal/upgrade/wayback/inventory"
	"lifeboat/internal/vault"
)

// hostProfile is a root whose programs are this machine's, behind a mount.
const hostProfile = `
profile: host
title: A host
detect: {file: /etc/os-release}
components:
  - name: system
    kind: files
    importance: critical
    capture: live
    loss: All.
    paths: ["/*"]
    local: true
    exclude: [/usr, /proc/*, /sys/*, /dev/*, /run/*, /tmp/*, /var/log/*, /var/lib/lifeboat/*, /var/lib/systemd/*, /srv/*]
recovery:
  restore: [{restore: system}]
`

// bootRoot has the real systemd start from the root at /machine, in namespaces and a
// control group of its own. It ends by SIGHUP when that has restarted the machine, and by
// SIGINT when it has switched it off (reboot(2)).
const bootRoot = `
mkdir -p /run/cgroup
mount -t cgroup2 cgroup2 /run/cgroup
mkdir /run/cgroup/$1
echo 0 >/run/cgroup/$1/cgroup.procs
umount /run/cgroup
exec env -i container=lifeboat PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	unshare --mount --pid --fork --kill-child --cgroup sh -ec '
	mount --bind /machine /machine
	cd /machine
	mount --bind -o ro /usr usr
	mount -t proc proc proc
	mount --rbind /sys sys
	mount -t cgroup2 cgroup2 sys/fs/cgroup
	mount -t tmpfs -o mode=755 run run
	mount --rbind /dev dev
	pivot_root . mnt
	umount -l /mnt
	exec /lib/systemd/systemd --system --unit=proof.target --log-target=console --show-status=no'
`

// smallRoot is a root that systemd starts from, and a service that tells what has
// started on it, and switches the machine off.
func smallRoot(t *testing.T, root string) {
	t.Helper()
	for _, dir := range []string{"usr", "proc", "sys", "dev", "run", "tmp", "mnt", "srv", "root", "var/lib/systemd", "var/log", "var/lib/lifeboat", "etc/systemd/system"} {
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	for _, link := range []string{"bin", "sbin", "lib", "lib64"} {
		must(t, os.Symlink("usr/"+link, filepath.Join(root, link)))
	}
	for name, text := range map[string]string{
		"etc/os-release": "ID=sles\nVERSION_ID=11.3\n", "etc/machine-id": "00000000000000000000000000000001\n", "etc/hostname": "host\n",
		"etc/passwd": "root:x:0:0::/root:/bin/sh\n", "etc/group": "root:x:0:\n", "etc/fstab": "", "etc/.updated": "", "var/.updated": "",
		"etc/systemd/system/proof.target":    "[Unit]\nRequires=basic.target\nAfter=basic.target\nWants=witness.service\n",
		"etc/systemd/system/witness.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'cat /etc/os-release /etc/came-with-the-upgrade >>/srv/started; kill -RTMIN+4 1'\n",
		"var/lib/rpm/rpmdb.sqlite":           "packages of 11",
	} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o644))
	}
	// Neither is a matter of a root in a container, and some write to it.
	for _, unit := range []string{
		"systemd-udevd.service", "systemd-udev-trigger.service", "systemd-modules-load.service", "systemd-sysctl.service", "systemd-binfmt.service",
		"systemd-networkd.service", "systemd-resolved.service", "systemd-timesyncd.service", "systemd-sysusers.service", "systemd-tmpfiles-setup.service",
		"systemd-tmpfiles-setup-dev.service", "systemd-random-seed.service", "systemd-update-done.service", "ldconfig.service", "systemd-remount-fs.service",
		"systemd-machine-id-commit.service", "systemd-firstboot.service", "systemd-boot-system-token.service", "systemd-hwdb-update.service", "systemd-update-utmp.service",
		"dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-fs-fuse-connections.mount", "sys-kernel-config.mount",
		"proc-sys-fs-binfmt_misc.automount", "tmp.mount",
	} {
		must(t, os.Symlink("/dev/null", filepath.Join(root, "etc/systemd/system", unit)))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// step is a task of a run that nobody reads.
type step struct {
	t   *testing.T
	dir string
}

func (s step) Logf(format string, args ...any)  { s.t.Logf(format, args...) }
func (s step) Warnf(format string, args ...any) { s.t.Errorf(format, args...) }
func (s step) Progress(int64, int64)            {}
func (s step) Check(runbook.Check)              {}
func (s step) Keep(string, any) error           { return nil }
func (s step) Kept(string, any) (bool, error)   { return false, nil }
func (s step) Dir() string                      { return s.dir }
func (s step) RunID() string                    { return filepath.Base(s.dir) }

func rootOf(t *testing.T, root string) string {
	t.Helper()
	var list bytes.Buffer
	_, err := inventory.Take(t.Context(), root, inventory.Options{Skip: func(path string) bool {
		return path == "/var/lib/lifeboat" || path == "/var/lib/systemd" || path == "/var/log" || path == "/srv"
	}}, &list)
	must(t, err)
	return list.String()
}

// A root that runs goes back at its next boot: systemd starts the program that lies
// ready before it starts anything else, that goes back and restarts, and what starts
// then finds what was before the upgrade.
func TestTheRunningRootGoesBackAtBoot(t *testing.T) {
	needsSystemd(t)
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	smallRoot(t, root)
	m := waybackOf(t, root)
	k := step{t, filepath.Join(root, "var/lib/lifeboat/runs/run")}
	must(t, os.MkdirAll(k.dir, 0o700))
	// What has systemd believe that it is there, behind the mount.
	must(t, os.MkdirAll(filepath.Join(root, "usr/lib/systemd"), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "usr/lib/systemd/systemd"), nil, 0o755))
	before := rootOf(t, root)
	b, err := m.Prepare(t.Context(), k)
	must(t, err)

	for name, text := range map[string]string{"etc/os-release": "ID=sles\nVERSION_ID=12\n", "etc/came-with-the-upgrade": "new\n", "var/lib/rpm/rpmdb.sqlite": "packages of 12"} {
		must(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o644))
	}
	must(t, os.Remove(filepath.Join(root, "etc/hostname")))
	var restart *wayback.RestartError
	if err := m.Back(t.Context(), k, b); !errors.As(err, &restart) {
		t.Fatal(err)
	}
	said := boot(t, dir, root, "hangup")
	if _, err := os.Stat(filepath.Join(root, "srv/started")); !os.IsNotExist(err) {
		t.Errorf("services have started before the root was back: %v\n%s", err, said)
	}
	if after := rootOf(t, root); after != before {
		t.Errorf("the root was\n%s\nand is\n%s\n%s", before, after, said)
	}
	must(t, m.Back(t.Context(), k, b))
	said = boot(t, dir, root, "interrupt")
	if text, err := os.ReadFile(filepath.Join(root, "srv/started")); err != nil || string(text) != "ID=sles\nVERSION_ID=11.3\n" {
		t.Errorf("what has started found %q (%v)\n%s", text, err, said)
	}
}

func waybackOf(t *testing.T, root string) *wayback.Point {
	t.Helper()
	kinds := map[string]component.Kind{"files": files.Kind()}
	registry := profile.NewRegistry()
	registry.Kinds["files"] = kinds["files"].Definition
	steps := recovery.Steps()
	for name, s := range steps {
		registry.Steps[name] = s.Definition
	}
	p, err := registry.Load("host.yaml", []byte(hostProfile))
	must(t, err)
	store, err := storage.Open(t.Context(), filepath.Join(t.TempDir(), "repository"), storage.Options{})
	must(t, err)
	repo, err := format.Create(t.Context(), store, format.NewPassword(), format.Options{})
	must(t, err)
	t.Cleanup(func() { repo.Close() })
	return wayback.NewPoint(wayback.PointOptions{
		Target: wayback.Target{Root: root, State: filepath.Join(root, "var/lib/lifeboat")}, System: "host", Profile: p, Vault: vault.New(repo),
		Catalog: &recovery.Catalog{Profile: registry, Kinds: kinds, Steps: steps, Products: product.Registry{}},
		Version: "test", Program: filepath.Join(programs, "lifeboat"), NextBoot: true,
	})
}

// boot starts the root and waits until it goes down, by this signal.
func boot(t *testing.T, dir, root, end string) string {
	t.Helper()
	ctx, group := context.Background(), "lifeboat-test-"+strings.ToLower(rand.Text())
	box, err := sandbox.Create(ctx, sandbox.Options{
		Dir: filepath.Join(dir, group), Hostname: "host.example.com", Volatile: true, DieWithParent: true, Devices: true,
		Binds: []sandbox.Bind{{Source: root, Target: "/machine"}},
	})
	must(t, err)
	defer func() {
		if err := errors.Join(box.Kill(), box.Destroy(ctx)); err != nil {
			t.Error(err)
		}
		if out, err := exec.Command("unshare", "--mount", "sh", "-c", removeGroup, "sh", group).CombinedOutput(); err != nil {
			t.Errorf("remove the control group: %v: %s", err, out)
		}
	}()
	must(t, box.Start(ctx))
	var said bytes.Buffer
	limited, cancel := context.WithTimeout(ctx, 5*patience)
	defer cancel()
	err = box.Run(limited, sandbox.Command{Args: []string{"sh", "-ec", bootRoot, "sh", group}, Stdout: &said, Stderr: &said})
	if !strings.Contains(fmt.Sprint(err), end) {
		t.Fatalf("it ended with %v, want %s\n%s", err, end, said.String())
	}
	return said.String()
}

package sles

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func built(t *testing.T, opts Options) *Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: installs a root")
	}
	l, err := Build(t.Context(), filepath.Join(t.TempDir(), "lab"), opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// upgrade does what an upgrade does, and returns zypper's exit code.
func upgrade(t *testing.T, l *Lab, options ...string) (int, string) {
	t.Helper()
	ctx := t.Context()
	for _, r := range append(l.Source, l.Acme) {
		zypper(ctx, t, l, "modifyrepo", "--disable", r.Alias)
	}
	for _, r := range l.Target {
		zypper(ctx, t, l, "addrepo", "--refresh", r.URL, r.Alias)
	}
	if code, out := zypper(ctx, t, l, "refresh"); code != 0 {
		return code, out
	}
	return zypper(ctx, t, l, append([]string{"dist-upgrade", "--no-recommends", "--download", "in-advance"}, options...)...)
}

func zypper(ctx context.Context, t *testing.T, l *Lab, args ...string) (int, string) {
	t.Helper()
	out, err := l.Zypper(ctx, args...)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, out
	case errors.As(err, &exit):
		return exit.ExitCode(), err.Error()
	}
	t.Fatal(err)
	return -1, ""
}

// of12 are the packages of an upgraded SLES 11 SP3.
var of12 = []string{
	"acme-agent-2.0-1", "apache2-2.4.10-6.1", "bash-4.2-75.2", "compat-2009.1.19-2.7", "filesystem-13.1-8.1", "gdm-3.10.0.1-13.1", "gnome-session-3.10.1-8.1",
	"grub2-2.02~beta2-56.9", "kernel-default-3.12.28-4.6", "libicu52_1-52.1-3.1", "libopenssl1_0_0-1.0.1i-5.1", "mariadb-10.0.11-6.2", "openssh-6.6p1-5.1", "postgresql93-9.3.5-2.8",
	"sles-release-12-6.3", "zypper-migration-plugin-0.1-1.1",
}

func TestUpgradeToSLES12(t *testing.T) {
	t.Parallel()
	l := built(t, Options{})
	want := []string{
		"acme-agent-2.0-1", "acme-backup-7.1-11.3", "apache2-2.2.12-1.40.1", "bash-3.2-147.14.20.1", "compat-2009.1.19-2.7", "filesystem-11-1.14.1", "grub-0.97-162.172.1",
		"kdebase4-session-4.3.5-0.12.18.1", "kdm-4.3.5-0.12.18.1", "kernel-default-3.0.76-0.11.1", "libicu46-4.6-1.1", "libopenssl0_9_8-0.9.8j-0.50.1", "mysql-5.5.31-0.7.1",
		"openssh-5.1p1-41.55.36", "postgresql91-9.1.9-0.3.1", "sles-release-11.3-1.138", "yast2-wagon-2.17.38-0.5.1",
	}
	equal(t, packages(t, l), want)
	code, out := upgrade(t, l)
	if code != 0 {
		t.Fatal(code, out)
	}
	equal(t, packages(t, l), of12)
	for name, want := range map[string]string{
		"etc/os-release": `VERSION_ID="12"`, "etc/apache2/httpd.conf": "edited by", "etc/apache2/httpd.conf.rpmnew": "Apache 2.4.10",
		"etc/my.cnf.rpmnew": "10.0", "etc/products.d/baseproduct": "<name>SLES</name>", "boot/vmlinuz": "3.12.28",
	} {
		raw, err := os.ReadFile(filepath.Join(l.Root, name))
		if err != nil || !strings.Contains(string(raw), want) {
			t.Errorf("%s: %v, %q", name, err, raw)
		}
	}
	if _, err := l.RPM(t.Context(), "-Va", "--nofiles"); err != nil {
		t.Error(err)
	}
}

// What each fault does to a real upgrade.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault, says string
		code        int
		half        bool // the root has packages of both releases
	}{
		{FaultPre, "cannot move the old configuration", 8, true},
		{FaultPost, "cannot make a host key", 107, false},
		{FaultPosttrans, "tables were not upgraded", 0, false},
		{FaultConflict, "conflict", 8, false},
		{FaultUnsolvable, "permissions-of-nobody", 4, false},
		{FaultMissing, "postgresql", 8, false},
		{FaultCorrupt, "postgresql", 8, false},
		{FaultUnsigned, "unsigned", 4, false},
		{FaultTampered, "ignature verification", 4, false},
	} {
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			l := built(t, Options{Break: []string{c.fault}})
			code, out := upgrade(t, l)
			if code != c.code || !strings.Contains(out, c.says) {
				t.Errorf("zypper ended with %d, not %d, or says nothing of %q:\n%s", code, c.code, c.says, out)
			}
			have := strings.Join(packages(t, l), " ")
			old, young := strings.Contains(have, "apache2-2.2.12"), strings.Contains(have, "sles-release-12-")
			if want := c.code == 0 || c.code == 107; c.half != (old && young) || (!c.half && young != want) {
				t.Errorf("the root has %s", have)
			}
		})
	}
}

func packages(t *testing.T, l *Lab) []string {
	t.Helper()
	list, err := l.Packages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func equal(t *testing.T, have, want []string) {
	t.Helper()
	if !slices.Equal(have, want) {
		t.Errorf("the packages are\n%s\nnot\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

// The other lines, as zypper sees them.
func TestServicePacks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		opts          Options
		product, says string
	}{
		{Options{From: SLES11SP2}, "SUSE Linux Enterprise Server 11 SP2", "11.2-1.234 -> 11.3-1.138"},
		{Options{From: SLES12, Product: SLED}, "SUSE Linux Enterprise Desktop 12", "12-6.3 -> 12.1-1.331"},
	} {
		t.Run(c.opts.From, func(t *testing.T) {
			t.Parallel()
			l := built(t, c.opts)
			if _, out := zypper(t.Context(), t, l, "products"); !strings.Contains(out, c.product) || !strings.Contains(out, "Yes") {
				t.Error(out)
			}
			if code, out := upgrade(t, l, "--dry-run"); code != 0 || !strings.Contains(out, c.says) || !strings.Contains(out, "acme-backup") {
				t.Error(code, out)
			}
		})
	}
}

// An upgrade is held in its midst, and goes on.
func TestHold(t *testing.T) {
	t.Parallel()
	l := built(t, Options{Break: []string{FaultSlow}})
	if err := l.Hold(true); err != nil {
		t.Fatal(err)
	}
	ended := make(chan string, 1)
	go func() {
		code, out := upgrade(t, l)
		if code == 0 {
			out = ""
		}
		ended <- out
	}()
	for !l.Waiting() {
		select {
		case out := <-ended:
			t.Fatal("the upgrade was not held", out)
		case <-time.After(50 * time.Millisecond):
		}
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if out := <-ended; out != "" {
		t.Error(out)
	}
	equal(t, packages(t, l), replace(of12, "kernel-default-3.12.28-4.6", "kernel-default-3.12.28-4.6.99"))
}

// The installer's double on a root that is mounted.
func TestInstall(t *testing.T) {
	t.Parallel()
	l := built(t, Options{Break: []string{FaultPost}})
	for _, line := range []string{"", "root=/dev/sda2 autoupgrade=1", "root=/dev/sda2 upgrade=1"} {
		if err := l.Install(t.Context(), line); !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", line, err)
		}
	}
	menu := filepath.Join(l.Root, "boot/grub/menu.lst")
	if err := appendTo(menu, "title Linux Upgrade Kernel\n kernel (hd0,1)/boot/linux.upgrade root=/dev/sda2 upgrade=1 autoupgrade=1\n"); err != nil {
		t.Fatal(err)
	}
	if err := l.Install(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	equal(t, packages(t, l), replace(of12, "openssh-6.6p1-5.1", "openssh-6.6p1-5.1.99"))
	if said, err := os.ReadFile(filepath.Join(l.Root, log)); err != nil || !strings.Contains(string(said), "cannot make a host key") || !strings.Contains(string(said), "upgrade finished") {
		t.Errorf("%v\n%s", err, said)
	}
}

func replace(list []string, old, young string) []string {
	list = slices.Clone(list)
	list[slices.Index(list, old)] = young
	return list
}

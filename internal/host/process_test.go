package host

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

func TestHolder(t *testing.T) {
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, test := range []struct {
		text, program string
		want          int
	}{
		{strconv.Itoa(os.Getpid()) + "\n", "", os.Getpid()},
		{" " + strconv.Itoa(os.Getpid()), filepath.Base(os.Args[0]), os.Getpid()},
		{strconv.Itoa(os.Getpid()), "no-such-program", 0},
		{strconv.Itoa(dead.Process.Pid), "", 0},
		{"", "", 0},
		{"no number", "", 0},
		{"-1", "", 0},
		{"0", "", 0},
		{"99999999999999999999", "", 0},
	} {
		file := filepath.Join(dir, "pid")
		if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Local().Holder(file, test.program); err != nil || got != test.want {
			t.Errorf("%q of %q: %d, %v", test.text, test.program, got, err)
		}
	}
	if got, err := Local().Holder(filepath.Join(dir, "none"), ""); err != nil || got != 0 {
		t.Errorf("no file: %d, %v", got, err)
	}
	below, err := At(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := below.Holder("/pid", ""); err != nil || got != 0 {
		t.Errorf("below a root: %d, %v", got, err)
	}
}

func TestPackageVersion(t *testing.T) {
	if _, err := os.Stat("/var/lib/dpkg/status"); err != nil {
		t.Skip("needs a machine with dpkg")
	}
	ctx := context.Background()
	if version, installed, err := Local().PackageVersion(ctx, "dpkg"); err != nil || !installed || version == "" {
		t.Errorf("dpkg: %q, %v, %v", version, installed, err)
	}
	if version, installed, err := Local().PackageVersion(ctx, "no-such-package"); err != nil || installed || version != "" {
		t.Errorf("no such package: %q, %v, %v", version, installed, err)
	}
	for _, name := range []string{"", "--admindir=/tmp"} {
		if _, _, err := Local().PackageVersion(ctx, name); err == nil {
			t.Errorf("%q was asked for", name)
		}
	}
	below, err := At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, installed, err := below.PackageVersion(ctx, "dpkg"); err != nil || installed {
		t.Errorf("a machine without packages: %v, %v", installed, err)
	}
}

func TestServices(t *testing.T) {
	ctx := context.Background()
	for _, name := range []string{"", "-x", "../x", "a b", ".x"} {
		if _, err := Local().ServiceActive(ctx, name); err == nil {
			t.Errorf("%q was asked for", name)
		}
		if err := Local().StartService(ctx, name); err == nil {
			t.Errorf("%q was started", name)
		}
		if Local().HasUnit(name) {
			t.Errorf("%q is a unit", name)
		}
	}
	if active, err := Local().ServiceActive(ctx, "no-such-service"); err != nil || active {
		t.Errorf("no such service: %v, %v", active, err)
	}
	if err := Local().StopService(ctx, "no-such-service"); err == nil {
		t.Error("a service that is not there was stopped")
	}
	below, err := At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := below.StartService(ctx, "cron"); err == nil {
		t.Error("a service of a machine that does not run was started")
	}
	for name, want := range map[string]string{"cron": "cron.service", "smt.target": "smt.target", "a.timer": "a.timer", "org.x": "org.x.service"} {
		if got := unitName(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Init()
	if dir := os.Getenv("SANDBOX_TEST_PARENT"); dir != "" {
		parentProcess(dir)
	}
	if dir := os.Getenv("SANDBOX_TEST_NEST"); dir != "" {
		nestedProcess(dir)
	}
	os.Exit(m.Run())
}

// create makes a sandbox that the test destroys at its end.
func create(t *testing.T, opts Options) *Sandbox {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for namespaces and mounts")
	}
	if _, err := exec.LookPath("mkfs.ext4"); err != nil && !opts.Plain {
		t.Skip("needs mkfs.ext4")
	}
	if opts.Dir == "" {
		opts.Dir = filepath.Join(t.TempDir(), "box")
	}
	if opts.Size == 0 {
		opts.Size = 256 << 20
	}
	s, err := Create(t.Context(), opts)
	if errors.Is(err, ErrTooDeep) {
		t.Skip("needs a machine that is not two overlays deep already")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Destroy(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func started(t *testing.T, opts Options) *Sandbox {
	t.Helper()
	s := create(t, opts)
	start(t, s)
	return s
}

func start(t *testing.T, s *Sandbox) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
}

// sh runs a shell line inside and returns what it printed.
func sh(t *testing.T, s *Sandbox, line string) string {
	t.Helper()
	out, err := try(t, s, line)
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return out
}

func try(t *testing.T, s *Sandbox, line string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := s.Run(t.Context(), Command{Args: []string{"sh", "-ec", line}, Stdout: &out, Stderr: &out})
	return strings.TrimSpace(out.String()), err
}

func TestIdentity(t *testing.T) {
	s := started(t, Options{Hostname: "one.example.org", Interfaces: []Interface{{
		Name: "eth0", MAC: "52:54:00:00:00:07", Addresses: []string{"192.0.2.7/24", "2001:db8::7/64"}, Gateway: "192.0.2.1",
	}}})
	for line, want := range map[string]string{
		"hostname":                                             "one.example.org",
		"cat /etc/hostname":                                    "one.example.org",
		"grep -c one.example.org /etc/hosts":                   "1",
		"cat /sys/class/net/eth0/address":                      "52:54:00:00:00:07",
		"cat /sys/class/net/lo/operstate":                      "unknown", // as a loopback that is up says
		"ls /sys/class/net | xargs":                            "eth0 lo",
		"cat /sys/class/net/eth0/operstate":                    "up",
		"ls /tmp":                                              "",
		"cat " + depthFile:                                     "1",
		"echo x > /dev/null; head -c4 /dev/zero | od -An -tx1": "00 00 00 00",
		"stat -c %a /tmp /dev/shm /run/lock":                   "1777\n1777\n1777",
	} {
		if got := sh(t, s, line); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	here, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	first := sh(t, s, "cat /proc/sys/kernel/random/boot_id")
	if first == strings.TrimSpace(string(here)) {
		t.Error("the boot id is this machine's")
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	start(t, s)
	if sh(t, s, "cat /proc/sys/kernel/random/boot_id") == first {
		t.Error("the boot id did not change with a new boot")
	}
}

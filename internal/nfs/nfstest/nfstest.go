// Package nfstest runs real servers for tests in namespaces of a test's own, where
// their usual ports and places are free: NFS-Ganesha, and whatever else a test names.
// What is tested on them does not belong here.
package nfstest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Alone has a test run in a process with a network, /run and /var of its own, where real
// servers find their usual ports and touch nothing of the machine. It is true there;
// the caller returns where it is false.
func Alone(t *testing.T, programs ...string) bool {
	t.Helper()
	const mark = "LIFEBOAT_TEST_ALONE"
	if os.Getenv(mark) == "" {
		if os.Geteuid() != 0 {
			t.Skip("needs root: makes network namespaces")
		}
		for _, p := range programs {
			if _, err := exec.LookPath(p); err != nil {
				t.Skipf("needs %s (scripts/deps test)", p)
			}
		}
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
		cmd.Env = append(os.Environ(), mark+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Fatalf("in namespaces of its own: %v\n%s", err, out)
		}
		return false
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	err = errors.Join(err, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	for _, dir := range []string{"/run", "/var/lib", "/var/log", "/var/cache"} {
		err = errors.Join(err, unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}

// Serve starts a server, which ends with the test.
func Serve(t *testing.T, args ...string) *bytes.Buffer {
	t.Helper()
	out := new(bytes.Buffer)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, out, time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", args[0], out)
		}
	})
	return out
}

// Listens waits until a server takes connections.
func Listens(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Programs are what Ganesha needs; Alone has to be asked for them first.
var Programs = []string{"ganesha.nfsd", "rpcbind", "rpcinfo"}

// Ganesha exports a directory by NFS version 3, under its own path, read only.
func Ganesha(t *testing.T, dir string) {
	t.Helper()
	for _, d := range []string{"/run/rpcbind", "/run/ganesha", "/var/lib/nfs/ganesha", "/var/log/ganesha"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	Serve(t, "rpcbind", "-f")
	Listens(t, "127.0.0.1:111")
	conf := filepath.Join(t.TempDir(), "conf")
	text := "NFS_CORE_PARAM { Protocols = 3; Enable_NLM = false; Enable_RQUOTA = false; }\nEXPORT { Export_Id = 1; Path = " + dir +
		"; Pseudo = /x; Access_Type = RO; Squash = No_Root_Squash; SecType = sys; Protocols = 3; Transports = TCP; FSAL { Name = VFS; } }\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	Serve(t, "ganesha.nfsd", "-F", "-f", conf, "-L", "/dev/stderr", "-p", "/run/ganesha/pid")
	Listens(t, "127.0.0.1:2049")
	// It tells the portmapper of its programs one after the other, and after it listens.
	offers(t, "mountd")
	offers(t, "nfs")
}

// offers waits until a program answers at the port the portmapper names for it.
func offers(t *testing.T, program string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		out, err := exec.CommandContext(ctx, "rpcinfo", "-T", "tcp", "127.0.0.1", program, "3").CombinedOutput()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s: %v: %s", program, err, out)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

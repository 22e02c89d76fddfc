package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// disk finds a block device of this machine that can be read: the sandbox's own, if
// there is no other.
func disk(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/sys/block/*/dev")
	if err != nil {
		t.Fatal(err)
	}
	var errs []error
	for _, file := range found {
		text, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var major, minor uint32
		if _, err := fmt.Sscanf(string(text), "%d:%d", &major, &minor); err != nil {
			t.Fatalf("%s: %q", file, text)
		}
		node := filepath.Join(t.TempDir(), "node")
		if err := unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(major, minor))); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(node)
		if err == nil {
			_, err = f.Read(make([]byte, 512))
			f.Close()
		}
		if err == nil {
			return fmt.Sprintf("b %d %d", major, minor)
		}
		errs = append(errs, err)
	}
	t.Fatalf("no disk of this machine can be read: %v", errors.Join(errs...))
	return ""
}

// A restored tree may hold device nodes. They are there, and lead nowhere.
func TestDeviceNodesLeadNowhere(t *testing.T) {
	s := started(t, Options{Empty: []string{"/opt"}})
	places := []string{"/node", "/opt/node", "/var/lib/node", "/tmp/node", "/dev/node"}
	for _, kind := range []string{disk(t), "c 1 5"} {
		for _, place := range places {
			made := sh(t, s, "mknod "+place+" "+kind+" && stat -c %t:%T "+place)
			var major, minor int
			if _, err := fmt.Sscanf(kind[2:], "%d %d", &major, &minor); err != nil || made != fmt.Sprintf("%x:%x", major, minor) {
				t.Errorf("%s is %s instead of %s", place, made, kind)
			}
			if out, err := try(t, s, "head -c 512 "+place+" >/dev/null"); err == nil || !strings.Contains(out, "Permission denied") {
				t.Errorf("%s, %s: %v: %s", place, kind, err, out)
			}
			sh(t, s, "rm "+place)
		}
	}
	// What every program needs works, as who it may be.
	sh(t, s, "for d in null zero full random urandom; do head -c 1 /dev/$d >/dev/null; done; echo x >/dev/null")
	if out, err := try(t, s, "echo x >/dev/full"); err == nil {
		t.Errorf("/dev/full takes what is written: %s", out)
	}
}

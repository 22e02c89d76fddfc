package wayback

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/runbook"
)

// image is a file system in a file, to be mounted.
func image(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "disk")
	program(t, "truncate", "-s", "16M", file)
	program(t, "mkfs.ext4", "-q", file)
	return file
}

// What was mounted since is never entered: a disk plugged in to save things to, a
// directory of another place. Where it is in the way, going back is refused.
func TestWhatWasMountedSinceIsLeftAlone(t *testing.T) {
	root := disk(t, "ext4", 64)
	populate(t, root)
	must(t, os.MkdirAll(root+"/backup", 0o755))
	must(t, os.MkdirAll(root+"/bound", 0o755))
	_, v := newVault(t)
	target := Target{Root: root, State: t.TempDir()}
	m, k := NewPoint(options(target, v)), newTask(t, target.State, "run-1")
	b, err := m.Prepare(t.Context(), k)
	must(t, err)
	b = journaled(t, b)
	upgraded(t, root)
	program(t, "mount", "-o", "loop", image(t), root+"/backup")
	put(t, root+"/backup/precious", "saved")
	elsewhere := filepath.Join(t.TempDir(), "elsewhere") // and on the root's own device
	put(t, elsewhere+"/precious", "saved")
	program(t, "mount", "--bind", elsewhere, root+"/bound")
	put(t, root+"/tmp/place/precious", "saved")
	must(t, os.MkdirAll(root+"/came/since", 0o755))
	program(t, "mount", "--bind", root+"/tmp/place", root+"/came/since")
	err = m.Back(t.Context(), k, b)
	if !errors.Is(err, runbook.ErrRefused) || !strings.Contains(err.Error(), "umount "+root+"/came/since") || strings.Contains(err.Error(), "/backup") {
		t.Fatalf("a mount in what has to go: %v", err)
	}
	if text, err := os.ReadFile(root + "/etc/config"); err != nil || string(text) != "new" {
		t.Errorf("a refusal has changed the root: %q %v", text, err)
	}
	program(t, "umount", root+"/came/since")
	must(t, m.Back(t.Context(), k, b))
	for _, file := range []string{root + "/backup/precious", elsewhere + "/precious", root + "/tmp/place/precious"} {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	if text, err := os.ReadFile(root + "/etc/config"); err != nil || string(text) != "edited by the administrator\n" {
		t.Errorf("the root did not go back: %q %v", text, err)
	}
}

// A disk of the root that is not mounted, or another one in its place, is missed before
// anything changes.
func TestADiskOfTheRootIsMissed(t *testing.T) {
	root := disk(t, "ext4", 64)
	populate(t, root)
	boot := image(t)
	must(t, os.RemoveAll(root+"/boot"))
	must(t, os.MkdirAll(root+"/boot", 0o755))
	program(t, "mount", "-o", "loop", boot, root+"/boot")
	put(t, root+"/boot/vmlinuz", "old kernel")
	_, v := newVault(t)
	target := Target{Root: root, State: t.TempDir()}
	m, k := NewPoint(options(target, v)), newTask(t, target.State, "run-1")
	b, err := m.Prepare(t.Context(), k)
	must(t, err)
	b = journaled(t, b)
	upgraded(t, root)
	put(t, root+"/boot/vmlinuz", "new kernel")
	program(t, "umount", root+"/boot")
	missed := func(say string) {
		t.Helper()
		before := state(t, root)
		if err := m.Back(t.Context(), k, b); !errors.Is(err, runbook.ErrRefused) || !strings.Contains(err.Error(), say) {
			t.Errorf("want %q: %v", say, err)
		}
		same(t, before, state(t, root))
	}
	missed("/boot was a file system of its own, and is not mounted (mount UUID=")
	program(t, "mount", "-o", "loop", image(t), root+"/boot")
	missed("another file system is mounted at /boot")
	program(t, "umount", root+"/boot")
	program(t, "mount", "-o", "loop", boot, root+"/boot")
	must(t, m.Back(t.Context(), k, b))
	if text, err := os.ReadFile(root + "/boot/vmlinuz"); err != nil || string(text) != "old kernel" {
		t.Errorf("%q %v", text, err)
	}
}

// A root is told from others, and known again where it is mounted elsewhere.
func TestIdentity(t *testing.T) {
	root := disk(t, "ext4", 16)
	id, err := Identify(root)
	must(t, err)
	if uuid := strings.TrimSpace(program(t, "findmnt", "-no", "SOURCE", root)); id.UUID != strings.TrimSpace(program(t, "blkid", "-o", "value", "-s", "UUID", uuid)) {
		t.Errorf("%+v", id)
	}
	elsewhere, empty := t.TempDir(), t.TempDir()
	program(t, "mount", "--bind", root, elsewhere)
	t.Cleanup(func() { program(t, "umount", elsewhere) })
	put(t, root+"/etc/os-release", "upgraded")
	must(t, id.Expect(elsewhere))
	other := disk(t, "ext4", 16)
	for _, dir := range []string{empty, other, root + "/etc"} {
		if err := id.Expect(dir); !errors.Is(err, runbook.ErrRefused) || !strings.Contains(err.Error(), "expected ext4 with UUID "+id.UUID) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if err := id.Expect(root + "/nothing/there"); err == nil {
		t.Error("a root that is not there was taken")
	}
}

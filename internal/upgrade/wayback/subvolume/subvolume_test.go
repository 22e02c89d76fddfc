package subvolume

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/host"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}

// disk is a new btrfs and its device, mounted at its top level.
func disk(t *testing.T) (mounted, device string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: mounts a btrfs")
	}
	dir := t.TempDir()
	image, mounted := filepath.Join(dir, "disk"), filepath.Join(dir, "mounted")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 256<<20))
	must(t, os.Mkdir(mounted, 0o700))
	run(t, "mkfs.btrfs", "-q", image)
	run(t, "mount", "-o", "loop", image, mounted)
	t.Cleanup(func() { run(t, "umount", mounted) })
	m, err := host.MountAt(mounted)
	must(t, err)
	return mounted, m.Source
}

func TestSubvolumes(t *testing.T) {
	at, device := disk(t)
	top, err := OpenTop(device)
	must(t, err)
	defer top.Close()
	if left, err := filepath.Glob("/run/lifeboat/btrfs-*"); err != nil || slices.ContainsFunc(left, func(p string) bool { is, _ := Is(p); return is }) {
		t.Errorf("it can be seen at %v (%v)", left, err)
	}

	root := top.Path("@")
	must(t, Create(root))
	for _, sub := range []string{"/var", "/var/lib"} {
		must(t, os.Mkdir(root+sub, 0o755))
	}
	must(t, Create(root+"/var/lib/one"))
	must(t, Create(root+"/var/lib/one/two"))
	must(t, Create(root+"/three"))
	must(t, os.WriteFile(root+"/var/lib/one/two/file", []byte("was"), 0o600))

	all, err := Inside(root)
	must(t, err)
	var paths []string
	for _, n := range all {
		paths = append(paths, n.Path)
		if id, err := ID(below(root, n.Path)); err != nil || id != n.ID {
			t.Errorf("%+v has the id %d (%v)", n, id, err)
		}
	}
	if want := []string{"var/lib/one", "three", "var/lib/one/two"}; !slices.Equal(paths, want) {
		t.Errorf("inside are %v, want %v", paths, want)
	}

	must(t, Copy(t.Context(), root, top.Path("copy"), func(n Nested) bool { return n.Path == "three" }))
	must(t, Freeze(top.Path("copy")))
	if text, err := os.ReadFile(at + "/copy/var/lib/one/two/file"); err != nil || string(text) != "was" {
		t.Errorf("the copy has %q (%v)", text, err)
	}
	if err := os.WriteFile(at+"/copy/var/lib/one/two/file", nil, 0o600); err == nil {
		t.Error("a frozen copy can be written")
	}
	was, err := os.Stat(at + "/@/var/lib")
	must(t, err)
	if now, err := os.Stat(at + "/copy/var/lib"); err != nil || !now.ModTime().Equal(was.ModTime()) {
		t.Errorf("the directory's time is %v (%v), was %v", now, err, was.ModTime())
	}

	// Both ways to tell the default are of one mind.
	if id, err := Default(at); err != nil || id != TopLevel {
		t.Errorf("the default is %d (%v)", id, err)
	}
	must(t, SetDefault(root))
	id, err := ID(root)
	must(t, err)
	if now, err := Default(at); err != nil || now != id {
		t.Errorf("the default is %d (%v), want %d", now, err, id)
	}
	if said := run(t, "btrfs", "subvolume", "get-default", at); !strings.HasPrefix(said, "ID ") || !strings.HasSuffix(said, "path @\n") {
		t.Error(said)
	}

	must(t, Exchange(root, top.Path("copy")))
	if now, err := ID(top.Path("copy")); err != nil || now != id {
		t.Errorf("after the exchange the copy is %d (%v), want %d", now, err, id)
	}
	must(t, SetDefault(root))
	must(t, Sync(root))
	must(t, DeleteAll(top.Path("copy")))
	must(t, DeleteAll(top.Path("copy")))
	if list := run(t, "btrfs", "subvolume", "list", at); strings.Contains(list, "copy") || !strings.Contains(list, "@/var/lib/one/two") {
		t.Error(list)
	}
	if err := DeleteAll(at + "/@/var"); err == nil {
		t.Error("a directory is deleted like a subvolume")
	}
}

func TestWhatIsNoSubvolume(t *testing.T) {
	for _, path := range []string{"/proc", "/dev/null"} {
		if is, err := Is(path); is || err != nil {
			t.Errorf("%s: %v %v", path, is, err)
		}
	}
	if _, err := ID("/proc"); err == nil {
		t.Error("/proc has an id")
	}
	if _, err := Is("/nonexistent"); err == nil {
		t.Error("what is not there is looked at")
	}
}

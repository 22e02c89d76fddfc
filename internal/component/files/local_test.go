package files_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/internal/component"
	"lifeboat/internal/component/files"
	"lifeboat/internal/host"
)

// What a pattern matches and the exclusions name, or another component has, is left out.
func TestExclusionsHoldForMatchesOfPatterns(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"etc/a", "srv/a", "lost+found/a"} {
		must(t, os.MkdirAll(filepath.Join(root, name), 0o755))
	}
	h, err := host.At(root)
	must(t, err)
	options := files.Options{Paths: []string{"/*"}, Exclude: []string{"lost+found"}}
	c, err := files.New(component.Env{Host: h, Exclude: []string{"/srv"}}, spec(options), options)
	must(t, err)
	in, err := c.Inspect(t.Context())
	if err != nil || !slices.Equal(in.Paths, []string{"/etc"}) {
		t.Errorf("%v %v", in.Paths, err)
	}
}

// A root is taken with its own disks, and without what the kernel makes up.
func TestLocalLeavesOutWhatIsOnNoDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: mounts a file system")
	}
	root := t.TempDir()
	memory := filepath.Join(root, "etc/memory")
	must(t, os.MkdirAll(memory, 0o755))
	must(t, os.WriteFile(filepath.Join(root, "etc/file"), nil, 0o600))
	must(t, unix.Mount("tmpfs", memory, "tmpfs", 0, "size=64k"))
	defer func() { must(t, unix.Unmount(memory, 0)) }()
	must(t, os.WriteFile(filepath.Join(memory, "x"), nil, 0o600))
	h, err := host.At(root)
	must(t, err)
	for local, want := range map[bool]int64{true: 2, false: 4} {
		c, err := files.New(component.Env{Host: h}, spec(files.Options{}), files.Options{Paths: []string{"/*"}, Local: local})
		must(t, err)
		in, err := c.Inspect(t.Context())
		if err != nil || in.Items != want || !slices.Equal(in.Paths, []string{"/etc"}) {
			t.Errorf("local %v: %+v %v, want %d items", local, in, err, want)
		}
	}
}

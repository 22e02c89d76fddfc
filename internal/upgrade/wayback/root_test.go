package wayback

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/internal/component/boundary"
	"lifeboat/internal/component/componenttest"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/wayback/inventory"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func program(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}

// disk makes a file system in a file and mounts it.
func disk(t testing.TB, kind string, megabytes int64) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: mounts file systems")
	}
	dir := t.TempDir()
	image, at := filepath.Join(dir, "disk"), filepath.Join(dir, "root")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, megabytes<<20))
	must(t, os.Mkdir(at, 0o700))
	program(t, "mkfs."+kind, "-q", image)
	program(t, "mount", "-o", "loop", image, at)
	t.Cleanup(func() { program(t, "umount", "--recursive", at) })
	return at
}

// task is a step of a run that keeps nothing.
type task struct {
	t        testing.TB
	dir, run string
	warnings []string
}

func newTask(t testing.TB, state, run string) *task {
	t.Helper()
	dir := filepath.Join(state, "runs", run)
	must(t, os.MkdirAll(dir, 0o700))
	return &task{t: t, dir: dir, run: run}
}

func (k *task) Logf(format string, args ...any) { k.t.Logf(format, args...) }
func (k *task) Progress(_, _ int64)             {}
func (k *task) Check(c runbook.Check)           { k.t.Logf("%+v", c) }
func (k *task) Keep(string, any) error          { return nil }
func (k *task) Kept(string, any) (bool, error)  { return false, nil }
func (k *task) Dir() string                     { return k.dir }
func (k *task) RunID() string                   { return k.run }
func (k *task) Warnf(format string, args ...any) {
	k.warnings = append(k.warnings, format)
	k.t.Logf(format, args...)
}

// journaled is a baseline as a later process reads it.
func journaled(t testing.TB, b Baseline) Baseline {
	t.Helper()
	text, err := json.Marshal(b)
	must(t, err)
	var read Baseline
	must(t, json.Unmarshal(text, &read))
	return read
}

func put(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

// populate makes a root with all that is hard to keep, and old.
func populate(t testing.TB, root string) {
	t.Helper()
	for _, dir := range []string{"/dev", "/proc", "/sys", "/run", "/tmp", "/var/tmp", "/var/cache/zypp"} {
		must(t, os.MkdirAll(root+dir, 0o755))
	}
	must(t, os.Chmod(root+"/tmp", 0o1777))
	put(t, root+"/etc/os-release", "ID=sles\nVERSION_ID=11.3\n")
	put(t, root+"/etc/fstab", "# nothing\n")
	put(t, root+"/etc/passwd", "root:x:0:0::/root:/bin/sh\n")
	put(t, root+"/etc/config", "edited by the administrator\n")
	put(t, root+"/usr/bin/tool", "old tool")
	must(t, os.Chmod(root+"/usr/bin/tool", 0o4755))
	must(t, os.Link(root+"/usr/bin/tool", root+"/usr/bin/tool-11"))
	put(t, root+"/usr/lib/libold.so", "old library")
	put(t, root+"/usr/share/old/only", "dropped by the upgrade")
	must(t, os.Symlink("usr/lib", root+"/lib"))
	put(t, root+"/bin/sh", "shell") // a directory now, a link later
	put(t, root+"/boot/vmlinuz", strings.Repeat("kernel", 4000))
	put(t, root+"/var/lib/rpm/rpmdb.sqlite", "release 11, packages of 11")
	must(t, unix.Mknod(root+"/var/lib/socket", unix.S_IFSOCK|0o600, 0))
	componenttest.HostileTree(t, root+"/srv/tree")
	componenttest.Age(t, root)
}

// upgraded does to a root what an upgrade may do.
func upgraded(t testing.TB, root string) {
	t.Helper()
	put(t, root+"/etc/os-release", "ID=sles\nVERSION_ID=12\n")
	must(t, os.Rename(root+"/etc/config", root+"/etc/config.rpmsave"))
	put(t, root+"/etc/config", "new")
	must(t, os.Remove(root+"/usr/bin/tool"))
	put(t, root+"/usr/bin/tool", "new tool")
	must(t, os.RemoveAll(root+"/usr/share/old"))
	put(t, root+"/usr/share/new/deep/file", "came with the upgrade")
	must(t, os.Remove(root+"/lib"))
	put(t, root+"/lib/now/a/directory", "x")
	must(t, os.RemoveAll(root+"/bin"))
	must(t, os.Symlink("usr/bin", root+"/bin"))
	put(t, root+"/new-at-the-top", "x")
	must(t, os.Chown(root+"/usr/lib/libold.so", 7, 7))
	must(t, unix.Setxattr(root+"/etc/passwd", "user.new", []byte("x"), 0))
	must(t, os.Remove(root+"/srv/tree/sub/two"))
	must(t, os.Remove(root+"/var/lib/socket"))
	// In place, as rpm's databases are written.
	f, err := os.OpenFile(root+"/var/lib/rpm/rpmdb.sqlite", os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString("release 12")
	must(t, err)
	must(t, f.Close())
}

// state is what a root is, without what no way back is asked to bring.
func state(t testing.TB, root string, skip ...string) string {
	t.Helper()
	var list bytes.Buffer
	_, err := inventory.Take(t.Context(), root, inventory.Options{Skip: func(path string) bool { return below(path, skip) }}, &list)
	must(t, err)
	return list.String()
}

// same fails with the lines that differ.
func same(t testing.TB, want, got string) {
	t.Helper()
	has := func(text string) map[string]bool {
		all := map[string]bool{}
		for line := range strings.Lines(text) {
			all[line] = true
		}
		return all
	}
	before, after := has(want), has(got)
	for line := range strings.Lines(want) {
		if !after[line] {
			t.Errorf("was %s", line)
		}
	}
	for line := range strings.Lines(got) {
		if !before[line] {
			t.Errorf("is  %s", line)
		}
	}
}

// killed runs f and ends it at its n-th boundary, as a kill would: f has no defers
// with an effect. It tells whether there was such a boundary, and otherwise f's error.
func killed(ctx context.Context, n int, f func(context.Context) error) (string, error) {
	at, done := "", make(chan error, 1)
	go func() {
		defer close(done)
		count := 0
		done <- f(boundary.Observe(ctx, func(name string) {
			if count++; count == n {
				at = name
				runtime.Goexit()
			}
		}))
	}()
	err := <-done
	return at, err
}

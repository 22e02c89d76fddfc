package files_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/internal/component"
	"lifeboat/internal/component/componenttest"
	"lifeboat/internal/component/files"
	"lifeboat/internal/host"
	"lifeboat/internal/repository"
)

func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return "absent"
	}
	must(t, err)
	return string(text)
}

// part is a component of this machine with a state directory of its own.
func part(t *testing.T, o files.Options, others ...string) *files.Component {
	t.Helper()
	c, err := files.New(component.Env{Host: host.Local(), Run: "r1", State: filepath.Join(t.TempDir(), "state"), Exclude: others}, spec(o), o)
	must(t, err)
	return c
}

func save(t *testing.T, c *files.Component) (component.Source, component.Record) {
	t.Helper()
	var record component.Record
	source := componenttest.NewStore(t).Save(t, func(ctx context.Context, sink component.Sink) error {
		got, err := c.Capture(ctx, sink)
		if err != nil {
			return err
		}
		record.Paths, record.Bytes, record.Items = got.Paths, got.Bytes, got.Items
		record.Detail, err = json.Marshal(got.Detail)
		return err
	})
	return source, record
}

func passes(t *testing.T, c component.Component, record component.Record) {
	t.Helper()
	checks, err := c.Check(t.Context(), record)
	must(t, err)
	for _, check := range checks {
		if !check.OK {
			t.Errorf("check failed: %+v", check)
		}
	}
}

func TestWhatBelongsToOthersStays(t *testing.T) {
	dir := t.TempDir()
	htdocs := filepath.Join(dir, "htdocs")
	write(t, htdocs+"/index.html", "saved")
	write(t, htdocs+"/deep/repo/rpm", "saved rpm")
	write(t, htdocs+"/cache/x.tmp", "junk")
	o := files.Options{Paths: []string{htdocs}, Exclude: []string{"*.tmp"}}
	c := part(t, o, htdocs+"/deep/repo")
	source, record := save(t, c)
	if _, err := files.Node(t.Context(), source, htdocs+"/deep/repo/rpm"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another component's file was captured: %v", err)
	}
	write(t, htdocs+"/index.html", "fresh")
	write(t, htdocs+"/new", "fresh")
	write(t, htdocs+"/deep/repo/rpm", "fresh rpm")
	componenttest.Age(t, dir)
	before := componenttest.Digest(t, dir)
	must(t, c.Restore(t.Context(), source, component.RestoreOptions{Record: record}))
	for path, want := range map[string]string{"/index.html": "saved", "/new": "absent", "/deep/repo/rpm": "fresh rpm", "/cache/x.tmp": "junk"} {
		if got := read(t, htdocs+path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	passes(t, c, record)
	must(t, c.Rollback(t.Context()))
	if after := componenttest.Digest(t, dir); after != before {
		t.Errorf("rollback: got\n%s\nwant\n%s", after, before)
	}
}

func TestMountPoints(t *testing.T) {
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	write(t, tree+"/file", "saved")
	write(t, tree+"/mounted/a", "saved")
	must(t, os.Link(tree+"/mounted/a", tree+"/mounted/b"))
	componenttest.Age(t, tree)
	c := part(t, files.Options{Paths: []string{tree}})
	source, record := save(t, c)
	captured := componenttest.Digest(t, tree)
	must(t, os.RemoveAll(tree+"/mounted"))
	must(t, os.MkdirAll(tree+"/mounted", 0o700))
	for _, at := range []string{tree, tree + "/mounted", tree + "/foreign"} {
		must(t, os.MkdirAll(at, 0o755))
		if err := unix.Mount("test", at, "tmpfs", 0, "size=1m"); err != nil {
			t.Skip("needs to mount: ", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) }) // one is unmounted by the test
		must(t, os.MkdirAll(tree+"/mounted", 0o700))
	}
	write(t, tree+"/fresh", "fresh")
	write(t, tree+"/mounted/a", "fresh")
	write(t, tree+"/foreign/x", "left alone")
	componenttest.Age(t, tree)
	before := componenttest.Digest(t, tree)
	warned := ""
	must(t, c.Restore(t.Context(), source, component.RestoreOptions{Record: record, Warn: func(m string) { warned += m }}))
	if got := read(t, tree+"/foreign/x"); got != "left alone" || !strings.Contains(warned, "/foreign") {
		t.Errorf("a mount that the point does not have: %q, warned %q", got, warned)
	}
	a, errA := os.Stat(tree + "/mounted/a")
	b, errB := os.Stat(tree + "/mounted/b")
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		t.Errorf("hard links inside a mount are split: %v, %v", errA, errB)
	}
	must(t, c.Rollback(t.Context()))
	if after := componenttest.Digest(t, tree); after != before {
		t.Errorf("rollback: got\n%s\nwant\n%s", after, before)
	}
	must(t, unix.Unmount(tree+"/foreign", 0))
	must(t, os.Remove(tree+"/foreign"))
	c = part(t, files.Options{Paths: []string{tree}})
	must(t, c.Restore(t.Context(), source, component.RestoreOptions{Record: record}))
	must(t, c.Discard(t.Context()))
	if after := componenttest.Digest(t, tree); after != captured {
		t.Errorf("after discard: got\n%s\nwant\n%s", after, captured)
	}
}

func TestInPlace(t *testing.T) {
	dir := t.TempDir()
	tree := filepath.Join(dir, "repo")
	componenttest.HostileTree(t, tree)
	c := part(t, files.Options{Paths: []string{tree}, InPlace: true, Exclude: []string{"names"}})
	source, record := save(t, c)
	captured := componenttest.Digest(t, tree+"/sub")
	write(t, tree+"/sub/one", "changed")
	must(t, os.Remove(tree+"/sub/zero"))
	must(t, os.Symlink("/etc", tree+"/sub/zero"))
	for range 2 {
		must(t, c.Restore(t.Context(), source, component.RestoreOptions{Record: record}))
	}
	if got := componenttest.Digest(t, tree+"/sub"); got != captured {
		t.Errorf("got\n%s\nwant\n%s", got, captured)
	}
	if got := read(t, tree+"/names/$RCE"); got != "$RCE" {
		t.Errorf("what was left out was touched: %q", got)
	}
	half := tree + "/sub/" + repository.TempPrefix + "1"
	write(t, half, "half")
	must(t, c.Rollback(t.Context()))
	if read(t, half) != "absent" || c.Lasts() == "" {
		t.Errorf("a rollback left %q, says %q", read(t, half), c.Lasts())
	}
	write(t, tree+"/extra", "x")
	checks, err := c.Check(t.Context(), record)
	must(t, err)
	if checks[0].OK || !checks[0].Warning || !strings.Contains(checks[0].Hint, "extra (new)") {
		t.Errorf("an extra file: %+v", checks[0])
	}
	must(t, os.RemoveAll(tree))
	must(t, os.Remove(dir))
	must(t, c.Restore(t.Context(), source, component.RestoreOptions{Record: record}))
	if got := componenttest.Digest(t, tree+"/sub"); got != captured {
		t.Errorf("onto nothing: got\n%s", got)
	}
	must(t, c.Rollback(t.Context()))
	must(t, c.Discard(t.Context()))
}

func TestLinkedPathIsCapturedWithItsTarget(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/data/repo/rpm", "rpm")
	must(t, os.MkdirAll(dir+"/srv", 0o755))
	must(t, os.Symlink("../data/repo", dir+"/srv/repo"))
	c := part(t, files.Options{Paths: []string{dir + "/srv/repo"}})
	source, record := save(t, c)
	if want := []string{dir + "/data/repo", dir + "/srv/repo"}; !reflect.DeepEqual(record.Paths, want) {
		t.Fatalf("captured %v, want %v", record.Paths, want)
	}
	must(t, os.RemoveAll(dir+"/data"))
	must(t, os.RemoveAll(dir+"/srv"))
	warned := ""
	must(t, c.Restore(t.Context(), source, component.RestoreOptions{Record: record, Warn: func(m string) { warned += m }}))
	if got := read(t, dir+"/srv/repo/rpm"); got != "rpm" || !strings.Contains(warned, dir+"/data/repo") {
		t.Errorf("through the link: %q, warned %q", got, warned)
	}
	passes(t, c, record)
	passes(t, c, component.Record{Paths: record.Paths}) // an imported one
	if checks, err := c.Check(t.Context(), component.Record{Paths: []string{dir + "/none"}}); err != nil || len(checks) != 1 || checks[0].OK {
		t.Errorf("a missing path of an imported record: %+v, %v", checks, err)
	}
	to := t.TempDir()
	must(t, c.Extract(t.Context(), source, to))
	if got := read(t, filepath.Join(to, dir, "data/repo/rpm")); got != "rpm" {
		t.Errorf("extracted: %q", got)
	}
}

// TestHostileRecord has manifests that name what is not the component's.
func TestHostileRecord(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/ours/file", "saved")
	write(t, dir+"/other/file", "not ours")
	both := part(t, files.Options{Paths: []string{dir + "/ours", dir + "/other"}})
	source, record := save(t, both)
	write(t, dir+"/other/file", "fresh")
	componenttest.Age(t, dir)
	before := componenttest.Digest(t, dir)
	for name, change := range map[string]func(r *component.Record){
		"another path": func(r *component.Record) { r.Paths = []string{dir + "/other"} },
		"upwards":      func(r *component.Record) { r.Paths = []string{dir + "/ours/../other"} },
		"relative":     func(r *component.Record) { r.Paths = []string{"ours"} },
		"the root":     func(r *component.Record) { r.Paths = []string{"/"} },
		"a link that is none": func(r *component.Record) {
			r.Paths = []string{dir + "/ours", dir + "/other"}
			r.Detail = []byte(`{"links":{"` + dir + `/ours":"` + dir + `/other"}}`)
		},
		"not in the point": func(r *component.Record) { r.Paths = []string{dir + "/ours/missing"} },
		"no JSON":          func(r *component.Record) { r.Detail = []byte(`{"exclude":7}`) },
	} {
		t.Run(name, func(t *testing.T) {
			bad := record
			change(&bad)
			c := part(t, files.Options{Paths: []string{dir + "/ours", dir + "/ours/missing"}})
			if err := c.Restore(t.Context(), source, component.RestoreOptions{Record: bad}); err == nil {
				t.Error("the record is believed")
			}
			must(t, c.Rollback(t.Context()))
			if after := componenttest.Digest(t, dir); after != before {
				t.Errorf("something was changed:\n%s", after)
			}
		})
	}
}

// TestExtractShared: what two components share comes with either, in any order and
// in one call or two; what is other than in the point is not written over.
func TestExtractShared(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/etc/keys", "keys")
	write(t, dir+"/etc/sub/file", "x")
	must(t, os.Symlink("keys", dir+"/etc/link"))
	whole := part(t, files.Options{Paths: []string{dir + "/etc"}})
	keys := part(t, files.Options{Paths: []string{dir + "/etc/keys"}})
	source, _ := save(t, whole)
	for name, order := range map[string][]*files.Component{"whole first": {whole, keys}, "whole last": {keys, whole}, "twice": {keys, whole, keys, whole}} {
		t.Run(name, func(t *testing.T) {
			to := t.TempDir()
			for _, c := range order {
				must(t, c.Extract(t.Context(), source, to))
			}
			if got, want := strings.ReplaceAll(componenttest.Digest(t, filepath.Join(to, dir, "etc")), to, ""), componenttest.Digest(t, dir+"/etc"); got != want {
				t.Errorf("extracted:\n%s\nwant\n%s", got, want)
			}
		})
	}
	for name, spoil := range map[string]func(at string){
		"another content": func(at string) { write(t, at+"/keys", "fresh") },
		"something else":  func(at string) { write(t, at+"/other", "x") },
		"another link":    func(at string) { must(t, os.Symlink("sub", at+"/link")) },
		"a link for a directory": func(at string) {
			must(t, os.MkdirAll(at, 0o755))
			must(t, os.Symlink(dir+"/etc/sub", at+"/sub"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			to := t.TempDir()
			at := filepath.Join(to, dir, "etc")
			must(t, os.MkdirAll(at, 0o755))
			spoil(at)
			if err := whole.Extract(t.Context(), source, to); !errors.Is(err, fs.ErrExist) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestExtractStaysInside extracts a link and then what is below it.
func TestExtractStaysInside(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write(t, dir+"/in/file", "x")
	must(t, os.Symlink(outside, dir+"/link"))
	c := part(t, files.Options{Paths: []string{dir + "/in/file"}})
	source, _ := save(t, c)
	to := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(to, dir), 0o755))
	must(t, os.Symlink(outside, filepath.Join(to, dir, "in")))
	must(t, c.Extract(t.Context(), source, to))
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("written outside: %v, %v", entries, err)
	}
}

// owners knows no user 33 and calls group 8 group 9.
type owners struct{}

func (owners) UID(old uint32) (uint32, bool) { return old, old != 33 }

func (owners) GID(old uint32) (uint32, bool) {
	if old == 8 {
		return 9, true
	}
	return old, true
}

func TestOwnersByName(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to own files by others")
	}
	dir := t.TempDir()
	componenttest.HostileTree(t, dir+"/tree")
	c := part(t, files.Options{Paths: []string{dir + "/tree"}})
	source, record := save(t, c)
	must(t, os.RemoveAll(dir+"/tree"))
	var warned []string
	must(t, c.Restore(t.Context(), source, component.RestoreOptions{Record: record, Owners: owners{}, Warn: func(m string) { warned = append(warned, m) }}))
	var st unix.Stat_t
	must(t, unix.Lstat(dir+"/tree/sub/attributes", &st))
	if st.Uid != 33 || st.Gid != 9 {
		t.Errorf("owner %d:%d, want 33:9", st.Uid, st.Gid)
	}
	all := strings.Join(warned, "\n")
	for _, want := range []string{"(33) in owner is unknown", "33 in ACL is unknown", "tree/sub/attributes", "tree/sub/one"} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning of %q in\n%s", want, all)
		}
	}
	checks, err := c.Check(t.Context(), record)
	must(t, err)
	if !checks[0].OK || checks[1].OK || !checks[1].Warning {
		t.Errorf("checks after another owner: %+v", checks)
	}
}

func TestMissing(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/here", "x")
	c := part(t, files.Options{Paths: []string{dir + "/here", dir + "/missing"}})
	if _, err := c.Capture(t.Context(), nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "missing") {
		t.Errorf("capture without a path: %v", err)
	}
	in, err := c.Inspect(t.Context())
	must(t, err)
	if !in.Present || len(in.Warnings) != 1 {
		t.Errorf("inspection: %+v", in)
	}
	_, record := save(t, part(t, files.Options{Paths: []string{dir + "/here", dir + "/missing", "", dir + "/x*"}, MissingOK: true}))
	if want := []string{dir + "/here"}; !reflect.DeepEqual(record.Paths, want) {
		t.Errorf("captured %v", record.Paths)
	}
}

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		o  files.Options
		ok bool
	}{
		"good":         {files.Options{Paths: []string{"/etc/smt.conf", "${mirror_to}/repo", `/srv/\*`, "/etc/*.d/**"}, Exclude: []string{"*.tmp", "/a/b"}}, true},
		"none":         {files.Options{}, false},
		"relative":     {files.Options{Paths: []string{"etc"}}, false},
		"root":         {files.Options{Paths: []string{"//"}}, false},
		"upwards":      {files.Options{Paths: []string{"/a/../b"}}, false},
		"bad pattern":  {files.Options{Paths: []string{"/a/[b"}}, false},
		"bad exclude":  {files.Options{Paths: []string{"/a"}, Exclude: []string{"{"}}, false},
		"empty string": {files.Options{Paths: []string{""}}, false},
	} {
		if err := c.o.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExcluded(t *testing.T) {
	f := files.Filter{Patterns: []string{"*.tmp", "/srv/logs", ".old.repodata", "cache/"}, Others: []string{"/srv/other"}}
	for path, want := range map[string]bool{
		"/srv/a.tmp": true, "/srv/x/y.tmp": true, "/srv/logs": true, "/x/srv/logs": false, "/srv/r/.old.repodata": true,
		"/srv/other": true, "/srv/others": false, "/srv/a": false, "/srv/cache": true, "/srv/.lifeboat-aside-r.n": true,
	} {
		if got := f.Excluded(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
	if !f.ExcludedBelow("/srv/other/deep/file", "/srv") || f.ExcludedBelow("/srv/a/b", "/srv") {
		t.Error("ExcludedBelow")
	}
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	tree := filepath.Join(dir, "small")
	must(t, os.MkdirAll(tree, 0o755))
	if err := unix.Mount("test", tree, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("needs to mount: ", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(tree, unix.MNT_DETACH)) })
	write(t, tree+"/part/big", strings.Repeat("x", 600<<10))
	c := part(t, files.Options{Paths: []string{tree + "/part"}})
	source, record := save(t, c)
	componenttest.Age(t, tree)
	before := componenttest.Digest(t, tree)
	// Old and new do not fit beside each other.
	if err := c.Restore(t.Context(), source, component.RestoreOptions{Record: record}); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("restore without space: %v", err)
	}
	if got := read(t, tree+"/part/big"); len(got) != 600<<10 {
		t.Error("the present file was touched")
	}
	must(t, c.Rollback(t.Context()))
	if after := componenttest.Digest(t, tree); after != before {
		t.Errorf("rollback: got\n%s\nwant\n%s", after, before)
	}
}

package zypper

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const sectionsText = `# a comment
[full]
name=Full one
enabled=0
autorefresh=1
baseurl=https://nu.novell.com/repo/$RCE/SLES11-SP1-Pool/sle-$releasever-x86_64
gpgkey=https://example.com/key
gpgcheck=1
priority=50

[other]
enabled=1
baseurl=https://user:secret@example.com/
        https://user:secret@mirror.example.com/
type=rpm-md
`

// What is taken out of a list comes back with all that it said, and nothing of it is
// expanded.
func TestSections(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "etc/zypp/repos.d")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "two.repo"), []byte(sectionsText), 0o644); err != nil {
		t.Fatal(err)
	}
	z, err := New(Options{Root: root, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	before, err := z.Repositories()
	if err != nil || len(before) != 2 {
		t.Fatalf("%+v, %v", before, err)
	}
	text, err := z.Section(before[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := z.RemoveRepositories("full"); err != nil {
		t.Fatal(err)
	}
	if _, err := z.Section(before[0]); err == nil {
		t.Error("a section that is gone was found")
	}
	added, err := z.AddSections(append([]byte("[other]\nbaseurl=https://evil.example/\n"), text...))
	if err != nil || !slices.Equal(added, []string{"full"}) {
		t.Fatalf("added %q, %v", added, err)
	}
	after, err := z.Repositories()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(after, func(r Repository) bool { return r.Alias == "full" })
	got := after[at]
	if got.URLs[0] != before[0].URLs[0] || got.Keys[0] != before[0].Keys[0] || got.Priority != 50 || got.Enabled || got.Name != "Full one" {
		t.Errorf("got  %+v\nwant %+v", got, before[0])
	}
	// zypper would have dropped the password.
	other := func() Repository {
		t.Helper()
		list, err := z.Repositories()
		i := slices.IndexFunc(list, func(r Repository) bool { return r.Alias == "other" })
		if err != nil || i < 0 {
			t.Fatalf("%+v, %v", list, err)
		}
		return list[i]
	}
	want := []string{"https://user:secret@example.com/", "https://user:secret@mirror.example.com/"}
	if r := other(); !slices.Equal(r.URLs, want) || !r.Enabled {
		t.Errorf("what was there is changed: %+v", r)
	}
	if err := z.DisableRepositories("other"); err != nil {
		t.Fatal(err)
	}
	if r := other(); !slices.Equal(r.URLs, want) || r.Enabled {
		t.Errorf("switched off: %+v", r)
	}
	for _, bad := range []string{"[-h]\nbaseurl=https://example.com/\n", "[../x]\nbaseurl=https://example.com/\n"} {
		if _, err := z.AddSections([]byte(bad)); err == nil {
			t.Errorf("%q was added", bad)
		}
	}
}

// Whatever else a file of package repositories says stays, to the byte: zypper would drop
// passwords, comments and what it does not know.
func TestEditedFilesKeepTheRest(t *testing.T) {
	const mine, theirs = "# ours\n[SLES11-SP1-Pool]\nname=Pool\nenabled = 1\nbaseurl=https://example.com/pool\n\n",
		"[vendor]  \r\nusername=joe\npassword=geheim\n# by hand\ngpgkey=https://joe:keypw@vendor.example/key\nmirrorlist=https://joe:mirrorpw@vendor.example/list\nstrange=1\nenabled=1"
	root := t.TempDir()
	dir := filepath.Join(root, "etc/zypp/repos.d")
	for _, d := range []string{dir, filepath.Join(root, "var/cache/zypp/raw/SLES11-SP1-Pool"), filepath.Join(root, "var/cache/zypp/raw/vendor")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(dir, "z.repo")
	if err := os.WriteFile(name, []byte(mine+theirs), 0o600); err != nil {
		t.Fatal(err)
	}
	z, err := New(Options{Root: root, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	is := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
		if info, err := os.Stat(name); err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("mode %v", info.Mode())
		}
	}
	steps := []struct {
		do   func(...string) error
		want string
	}{
		{z.DisableRepositories, strings.Replace(mine, "enabled = 1", "enabled=0", 1) + theirs},
		{z.EnableRepositories, strings.Replace(mine, "enabled = 1", "enabled=1", 1) + theirs},
		{z.RemoveRepositories, "# ours\n" + theirs},
	}
	for _, s := range steps {
		if err := s.do("SLES11-SP1-Pool"); err != nil {
			t.Fatal(err)
		}
		is(s.want)
	}
	if _, err := os.Stat(filepath.Join(root, "var/cache/zypp/raw/SLES11-SP1-Pool")); err == nil {
		t.Error("its cache is still there")
	}
	if err := z.RemoveRepositories("SLES11-SP1-Pool"); err == nil {
		t.Error("what is not there was removed")
	}
	if err := z.RemoveRepositories("vendor"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file without repositories: %v", err)
	}
	if _, err := os.Stat(filepath.Join(root, "var/cache/zypp/raw/vendor")); err == nil {
		t.Error("its cache is still there")
	}
	if added, err := z.AddSections([]byte("[nfs]\nbaseurl=nfs://u:p@host/x\n")); err != nil || len(added) != 1 {
		t.Fatal(added, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "nfs.repo")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

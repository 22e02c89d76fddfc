package zypper

import (
	"os"
	"path/filepath"
	"slices"
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
	if err := z.RemoveRepositories(t.Context(), "full"); err != nil {
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
	// zypper has written the file anew meanwhile, and would have dropped the password.
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
	if err := z.DisableRepositories(t.Context(), "other"); err != nil {
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

package host

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestMatch(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"etc/zypp/repos.d/b.repo", "etc/zypp/repos.d/a.repo", "etc/zypp/repos.d/.c.repo", "etc/zypp/repos.d/a.repo.old", "real/x.repo"} {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/real", filepath.Join(root, "etc/link")); err != nil {
		t.Fatal(err)
	}
	h, err := At(root)
	if err != nil {
		t.Fatal(err)
	}
	for pattern, want := range map[string][]string{
		"/etc/zypp/repos.d/*.repo": {"/etc/zypp/repos.d/a.repo", "/etc/zypp/repos.d/b.repo"},
		"/etc/link/*":              {"/etc/link/x.repo"},
		"/etc/nothing/*":           nil,
		"/etc/zypp/repos.d/z*":     nil,
	} {
		got, err := h.Match(pattern)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", pattern, got, err, want)
		}
	}
	if _, err := h.Match("/etc/zypp/repos.d/["); err == nil {
		t.Error("a pattern that is none was taken")
	}
	if _, err := h.Match("/etc/zypp/repos.d/a.repo/*"); err == nil {
		t.Error("a file was taken for a directory")
	}
}

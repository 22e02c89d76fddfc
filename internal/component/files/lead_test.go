package files_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/component/files"
	"lifeboat/internal/host"
)

// A machine below a root, so that nothing of this one matters.
func TestAstray(t *testing.T) {
	root := t.TempDir()
	for _, f := range []string{"root/keys/key", "root/keys/old", "etc/app/in", "etc/other/in", "usr/share/x", "usr/local/x", "data/tree/x", "opt/own"} {
		write(t, filepath.Join(root, f), "x")
	}
	must(t, os.Symlink("data", filepath.Join(root, "alias")))
	var links []string
	for name, target := range map[string]string{
		"key":      "/root/keys/key",
		"relative": "../../root/keys/old",
		"tree":     "/alias/tree",
		"through":  "/opt/link",
		"local":    "/usr/local/x",
		// These lead to what comes back, or nowhere.
		"own":     "in",
		"other":   "/etc/other/in",
		"shipped": "/usr/share/x",
		"gone":    "/root/keys/none",
		"below":   "/root/keys/key/none",
		"loop":    "loop",
		"root":    "/",
	} {
		links = append(links, "/etc/app/"+name)
		must(t, os.Symlink(target, filepath.Join(root, "etc/app", name)))
	}
	must(t, os.Symlink("/etc/other/in", filepath.Join(root, "opt/link")))
	h, err := host.At(root)
	must(t, err)
	slices.Sort(links)
	got, err := files.Astray(t.Context(), h, append(links, "/etc/app/in", "/etc/app/vanished"), []string{"/etc/app", "/etc/other"})
	must(t, err)
	want := []component.Link{
		{Path: "/etc/app/key", Target: "/root/keys/key"},
		{Path: "/etc/app/local", Target: "/usr/local/x"},
		{Path: "/etc/app/relative", Target: "/root/keys/old"},
		{Path: "/etc/app/through", Target: "/opt/link"},
		{Path: "/etc/app/tree", Target: "/data/tree"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("astray are %v, want %v", got, want)
	}
	// What is held by a way that is a link is held where it really stands.
	got, err = files.Astray(t.Context(), h, []string{"/etc/app/tree"}, []string{"/etc/app", "/alias/tree"})
	must(t, err)
	if len(got) > 0 {
		t.Errorf("astray are %v", got)
	}
}

// A package of the real machine, and a name with a pattern's characters.
func TestAstrayAsksForPackages(t *testing.T) {
	h := host.Local()
	const shipped = "/var/lib/dpkg" // belongs to dpkg
	if _, err := h.Output(t.Context(), "dpkg-query", "--search", "--", shipped); err != nil {
		t.Skip("needs dpkg: asks which package has a file")
	}
	dir := t.TempDir()
	odd := filepath.Join(dir, "*[a]?")
	write(t, odd, "x")
	var links []string
	for i, target := range []string{shipped, odd} {
		link := filepath.Join(dir, fmt.Sprint("link", i))
		must(t, os.Symlink(target, link))
		links = append(links, link)
	}
	got, err := files.Astray(t.Context(), h, links, nil)
	must(t, err)
	if len(got) != 1 || got[0].Target != odd {
		t.Errorf("astray are %v, want the one to %s", got, odd)
	}
}

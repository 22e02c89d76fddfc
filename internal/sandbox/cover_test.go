package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A tree below /tmp is seen at its place, and what is written to it stays inside. One
// that is a system has devices.
func TestCover(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	for _, dir := range []string{"dev", "etc"} {
		if err := os.Mkdir(filepath.Join(tree, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(tree, "etc/file"), []byte("outer\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := started(t, Options{Covers: []Cover{{Path: tree, System: true}}, Empty: []string{"/var/tmp"}})
	var out strings.Builder
	err := s.Run(t.Context(), Command{
		Args: []string{"sh", "-ec", `cat etc/file; echo inner >etc/file; echo x >dev/null; test -e proc/self; cat etc/file`}, Dir: tree, Stdout: &out, Stderr: &out,
	})
	if err != nil || out.String() != "outer\ninner\n" {
		t.Fatalf("%v: %s", err, &out)
	}
	if text, err := os.ReadFile(filepath.Join(tree, "etc/file")); err != nil || string(text) != "outer\n" {
		t.Errorf("outside it is %q, %v", text, err)
	}
	if entries, err := os.ReadDir(filepath.Join(tree, "dev")); err != nil || len(entries) > 0 {
		t.Errorf("outside /dev has %v, %v", entries, err)
	}
}

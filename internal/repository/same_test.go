package repository

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSame(t *testing.T) {
	t.Parallel()
	r, _ := newRepo(t)
	root := t.TempDir()
	write(t, filepath.Join(root, "sub", "file"), []byte("content"))
	var parent *Snapshot
	same := func(path string) bool {
		t.Helper()
		snap, stats := backup(t, r, parent, path)
		parent = snap
		return stats.Same
	}
	if same(root) {
		t.Error("the first is the same as nothing")
	}
	if !same(root) {
		t.Error("nothing changed")
	}
	for name, change := range map[string]func() error{
		"content below": func() error { return os.WriteFile(filepath.Join(root, "sub", "file"), []byte("CONTENT"), 0o600) },
		"mode below":    func() error { return os.Chmod(filepath.Join(root, "sub", "file"), 0o640) },
		"mode":          func() error { return os.Chmod(root, 0o711) },
		"a new file":    func() error { return os.WriteFile(filepath.Join(root, "new"), nil, 0o600) },
		"a lost file":   func() error { return os.Remove(filepath.Join(root, "sub", "file")) },
	} {
		same(root) // what the change before made of it
		write(t, filepath.Join(root, "sub", "file"), []byte("content"))
		same(root)
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if same(root) {
			t.Errorf("%s was not noticed", name)
		}
	}
}

package source

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"lifeboat/internal/nfs/nfstest"
)

// TestNFS reads from NFS-Ganesha.
func TestNFS(t *testing.T) {
	if !nfstest.Alone(t, nfstest.Programs...) {
		return
	}
	dir, err := os.MkdirTemp("/var/tmp", "lifeboat-nfs-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := errors.Join(
		os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "sub"), 0o755),
		os.WriteFile(filepath.Join(dir, "smt1.json"), []byte("configuration"), 0o644),
		os.WriteFile(filepath.Join(dir, "sub", "smt2.json"), []byte("another"), 0o644),
		os.Symlink("/etc/passwd", filepath.Join(dir, "away.json")),
	); err != nil {
		t.Fatal(err)
	}
	nfstest.Ganesha(t, dir)
	for name, want := range map[string]string{"smt1.json": "configuration", "sub/smt2.json": "another"} {
		if text, err := getNFS(t.Context(), "nfs://127.0.0.1"+dir+"/"+name, 100); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if text, err := getNFS(t.Context(), "nfs://127.0.0.1"+dir+"/none.json", 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %q, %v", text, err)
	}
	if text, err := getNFS(t.Context(), "nfs://127.0.0.1"+dir+"/smt1.json", 4); !errors.Is(err, ErrLarge) {
		t.Errorf("what is too large: %q, %v", text, err)
	}
	for _, name := range []string{"away.json", "sub"} {
		if text, err := getNFS(t.Context(), "nfs://127.0.0.1"+dir+"/"+name, 100); err == nil {
			t.Errorf("%s: %q", name, text)
		}
	}
}

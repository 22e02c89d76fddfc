// Package hosttest makes machines for tests: a few files below a temporary root.
// Machines that run something are the lab's.
package hosttest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/host"
)

// With is a machine with these files; a name that ends with / is an empty
// directory. Files are 0600, for their texts may be secrets.
func With(t *testing.T, files map[string]string) *host.Host {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		dir, isDir := filepath.Dir(path), strings.HasSuffix(name, "/")
		if isDir {
			dir = path
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if isDir {
			continue
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h, err := host.At(root)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

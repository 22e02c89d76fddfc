package storage_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/storage"
)

func TestTidy(t *testing.T) {
	dir := t.TempDir()
	s, err := storage.OpenLocal(dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	one := storage.Handle{Type: storage.Data, Name: strings.Repeat("1", 64)}
	two := storage.Handle{Type: storage.Data, Name: strings.Repeat("2", 64)}
	for _, h := range []storage.Handle{one, two, {Type: storage.Lock, Name: strings.Repeat("3", 64)}} {
		if err := s.Save(t.Context(), h, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "locks", "note"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if err := s.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	for path, there := range map[string]bool{"data/11": false, "data/22": true, "locks": true, "": true} {
		if _, err := os.Stat(filepath.Join(dir, path)); (err == nil) != there {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := s.Remove(t.Context(), two); err != nil {
		t.Fatal(err)
	}
	if err := s.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); !os.IsNotExist(err) {
		t.Error("data stays")
	}
	if err := s.Save(t.Context(), one, []byte("x")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A root that was there stays, and so does what somebody put above a new one.
func TestTidyRoot(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "there"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, gone := range map[string]string{"there": "there/data", "new/sub/repo": "new", "other/sub": "other/sub"} {
		s, err := storage.OpenLocal(filepath.Join(dir, path), storage.Options{})
		if err != nil {
			t.Fatal(err)
		}
		h := storage.Handle{Type: storage.Data, Name: strings.Repeat("1", 64)}
		if err := s.Save(t.Context(), h, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if path == "other/sub" {
			if err := os.WriteFile(filepath.Join(dir, "other", "file"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Remove(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		if err := s.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, gone)); !os.IsNotExist(err) {
			t.Errorf("%s: %s stays", path, gone)
		}
		if _, err := os.Stat(filepath.Dir(filepath.Join(dir, gone))); err != nil {
			t.Error(err)
		}
		if err := s.Save(t.Context(), h, []byte("x")); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	}
}

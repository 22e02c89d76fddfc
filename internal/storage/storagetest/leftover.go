package storagetest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/storage"
)

// Leftovers puts files of interrupted uploads and others into the directory of a
// store, and sees that the store finds and removes the right ones.
func Leftovers(t *testing.T, s storage.Store, dir string) {
	t.Helper()
	data := strings.Repeat("ab", 32)
	left := map[string]int64{
		"config-tmp-0123456789abcdef":           3,
		"snapshots/" + data + "-tmp-1":          4,
		"data/ab/" + data + "-tmp-0f0f0f0f":     5,
		"data/ab/" + data + "-restic-temp-a0b1": 6,
	}
	others := []string{"data/ab/" + data, "data/ab/note-tmp-1", "data/ab/" + data + "-tmp-", "data/ab/" + data + "-tmp-a.b", "note", "config"}
	put := func(name string, size int64) {
		t.Helper()
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, size := range left {
		put(name, size)
	}
	for _, name := range others {
		put(name, 1)
	}
	sweeper, ok := storage.AsSweeper(s)
	if !ok {
		t.Fatal("the store does not sweep")
	}
	var found []storage.Leftover
	err := sweeper.Leftovers(t.Context(), func(l storage.Leftover) error {
		if left[l.Path] != l.Size || l.Time.IsZero() {
			t.Errorf("found %+v", l)
		}
		found = append(found, l)
		return nil
	})
	if err != nil || len(found) != len(left) {
		t.Fatalf("%d of %d found, %v", len(found), len(left), err)
	}
	for _, l := range found {
		if err := sweeper.Sweep(t.Context(), l); err != nil {
			t.Error(err)
		}
		if err := sweeper.Sweep(t.Context(), l); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("again: %v", err)
		}
	}
	for _, path := range append(others, "../"+data+"-tmp-1", "data/../"+data+"-tmp-1", "data/ab/../"+data+"-tmp-1", "/"+data+"-tmp-1") {
		if err := sweeper.Sweep(t.Context(), storage.Leftover{Path: path}); err == nil || errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, name := range others {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

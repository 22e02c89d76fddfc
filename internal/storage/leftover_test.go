package storage_test

import (
	"errors"
	"strings"
	"testing"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/storagetest"
)

func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	s, err := storage.OpenLocal(dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	storagetest.Leftovers(t, s, dir)
	s, err = storage.OpenLocal(dir, storage.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(t.Context(), storage.Leftover{Path: "config-tmp-1"}); !errors.Is(err, storage.ErrReadOnly) {
		t.Errorf("%v", err)
	}
	if storage.LeftoverName(strings.Repeat("a", 63) + "-tmp-1") {
		t.Error("a name of 63 digits")
	}
}

package faulty_test

import (
	"errors"
	"path/filepath"
	"testing"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
	"lifeboat/internal/storage/storagetest"
)

// Without faults it must be a store like any other.
func TestConformance(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T, location string) storage.Store {
		s, err := storage.Open(t.Context(), location, storage.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return faulty.Wrap(s)
	}, func(t *testing.T) string { return filepath.Join(t.TempDir(), "store") })
}

func TestSpace(t *testing.T) {
	t.Parallel()
	s, err := storage.Open(t.Context(), t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := faulty.Wrap(s)
	f.Space(10)
	h := storage.Handle{Type: storage.Config}
	if err := f.Save(t.Context(), h, make([]byte, 11)); !errors.Is(err, storage.ErrNoSpace) {
		t.Errorf("%v", err)
	}
	if _, err := f.Stat(t.Context(), h); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

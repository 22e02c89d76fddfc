package faulty_test

import (
	"path/filepath"
	"sync"
	"testing"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
	"lifeboat/internal/storage/storagetest"
)

func TestMemoryConformance(t *testing.T) {
	t.Parallel()
	var stores sync.Map
	storagetest.Run(t, func(_ *testing.T, location string) storage.Store {
		s, _ := stores.LoadOrStore(location, faulty.NewMemory())
		return s.(*faulty.Memory)
	}, func(t *testing.T) string { return t.Name() })
}

// What is written to a directory is a local store with the same files.
func TestMemoryOnDisk(t *testing.T) {
	t.Parallel()
	m := faulty.NewMemory()
	h := storage.Handle{Type: storage.Data, Name: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}
	m.Put(storage.Handle{Type: storage.Config}, []byte("config"))
	m.Put(h, []byte("abc"))
	dir := filepath.Join(t.TempDir(), "store")
	if err := m.Dump(dir); err != nil {
		t.Fatal(err)
	}
	s, err := storage.Open(t.Context(), dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for want, h := range map[string]storage.Handle{"abc": h, "config": {Type: storage.Config}} {
		if got, err := storage.ReadAll(t.Context(), s, h, 10); string(got) != want || err != nil {
			t.Errorf("%s is %q, %v", h, got, err)
		}
	}
}

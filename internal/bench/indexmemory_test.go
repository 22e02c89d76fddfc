package bench

import (
	"runtime"
	"testing"

	"lifeboat/internal/repository"
	"lifeboat/internal/storage"
)

// mostPerBlob is what docs/performance.md promises that a repository adds to the
// memory of a backup, in bytes per blob that it has.
const mostPerBlob = 128

// What a backup holds in memory grows with the index alone, and that grows slowly.
func TestMemoryPerBlob(t *testing.T) {
	const few, many = 50_000, 500_000
	per := (held(t, many) - held(t, few)) / (many - few)
	t.Logf("%d bytes a blob", per)
	if per > mostPerBlob {
		t.Errorf("a blob more takes %d bytes, more than %d", per, mostPerBlob)
	}
}

// held is what a backup that has just begun holds, in bytes.
func held(t *testing.T, blobs int) int64 {
	t.Helper()
	dir := t.TempDir()
	if err := BuildIndex(t.Context(), dir, blobs); err != nil {
		t.Fatal(err)
	}
	before := heap()
	store, err := storage.Open(t.Context(), dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	repo, err := repository.Open(t.Context(), store, []byte(indexPassword), repository.Options{NoLock: true})
	if err != nil {
		t.Fatal(err)
	}
	session, err := repo.Begin(t.Context(), repository.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	after := heap()
	if err := session.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	if err := repo.Close(); err != nil {
		t.Error(err)
	}
	return after - before
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first has found finalizers for
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

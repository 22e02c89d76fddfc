package repository

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"lifeboat/internal/storage"
)

// counted counts what is read of a store.
type counted struct {
	storage.Store
	loads atomic.Int64
}

func (c *counted) Load(ctx context.Context, h storage.Handle, offset, length int64) (io.ReadCloser, error) {
	c.loads.Add(1)
	return c.Store.Load(ctx, h, offset, length)
}

// TestSmallFilesAreReadTogether restores files of which each has other content
// with few reads, whether all of them or the missing ones.
func TestSmallFilesAreReadTogether(t *testing.T) {
	t.Parallel()
	r, dir := newRepo(t)
	root := t.TempDir()
	for i := range 1000 {
		write(t, filepath.Join(root, fmt.Sprint(i%10), fmt.Sprint(i)), fmt.Appendf(nil, "this is file %d", i/2*2))
	}
	snap, _ := backup(t, r, nil, root)
	local, err := storage.Open(t.Context(), dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store := &counted{Store: local}
	r, err = Open(t.Context(), store, testPassword, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := t.TempDir()
	restore := func(opts RestoreOptions) Stats {
		t.Helper()
		store.loads.Store(0)
		stats, err := r.Restore(t.Context(), snap, root, out, opts)
		if err != nil {
			t.Fatal(err)
		}
		sameTree(t, root, out)
		// Index, key and locks, eleven trees, and the content in one or two reads.
		if n := store.loads.Load(); n > 40 {
			t.Errorf("%d reads", n)
		}
		return stats
	}
	restore(RestoreOptions{})
	for i := range 100 {
		if err := os.Remove(filepath.Join(out, fmt.Sprint(i%10), fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	stats := restore(RestoreOptions{InPlace: true})
	if stats.Unchanged != 900 || stats.New == 0 {
		t.Errorf("%d unchanged, %d bytes written", stats.Unchanged, stats.New)
	}
}

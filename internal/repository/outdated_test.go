package repository

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
)

// A process that knows the repository from before another pruned it reads what
// moved, and does not believe that what was deleted is still there.
func TestPrunedByAnother(t *testing.T) {
	t.Parallel()
	r, dir := newRepo(t)
	states := pruneRepo(t, r)
	tree := filepath.Join(t.TempDir(), "gone")
	for i := range 9 {
		write(t, filepath.Join(tree, fmt.Sprint(i)), random(uint64(900+i), 50_000))
	}
	gone, _ := backup(t, r, nil, tree) // r knows its blobs
	other := openRepo(t, dir)
	other.opts.PackSize = r.opts.PackSize
	if err := other.Forget(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Prune(t.Context(), PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	sameContent(t, r, states)
	if _, stats := backup(t, r, gone, tree); stats.Unchanged != 0 || stats.New != 9*50_000 {
		t.Errorf("stored %+v", stats)
	}
	resticCheck(t, dir)
}

// The same for packs of a session whose index could not be written.
func TestPendingPrunedByAnother(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "repo")
	createRepo(t, dir).Close()
	store, err := storage.Open(t.Context(), dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := faulty.Wrap(store)
	r, err := Open(t.Context(), f, testPassword, Options{Hostname: "testhost", PackSize: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join(t.TempDir(), "tree")
	for i := range 9 {
		write(t, filepath.Join(tree, fmt.Sprint(i)), random(uint64(i), 50_000))
	}
	broken := errors.New("the cable was pulled")
	f.Before = func(_ int, op string, h storage.Handle) error {
		if op == "save" && h.Type == storage.Index {
			return broken
		}
		return nil
	}
	s := begin(t, r, nil)
	if _, err := s.AddPath(t.Context(), tree, PathOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Abort(t.Context()); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	f.Before = nil
	report, err := openRepo(t, dir).Prune(t.Context(), PruneOptions{})
	if err != nil || report.Unindexed.Packs == 0 || report.Deleted.Packs != report.Unindexed.Packs {
		t.Fatalf("%+v, %v", report, err)
	}
	backup(t, r, nil, tree)
	resticCheck(t, dir)
}

package repository

import (
	"errors"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/rest"
	"lifeboat/internal/storage/restserver"
	"lifeboat/internal/storage/retry"
	"lifeboat/internal/storage/storagetest"
)

// A client of an append-only server stores, checks and restores. What it may not
// do is said, with where to do it, and done at once, not tried again and again.
func TestAppendOnlyClient(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "repo")
	createRepo(t, dir).Close()
	handler, err := restserver.New(restserver.Options{Repositories: restserver.Directory(filepath.Dir(dir)), AppendOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	place, err := rest.ParseURL("rest:" + server.URL + "/repo/")
	if err != nil {
		t.Fatal(err)
	}
	bare, err := rest.Open(place, rest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), retry.New(bare, storagetest.Policy), testPassword, cheap)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	source := tree(t, 1)
	first, _ := backup(t, r, nil, source)
	backup(t, r, first, source, tree(t, 2))
	if report := check(t, r, CheckOptions{ReadData: true}); report.Err() != nil || report.Snapshots != 2 {
		t.Errorf("%+v", report)
	}
	if _, err := r.Restore(t.Context(), first, source, filepath.Join(t.TempDir(), "out"), RestoreOptions{}); err != nil {
		t.Error(err)
	}
	second, err := r.AddKey(t.Context(), []byte("second"))
	if err != nil {
		t.Fatal(err)
	}
	_, change := r.ChangePassword(t.Context(), []byte("third"))
	// A repair that replaces an index file: one lists a pack that is gone.
	packs, err := filepath.Glob(filepath.Join(dir, "data", "*", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatal(packs, err)
	}
	if err := os.Rename(packs[0], dir+".pack"); err != nil {
		t.Fatal(err)
	}
	_, repair := r.RepairIndex(t.Context())
	if err := os.Rename(dir+".pack", packs[0]); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"repair": repair,
		"forget": r.Forget(t.Context(), first.ID), "remove key": r.RemoveKey(t.Context(), second), "change password": change,
	} {
		if !errors.Is(err, storage.ErrAppendOnly) || !errors.Is(err, fs.ErrPermission) || retry.Transient(err) ||
			!strings.Contains(err.Error(), "append-only") || !strings.Contains(err.Error(), "on the machine that keeps the repository") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := r.Prune(t.Context(), PruneOptions{}); err != nil && !errors.Is(err, storage.ErrAppendOnly) {
		t.Errorf("prune: %v", err)
	}
	if snaps, err := r.Snapshots(t.Context()); err != nil || len(snaps) != 2 {
		t.Errorf("%d snapshots, %v", len(snaps), err)
	}
	// Where it is kept, all that can be done.
	kept := openRepo(t, dir)
	if err := kept.Forget(t.Context(), first.ID); err != nil {
		t.Error(err)
	}
	if err := kept.RemoveKey(t.Context(), second); err != nil {
		t.Error(err)
	}
	if _, err := kept.Prune(t.Context(), PruneOptions{}); err != nil {
		t.Error(err)
	}
	resticCheck(t, dir)
}

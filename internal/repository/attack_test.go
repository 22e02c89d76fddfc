package repository

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/storage"
)

// These tests show what docs/repository.md says of intruders, also where an
// intruder succeeds: a repaired weakness changes the page.

// Whoever reads the store alone learns of no name, path, owner or content.
func TestStoreTellsNoContent(t *testing.T) {
	r, dir := newRepo(t)
	tree := filepath.Join(t.TempDir(), "telltale-directory")
	put(t, filepath.Join(tree, "telltale-name"), strings.Repeat("telltale-content ", 1000))
	if err := os.Symlink("telltale-target", filepath.Join(tree, "link")); err != nil {
		t.Fatal(err)
	}
	s, err := r.Begin(t.Context(), SessionOptions{Compression: CompressionOff})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddPath(t.Context(), tree, PathOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), SnapshotInfo{Hostname: "telltale-host", Tags: []string{"telltale-tag"}}); err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte("telltale")) || strings.Contains(path, "telltale-") && !strings.HasPrefix(path, dir) {
			t.Errorf("%s tells", path)
		}
		isKey := strings.HasPrefix(path, filepath.Join(dir, "keys"))
		if bytes.Contains(data, []byte(cheap.Hostname)) != isKey {
			t.Errorf("%s: the name of the host that made a key stands in key files, and nowhere else", path)
		}
		return err
	})
	if err != nil || files < 6 {
		t.Errorf("%d files, %v", files, err)
	}
}

// A password that was removed opens the repository again when somebody puts a
// copy of its key file back: the master key is the same for ever.
func TestRemovedKeyComesBack(t *testing.T) {
	r, dir := newRepo(t)
	id, err := r.AddKey(t.Context(), []byte("of somebody who left"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, handle(storage.Key, id).Path())
	copied, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.RemoveKey(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := tryOpen(t, dir, "of somebody who left"); err == nil {
		t.Fatal("a removed key opens the repository")
	}
	if err := os.WriteFile(file, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tryOpen(t, dir, "of somebody who left"); err != nil {
		t.Fatalf("the page says that the copy opens it again: %v", err)
	}
}

func tryOpen(t *testing.T, dir, password string) (*Repository, error) {
	t.Helper()
	store, err := storage.Open(t.Context(), dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), store, []byte(password), cheap)
	if err == nil {
		t.Cleanup(func() { r.Close() })
	}
	return r, err
}

// The format seals everything with one key and does not say what it is. Whoever
// has a file of his making backed up, and writes to the store, could put the
// sealed bytes of that file forward as a snapshot, if they were stored as they are.
func TestNoContentPassesForASnapshot(t *testing.T) {
	r, dir := newRepo(t)
	tree := filepath.Join(t.TempDir(), "tree")
	put(t, filepath.Join(tree, "honest"), "honest")
	honest, _ := backup(t, r, nil, tree)
	// The intruder only has to know the id of a tree; here it is that of the
	// honest snapshot.
	forged, err := json.Marshal(Snapshot{Time: honest.Time, Tree: honest.Tree, Hostname: "forged", Paths: []string{"/"}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := newEncoder(CompressionMax, 1)
	if err != nil {
		t.Fatal(err)
	}
	noisy := append(random(3, 400<<10), '"', '}') // not JSON, but this is about the first byte; smaller than any chunk, so nobody cuts it
	contents := map[string][]byte{
		"JSON":                forged,
		"compressed JSON":     e.EncodeAll(forged, []byte{encodingZstd}),
		"an array":            append([]byte("["), noisy...),
		"what looks as noise": append([]byte("{"), noisy...),
	}
	for name, content := range contents {
		put(t, filepath.Join(tree, name), string(content))
	}
	stored := func(r *Repository, dir, name string, content []byte) {
		t.Helper()
		p, err := r.locate(t.Context(), DataBlob, Hash(content))
		if err != nil {
			t.Fatal(name, err)
		}
		if p.blob.plain != uint32(len(content)) {
			t.Errorf("%s is stored as it is", name)
		}
		// From here on without the key.
		pack, err := os.ReadFile(filepath.Join(dir, handle(storage.Data, p.pack).Path()))
		if err != nil {
			t.Fatal(err)
		}
		sealed := pack[p.blob.offset:][:p.blob.length]
		at := filepath.Join(dir, handle(storage.Snapshot, Hash(sealed)).Path())
		if err := os.WriteFile(at, sealed, 0o600); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(at)
		list, err := r.Snapshots(t.Context())
		if !errors.Is(err, ErrDamaged) || slices.ContainsFunc(list, func(s *Snapshot) bool { return s.Hostname == "forged" }) {
			t.Errorf("%s passes: %v, %v", name, list, err)
		}
		if out, _ := resticErr(t, dir, "snapshots"); strings.Contains(out, "forged") {
			t.Errorf("%s passes with stock restic:\n%s", name, out)
		}
	}
	for _, mode := range []Compression{CompressionAuto, CompressionOff} {
		r, dir := newRepo(t)
		s, err := r.Begin(t.Context(), SessionOptions{Compression: mode})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.AddPath(t.Context(), tree, PathOptions{}); err != nil {
			t.Fatal(err)
		}
		commit(t, r, s)
		for name, content := range contents {
			stored(r, dir, mode.String()+": "+name, content)
		}
		restored(t, dir, tree)
		resticCheck(t, dir)
	}
	// What restic has stored as it is does not stay so when it is copied.
	_ = restic(t, dir, "backup", "--compression", "off", tree)
	list, err := openRepo(t, dir).Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	to, toDir := newRepo(t)
	if _, err := openRepo(t, dir).Copy(t.Context(), to, list, CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, content := range contents {
		stored(to, toDir, "copied: "+name, content)
	}
	restored(t, toDir, tree)
	resticCheck(t, toDir)
}

// A file that is put in the place of another one, or changed, is not believed.
func TestFilesDoNotChangePlaces(t *testing.T) {
	r, dir := newRepo(t)
	tree := filepath.Join(t.TempDir(), "tree")
	put(t, filepath.Join(tree, "a"), "1")
	first, _ := backup(t, r, nil, tree)
	put(t, filepath.Join(tree, "a"), "2")
	second, _ := backup(t, r, nil, tree)
	path := func(s *Snapshot) string { return filepath.Join(dir, handle(storage.Snapshot, s.ID).Path()) }
	data, err := os.ReadFile(path(first))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path(second), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path(second), data, 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := r.Snapshots(t.Context())
	if err == nil || len(list) != 1 || list[0].ID != first.ID {
		t.Errorf("%v, %v", list, err)
	}
}

package repository

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
)

// recording opens a repository that keeps a record of uploads in dir.
func recording(t *testing.T, repo, dir string) (*Repository, *faulty.Store) {
	t.Helper()
	store, err := storage.Open(t.Context(), repo, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := faulty.Wrap(store)
	r, err := Open(t.Context(), f, testPassword, Options{Hostname: "testhost", PackSize: 256 << 10, Uploads: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r, f
}

func records(t *testing.T, dir string) (texts []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return texts
}

// die ends a repository as a kill does: nothing is tidied up, and its record is
// no longer locked.
func die(r *Repository) {
	r.uploads.mu.Lock()
	r.uploads.file.Close()
	r.uploads.file, r.uploads.broken = nil, true
	r.uploads.mu.Unlock()
}

// bigTree is some packs of content.
func bigTree(t *testing.T) string {
	t.Helper()
	tree := t.TempDir()
	for i := range 10 {
		write(t, filepath.Join(tree, string(rune('a'+i))), random(uint64(i), 300_000))
	}
	return tree
}

// interrupted leaves packs of a tree that no index lists.
func interrupted(t *testing.T, repo, dir, tree string) {
	t.Helper()
	r, f := recording(t, repo, dir)
	f.Before = func(_ int, op string, h storage.Handle) error {
		if op == "save" && h.Type == storage.Index {
			return errors.New("killed")
		}
		return nil
	}
	s, err := r.Begin(t.Context(), SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddPath(t.Context(), tree, PathOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), SnapshotInfo{}); err == nil {
		t.Fatal("it was not interrupted")
	}
	die(r)
}

func dataFiles(t *testing.T, repo string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(repo, "data", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAdopt(t *testing.T) {
	own, repo := newRepo(t)
	own.Close()
	dir, tree := t.TempDir(), bigTree(t)
	interrupted(t, repo, dir, tree)
	before := dataFiles(t, repo)
	if got := records(t, dir); len(got) != 1 || strings.Count(got[0], "\n") != len(before) {
		t.Fatalf("records of %d packs: %q", len(before), got)
	}
	r, _ := recording(t, repo, dir)
	_, stats := backup(t, r, nil, tree)
	if stats.New != 0 || stats.Bytes != 3_000_000 {
		t.Errorf("%d bytes of %d were stored again", stats.New, stats.Bytes)
	}
	if got := len(dataFiles(t, repo)) - len(before); got > 1 { // the trees above, at most
		t.Errorf("%d packs more", got)
	}
	r.Close()
	if got := records(t, dir); len(got) != 0 {
		t.Errorf("records are left: %q", got)
	}
	if report := check(t, openRepo(t, repo), CheckOptions{ReadData: true}); report.Err() != nil || len(report.Findings) != 0 {
		t.Error(report.Findings)
	}
	resticCheck(t, repo)
}

// TestAdoptDistrusts has a record name what cannot be used.
func TestAdoptDistrusts(t *testing.T) {
	own, repo := newRepo(t)
	own.Close()
	dir, tree := t.TempDir(), bigTree(t)
	interrupted(t, repo, dir, tree)
	packs := dataFiles(t, repo)
	for i, damage := range []func(file string) error{
		os.Remove, // a prune was here
		func(file string) error { return os.Truncate(file, 1000) },
		func(file string) error { return os.Truncate(file, 0) },
		func(file string) error { // a header of somebody else
			text, err := os.ReadFile(file)
			if err == nil {
				text[len(text)-10] ^= 1
				err = os.WriteFile(file, text, 0o600)
			}
			return err
		},
		func(file string) error { // more than the header accounts for
			text, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(file, append([]byte("more"), text...), 0o600)
			}
			return err
		},
	} {
		if err := os.Chmod(packs[i], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := damage(packs[i]); err != nil {
			t.Fatal(err)
		}
	}
	id := mustOpenID(t, repo)
	garbage := "no name\n" + strings.Repeat("f", 64) + "\n../../../etc/passwd\n" + strings.Repeat("0", 40)
	if err := os.WriteFile(filepath.Join(dir, id, "garbage"), []byte(garbage), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, id, "link")); err != nil {
		t.Fatal(err)
	}
	r, _ := recording(t, repo, dir)
	_, stats := backup(t, r, nil, tree)
	if stats.New == 0 || stats.New == stats.Bytes {
		t.Errorf("%d bytes of %d were stored again", stats.New, stats.Bytes)
	}
	// What was damaged stays, is listed by nobody, and the snapshot is whole.
	r.Close()
	report := check(t, openRepo(t, repo), CheckOptions{})
	for _, f := range report.Findings {
		if !f.Harmless() {
			t.Errorf("%v", f)
		}
	}
	restored(t, repo, tree)
}

// TestAdoptLeavesTheLiving does not touch the record of a process that lives.
func TestAdoptLeavesTheLiving(t *testing.T) {
	own, repo := newRepo(t)
	own.Close()
	dir, tree := t.TempDir(), bigTree(t)
	r, _ := recording(t, repo, dir)
	first, err := r.Begin(t.Context(), SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.AddPath(t.Context(), tree, PathOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := first.writer.flush(); err != nil {
		t.Fatal(err)
	}
	before := records(t, dir)
	second, _ := recording(t, repo, dir)
	if _, stats := backup(t, second, nil, tree); stats.New != stats.Bytes {
		t.Error("packs of another process were taken before it listed them")
	}
	second.Close()
	if after := records(t, dir); len(before) != 1 || len(after) != 1 || after[0] != before[0] {
		t.Errorf("before %q\nafter %q", before, after)
	}
	commit(t, r, first)
	r.Close()
	if after := records(t, dir); len(after) != 0 {
		t.Errorf("%q", after)
	}
	resticCheck(t, repo)
}

// TestAdoptAfterPrune: a prune in between has removed the packs, or their content
// has been stored otherwise.
func TestAdoptAfterPrune(t *testing.T) {
	own, repo := newRepo(t)
	own.Close()
	dir, tree := t.TempDir(), bigTree(t)
	interrupted(t, repo, dir, tree)
	interrupted(t, repo, t.TempDir(), tree) // by a machine whose record is lost
	r, _ := recording(t, repo, t.TempDir())
	_, stats := backup(t, r, nil, tree)
	if stats.New != stats.Bytes {
		t.Error("without a record something was adopted")
	}
	r.Close()
	packs := len(dataFiles(t, repo))
	r, _ = recording(t, repo, dir)
	if _, stats = backup(t, r, nil, tree); stats.New != 0 {
		t.Errorf("%d bytes anew", stats.New)
	}
	// The packs of the record hold nothing new, so nobody lists them.
	orphans := 0
	for _, f := range check(t, r, CheckOptions{}).Findings {
		if f.Kind == OrphanPack {
			orphans++
		}
	}
	if orphans == 0 || orphans >= packs {
		t.Errorf("%d of %d packs are unlisted", orphans, packs)
	}
	restic(t, repo, "prune")
	resticCheck(t, repo)
	restored(t, repo, tree)
}

// TestAdoptCopy kills a copy, and the next one sends nothing twice.
func TestAdoptCopy(t *testing.T) {
	src, _ := newRepo(t)
	snap, _ := backup(t, src, nil, bigTree(t))
	own, repo := newRepo(t)
	own.Close()
	dir := t.TempDir()
	dst, f := recording(t, repo, dir)
	f.Before = func(_ int, op string, h storage.Handle) error {
		if op == "save" && h.Type == storage.Index {
			return errors.New("killed")
		}
		return nil
	}
	if _, err := src.Copy(t.Context(), dst, []*Snapshot{snap}, CopyOptions{}); err == nil {
		t.Fatal("it was not interrupted")
	}
	die(dst)
	before := len(dataFiles(t, repo))
	dst, _ = recording(t, repo, dir)
	report, err := src.Copy(t.Context(), dst, []*Snapshot{snap}, CopyOptions{})
	if err != nil || report.Copied != 1 || report.Bytes != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	if after := len(dataFiles(t, repo)); before == 0 || after != before {
		t.Errorf("%d packs, then %d", before, after)
	}
	dst.Close()
	resticCheck(t, repo)
}

// TestNoRecord: a directory that cannot be used costs nothing but the help.
func TestNoRecord(t *testing.T) {
	own, repo := newRepo(t)
	own.Close()
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, []byte("in the way"))
	r, _ := recording(t, repo, file)
	backup(t, r, nil, bigTree(t))
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func mustOpenID(t *testing.T, repo string) string {
	t.Helper()
	r := openRepo(t, repo)
	defer r.Close()
	return r.ID()
}

// restored restores the latest snapshot with stock restic and compares it.
func restored(t *testing.T, repo, tree string) {
	t.Helper()
	out := t.TempDir()
	restic(t, repo, "restore", "latest", "--target", out)
	entries, err := os.ReadDir(tree)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		want, err := os.ReadFile(filepath.Join(tree, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(out, tree, e.Name())); err != nil || string(got) != string(want) {
			t.Errorf("%s came back different: %v", e.Name(), err)
		}
	}
}

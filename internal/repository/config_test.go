package repository

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"lifeboat/internal/storage"
)

// Repositories that were made like another one cut the same content at the same
// places, and stock restic takes them.
func TestCreateLike(t *testing.T) {
	if _, err := exec.LookPath("restic"); err != nil {
		t.Skip("needs restic: stock restic must read what was written")
	}
	first, _ := newRepo(t)
	like := func(r *Repository) (*Repository, string) {
		dir := filepath.Join(t.TempDir(), "repo")
		store, err := storage.Open(t.Context(), dir, storage.Options{})
		if err != nil {
			t.Fatal(err)
		}
		opts := cheap
		opts.Like = r
		made, err := Create(t.Context(), store, testPassword, opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := made.Close(); err != nil {
			t.Fatal(err)
		}
		return openRepo(t, dir), dir
	}
	second, _ := like(first)
	third, dir := like(second)
	stranger, _ := newRepo(t)
	if second.ID() == first.ID() || third.ID() == first.ID() {
		t.Error("two repositories have one ID")
	}
	data := make([]byte, 12<<20)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(data)
	from := t.TempDir()
	if err := os.WriteFile(filepath.Join(from, "big"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	content := func(r *Repository) []ID {
		s, _ := backup(t, r, nil, from)
		n, err := r.Find(t.Context(), s, filepath.Join(from, "big"))
		if err != nil {
			t.Fatal(err)
		}
		return n.Content
	}
	want := content(first)
	if got := content(third); len(want) < 2 || !slices.Equal(got, want) {
		t.Errorf("%d chunks, and %d in the copy's copy", len(want), len(got))
	}
	if slices.Equal(content(stranger), want) {
		t.Error("another repository has the same boundaries")
	}
	command := exec.Command("restic", "--no-cache", "-r", dir, "check", "--read-data")
	command.Env = append(os.Environ(), "RESTIC_PASSWORD="+string(testPassword))
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("restic check: %v\n%s", err, out)
	}
}

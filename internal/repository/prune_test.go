package repository

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// pruneRepo makes a repository with small packs, snapshots of a tree that
// changes, and some of them forgotten. It returns what is left, with where each
// state of the tree can be found.
func pruneRepo(t testing.TB, r *Repository) map[ID]string {
	t.Helper()
	r.opts.PackSize = 200_000
	base := t.TempDir()
	tree := filepath.Join(base, "tree")
	for i := range 40 {
		write(t, filepath.Join(tree, fmt.Sprint("dir", i%5), fmt.Sprint(i)), random(uint64(i), 20_000))
	}
	states := make(map[ID]string)
	var parent *Snapshot
	for n := range 6 {
		for i := range 5 {
			write(t, filepath.Join(tree, fmt.Sprint("dir", i), fmt.Sprint(i+n%2*5)), random(uint64(100+n*10+i), 30_000))
		}
		parent, _ = backup(t, r, parent, tree)
		if n%2 == 0 {
			if err := r.Forget(t.Context(), parent.ID); err != nil {
				t.Fatal(err)
			}
			continue
		}
		state := filepath.Join(base, fmt.Sprint("state", n))
		if err := os.CopyFS(state, os.DirFS(tree)); err != nil {
			t.Fatal(err)
		}
		states[parent.ID] = state
	}
	return states
}

// sameContent sees that the snapshots hold the files that they should.
func sameContent(t testing.TB, r *Repository, states map[ID]string) {
	t.Helper()
	snaps, err := r.Snapshots(t.Context())
	if err != nil || len(snaps) != len(states) {
		t.Fatalf("%d snapshots, not %d: %v", len(snaps), len(states), err)
	}
	for _, s := range snaps {
		state, ok := states[s.line()]
		if !ok {
			t.Fatalf("snapshot %s was not expected", s.ID)
		}
		files := 0
		err := r.Walk(t.Context(), s, s.Paths[0], func(name string, n *Node) error {
			if n.Type != File {
				return nil
			}
			files++
			rel, _ := filepath.Rel(s.Paths[0], name)
			want, err := os.ReadFile(filepath.Join(state, rel))
			if err == nil && string(want) != string(readAll(t, r, s, name)) {
				err = fmt.Errorf("%s differs", name)
			}
			return err
		})
		if want := len(regularFiles(t, state)); err != nil || files != want {
			t.Fatalf("%d files, not %d: %v", files, want, err)
		}
	}
}

func regularFiles(t testing.TB, root string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A prune frees what the plan said, leaves nothing to do for the next, and
// harms no snapshot.
func TestPrune(t *testing.T) {
	t.Parallel()
	r, dir := newRepo(t)
	states := pruneRepo(t, r)
	plan, err := r.Prune(t.Context(), PruneOptions{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if plan.Deleted.Packs == 0 || plan.Repacked.Packs == 0 || plan.Freed <= 0 {
		t.Fatalf("nothing to do: %+v", plan)
	}
	report, err := r.Prune(t.Context(), PruneOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Deleted != plan.Deleted || report.Repacked != plan.Repacked || report.Used != plan.Used {
		t.Errorf("done %+v, planned %+v", report, plan)
	}
	sameContent(t, r, states)
	resticCheck(t, dir)
	again, err := r.Prune(t.Context(), PruneOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if again.Deleted.Packs != 0 || again.IndexDeleted != 0 || again.Unused.Blobs != 0 || again.Total.Bytes != report.Total.Bytes-report.Freed {
		t.Errorf("the second prune: %+v after %+v", again, report)
	}
}

// A copy holds the same, and is not made twice.
func TestCopy(t *testing.T) {
	t.Parallel()
	r, _ := newRepo(t)
	states := pruneRepo(t, r)
	dst, dir := newRepo(t)
	snaps, err := r.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	report, err := r.Copy(t.Context(), dst, snaps, CopyOptions{})
	if err != nil || report.Copied != len(states) || report.Bytes == 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	sameContent(t, dst, states)
	resticCheck(t, dir)
	report, err = r.Copy(t.Context(), dst, snaps, CopyOptions{})
	if err != nil || report.Present != len(states) || report.Bytes != 0 {
		t.Errorf("again: %+v, %v", report, err)
	}
}

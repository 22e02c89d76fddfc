package repository

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lifeboat/internal/storage"
)

// What was lost from the store is stored anew by the next backup, although index
// and parent know it and no file has changed; the new point is whole at once, and
// stock restic finds nothing wrong after a repair of the index.
func TestBackupHeals(t *testing.T) {
	t.Parallel()
	needRoot(t)
	tree := filepath.Join(t.TempDir(), "tree")
	for i := range 5 {
		write(t, filepath.Join(tree, fmt.Sprint(i), "file"), random(uint64(i), 300_000))
	}
	want := describe(t, tree)
	for name, damage := range map[string]struct {
		do   func(t *testing.T, n int, path string)
		want Presence
	}{
		"all packs":      {func(t *testing.T, _ int, path string) { remove(t, path) }, Presence{Missing: 2}},
		"one pack":       {func(t *testing.T, n int, path string) { removeIf(t, n == 0, path) }, Presence{Missing: 1, Packs: 1, Listed: 1}},
		"the other pack": {func(t *testing.T, n int, path string) { removeIf(t, n == 1, path) }, Presence{Missing: 1, Packs: 1, Listed: 1}},
		"cut": {func(t *testing.T, _ int, path string) {
			if err := errors.Join(os.Chmod(path, 0o600), os.Truncate(path, 100)); err != nil {
				t.Fatal(err)
			}
		}, Presence{Cut: 2, Packs: 2}},
		"nothing": {func(*testing.T, int, string) {}, Presence{Packs: 2, Listed: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, dir := newRepo(t)
			parent, _ := backup(t, r, nil, tree)
			r.Close()
			packs, err := filepath.Glob(filepath.Join(dir, "data", "*", "*"))
			if err != nil || len(packs) != 2 {
				t.Fatalf("%d packs, %v", len(packs), err)
			}
			slices.Sort(packs)
			for n, path := range packs {
				damage.do(t, n, path)
			}
			r = openRepo(t, dir)
			s, err := r.Begin(t.Context(), SessionOptions{Parent: parent})
			if err != nil {
				t.Fatal(err)
			}
			got := s.Presence()
			if (got.Lost > 0) == got.Whole() {
				t.Errorf("%d bytes lost: %+v", got.Lost, got)
			}
			if got.Lost = 0; got != damage.want {
				t.Errorf("%+v, want %+v", got, damage.want)
			}
			stats, err := s.AddPath(t.Context(), tree, PathOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if name == "nothing" && stats.Unchanged != 5 {
				t.Errorf("%d files were taken over", stats.Unchanged)
			}
			snap := commit(t, r, s)
			r = openRepo(t, dir)
			for _, f := range check(t, r, CheckOptions{ReadData: true}).Findings {
				if slices.Contains(f.Snapshots, snap.ID) {
					t.Errorf("%s affects %v", f, f.Snapshots)
				}
			}
			lacks, err := r.Lacking(t.Context(), []*Snapshot{snap, parent})
			if err != nil || lacks[0] != nil {
				t.Errorf("it lacks %v, %v", lacks, err)
			}
			// The parent is whole again too, unless a directory above the tree, that
			// for temporary files say, was changed by somebody meanwhile.
			if lacks[1] != nil {
				if err := r.Forget(t.Context(), parent.ID); err != nil {
					t.Fatal(err)
				}
			}
			out := filepath.Join(t.TempDir(), "out")
			if _, err := r.Restore(t.Context(), snap, "/", out, RestoreOptions{}); err != nil {
				t.Fatal(err)
			}
			sameLines(t, want, describe(t, filepath.Join(out, tree)))
			if _, err := r.RepairIndex(t.Context()); err != nil {
				t.Fatal(err)
			}
			resticCheck(t, dir)
			if _, err := r.Prune(t.Context(), PruneOptions{}); err != nil {
				t.Fatal(err)
			}
			s = begin(t, r, snap)
			if !s.Presence().Whole() {
				t.Errorf("after the repair: %+v", s.Presence())
			}
			if err := s.Abort(t.Context()); err != nil {
				t.Fatal(err)
			}
			resticCheck(t, dir)
		})
	}
}

func remove(t *testing.T, path string) { removeIf(t, true, path) }

func removeIf(t *testing.T, yes bool, path string) {
	t.Helper()
	if !yes {
		return
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// lateList is a store whose lists of packs lag behind, as when others write while
// the list is made.
type lateList struct{ storage.Store }

func (l lateList) List(ctx context.Context, kind storage.Type, visit func(storage.Info) error) error {
	if kind == storage.Data {
		return nil
	}
	return l.Store.List(ctx, kind, visit)
}

// A pack that was written after the list was made is there.
func TestPackAppearsMeanwhile(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	snap := storeBytes(t, openMemory(t, m), random(1, 100_000))
	s := begin(t, openMemory(t, lateList{m}), snap)
	if p := s.Presence(); !p.Whole() || p.Listed != 2 {
		t.Errorf("%+v", p)
	}
	if err := s.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A snapshot that lacks something is told, those before and behind it are not.
func TestLacking(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	r := openMemory(t, m)
	var snaps []*Snapshot
	var packs [][]storage.Handle
	for i := range uint64(3) {
		before := m.Handles(storage.Data)
		snaps = append(snaps, storeBytes(t, r, random(i, 100_000)))
		fresh := slices.DeleteFunc(m.Handles(storage.Data), func(h storage.Handle) bool { return slices.Contains(before, h) })
		packs = append(packs, fresh)
	}
	for _, lost := range packs[1] {
		data, _ := m.Get(lost)
		if err := m.Remove(t.Context(), lost); err != nil {
			t.Fatal(err)
		}
		lacks, err := openMemory(t, m).Lacking(t.Context(), snaps)
		if err != nil || lacks[0] != nil || lacks[1] == nil || lacks[2] != nil {
			t.Errorf("without %s: %v, %v", lost, lacks, err)
		}
		m.Put(lost, data)
	}
}

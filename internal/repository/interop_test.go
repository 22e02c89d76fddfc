package repository

import (
	"path/filepath"
	"strings"
	"testing"
)

// Stock restic opens, checks, lists and restores what is written here.
func TestResticRestoresOurs(t *testing.T) {
	needRoot(t)
	tree := filepath.Join(t.TempDir(), "tree")
	nastyTree(t, tree)
	r, dir := newRepo(t)
	snap, stats := backup(t, r, nil, tree)
	if len(stats.Warnings) > 0 {
		t.Error(stats.Warnings)
	}
	resticCheck(t, dir)
	if out := restic(t, dir, "snapshots", "--json"); !strings.Contains(out, snap.ID.String()) {
		t.Errorf("restic does not list %s: %s", snap.ID, out)
	}
	out := t.TempDir()
	restic(t, dir, "restore", "latest", "--target", out)
	sameLines(t, resticKnows(describe(t, tree)), resticKnows(describe(t, filepath.Join(out, tree))))
}

// resticKnows leaves out what restic 0.14 does not keep: attributes of symbolic
// links.
func resticKnows(lines []string) []string {
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], " trusted.on-symlink=73", "")
	}
	return lines
}

// What restic writes is read, checked and restored here, in both versions.
func TestRestoreResticsOwn(t *testing.T) {
	needRoot(t)
	tree := filepath.Join(t.TempDir(), "tree")
	nastyTree(t, tree)
	for _, version := range []string{"1", "2"} {
		t.Run("version "+version, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "repo")
			restic(t, dir, "init", "--repository-version", version)
			restic(t, dir, "backup", tree)
			r := openRepo(t, dir)
			snaps, err := r.Snapshots(t.Context())
			if err != nil || len(snaps) != 1 {
				t.Fatalf("%d snapshots, %v", len(snaps), err)
			}
			target := filepath.Join(t.TempDir(), "out")
			if _, err := r.Restore(t.Context(), snaps[0], tree, target, RestoreOptions{}); err != nil {
				t.Fatal(err)
			}
			sameLines(t, resticKnows(describe(t, tree)), describe(t, target))
		})
	}
}

// Our own way there and back.
func TestRoundTrip(t *testing.T) {
	tree := filepath.Join(t.TempDir(), "tree")
	nastyTree(t, tree)
	r, _ := newRepo(t)
	snap, _ := backup(t, r, nil, tree)
	target := filepath.Join(t.TempDir(), "out")
	stats, err := r.Restore(t.Context(), snap, tree, target, RestoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(stats.Warnings) > 0 {
		t.Error(stats.Warnings)
	}
	sameTree(t, tree, target)
}

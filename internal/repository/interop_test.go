package repository

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// Stock restic opens, checks, lists and restores what is written here.
func TestResticRestoresOurs(t *testing.T) {
	t.Parallel()
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

// What restic writes is read, checked and restored here, in both versions: one
// repository that restic made, and one that we made and restic wrote to.
func TestRestoreResticsOwn(t *testing.T) {
	t.Parallel()
	needRoot(t)
	tree := filepath.Join(t.TempDir(), "tree")
	nastyTree(t, tree)
	ours, second := newRepo(t)
	ours.Close()
	first := filepath.Join(t.TempDir(), "repo")
	restic(t, first, "init", "--repository-version", "1")
	for version, dir := range map[uint]string{1: first, 2: second} {
		restic(t, dir, "backup", tree)
		r := openRepo(t, dir)
		if r.Config().Version != version {
			t.Errorf("version %d, want %d", r.Config().Version, version)
		}
		snaps, err := r.Snapshots(t.Context())
		if err != nil || len(snaps) != 1 {
			t.Fatalf("%d snapshots, %v", len(snaps), err)
		}
		target := filepath.Join(t.TempDir(), "out")
		if _, err := r.Restore(t.Context(), snaps[0], tree, target, RestoreOptions{}); err != nil {
			t.Fatal(err)
		}
		sameLines(t, resticKnows(describe(t, tree)), describe(t, target))
		report, err := r.Check(t.Context(), CheckOptions{ReadData: true})
		if err != nil || len(report.Findings) > 0 || report.Snapshots != 1 {
			t.Errorf("%+v, %v", report, err)
		}
		if version == 1 {
			if _, err := r.Begin(t.Context(), SessionOptions{}); !errors.Is(err, ErrVersion) {
				t.Errorf("a session on version 1: %v", err)
			}
			continue
		}
		// Both may go on from each other's snapshots.
		snap, stats := backup(t, r, snaps[0], tree)
		if stats.New != 0 {
			t.Errorf("%d bytes are new after restic stored the same", stats.New)
		}
		restic(t, dir, "backup", "--parent", snap.ID.String(), tree)
		resticCheck(t, dir)
	}
}

// Our own way there and back.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
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

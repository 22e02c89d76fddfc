package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
)

func snapshots(t testing.TB, r *Repository) []*Snapshot {
	t.Helper()
	list, err := r.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A copy names its original, has no parent, and keeps what this program does not
// know. One that was labelled since is another; one copied back is the same.
func TestCopyLineage(t *testing.T) {
	t.Parallel()
	m, n := newMemory(t), newMemory(t)
	src, dst := openMemory(t, m), openMemory(t, n)
	first := storeBytes(t, src, random(1, 9000))
	text, err := src.loadJSON(t.Context(), storage.Snapshot, first.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	fields["summary"], fields["parent"] = map[string]any{"files_new": 12345678901}, first.ID.String()
	fields["tags"] = []string{"b", "a"}
	id, err := src.saveJSON(t.Context(), storage.Snapshot, fields)
	if err != nil {
		t.Fatal(err)
	}
	snap, err := src.LoadSnapshot(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	report, err := src.Copy(t.Context(), dst, []*Snapshot{snap}, CopyOptions{})
	if err != nil || report.Copied != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	made := snapshots(t, dst)[0]
	if made.ID != report.Snapshots[0].Copy || *made.Original != id || made.Parent != nil || !made.Time.Equal(snap.Time) || made.Hostname != snap.Hostname {
		t.Errorf("%+v", made)
	}
	if text, err = dst.loadJSON(t.Context(), storage.Snapshot, made.ID, nil); err != nil || !strings.Contains(string(text), `"summary":{"files_new":12345678901}`) {
		t.Errorf("%s, %v", text, err)
	}
	if report, err = dst.Copy(t.Context(), src, snapshots(t, dst), CopyOptions{}); err != nil || report.Present != 1 || report.Snapshots[0].Copy != id {
		t.Errorf("copied back: %+v, %v", report, err)
	}
	third := openMemory(t, newMemory(t))
	if _, err := dst.Copy(t.Context(), third, snapshots(t, dst), CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := snapshots(t, third)[0]; *got.Original != id {
		t.Errorf("a copy of a copy has the original %s", got.Original)
	}
	snap.Tags = []string{"a", "b"}
	if report, err = src.Copy(t.Context(), dst, []*Snapshot{snap}, CopyOptions{}); err != nil || report.Present != 1 {
		t.Errorf("with its tags in another order: %+v, %v", report, err)
	}
	fields["tags"], fields["original"] = []string{"c"}, id.String()
	if id, err = src.saveJSON(t.Context(), storage.Snapshot, fields); err != nil {
		t.Fatal(err)
	}
	if snap, err = src.LoadSnapshot(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if report, err = src.Copy(t.Context(), dst, []*Snapshot{snap}, CopyOptions{}); err != nil || report.Copied != 1 || report.Bytes != 0 {
		t.Errorf("with another tag: %+v, %v", report, err)
	}
}

// What is stored is taken over as it is: as large as before, and where content
// is cut alike, what is backed up to the copy later is not stored again.
func TestCopyDeduplicates(t *testing.T) {
	t.Parallel()
	tree := filepath.Join(t.TempDir(), "tree")
	write(t, filepath.Join(tree, "text"), []byte(strings.Repeat("again and again the same\n", 200_000)))
	write(t, filepath.Join(tree, "noise"), random(1, 12<<20))
	m := faulty.NewMemory()
	src, err := Create(t.Context(), m, testPassword, cheap)
	if err != nil {
		t.Fatal(err)
	}
	backup(t, src, nil, tree)
	opts := cheap
	opts.Like = src
	n := faulty.NewMemory()
	dst, err := Create(t.Context(), n, []byte("another password"), opts)
	if err != nil {
		t.Fatal(err)
	}
	var last CopyProgress
	report, err := src.Copy(t.Context(), dst, snapshots(t, src), CopyOptions{Progress: func(p CopyProgress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	if last.Done != 1 || last.Snapshots != 1 || last.Bytes != report.Bytes || last.Blobs != report.Blobs {
		t.Errorf("progress ended at %+v, the report is %+v", last, report)
	}
	size := func(m *faulty.Memory) (n int) {
		for _, h := range m.Handles(storage.Data) {
			data, _ := m.Get(h)
			n += len(data)
		}
		return n
	}
	if size(m) != size(n) {
		t.Errorf("%d bytes became %d", size(m), size(n))
	}
	if _, stats := backup(t, dst, nil, tree); stats.New != 0 {
		t.Errorf("%d bytes were stored again", stats.New)
	}
}

func TestCopyRefuses(t *testing.T) {
	t.Parallel()
	base := memoryRepo(t)
	src := openMemory(t, base)
	if _, err := src.Copy(t.Context(), openMemory(t, base), snapshots(t, src), CopyOptions{}); err == nil {
		t.Error("copied into itself")
	}

	// Damage in the source: nothing refers to what is not there.
	m := cloneMemory(base)
	needed, _ := neededPack(t, m, DataBlob)
	if err := m.Remove(t.Context(), handle(storage.Data, needed)); err != nil {
		t.Fatal(err)
	}
	n := newMemory(t)
	broken, dst := openMemory(t, m), openMemory(t, n)
	report, err := broken.Copy(t.Context(), dst, snapshots(t, broken), CopyOptions{})
	if err != nil || len(report.Damaged) == 0 || !errors.Is(report.Damaged[0].Err, ErrDamaged) || !strings.Contains(report.Damaged[0].Err.Error(), needed.String()) {
		t.Errorf("%+v, %v", report, err)
	}
	if got := len(snapshots(t, dst)); got != report.Copied {
		t.Errorf("%d snapshots, the report says %d", got, report.Copied)
	}
	sound(t, n, contents(t, dst))
	// What was copied is used once the source is whole.
	again, err := src.Copy(t.Context(), dst, snapshots(t, src), CopyOptions{})
	if err != nil || report.Blobs == 0 || report.Blobs+again.Blobs != int64(len(blobsOf(src))) {
		t.Errorf("%d blobs before, %d now, %v", report.Blobs, again.Blobs, err)
	}
	sound(t, n, contents(t, src))

	// A destination that has lost a pack which its index lists.
	needed, _ = neededPack(t, n, DataBlob)
	if err := n.Remove(t.Context(), handle(storage.Data, needed)); err != nil {
		t.Fatal(err)
	}
	storeBytes(t, src, random(7, 100))
	if report, err = src.Copy(t.Context(), openMemory(t, n), snapshots(t, src), CopyOptions{}); !errors.Is(err, ErrDamaged) || report.Copied != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// What is damaged is left out and named; what shares parts with it is copied in
// full, before and behind it, whether the damage shows in a list or in the bytes.
func TestCopyLeavesOutDamaged(t *testing.T) {
	t.Parallel()
	base := newMemory(t)
	r := openMemory(t, base)
	var snaps []*Snapshot
	for _, seeds := range [][]uint64{{1, 2}, {1, 3, 4}, {1, 4, 5}, {3, 5}} {
		s := begin(t, r, nil)
		for _, seed := range seeds {
			if _, err := s.AddBytes(t.Context(), fmt.Sprintf("/dir/%d", seed), Stream{ModTime: s.begun}, random(seed, 30_000)); err != nil {
				t.Fatal(err)
			}
		}
		snaps = append(snaps, commit(t, r, s))
	}
	lost, _ := r.index.lookup(DataBlob, Hash(random(3, 30_000)))
	for name, harm := range map[string]func(*faulty.Memory, storage.Handle){
		"gone": func(m *faulty.Memory, h storage.Handle) {
			if err := m.Remove(t.Context(), h); err != nil {
				t.Fatal(err)
			}
		},
		"altered": func(m *faulty.Memory, h storage.Handle) {
			data, _ := m.Get(h)
			data = append([]byte(nil), data...)
			data[lost.blob.offset+100] ^= 1
			m.Put(h, data)
		},
	} {
		m := cloneMemory(base)
		harm(m, handle(storage.Data, lost.pack))
		src, n := openMemory(t, m), newMemory(t)
		left := func(report CopyReport) (ids []ID) {
			for _, d := range report.Damaged {
				if !errors.Is(d.Err, ErrDamaged) {
					t.Errorf("%s: %v", name, d.Err)
				}
				ids = append(ids, d.ID)
			}
			return ids
		}
		want := []ID{snaps[1].ID, snaps[3].ID}
		if name == "gone" {
			if plan, err := src.PlanCopy(t.Context(), openMemory(t, n), snaps); err != nil || !slices.Equal(left(plan), want) || plan.Copied != 2 {
				t.Errorf("planned %+v, %v", plan, err)
			}
		}
		report, err := src.Copy(t.Context(), openMemory(t, n), snaps, CopyOptions{})
		if err != nil || !slices.Equal(left(report), want) || report.Copied != len(snaps)-len(want) {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
		dst := openMemory(t, n)
		if check := check(t, dst, CheckOptions{ReadData: true}); check.Err() != nil || len(snapshots(t, dst)) != report.Copied {
			t.Errorf("%s: %v", name, check.Err())
		}
		// Whole again, the rest follows, and no blob was stored twice.
		again, err := r.Copy(t.Context(), openMemory(t, n), snaps, CopyOptions{})
		if err != nil || again.Copied != len(want) || report.Blobs+again.Blobs != int64(len(blobsOf(r))) {
			t.Errorf("%s: %d blobs before, %+v, %v", name, report.Blobs, again, err)
		}
		sound(t, n, contents(t, r))
	}
}

type blobKey struct {
	kind BlobType
	id   ID
}

// blobsOf are the blobs that the snapshots of a repository need.
func blobsOf(r *Repository) map[blobKey]bool {
	blobs := make(map[blobKey]bool)
	ctx := context.Background()
	list, _ := r.Snapshots(ctx)
	for _, s := range list {
		_ = r.Walk(ctx, s, "/", func(_ string, n *Node) error {
			if n.Subtree != nil {
				blobs[blobKey{TreeBlob, *n.Subtree}] = true
			}
			for _, id := range n.Content {
				blobs[blobKey{DataBlob, id}] = true
			}
			return nil
		})
	}
	return blobs
}

// A copy that can be read in another place is taken from there.
func TestCopyAvoidsDamage(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	src := openMemory(t, m)
	storeBytes(t, src, random(1, 40_000))
	first, _ := src.index.lookup(DataBlob, Hash(random(1, 40_000)))
	rawPack(t, src, moved{plain: random(1, 40_000)})
	want := contents(t, openMemory(t, m))
	h := handle(storage.Data, first.pack)
	data, _ := m.Get(h)
	data = append([]byte(nil), data...)
	data[100] ^= 1
	m.Put(h, data)
	n := newMemory(t)
	if _, err := src.Copy(t.Context(), openMemory(t, n), snapshots(t, src), CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	sound(t, n, want)
}

// Restic's own repositories are copied, of version 1 too, and restic reads the
// copy and copies from it.
func TestCopyBesideRestic(t *testing.T) {
	t.Parallel()
	needRoot(t)
	tree := filepath.Join(t.TempDir(), "tree")
	nastyTree(t, tree)
	for _, version := range []string{"1", "2"} {
		theirs := filepath.Join(t.TempDir(), "theirs")
		restic(t, theirs, "init", "--repository-version", version)
		restic(t, theirs, "backup", "--tag", "x", tree)
		src := openRepo(t, theirs)
		dst, dir := newRepo(t)
		if _, err := src.Copy(t.Context(), dst, snapshots(t, src), CopyOptions{}); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(contents(t, src), contents(t, dst)) {
			t.Error("the copy differs")
		}
		resticCheck(t, dir)
		out := t.TempDir()
		restic(t, dir, "restore", "latest", "--target", out)
		sameLines(t, resticKnows(describe(t, tree)), resticKnows(describe(t, filepath.Join(out, tree))))
		// Restic finds that its snapshot is there already.
		pass := filepath.Join(t.TempDir(), "password")
		write(t, pass, testPassword)
		text := restic(t, dir, "copy", "--from-repo", theirs, "--from-password-file", pass)
		if !strings.Contains(text, "already copied") || len(snapshots(t, dst)) != 1 {
			t.Errorf("restic copied it again: %s", text)
		}
	}
}

// A copy that is cancelled can be gone on with, and holds no lock.
func TestCopyCancelled(t *testing.T) {
	t.Parallel()
	m := memoryRepo(t)
	src := openMemory(t, m)
	n := newMemory(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, err := src.Copy(ctx, openMemory(t, n), snapshots(t, src), CopyOptions{Progress: func(p CopyProgress) {
		if p.Blobs == 12 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if len(m.Handles(storage.Lock))+len(n.Handles(storage.Lock)) > 0 {
		t.Error("a lock is left")
	}
	sound(t, n, contents(t, openMemory(t, n)))
	second, err := src.Copy(t.Context(), openMemory(t, n), snapshots(t, src), CopyOptions{})
	if err != nil || second.Blobs == 0 {
		t.Errorf("%+v after %+v, %v", second, first, err)
	}
	sound(t, n, contents(t, src))
}

// Many snapshots of which little is new leave few packs, and one that is given
// twice is copied once.
func TestCopyGathers(t *testing.T) {
	t.Parallel()
	src := openMemory(t, newMemory(t))
	var list []*Snapshot
	for n := range 6 {
		list = append(list, storeBytes(t, src, random(uint64(n), 500)))
	}
	n := newMemory(t)
	report, err := src.Copy(t.Context(), openMemory(t, n), append(list, list[2]), CopyOptions{})
	if err != nil || report.Copied != 6 || report.Present != 1 || len(report.Snapshots) != 7 {
		t.Errorf("%+v, %v", report, err)
	}
	if packs, files := len(n.Handles(storage.Data)), len(n.Handles(storage.Index)); packs != 2 || files != 1 {
		t.Errorf("%d packs, %d index files", packs, files)
	}
	sound(t, n, contents(t, src))
	// One that was forgotten between the list and the lock ends it by name; those
	// before it are there.
	if err := src.Forget(t.Context(), list[3].ID); err != nil {
		t.Fatal(err)
	}
	n = newMemory(t)
	report, err = src.Copy(t.Context(), openMemory(t, n), list, CopyOptions{})
	if !errors.Is(err, ErrNoSnapshot) || !strings.Contains(err.Error(), list[3].ID.Short()) || report.Copied != 3 {
		t.Errorf("%+v, %v", report, err)
	}
	sound(t, n, contents(t, openMemory(t, n)))
}

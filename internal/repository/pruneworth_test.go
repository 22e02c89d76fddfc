package repository

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
)

// How much is repacked follows the options.
func TestPruneWorth(t *testing.T) {
	t.Parallel()
	base := memoryRepo(t)
	want := contents(t, openMemory(t, base))
	for _, test := range []struct {
		name string
		opts PruneOptions
		ok   func(r *PruneReport) bool
	}{
		{"none tolerated", PruneOptions{}, func(r *PruneReport) bool { return r.Left.Bytes == 0 && r.Left.Blobs == 0 && r.Repacked.Packs > 1 }},
		{"much tolerated", PruneOptions{MaxUnused: 0.9}, func(r *PruneReport) bool { return r.Left.Bytes > 0 }},
		{"bounded", PruneOptions{MaxRepack: 60_000}, func(r *PruneReport) bool {
			return r.Repacked.Packs > 0 && r.Repacked.Bytes <= 60_000 && r.Left.Bytes > 0
		}},
		{"no packs", PruneOptions{KeepPacks: true}, func(r *PruneReport) bool {
			return r.Repacked.Packs == 0 && r.Written == 0 && r.Deleted.Packs > 1 && r.Left.Bytes > 0
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := cloneMemory(base)
			test.opts.DryRun = true
			plan, err := openMemory(t, m).Prune(t.Context(), test.opts)
			if err != nil {
				t.Fatal(err)
			}
			test.opts.DryRun = false
			report, err := openMemory(t, m).Prune(t.Context(), test.opts)
			if err != nil || !test.ok(report) {
				t.Errorf("%+v, %v", report, err)
			}
			if report.Deleted != plan.Deleted || report.Left != plan.Left || report.Repacked != plan.Repacked {
				t.Errorf("planned %+v, did %+v", plan, report)
			}
			// The plan leaves out only the fixed part of each new pack.
			if more := report.Written - plan.Written; more < 0 || more > 36*4 {
				t.Errorf("%d bytes written, %d planned", report.Written, plan.Written)
			}
			sound(t, m, want)
			var bytes int64
			for _, h := range m.Handles(storage.Data) {
				data, _ := m.Get(h)
				bytes += int64(len(data))
			}
			if bytes != report.Total.Bytes-report.Freed {
				t.Errorf("%d bytes are left of %d, %d were freed", bytes, report.Total.Bytes, report.Freed)
			}
		})
	}
	for _, share := range []float64{-0.1, 1} {
		if _, err := openMemory(t, base).Prune(t.Context(), PruneOptions{MaxUnused: share}); err == nil {
			t.Errorf("a share of %g was accepted", share)
		}
	}
}

// rawPack stores a pack of chosen blobs, of both types if so asked, and lists it.
func rawPack(t testing.TB, r *Repository, blobs ...moved) ID {
	t.Helper()
	w, err := newWriter(t.Context(), r, CompressionOff, 1)
	if err != nil {
		t.Fatal(err)
	}
	p := &openPack{}
	for _, b := range blobs {
		sealed := r.key.Seal(nil, b.plain)
		e := packedBlob{id: Hash(b.plain), kind: b.kind, offset: uint32(len(p.data)), length: uint32(len(sealed))}
		p.data = append(p.data, sealed...)
		p.blobs = append(p.blobs, e)
	}
	before := r.index.packs
	if err := w.upload(p); err != nil {
		t.Fatal(err)
	}
	if err := r.flushIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(r.index.packs) != len(before)+1 {
		t.Fatal("no pack was added")
	}
	return r.index.packs[len(before)].id
}

// A pack that holds trees and data, as some writers made them, is taken apart.
func TestPruneParts(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	r := openMemory(t, m)
	tree := &Tree{Nodes: []*Node{{Name: "x", Type: File, Size: 8000, Content: []ID{Hash(random(1, 8000))}}}}
	text, err := tree.encode()
	if err != nil {
		t.Fatal(err)
	}
	mixed := rawPack(t, r, moved{packedBlob: packedBlob{kind: DataBlob}, plain: random(1, 8000)}, moved{packedBlob: packedBlob{kind: TreeBlob}, plain: text})
	root := Hash(text)
	if _, err := r.saveJSON(t.Context(), storage.Snapshot, &Snapshot{Tree: &root, Paths: []string{"/"}}); err != nil {
		t.Fatal(err)
	}
	want := contents(t, openMemory(t, m))
	report, err := r.Prune(t.Context(), PruneOptions{MaxUnused: 0.9})
	if err != nil || report.Repacked.Packs != 1 || report.Deleted.Packs != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	if _, there := m.Get(handle(storage.Data, mixed)); there || len(m.Handles(storage.Data)) != 2 {
		t.Errorf("packs: %v", m.Handles(storage.Data))
	}
	sound(t, m, want)
}

// Of several copies one is kept, and that one can be read.
func TestPruneDuplicates(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]int{"whole": -1, "first damaged": 0, "second damaged": 1, "third damaged": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory(t)
			r := openMemory(t, m)
			storeBytes(t, r, random(1, 40_000))
			first, _ := r.index.lookup(DataBlob, Hash(random(1, 40_000)))
			packs := []ID{first.pack}
			for n := range 2 {
				packs = append(packs, rawPack(t, r, moved{plain: random(1, 40_000)}, moved{plain: random(uint64(50+n), 500)}))
			}
			want := contents(t, openMemory(t, m))
			if harm >= 0 {
				h := handle(storage.Data, packs[harm])
				data, _ := m.Get(h)
				data = append([]byte(nil), data...)
				data[100] ^= 1
				m.Put(h, data)
			}
			report, err := r.Prune(t.Context(), PruneOptions{})
			if err != nil || report.Duplicates.Blobs != 2 || report.Duplicates.Bytes < 80_000 || report.Deleted.Packs < 2 {
				t.Fatalf("%+v, %v", report, err)
			}
			if report := sound(t, m, want); len(report.Findings) > 0 {
				t.Error(report.Findings)
			}
		})
	}
}

// Many small index files become few.
func TestPruneIndexFiles(t *testing.T) {
	t.Parallel()
	m := newMemory(t)
	r := openMemory(t, m)
	for n := range manySmall {
		storeBytes(t, r, random(uint64(n), 40_000))
	}
	want := contents(t, openMemory(t, m))
	if _, err := r.Prune(t.Context(), PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := len(m.Handles(storage.Index)); n > 2 {
		t.Errorf("%d index files", n)
	}
	sound(t, m, want)
	before := allFiles(m)
	if _, err := r.Prune(t.Context(), PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(before, allFiles(m)) {
		t.Error("the second prune found something to do")
	}
}

// Restic's prune and ours go on from each other.
func TestPruneBesideRestic(t *testing.T) {
	t.Parallel()
	r, dir := newRepo(t)
	tree := filepath.Join(t.TempDir(), "tree")
	change := func(n uint64) {
		for i := range uint64(8) {
			seed := i
			if i%4 == n%4 {
				seed = n*100 + i
			}
			write(t, filepath.Join(tree, fmt.Sprint("d", i%3), fmt.Sprint(i)), random(seed, 60_000))
		}
	}
	for n := range uint64(3) {
		change(10 + 2*n)
		backup(t, r, nil, tree)
		change(11 + 2*n)
		restic(t, dir, "backup", tree)
	}
	restic(t, dir, "forget", "--keep-last", "4", "--group-by", "", "--prune", "--max-unused", "0")
	r = openRepo(t, dir)
	snaps, err := r.Snapshots(t.Context())
	if err != nil || len(snaps) != 4 {
		t.Fatalf("%d snapshots, %v", len(snaps), err)
	}
	want := contents(t, r)
	plan, err := r.Prune(t.Context(), PruneOptions{DryRun: true})
	if err != nil || plan.Unused.Blobs != 0 || plan.Unindexed.Packs != 0 {
		t.Errorf("after restic's prune: %+v, %v", plan, err)
	}
	for _, s := range snaps[:2] {
		if err := r.Forget(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		delete(want, s.ID)
	}
	if report, err := r.Prune(t.Context(), PruneOptions{}); err != nil || report.Freed <= 0 {
		t.Errorf("%+v, %v", report, err)
	}
	resticCheck(t, dir)
	if out := restic(t, dir, "prune", "--dry-run", "--max-unused", "0"); !strings.Contains(strings.Join(strings.Fields(out), " "), "total prune: 0 blobs") {
		t.Errorf("restic finds something to prune after us: %s", out)
	}
	if got := contents(t, openRepo(t, dir)); !maps.Equal(got, want) {
		t.Error("snapshots differ")
	}
	out := t.TempDir()
	restic(t, dir, "restore", "latest", "--target", out)
	sameTree(t, tree, filepath.Join(out, tree))
	restic(t, dir, "backup", tree)
	resticCheck(t, dir)
	if err := os.RemoveAll(out); err != nil {
		t.Fatal(err)
	}
}

// Answers that are given twice: every list names its files twice, every deletion
// finds what an earlier attempt of it has deleted.
func TestPruneAnsweredTwice(t *testing.T) {
	t.Parallel()
	m := memoryRepo(t)
	want := contents(t, openMemory(t, m))
	r := openMemory(t, twice{m})
	if _, err := r.Prune(t.Context(), PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	if report := sound(t, m, want); len(report.Findings) > 0 {
		t.Error(report.Findings)
	}
	if n := len(m.Handles(storage.Lock)); n > 0 {
		t.Errorf("%d locks are left", n)
	}
	dst := newMemory(t)
	snaps, err := r.Snapshots(t.Context())
	if err != nil || len(snaps) != len(want) {
		t.Fatalf("%d snapshots, %v", len(snaps), err)
	}
	if _, err := r.Copy(t.Context(), openMemory(t, twice{dst}), snaps, CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	sound(t, dst, want)
}

// A store that fills up stops a prune; nothing is lost, and one that keeps packs
// makes room.
func TestPruneFull(t *testing.T) {
	t.Parallel()
	base := memoryRepo(t)
	want := contents(t, openMemory(t, base))
	for _, space := range []int64{0, 1000, 30_000, 70_000} {
		m := cloneMemory(base)
		f := faulty.Wrap(m)
		f.Space(space)
		_, err := openMemory(t, f).Prune(t.Context(), PruneOptions{})
		if err == nil || !strings.Contains(err.Error(), storage.ErrNoSpace.Error()) {
			t.Errorf("with %d bytes: %v", space, err)
		}
		sound(t, m, want)
		f.Space(4000)
		if _, err := openMemory(t, f).Prune(t.Context(), PruneOptions{KeepPacks: true}); err != nil {
			t.Errorf("with %d bytes, then keeping packs: %v", space, err)
		}
		if report := sound(t, m, want); len(report.Findings) > 0 {
			t.Error(report.Findings)
		}
	}
}

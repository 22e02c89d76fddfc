package repository

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
)

// allFiles is what a store holds but for locks, which come and go.
func allFiles(m *faulty.Memory) map[storage.Handle]int {
	files := make(map[storage.Handle]int)
	for _, kind := range storage.Types {
		if kind == storage.Lock {
			continue
		}
		for _, h := range m.Handles(kind) {
			data, _ := m.Get(h)
			files[h] = len(data)
		}
	}
	return files
}

// neededPack returns a pack that holds a blob that a snapshot needs, and one all
// of whose blobs are unneeded.
func neededPack(t testing.TB, m *faulty.Memory, kind BlobType) (needed, unneeded ID) {
	t.Helper()
	p := &prune{r: openMemory(t, m), report: new(PruneReport), packs: make(map[ID]*packState)}
	p.opts = PruneOptions{DryRun: true, Progress: func(PruneStage, int64, int64) {}}
	if err := p.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id, s := range p.packs {
		switch {
		case s.used > 0 && s.kind() == kind:
			needed = id
		case s.used == 0 && s.blobs() > 0:
			unneeded = id
		}
	}
	return needed, unneeded
}

func TestPruneRefusesDamage(t *testing.T) {
	t.Parallel()
	base := memoryRepo(t)
	first := func(t *testing.T, m *faulty.Memory, kind storage.Type) storage.Handle {
		return m.Handles(kind)[0]
	}
	flip := func(m *faulty.Memory, h storage.Handle) {
		data, _ := m.Get(h)
		data = append([]byte(nil), data...)
		data[len(data)/2] ^= 1
		m.Put(h, data)
	}
	pack := func(id ID) storage.Handle { return handle(storage.Data, id) }
	for name, harm := range map[string]func(t *testing.T, m *faulty.Memory) string{
		"snapshot": func(t *testing.T, m *faulty.Memory) string {
			h := first(t, m, storage.Snapshot)
			flip(m, h)
			return h.Name
		},
		"index": func(t *testing.T, m *faulty.Memory) string {
			h := first(t, m, storage.Index)
			flip(m, h)
			return h.Name
		},
		"index gone": func(t *testing.T, m *faulty.Memory) string {
			for _, h := range m.Handles(storage.Index) {
				if err := m.Remove(t.Context(), h); err != nil {
					t.Fatal(err)
				}
			}
			return "repair the index"
		},
		"trees": func(t *testing.T, m *faulty.Memory) string {
			id, _ := neededPack(t, m, TreeBlob)
			data, _ := m.Get(pack(id))
			data = append([]byte(nil), data...)
			for i := range data {
				data[i] ^= 1
			}
			m.Put(pack(id), data)
			return id.String()
		},
		"pack gone": func(t *testing.T, m *faulty.Memory) string {
			id, _ := neededPack(t, m, DataBlob)
			if err := m.Remove(t.Context(), pack(id)); err != nil {
				t.Fatal(err)
			}
			return id.String()
		},
		"pack cut short": func(t *testing.T, m *faulty.Memory) string {
			id, _ := neededPack(t, m, DataBlob)
			data, _ := m.Get(pack(id))
			m.Put(pack(id), data[:len(data)-1])
			return id.String()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := cloneMemory(base)
			names := harm(t, m)
			before := allFiles(m)
			_, err := openMemory(t, m).Prune(t.Context(), PruneOptions{})
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), names) {
				t.Errorf("%v; it should name %s", err, names)
			}
			if !maps.Equal(before, allFiles(m)) {
				t.Error("something was changed")
			}
			if locks := m.Handles(storage.Lock); len(locks) > 0 {
				t.Errorf("left over: %v", locks)
			}
		})
	}
}

// A blob that has to be moved and cannot be read ends a prune before anything
// was deleted.
func TestPruneRefusesToMoveDamage(t *testing.T) {
	t.Parallel()
	m := memoryRepo(t)
	r := openMemory(t, m)
	p := &prune{r: r, report: new(PruneReport), packs: make(map[ID]*packState)}
	p.opts = PruneOptions{DryRun: true, Progress: func(PruneStage, int64, int64) {}}
	if err := p.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	for id, blobs := range p.index.byPack() {
		if p.packs[id].fate != repackPack || p.packs[id].kind() != DataBlob {
			continue
		}
		for _, b := range blobs {
			if p.counts(place{id, b}) {
				h := handle(storage.Data, id)
				data, _ := m.Get(h)
				data = append([]byte(nil), data...)
				data[b.offset+b.length/2] ^= 1
				m.Put(h, data)
			}
		}
	}
	before := allFiles(m)
	_, err := r.Prune(t.Context(), PruneOptions{})
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "nothing was deleted") {
		t.Errorf("%v", err)
	}
	after := allFiles(m)
	for h := range before {
		if _, there := after[h]; !there {
			t.Errorf("%s was deleted", h)
		}
	}
}

// What is damaged and not needed goes.
func TestPruneRemovesUnneededDamage(t *testing.T) {
	t.Parallel()
	base := memoryRepo(t)
	want := contents(t, openMemory(t, base))
	for name, harm := range map[string]func(m *faulty.Memory, h storage.Handle){
		"gone":      func(m *faulty.Memory, h storage.Handle) { _ = m.Remove(context.Background(), h) },
		"cut short": func(m *faulty.Memory, h storage.Handle) { data, _ := m.Get(h); m.Put(h, data[:10]) },
		"garbage":   func(m *faulty.Memory, h storage.Handle) { data, _ := m.Get(h); m.Put(h, make([]byte, len(data))) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := cloneMemory(base)
			_, unneeded := neededPack(t, m, DataBlob)
			harm(m, handle(storage.Data, unneeded))
			if _, err := openMemory(t, m).Prune(t.Context(), PruneOptions{}); err != nil {
				t.Fatal(err)
			}
			if report := sound(t, m, want); len(report.Findings) > 0 {
				t.Error(report.Findings)
			}
		})
	}
}

// A plan writes nothing, also where nothing can be written.
func TestPruneDryRun(t *testing.T) {
	t.Parallel()
	m := memoryRepo(t)
	f := faulty.Wrap(m)
	f.Before = func(_ int, op string, h storage.Handle) error {
		if op == "save" || op == "remove" {
			return fmt.Errorf("%s %s: %w", op, h, storage.ErrReadOnly)
		}
		return nil
	}
	report, err := openMemory(t, f).Prune(t.Context(), PruneOptions{DryRun: true})
	if err != nil || report.Freed <= 0 || report.Deleted.Packs == 0 || report.Unindexed.Packs != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestPruneLocks(t *testing.T) {
	t.Parallel()
	m := memoryRepo(t)
	before := allFiles(m)
	writer, pruner := openMemory(t, m), openMemory(t, m)
	s := begin(t, writer, nil)
	for _, r := range []*Repository{pruner, writer} {
		if _, err := r.Prune(t.Context(), PruneOptions{}); !errors.Is(err, ErrLocked) {
			t.Errorf("a prune beside a backup: %v", err)
		}
	}
	if _, err := pruner.Prune(t.Context(), PruneOptions{DryRun: true}); err != nil {
		t.Errorf("a plan beside a backup: %v", err)
	}
	if err := s.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(before, allFiles(m)) {
		t.Error("something was changed")
	}
	// Both ways: while a prune is at work no backup begins, and no copy.
	dst := openMemory(t, newMemory(t))
	snaps, err := writer.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tried := false
	try := sync.OnceFunc(func() {
		tried = true
		if _, err := writer.Begin(t.Context(), SessionOptions{}); !errors.Is(err, ErrLocked) {
			t.Errorf("a backup beside a prune: %v", err)
		}
		if _, err := writer.Copy(t.Context(), dst, snaps, CopyOptions{}); !errors.Is(err, ErrLocked) {
			t.Errorf("a copy from where a prune is at work: %v", err)
		}
		if _, err := dst.Copy(t.Context(), writer, nil, CopyOptions{}); !errors.Is(err, ErrLocked) {
			t.Errorf("a copy to where a prune is at work: %v", err)
		}
		if _, err := writer.Prune(t.Context(), PruneOptions{DryRun: true}); !errors.Is(err, ErrLocked) {
			t.Errorf("a plan beside a prune: %v", err)
		}
	})
	opts := PruneOptions{Progress: func(stage PruneStage, _, _ int64) {
		if stage == PruneRepack {
			try()
		}
	}}
	if _, err := pruner.Prune(t.Context(), opts); err != nil || !tried {
		t.Errorf("tried: %v, %v", tried, err)
	}
	pruner.opts.NoLock = true
	if _, err := pruner.Prune(t.Context(), PruneOptions{}); err == nil {
		t.Error("pruned without a lock")
	}
}

// storeBytes makes a snapshot of one file.
func storeBytes(t testing.TB, r *Repository, data []byte) *Snapshot {
	t.Helper()
	s := begin(t, r, nil)
	if _, err := s.AddBytes(t.Context(), "/x", Stream{ModTime: s.begun}, data); err != nil {
		t.Fatal(err)
	}
	return commit(t, r, s)
}

func newMemory(t testing.TB) *faulty.Memory {
	t.Helper()
	m := faulty.NewMemory()
	if _, err := Create(t.Context(), m, testPassword, cheap); err != nil {
		t.Fatal(err)
	}
	return m
}

// While a prune runs its lock is removed by someone who believes it dead, who
// backs up too. Nothing of that is deleted.
func TestPruneLosesLock(t *testing.T) {
	t.Parallel()
	for _, stage := range []PruneStage{PruneWalk, PruneRepack, PruneIndex, PruneDelete} {
		t.Run(string(stage), func(t *testing.T) {
			t.Parallel()
			m := memoryRepo(t)
			want := contents(t, openMemory(t, m))
			intrude := sync.OnceFunc(func() {
				other := openMemory(t, m)
				if _, err := other.Unlock(t.Context(), true); err != nil {
					t.Error(err)
				}
				if stage == PruneDelete {
					return // too late for another's backup: the lock was there when deleting began
				}
				snap := storeBytes(t, other, random(100, 8_000)) // what the prune would delete
				want[snap.ID] = contents(t, other)[snap.ID]
			})
			_, err := openMemory(t, m).Prune(t.Context(), PruneOptions{Progress: func(s PruneStage, _, _ int64) {
				if s == stage {
					intrude()
				}
			}})
			if stage != PruneDelete && !errors.Is(err, ErrLocked) {
				t.Errorf("%v", err)
			}
			sound(t, m, want)
		})
	}
}

// A snapshot that appears although the lock is held stops the deletion too.
func TestPruneMeetsSnapshot(t *testing.T) {
	t.Parallel()
	m := memoryRepo(t)
	intrude := sync.OnceFunc(func() {
		other := openMemory(t, m)
		other.opts.NoLock = true
		storeBytes(t, other, random(100, 8_000))
	})
	_, err := openMemory(t, m).Prune(t.Context(), PruneOptions{Progress: func(s PruneStage, _, _ int64) {
		if s == PruneRepack {
			intrude()
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "snapshot") || !strings.Contains(err.Error(), "prune again") {
		t.Errorf("%v", err)
	}
	sound(t, m, contents(t, openMemory(t, m)))
}

// A store that takes additions only is told before anything is written to it, and
// packs that are locked one by one are left, listed nowhere.
func TestPruneMayNotDelete(t *testing.T) {
	t.Parallel()
	refuse := func(m *faulty.Memory, forbidden func(h storage.Handle) bool) *Repository {
		f := faulty.Wrap(m)
		f.Before = func(_ int, op string, h storage.Handle) error {
			if op == "remove" && forbidden(h) {
				return fmt.Errorf("remove %s: %w", h, fs.ErrPermission)
			}
			return nil
		}
		return openMemory(t, f)
	}
	base := memoryRepo(t)
	want := contents(t, openMemory(t, base))

	m := cloneMemory(base)
	before := allFiles(m)
	for range 2 {
		_, err := refuse(m, func(h storage.Handle) bool { return h.Type != storage.Lock }).Prune(t.Context(), PruneOptions{})
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "does not delete") {
			t.Errorf("%v", err)
		}
	}
	if n := len(allFiles(m)) - len(before); n != 1 {
		t.Errorf("%d files were left by two tries", n)
	}
	sound(t, m, want)

	m = cloneMemory(base)
	plan, err := openMemory(t, m).Prune(t.Context(), PruneOptions{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	report, err := refuse(m, func(h storage.Handle) bool { return h.Type == storage.Data }).Prune(t.Context(), PruneOptions{})
	if err != nil || report.Refused != plan.Deleted || report.Deleted.Packs != 0 || report.Reason == "" || report.Freed >= 0 {
		t.Errorf("planned %+v, got %+v, %v", plan, report, err)
	}
	sound(t, m, want)
	report, err = openMemory(t, m).Prune(t.Context(), PruneOptions{})
	if err != nil || report.Unindexed != plan.Deleted || report.Deleted != plan.Deleted {
		t.Errorf("after the lock has ended: %+v, %v", report, err)
	}
	sound(t, m, want)

	m = cloneMemory(base)
	old := m.Handles(storage.Index)
	report, err = refuse(m, func(h storage.Handle) bool { return slices.Contains(old, h) }).Prune(t.Context(), PruneOptions{})
	if err != nil || report.Refused.Packs == 0 || report.Reason == "" {
		t.Errorf("with index files that stay: %+v, %v", report, err)
	}
	sound(t, m, want)
	if _, err = openMemory(t, m).Prune(t.Context(), PruneOptions{}); err != nil {
		t.Error(err)
	}
	if report := sound(t, m, want); len(report.Findings) > 0 {
		t.Error(report.Findings)
	}
}

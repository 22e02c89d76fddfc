package repository

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
)

var errDead = errors.New("the process is dead")

// dyingStore ends before its n-th operation, or after it and before the answer;
// nothing is possible afterwards.
type dyingStore struct {
	storage.Store
	n      int
	answer bool // the last operation is carried out

	mu    sync.Mutex
	calls int
}

func (d *dyingStore) do(op func() error) error {
	d.mu.Lock()
	d.calls++
	n := d.calls
	d.mu.Unlock()
	if d.n > 0 && (n > d.n || n == d.n && !d.answer) {
		return errDead
	}
	err := op()
	if n == d.n {
		return errDead
	}
	return err
}

func (d *dyingStore) Save(ctx context.Context, h storage.Handle, data []byte) error {
	return d.do(func() error { return d.Store.Save(ctx, h, data) })
}

func (d *dyingStore) Load(ctx context.Context, h storage.Handle, offset, length int64) (r io.ReadCloser, err error) {
	err = d.do(func() error { r, err = d.Store.Load(ctx, h, offset, length); return err })
	return r, err
}

func (d *dyingStore) Stat(ctx context.Context, h storage.Handle) (info storage.Info, err error) {
	err = d.do(func() error { info, err = d.Store.Stat(ctx, h); return err })
	return info, err
}

func (d *dyingStore) List(ctx context.Context, t storage.Type, visit func(storage.Info) error) error {
	return d.do(func() error { return d.Store.List(ctx, t, visit) })
}

func (d *dyingStore) Remove(ctx context.Context, h storage.Handle) error {
	return d.do(func() error { return d.Store.Remove(ctx, h) })
}

const memoryPack = 60_000

// memoryRepo makes a repository in memory whose snapshots share much, with some
// of them forgotten, and a pack that a killed backup left.
func memoryRepo(t testing.TB) *faulty.Memory {
	t.Helper()
	m := faulty.NewMemory()
	r, err := Create(t.Context(), m, testPassword, cheap)
	if err != nil {
		t.Fatal(err)
	}
	r.opts.PackSize = memoryPack
	for n := range 5 {
		s := begin(t, r, nil)
		for i := range 20 {
			seed := uint64(i)
			if i%5 == n {
				seed += uint64(100 * (n + 1))
			}
			if _, err := s.AddBytes(t.Context(), fmt.Sprintf("/d%d/f%d", i%4, i), Stream{ModTime: s.begun}, random(seed, 8_000)); err != nil {
				t.Fatal(err)
			}
		}
		snap := commit(t, r, s)
		if n%2 == 0 {
			if err := r.Forget(t.Context(), snap.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	leaveOrphan(t, r)
	r.Close()
	return m
}

// leaveOrphan stores a pack that no index lists.
func leaveOrphan(t testing.TB, r *Repository) {
	t.Helper()
	w, err := newWriter(t.Context(), r, CompressionOff, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.save(DataBlob, random(999, 5_000)); err != nil {
		t.Fatal(err)
	}
	if err := w.flush(); err != nil {
		t.Fatal(err)
	}
	r.forgetPending()
}

func cloneMemory(m *faulty.Memory) *faulty.Memory {
	c := faulty.NewMemory()
	for _, kind := range append([]storage.Type{storage.Config}, storage.Types...) {
		for _, h := range m.Handles(kind) {
			data, _ := m.Get(h)
			c.Put(h, data)
		}
	}
	return c
}

func openMemory(t testing.TB, s storage.Store) *Repository {
	t.Helper()
	r, err := Open(t.Context(), s, testPassword, Options{Hostname: "testhost", PackSize: memoryPack})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// contents maps every snapshot, by the first of its line, to what is in it.
func contents(t testing.TB, r *Repository) map[ID]string {
	t.Helper()
	snaps, err := r.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[ID]string)
	for _, s := range snaps {
		text := ""
		err := r.Walk(t.Context(), s, "/", func(name string, n *Node) error {
			text += name + " "
			if n.Type == File {
				text += Hash(readAll(t, r, s, name)).Short()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if all[s.line()] != "" {
			t.Fatalf("snapshot %s is there twice", s.line())
		}
		all[s.line()] = text
	}
	return all
}

// sound sees that a repository holds what it should and that nothing is missing.
func sound(t testing.TB, m *faulty.Memory, want map[ID]string) *Report {
	t.Helper()
	r := openMemory(t, m)
	r.opts.NoLock = true
	report := check(t, r, CheckOptions{ReadData: true})
	if report.Err() != nil {
		t.Errorf("%v", report.Findings)
	}
	if got := contents(t, r); !maps.Equal(got, want) {
		t.Errorf("snapshots differ: %d, want %d", len(got), len(want))
	}
	return report
}

// everywhere runs f for every operation that a whole run takes, with the store
// dying before it and after it.
func everywhere(t *testing.T, operations int, f func(t *testing.T, n int, answer bool)) {
	t.Helper()
	if operations < 20 {
		t.Fatalf("only %d operations", operations)
	}
	var g errgroup.Group
	g.SetLimit(16)
	for n := 1; n <= operations; n++ {
		for _, answer := range []bool{false, true} {
			g.Go(func() error {
				t.Run(fmt.Sprint(n, answer), func(t *testing.T) { f(t, n, answer) })
				return nil
			})
		}
	}
	g.Wait()
}

// A prune that dies at any operation loses nothing, and the next one finishes.
func TestKilledPrune(t *testing.T) {
	t.Parallel()
	base := memoryRepo(t)
	want := contents(t, openMemory(t, base))
	whole := &dyingStore{Store: cloneMemory(base)}
	if report, err := openMemory(t, whole).Prune(t.Context(), PruneOptions{}); err != nil || report.Repacked.Packs == 0 || report.Unindexed.Packs == 0 || report.Unused.Packs == 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	everywhere(t, whole.calls, func(t *testing.T, n int, answer bool) {
		m := cloneMemory(base)
		d := &dyingStore{Store: m, n: n, answer: answer}
		r, err := Open(t.Context(), d, testPassword, Options{Hostname: "testhost", PackSize: memoryPack})
		if err == nil {
			_, err = r.Prune(t.Context(), PruneOptions{})
		}
		if err != nil && !errors.Is(err, errDead) {
			t.Errorf("%v", err)
		}
		sound(t, m, want)
		r = openMemory(t, m)
		if _, err := r.Unlock(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Prune(t.Context(), PruneOptions{}); err != nil {
			t.Fatalf("the next prune: %v", err)
		}
		if report := sound(t, m, want); len(report.Findings) > 0 {
			t.Errorf("after the next prune: %v", report.Findings)
		}
		plan, err := r.Prune(t.Context(), PruneOptions{DryRun: true})
		if err != nil || plan.Deleted.Packs > 0 || plan.Duplicates.Blobs > 0 || plan.IndexDeleted > 0 {
			t.Errorf("the next prune left %+v, %v", plan, err)
		}
	})
}

// A copy that dies at any operation leaves a sound destination, and the next one
// completes it.
func TestKilledCopy(t *testing.T) {
	t.Parallel()
	base := memoryRepo(t)
	src := openMemory(t, base)
	want := contents(t, src)
	snaps, err := src.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	empty := faulty.NewMemory()
	if _, err := Create(t.Context(), empty, testPassword, cheap); err != nil {
		t.Fatal(err)
	}
	copyInto := func(t *testing.T, d storage.Store) error {
		dst, err := Open(t.Context(), d, testPassword, Options{Hostname: "testhost", PackSize: memoryPack})
		if err != nil {
			return err
		}
		_, err = openMemory(t, base).Copy(t.Context(), dst, snaps, CopyOptions{})
		return err
	}
	whole := &dyingStore{Store: cloneMemory(empty)}
	if err := copyInto(t, whole); err != nil {
		t.Fatal(err)
	}
	everywhere(t, whole.calls, func(t *testing.T, n int, answer bool) {
		m := cloneMemory(empty)
		if err := copyInto(t, &dyingStore{Store: m, n: n, answer: answer}); err != nil && !errors.Is(err, errDead) {
			t.Errorf("%v", err)
		}
		r := openMemory(t, m)
		r.opts.NoLock = true
		some := contents(t, r)
		for line, text := range some {
			if want[line] != text {
				t.Errorf("snapshot %s differs", line)
			}
		}
		sound(t, m, some)
		if err := copyInto(t, m); err != nil {
			t.Fatalf("the next copy: %v", err)
		}
		sound(t, m, want)
	})
}

// twice is a store behind a line that delivers everything twice.
type twice struct{ *faulty.Memory }

func (s twice) List(ctx context.Context, t storage.Type, visit func(storage.Info) error) error {
	return s.Memory.List(ctx, t, func(info storage.Info) error {
		if err := visit(info); err != nil {
			return err
		}
		return visit(info)
	})
}

func (s twice) Remove(ctx context.Context, h storage.Handle) error {
	_ = s.Memory.Remove(ctx, h)
	return s.Memory.Remove(ctx, h)
}

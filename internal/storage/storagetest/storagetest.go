// Package storagetest is the one conformance suite that every store must pass,
// so that package repository need not know which one it writes to. What only
// one sort of store can do is tested beside that store.
package storagetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/storage"
)

// Run tests a store. Open is called with a fresh location for every test, and
// called again with the same location must give a store with the same content.
func Run(t *testing.T, open func(t *testing.T, location string) storage.Store, location func(t *testing.T) string) {
	tests := []struct {
		name string
		run  func(t *testing.T, s storage.Store, reopen func() storage.Store)
	}{
		{"empty", testEmpty},
		{"save and load", testSaveLoad},
		{"ranges", testRanges},
		{"no overwriting", testNoOverwrite},
		{"list", testList},
		{"remove", testRemove},
		{"names", testNames},
		{"durable", testDurable},
		{"parallel", testParallel},
		{"same name at once", testRace},
		{"cancelled", testCancelled},
		{"large", testLarge},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			where := location(t)
			s := open(t, where)
			defer s.Close()
			test.run(t, s, func() storage.Store { return open(t, where) })
		})
	}
}

func name(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func save(t *testing.T, s storage.Store, kind storage.Type, data []byte) storage.Handle {
	t.Helper()
	h := storage.Handle{Type: kind, Name: name(data)}
	if kind == storage.Config {
		h.Name = ""
	}
	if err := s.Save(t.Context(), h, data); err != nil {
		t.Fatalf("save %s: %v", h, err)
	}
	return h
}

func load(t *testing.T, s storage.Store, h storage.Handle) []byte {
	t.Helper()
	data, err := storage.ReadAll(t.Context(), s, h, 1<<30)
	if err != nil {
		t.Fatalf("load %s: %v", h, err)
	}
	return data
}

func list(t *testing.T, s storage.Store, kind storage.Type) map[string]int64 {
	t.Helper()
	got := make(map[string]int64)
	err := s.List(t.Context(), kind, func(info storage.Info) error {
		if _, twice := got[info.Name]; twice {
			t.Errorf("%s is listed twice", info.Name)
		}
		got[info.Name] = info.Size
		return nil
	})
	if err != nil {
		t.Fatalf("list %s: %v", kind, err)
	}
	return got
}

func testEmpty(t *testing.T, s storage.Store, _ func() storage.Store) {
	if s.Location() == "" {
		t.Error("no location")
	}
	for _, kind := range storage.Types {
		if got := list(t, s, kind); len(got) != 0 {
			t.Errorf("%s: %v", kind, got)
		}
		h := storage.Handle{Type: kind, Name: name([]byte("absent"))}
		wantNotFound(t, s, h)
	}
	wantNotFound(t, s, storage.Handle{Type: storage.Config})
}

func wantNotFound(t *testing.T, s storage.Store, h storage.Handle) {
	t.Helper()
	if _, err := s.Stat(t.Context(), h); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("stat %s: %v", h, err)
	}
	if _, err := storage.ReadAll(t.Context(), s, h, 1); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("load %s: %v", h, err)
	}
	if err := s.Remove(t.Context(), h); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("remove %s: %v", h, err)
	}
}

func testSaveLoad(t *testing.T, s storage.Store, _ func() storage.Store) {
	for i, kind := range append([]storage.Type{storage.Config}, storage.Types...) {
		for _, size := range []int{0, 1, 1000, 100_000} {
			if kind == storage.Config && size != 1000 {
				continue
			}
			data := bytes.Repeat([]byte{byte(i), byte(size)}, size)
			h := save(t, s, kind, data)
			if got := load(t, s, h); !bytes.Equal(got, data) {
				t.Errorf("%s: %d bytes came back as %d", h, len(data), len(got))
			}
			info, err := s.Stat(t.Context(), h)
			if !info.Time.IsZero() && time.Since(info.Time).Abs() > time.Hour {
				t.Errorf("it was written just now, not at %v", info.Time)
			}
			if err != nil || info.Size != int64(len(data)) || info.Name != h.Name {
				t.Errorf("stat %s: %+v, %v", h, info, err)
			}
		}
	}
}

func testRanges(t *testing.T, s storage.Store, _ func() storage.Store) {
	data := make([]byte, 10_000)
	for i := range data {
		data[i] = byte(i * 7)
	}
	h := save(t, s, storage.Data, data)
	for _, r := range []struct{ offset, length int64 }{{0, 1}, {0, 10_000}, {1, 10}, {9_999, 1}, {5_000, 0}, {0, 0}, {5_000, 5_000}} {
		rd, err := s.Load(t.Context(), h, r.offset, r.length)
		if err != nil {
			t.Errorf("%+v: %v", r, err)
			continue
		}
		got, err := io.ReadAll(rd)
		rd.Close()
		want := data[r.offset:]
		if r.length > 0 {
			want = want[:r.length]
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%+v: %d bytes, %v", r, len(got), err)
		}
	}
	for _, r := range []struct{ offset, length int64 }{{9_999, 2}, {20_000, 1}, {0, 10_001}} {
		buf := make([]byte, r.length)
		if err := storage.ReadRange(t.Context(), s, h, buf, r.offset); !errors.Is(err, storage.ErrShort) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for _, r := range []struct{ offset, length int64 }{{-1, 1}, {0, -1}} {
		if rd, err := s.Load(t.Context(), h, r.offset, r.length); err == nil {
			rd.Close()
			t.Errorf("%+v was taken", r)
		}
	}
	if _, err := storage.ReadAll(t.Context(), s, h, 9_999); err == nil {
		t.Error("a file larger than the limit was read")
	}
}

func testNoOverwrite(t *testing.T, s storage.Store, _ func() storage.Store) {
	for _, kind := range []storage.Type{storage.Config, storage.Data, storage.Snapshot} {
		h := save(t, s, kind, []byte("first"))
		for _, data := range [][]byte{[]byte("first"), []byte("other"), nil} {
			if err := s.Save(t.Context(), h, data); !errors.Is(err, storage.ErrExists) {
				t.Errorf("save %s again: %v", h, err)
			}
		}
		if got := load(t, s, h); string(got) != "first" {
			t.Errorf("%s is now %q", h, got)
		}
	}
}

func testList(t *testing.T, s storage.Store, _ func() storage.Store) {
	want := make(map[storage.Type]map[string]int64)
	for i, kind := range storage.Types {
		want[kind] = make(map[string]int64)
		for j := range 20 + i {
			h := save(t, s, kind, fmt.Appendf(nil, "%s %d", kind, j*j))
			want[kind][h.Name] = int64(len(fmt.Sprintf("%s %d", kind, j*j)))
		}
	}
	for _, kind := range storage.Types {
		got := list(t, s, kind)
		if len(got) != len(want[kind]) {
			t.Errorf("%s: %d files are listed, %d were saved", kind, len(got), len(want[kind]))
		}
		for n, size := range want[kind] {
			if got[n] != size {
				t.Errorf("%s %s: size %d, want %d", kind, n, got[n], size)
			}
		}
	}
	stop := errors.New("stop")
	calls := 0
	err := s.List(t.Context(), storage.Data, func(storage.Info) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("an error of visit: %v after %d calls", err, calls)
	}
}

func testRemove(t *testing.T, s storage.Store, _ func() storage.Store) {
	for _, kind := range storage.Types {
		h := save(t, s, kind, []byte("to be removed"))
		kept := save(t, s, kind, []byte("to be kept"))
		if err := s.Remove(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		wantNotFound(t, s, h)
		if got := list(t, s, kind); len(got) != 1 || string(load(t, s, kept)) != "to be kept" {
			t.Errorf("%s: %v", kind, got)
		}
		save(t, s, kind, []byte("to be removed"))
	}
}

func testNames(t *testing.T, s storage.Store, _ func() storage.Store) {
	good := name(nil)
	for _, h := range []storage.Handle{
		{Type: storage.Data, Name: ""},
		{Type: storage.Data, Name: "../../etc/passwd"},
		{Type: storage.Data, Name: good[:63]},
		{Type: storage.Data, Name: good + "0"},
		{Type: storage.Data, Name: "../" + good[3:]},
		{Type: storage.Key, Name: "A" + good[1:]},
		{Type: storage.Key, Name: good[:63] + "\x00"},
		{Type: storage.Config, Name: good},
		{Type: 200, Name: good},
	} {
		if err := s.Save(t.Context(), h, []byte("x")); err == nil || errors.Is(err, storage.ErrExists) {
			t.Errorf("save took the name %q: %v", h.Name, err)
		}
		if _, err := s.Load(t.Context(), h, 0, 0); err == nil {
			t.Errorf("load took the name %q", h.Name)
		}
		if _, err := s.Stat(t.Context(), h); err == nil {
			t.Errorf("stat took the name %q", h.Name)
		}
		if err := s.Remove(t.Context(), h); err == nil {
			t.Errorf("remove took the name %q", h.Name)
		}
	}
	if err := s.List(t.Context(), storage.Config, func(storage.Info) error { return nil }); err == nil {
		t.Error("config files were listed")
	}
}

func testDurable(t *testing.T, s storage.Store, reopen func() storage.Store) {
	h := save(t, s, storage.Data, []byte("stays"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := reopen()
	defer again.Close()
	if got := load(t, again, h); string(got) != "stays" {
		t.Errorf("%q", got)
	}
}

func testParallel(t *testing.T, s storage.Store, _ func() storage.Store) {
	var g sync.WaitGroup
	for i := range 8 {
		g.Go(func() {
			for j := range 20 {
				data := bytes.Repeat([]byte{byte(i), byte(j)}, 500)
				h := storage.Handle{Type: storage.Types[j%len(storage.Types)], Name: name(data)}
				if err := s.Save(t.Context(), h, data); err != nil {
					t.Error(err)
					return
				}
				got, err := storage.ReadAll(t.Context(), s, h, 2000)
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s: %v", h, err)
				}
				if j%3 == 0 {
					if err := s.Remove(t.Context(), h); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	g.Wait()
	total := 0
	for _, kind := range storage.Types {
		total += len(list(t, s, kind))
	}
	if want := 8 * 13; total != want {
		t.Errorf("%d files, want %d", total, want)
	}
}

// testRace has several writers save one name: exactly one must win. Only the
// config may differ: a server may refuse content that does not have its name.
func testRace(t *testing.T, s storage.Store, _ func() storage.Store) {
	race := func(h storage.Handle, content func(i int) []byte) {
		errs := make([]error, 6)
		var g sync.WaitGroup
		for i := range errs {
			g.Go(func() { errs[i] = s.Save(t.Context(), h, content(i)) })
		}
		g.Wait()
		winner := slices.Index(errs, nil)
		for i, err := range errs {
			if i != winner && !errors.Is(err, storage.ErrExists) {
				t.Errorf("writer %d: %v", i, err)
			}
		}
		if winner < 0 {
			t.Error("nobody won")
		} else if got := load(t, s, h); !bytes.Equal(got, content(winner)) {
			t.Errorf("the content is not that of the winner %d", winner)
		}
	}
	race(storage.Handle{Type: storage.Config}, func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 1000) })
	for round := range 10 {
		data := bytes.Repeat([]byte{byte(round)}, 1000)
		race(storage.Handle{Type: storage.Snapshot, Name: name(data)}, func(int) []byte { return data })
	}
}

func testCancelled(t *testing.T, s storage.Store, _ func() storage.Store) {
	h := save(t, s, storage.Data, []byte("there"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	other := storage.Handle{Type: storage.Data, Name: name([]byte("never"))}
	if err := s.Save(ctx, other, []byte("never")); !errors.Is(err, context.Canceled) {
		t.Errorf("save: %v", err)
	}
	if _, err := storage.ReadAll(ctx, s, h, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("load: %v", err)
	}
	if _, err := s.Stat(ctx, h); !errors.Is(err, context.Canceled) {
		t.Errorf("stat: %v", err)
	}
	if err := s.List(ctx, storage.Data, func(storage.Info) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("list: %v", err)
	}
	if err := s.Remove(ctx, h); !errors.Is(err, context.Canceled) {
		t.Errorf("remove: %v", err)
	}
	if got := list(t, s, storage.Data); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

func testLarge(t *testing.T, s storage.Store, _ func() storage.Store) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16)
	h := save(t, s, storage.Data, data)
	if got := load(t, s, h); !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back as %d", len(data), len(got))
	}
}

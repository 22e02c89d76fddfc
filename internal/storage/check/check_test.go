package check_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/check"
	"lifeboat/internal/storage/faulty"
)

func local(t *testing.T) storage.Store {
	t.Helper()
	s, err := storage.OpenLocal(filepath.Join(t.TempDir(), "store"), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func leftOver(t *testing.T, s storage.Store) int {
	t.Helper()
	n := 0
	for _, kind := range storage.Types {
		if err := s.List(context.Background(), kind, func(storage.Info) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

var small = check.Options{Size: 1 << 20}

func TestGoodStore(t *testing.T) {
	s := local(t)
	reported := 0
	opts := small
	opts.Report = func(check.Result) { reported++ }
	results, err := check.Store(t.Context(), s, opts)
	if err != nil || len(results) != 11 || reported != len(results) {
		t.Errorf("%d results, %d reported, %v", len(results), reported, err)
	}
	for _, r := range results {
		if r.Grade != check.Good {
			t.Errorf("%+v", r)
		}
	}
	if n := leftOver(t, s); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

// overwriting replaces what is there, as a server that ignores conditions does.
type overwriting struct{ storage.Store }

func (o overwriting) Save(ctx context.Context, h storage.Handle, data []byte) error {
	err := o.Store.Save(ctx, h, data)
	if errors.Is(err, storage.ErrExists) {
		return nil
	}
	return err
}

// appending refuses to remove anything but locks.
type appending struct{ storage.Store }

func (a appending) Remove(ctx context.Context, h storage.Handle) error {
	if h.Type == storage.Lock {
		return a.Store.Remove(ctx, h)
	}
	return fs.ErrPermission
}

// eternal refuses to remove.
type eternal struct{ storage.Store }

func (eternal) Remove(context.Context, storage.Handle) error { return fs.ErrPermission }

// TestAppendOnly leaves nothing where nothing could be removed again.
func TestAppendOnly(t *testing.T) {
	for name, tt := range map[string]struct {
		inhabited bool
		wrap      func(storage.Store) storage.Store
		steps     int
		unfit     bool
	}{
		"empty":          {false, func(s storage.Store) storage.Store { return appending{s} }, 11, false},
		"a repository":   {true, func(s storage.Store) storage.Store { return appending{s} }, 1, false},
		"not even locks": {false, func(s storage.Store) storage.Store { return eternal{s} }, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := local(t)
			if tt.inhabited {
				if err := s.Save(t.Context(), storage.Handle{Type: storage.Config}, []byte("config")); err != nil {
					t.Fatal(err)
				}
			}
			results, err := check.Store(t.Context(), tt.wrap(s), small)
			if errors.Is(err, check.ErrUnfit) != tt.unfit || errors.Is(err, check.ErrUntried) != tt.inhabited || len(results) != tt.steps {
				t.Errorf("%d steps, %v", len(results), err)
			}
			want := check.Note
			if tt.unfit {
				want = check.Bad
			}
			if got := grade(t, results, "be allowed to remove"); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if n := leftOver(t, s); n != 0 {
				t.Errorf("%d files are left", n)
			}
		})
	}
}

// forgetful does not list what it keeps.
type forgetful struct{ storage.Store }

func (forgetful) List(context.Context, storage.Type, func(storage.Info) error) error { return nil }

func grade(t *testing.T, results []check.Result, step string) check.Grade {
	t.Helper()
	for _, r := range results {
		if r.Step == step {
			return r.Grade
		}
	}
	t.Errorf("no step %q in %+v", step, results)
	return ""
}

func TestBadStores(t *testing.T) {
	turned := faulty.Wrap(local(t))
	turned.OnSave = func(_ storage.Handle, data []byte) []byte { data[0] ^= 1; return data }
	cut := faulty.Wrap(local(t))
	cut.OnLoad = func(_ storage.Handle, _ int64, data []byte) []byte { return data[:len(data)/2] }
	for _, tt := range []struct {
		name  string
		store storage.Store
		step  string
		grade check.Grade
		unfit bool
	}{
		{"overwrites", overwriting{local(t)}, "refuse to overwrite", check.Bad, true},
		{"several win", overwriting{local(t)}, "create one file from several clients at once", check.Note, true},
		{"does not list", forgetful{local(t)}, "list files", check.Bad, true},
		{"turns bits over", turned, "write a small file", check.Bad, true},
		{"cuts files", cut, "write a small file", check.Bad, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			results, err := check.Store(t.Context(), tt.store, small)
			if errors.Is(err, check.ErrUnfit) != tt.unfit {
				t.Errorf("%v", err)
			}
			if got := grade(t, results, tt.step); got != tt.grade {
				t.Errorf("%s: %s, want %s", tt.step, got, tt.grade)
			}
		})
	}
}

func TestGivenUp(t *testing.T) {
	s := local(t)
	ctx, cancel := context.WithCancel(t.Context())
	opts := small
	opts.Report = func(r check.Result) {
		if r.Step == "write a large file" {
			cancel()
		}
	}
	if _, err := check.Store(ctx, s, opts); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n := leftOver(t, s); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

func TestFullStore(t *testing.T) {
	f := faulty.Wrap(local(t))
	f.Space(10_000)
	results, err := check.Store(t.Context(), f, small)
	if !errors.Is(err, storage.ErrNoSpace) || !errors.Is(err, check.ErrUnfit) || grade(t, results, "write a large file") != check.Bad {
		t.Errorf("%v", err)
	}
}

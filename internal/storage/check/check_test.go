package check_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"testing"
	"time"

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

// locking keeps files for a while, as object storage does: what it is told to
// lock, and by a rule of its own everything.
type locking struct {
	storage.Store
	period time.Duration
	rule   bool
	lax    bool // says so and does not do it

	mu    sync.Mutex // several clients write at once
	until map[storage.Handle]time.Time
}

func (l *locking) end(h storage.Handle) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until[h]
}

func (l *locking) Save(ctx context.Context, h storage.Handle, data []byte) error {
	err := l.Store.Save(ctx, h, data)
	if err == nil && (l.rule || l.period > 0 && h.Type != storage.Lock) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.until[h] = time.Now().Add(max(l.period, time.Hour))
	}
	return err
}

func (l *locking) Remove(ctx context.Context, h storage.Handle) error {
	if until := l.end(h); h.Type != storage.Lock && time.Now().Before(until) && !l.lax {
		return &storage.RetainedError{Until: until}
	}
	return l.Store.Remove(ctx, h)
}

func (l *locking) Retaining() time.Duration         { return l.period }
func (l *locking) Retainable(context.Context) error { return nil }
func (l *locking) Retain(context.Context, storage.Handle, time.Time) error {
	return errors.New("nobody asks for that")
}

func (l *locking) Retention(ctx context.Context, h storage.Handle) (storage.Retention, error) {
	info, err := l.Stat(ctx, h)
	return storage.Retention{Info: info, Until: l.end(h)}, err
}

// TestLocking leaves one file, and says which, where locks are asked for.
func TestLocking(t *testing.T) {
	for name, tt := range map[string]struct {
		store            *locking
		own, inhabited   bool
		steps, left      int
		unfit, untried   bool
		permission, lock check.Grade
	}{
		"asked for":            {store: &locking{period: time.Minute}, own: true, steps: 12, left: 1, permission: check.Good, lock: check.Good},
		"asked for and a rule": {store: &locking{period: time.Minute, rule: true}, own: true, steps: 12, left: 1, permission: check.Note, lock: check.Good},
		"not kept":             {store: &locking{period: time.Minute, lax: true}, own: true, steps: 12, unfit: true, permission: check.Good, lock: check.Bad},
		"a rule":               {store: &locking{rule: true}, steps: 11, permission: check.Note},
		"a rule, a repository": {store: &locking{rule: true}, inhabited: true, steps: 1, untried: true, permission: check.Note},
		"no rule":              {store: &locking{}, steps: 11, permission: check.Good},
	} {
		t.Run(name, func(t *testing.T) {
			inner := local(t)
			s := tt.store
			s.Store, s.until = inner, map[storage.Handle]time.Time{}
			if tt.inhabited {
				if err := s.Save(t.Context(), storage.Handle{Type: storage.Config}, []byte("config")); err != nil {
					t.Fatal(err)
				}
			}
			var left []check.Left
			opts := check.Options{Size: 1 << 20, Own: tt.own, Left: func(l check.Left) { left = append(left, l) }}
			results, err := check.Store(t.Context(), s, opts)
			if errors.Is(err, check.ErrUnfit) != tt.unfit || errors.Is(err, check.ErrUntried) != tt.untried || len(results) != tt.steps {
				t.Errorf("%d steps, %v: %+v", len(results), err, results)
			}
			if got := grade(t, results, "be allowed to remove"); got != tt.permission {
				t.Errorf("%s, want %s", got, tt.permission)
			}
			if tt.lock != "" && grade(t, results, "lock a file against removal") != tt.lock {
				t.Errorf("%+v", results)
			}
			if len(left) != tt.left || leftOver(t, inner) != tt.left {
				t.Errorf("%d files are left, it says %v", leftOver(t, inner), left)
			}
			if tt.left == 0 {
				return
			}
			if time.Until(left[0].Until) <= 0 || left[0].Size != 100 {
				t.Errorf("%+v", left)
			}
			// When the lock has ended, the next trial tidies up.
			clear(s.until)
			if _, err := check.Store(t.Context(), s, opts); err != nil || leftOver(t, inner) != 1 {
				t.Errorf("again: %v, %d files are left", err, leftOver(t, inner))
			}
		})
	}
	if _, err := check.Store(t.Context(), &locking{period: time.Minute}, small); err == nil {
		t.Error("locked files were about to be left among those of a repository")
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

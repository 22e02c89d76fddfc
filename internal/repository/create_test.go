package repository

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
)

// A Create that was cut off at any operation is done again, with the same
// password or another, and the repository opens with that one.
func TestInterruptedCreate(t *testing.T) {
	t.Parallel()
	cut := errors.New("cut")
	for _, again := range []string{string(testPassword), "another"} {
		for n := 1; ; n++ {
			m := faulty.NewMemory()
			f := faulty.Wrap(m)
			f.Before = func(call int, _ string, _ storage.Handle) error {
				if call >= n {
					return cut
				}
				return nil
			}
			_, err := Create(t.Context(), f, testPassword, cheap)
			if err == nil {
				if n < 4 {
					t.Errorf("a repository after %d operations", n)
				}
				break
			}
			if !errors.Is(err, cut) {
				t.Fatalf("cut at %d: %v", n, err)
			}
			r, err := Create(t.Context(), m, []byte(again), cheap)
			if err != nil {
				t.Fatalf("again after a cut at %d: %v", n, err)
			}
			if keys, err := r.Keys(t.Context()); err != nil || len(keys) != 1 {
				t.Errorf("cut at %d: %d keys, %v", n, len(keys), err)
			}
			if _, err := Open(t.Context(), m, []byte(again), cheap); err != nil {
				t.Errorf("cut at %d: %v", n, err)
			}
		}
	}
}

// A config that arrives twice is ours all the same.
func TestDoubledCreate(t *testing.T) {
	t.Parallel()
	m := faulty.NewMemory()
	f := faulty.Wrap(m)
	f.AfterSave = func(h storage.Handle) error {
		if h.Type == storage.Config {
			return storage.ErrExists
		}
		return nil
	}
	if _, err := Create(t.Context(), f, testPassword, cheap); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), m, testPassword, cheap); err != nil {
		t.Fatal(err)
	}
}

// Of two that create a repository at once one succeeds, and its key opens it.
func TestCreateAtOnce(t *testing.T) {
	t.Parallel()
	for _, other := range []string{string(testPassword), "another"} {
		m := faulty.NewMemory()
		f := faulty.Wrap(m)
		f.Before = func(_ int, op string, h storage.Handle) error {
			if op == "save" && h.Type == storage.Config {
				if _, err := Create(t.Context(), m, []byte(other), cheap); err != nil {
					t.Fatal(err)
				}
			}
			return nil
		}
		if _, err := Create(t.Context(), f, testPassword, cheap); !errors.Is(err, ErrRepositoryExists) {
			t.Errorf("both made it: %v", err)
		}
		if _, err := Open(t.Context(), m, []byte(other), cheap); err != nil {
			t.Error(err)
		}
	}
}

// Keys without anything else are those of a lost repository, unless they were just made.
func TestCreateOverOldKeys(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*keyFile)
		want   error
	}{
		"an interrupted create": {func(*keyFile) {}, nil},
		"yesterday":             {func(k *keyFile) { k.Created = k.Created.Add(-24 * time.Hour) }, ErrDamaged},
		"another machine":       {func(k *keyFile) { k.Hostname = "elsewhere" }, ErrDamaged},
	} {
		m := faulty.NewMemory()
		r, err := Create(t.Context(), m, testPassword, cheap)
		if err != nil {
			t.Fatal(err)
		}
		k, err := r.loadKeyFile(t.Context(), r.keyID)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range []storage.Handle{{Type: storage.Config}, handle(storage.Key, r.keyID)} {
			if err := m.Remove(t.Context(), h); err != nil {
				t.Fatal(err)
			}
		}
		test.change(&k)
		text, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		old := Hash(text)
		if err := m.Save(t.Context(), handle(storage.Key, old), text); err != nil {
			t.Fatal(err)
		}
		_, err = Create(t.Context(), m, testPassword, cheap)
		if !errors.Is(err, test.want) || test.want != nil && !strings.Contains(err.Error(), "only keys lie there") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := m.Stat(t.Context(), handle(storage.Key, old)); err != nil {
			t.Errorf("%s: its key: %v", name, err)
		}
	}
}

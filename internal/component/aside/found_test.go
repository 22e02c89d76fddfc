package aside

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"lifeboat/internal/host"
)

// TestNestedSessions has one session replace a file in a tree that another one has
// replaced before, as opsi's configuration holds the keys of its file backend.
func TestNestedSessions(t *testing.T) {
	for name, also := range map[string]string{"the file": "", "and the tree": "added"} {
		t.Run(name, func(t *testing.T) {
			dir, state := t.TempDir(), t.TempDir()
			tree := filepath.Join(dir, "tree")
			keys := filepath.Join(tree, "keys")
			write(t, keys, "old")
			session := func(name string) *Session {
				s, err := Open(host.Local(), state, "run1", name)
				must(t, err)
				return s
			}
			outer, inner := session("outer"), session("inner")
			must(t, outer.Begin(t.Context()))
			place, err := outer.Stage(t.Context(), dir)
			must(t, err)
			write(t, filepath.Join(place.New, "1/keys"), "saved")
			must(t, outer.Commit(t.Context(), Plan{Swaps: []Swap{{Path: tree, New: filepath.Join(place.New, "1"), Aside: filepath.Join(place.Aside, "tree")}}}))
			replace(t, inner, keys, "saved too")
			if got := inner.Put(); !reflect.DeepEqual(got, []string{keys}) {
				t.Errorf("put at %v", got)
			}
			if held, err := outer.Held(t.Context()); err != nil || len(held) != 1 || held[0].Bytes != 3 {
				t.Errorf("set aside: %v, %v", held, err)
			}
			since := time.Now()
			time.Sleep(20 * time.Millisecond) // clocks of file systems tick slowly
			write(t, keys, "edited")
			var want []string
			if also != "" {
				write(t, filepath.Join(tree, also), "of somebody")
				want = []string{filepath.Join(tree, also)}
			}
			changed, err := outer.Changed(t.Context(), since, false, inner.Put()...)
			if err != nil || !reflect.DeepEqual(changed, want) {
				t.Errorf("changed in the tree: %v, %v", changed, err)
			}
			changed, err = inner.Changed(t.Context(), since, false)
			if err != nil || !reflect.DeepEqual(changed, []string{keys}) {
				t.Errorf("changed keys: %v, %v", changed, err)
			}
			must(t, inner.Rollback(t.Context(), changed...))
			// What the way back itself has written is nobody's change.
			changed, err = outer.Changed(t.Context(), since, false, inner.Put()...)
			if err != nil || !reflect.DeepEqual(changed, want) {
				t.Errorf("changed in the tree once the keys are back: %v, %v", changed, err)
			}
			must(t, outer.Rollback(t.Context(), changed...))
			kept := filepath.Join(tree, FoundPrefix+"run1.inner", "keys")
			if read(t, keys) != "old" || read(t, kept) != "edited" {
				t.Errorf("rolled back: %q, kept: %q", read(t, keys), read(t, kept))
			}
			if got := inner.Kept(); !reflect.DeepEqual(got, []string{kept}) {
				t.Errorf("kept %v", got)
			}
			if got := len(outer.Kept()); got != len(want) {
				t.Errorf("kept of the tree: %v", outer.Kept())
			}
			for _, s := range []*Session{session("inner"), session("outer")} {
				must(t, s.Discard(t.Context()))
				must(t, s.Discard(t.Context()))
			}
			left, err := filepath.Glob(filepath.Join(dir, "*", Prefix+"*"))
			more, _ := filepath.Glob(filepath.Join(dir, Prefix+"*"))
			if err != nil || len(left)+len(more) > 0 || read(t, keys) != "old" {
				t.Errorf("left after a discard: %v %v, the keys %q", left, more, read(t, keys))
			}
		})
	}
}

// TestNestedSessionsBesideWhatWasKept has the tree stay where it is, because an earlier
// rollback has kept something in it, so that both sessions replace the file itself.
func TestNestedSessionsBesideWhatWasKept(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	keys := filepath.Join(dir, "keys")
	write(t, filepath.Join(dir, FoundPrefix+"run0.inner", "keys"), "edited before")
	write(t, keys, "old")
	session := func(name string) *Session {
		s, err := Open(host.Local(), state, "run1", name)
		must(t, err)
		return s
	}
	outer, inner := session("outer"), session("inner")
	replace(t, outer, keys, "saved")
	replace(t, inner, keys, "saved too")
	since := time.Now()
	time.Sleep(20 * time.Millisecond) // clocks of file systems tick slowly
	for range 2 {
		changed, err := outer.Changed(t.Context(), since, false, inner.Put()...)
		if err != nil || len(changed) > 0 {
			t.Errorf("changed: %v, %v", changed, err)
		}
		must(t, inner.Rollback(t.Context())) // whose moves are nobody's change
	}
	must(t, outer.Rollback(t.Context()))
	if read(t, keys) != "old" || len(outer.Kept())+len(inner.Kept()) > 0 {
		t.Errorf("rolled back: %q, kept: %v %v", read(t, keys), outer.Kept(), inner.Kept())
	}
}

// What was kept in a directory that the way back takes away is kept above it.
func TestFoundWhereNothingWas(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	tree := filepath.Join(dir, "tree")
	s := open(t, host.Local(), state)
	place, err := s.Stage(t.Context(), dir)
	must(t, err)
	write(t, filepath.Join(place.New, "1/sub/file"), "saved")
	must(t, s.Commit(t.Context(), Plan{Swaps: []Swap{{Path: tree, New: filepath.Join(place.New, "1"), Aside: filepath.Join(place.Aside, "tree")}}}))
	write(t, filepath.Join(tree, "sub", FoundPrefix+"run1.inner", "file"), "edited")
	must(t, s.Rollback(t.Context()))
	kept := filepath.Join(dir, FoundPrefix+"run1.inner")
	if read(t, kept+"/file") != "edited" || !reflect.DeepEqual(s.Kept(), []string{kept}) {
		t.Errorf("kept %v, %q", s.Kept(), read(t, kept+"/file"))
	}
	if _, err := os.Lstat(tree); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the tree is there: %v", err)
	}
	must(t, s.Discard(t.Context()))
	if read(t, kept+"/file") != "absent" {
		t.Error("it is there after a discard")
	}
	if err := DropFound(dir); err == nil {
		t.Error("any directory is removed")
	}
}

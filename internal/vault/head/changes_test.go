package head

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pin is the n-th pin of a test: the m-th one of point n is pin(n+100*m).
func pin(n int) Pin {
	p := point(n % 100)
	return Pin{ID: point(5000 + n).ID, Tree: p.Tree, System: p.System, Time: p.Time, Note: "audit"}
}

func pinned(v View, numbers ...int) View {
	for _, n := range numbers {
		v.Pins = append(v.Pins, pin(n))
	}
	return v
}

func TestPins(t *testing.T) {
	made := func(t *testing.T) *Keeper {
		t.Helper()
		k := keeper(t, 1, 2)
		if err := k.Pinned(repoA, pin(1)); err != nil {
			t.Fatal(err)
		}
		return k
	}
	remembered := func(k *Keeper) (ids []string) {
		pins, err := k.Pins(repoA)
		if err != nil {
			t.Error(err)
		}
		for _, p := range pins {
			ids = append(ids, p.ID)
		}
		return ids
	}
	t.Run("there", func(t *testing.T) {
		k := made(t)
		if f := look(t, k, repoA, pinned(view(1, 2), 1, 2)); len(f.Problems) > 0 {
			t.Errorf("%+v", f)
		}
		if got := remembered(k); !slices.Equal(got, []string{pin(1).ID, pin(2).ID}) {
			t.Errorf("%v", got)
		}
	})
	t.Run("vanished", func(t *testing.T) {
		k := made(t)
		for range 2 {
			f := look(t, k, repoA, view(1, 2))
			if !slices.Equal(kinds(f), []Kind{Unpinned}) || f.Problems[0].Point.ID != point(1).ID || !f.Problems[0].Kind.Warning() ||
				!strings.Contains(f.Problems[0].Text, "audit") || len(f.Alarms()) != 1 {
				t.Errorf("%+v", f)
			}
		}
		if err := k.Accept(repoA, view(1, 2)); err != nil || len(remembered(k)) > 0 {
			t.Errorf("accepted: %v, %v", remembered(k), err)
		}
	})
	t.Run("vanished with its point", func(t *testing.T) {
		if got := kinds(look(t, made(t), repoA, view(2))); !slices.Equal(got, []Kind{Vanished, Unpinned}) {
			t.Errorf("%v", got)
		}
	})
	t.Run("pinned again", func(t *testing.T) {
		k := made(t)
		look(t, k, repoA, view(1, 2))
		if f := look(t, k, repoA, pinned(view(1, 2), 101)); len(f.Problems) > 0 {
			t.Errorf("%+v", f)
		}
		if got := remembered(k); !slices.Equal(got, []string{pin(101).ID}) {
			t.Errorf("%v", got)
		}
	})
	t.Run("unreadable", func(t *testing.T) {
		v := view(1, 2)
		v.Unreadable = map[string]error{pin(1).ID: errors.New("flipped")}
		if got := kinds(look(t, made(t), repoA, v)); !slices.Equal(got, []Kind{Altered}) {
			t.Errorf("%v", got)
		}
	})
	t.Run("unpinned", func(t *testing.T) {
		k := made(t)
		if err := errors.Join(k.Forgetting(repoA, pin(1).ID), k.Forgotten(repoA, []string{pin(1).ID}, nil)); err != nil {
			t.Fatal(err)
		}
		if f := look(t, k, repoA, view(1, 2)); len(f.Problems) > 0 {
			t.Errorf("%+v", f)
		}
	})
	t.Run("unpin cut short", func(t *testing.T) {
		k := made(t)
		if err := k.Forgetting(repoA, pin(1).ID); err != nil || len(remembered(k)) > 0 {
			t.Fatal(remembered(k), err)
		}
		if f := look(t, k, repoA, pinned(view(1, 2), 1)); len(f.Problems) > 0 || len(remembered(k)) != 1 {
			t.Errorf("it is there still: %+v", f)
		}
		if err := k.Forgetting(repoA, pin(1).ID); err != nil {
			t.Fatal(err)
		}
		if f := look(t, k, repoA, view(1, 2)); len(f.Problems) > 0 || len(f.Settled) > 0 || len(remembered(k)) > 0 {
			t.Errorf("it went: %+v", f)
		}
	})
	t.Run("unpin refused", func(t *testing.T) {
		k := made(t)
		if err := errors.Join(k.Forgetting(repoA, pin(1).ID), k.Forgotten(repoA, nil, []string{pin(1).ID})); err != nil {
			t.Fatal(err)
		}
		if got := kinds(look(t, k, repoA, view(1, 2))); !slices.Equal(got, []Kind{Unpinned}) {
			t.Errorf("%v", got)
		}
	})
}

// Points made after an older state was put in place hide neither that nor that all
// was emptied; the points that are back do.
func TestRolledBackStays(t *testing.T) {
	k := keeper(t, 1, 2, 3)
	if f := look(t, k, repoA, view(1)); !slices.Equal(kinds(f), []Kind{Vanished, Vanished, RolledBack}) || len(f.Alarms()) != 1 {
		t.Errorf("%+v", f)
	}
	if err := k.Sealed(repoA, point(4)); err != nil {
		t.Fatal(err)
	}
	if got := kinds(look(t, k, repoA, view(1, 4))); !slices.Equal(got, []Kind{Vanished, Vanished, RolledBack}) {
		t.Errorf("after a backup: %v", got)
	}
	if f := look(t, k, repoA, view(1, 2, 3, 4)); len(f.Problems) > 0 {
		t.Errorf("back again: %+v", f)
	}
	// A retention on another machine leaves the newest alone: no alarm.
	if f := look(t, k, repoA, view(3, 4)); !slices.Equal(kinds(f), []Kind{Vanished, Vanished}) || len(f.Alarms()) > 0 {
		t.Errorf("%+v", f)
	}
	if f := look(t, k, repoA, view(3, 4, 5)); len(f.Alarms()) > 0 {
		t.Errorf("%+v", f)
	}
	other := point(60)
	other.System = "rmt"
	if err := k.Sealed(repoA, other); err != nil {
		t.Fatal(err)
	}
	f := look(t, k, repoA, view(3, 4, 5, 70))
	if got := kinds(f); !slices.Equal(got, []Kind{Vanished, Vanished, Vanished, RolledBack}) || !strings.Contains(f.Alarms()[0], "all points of rmt") {
		t.Errorf("all of one system are gone: %+v", f)
	}
}

// Several of a kind are one alarm.
func TestAlarms(t *testing.T) {
	k := keeper(t, 1, 2, 3, 4)
	if err := k.Forgotten(repoA, []string{point(1).ID, point(2).ID}, nil); err != nil {
		t.Fatal(err)
	}
	alarms := look(t, k, repoA, view(1, 2, 3)).Alarms()
	if len(alarms) != 2 || !strings.HasPrefix(alarms[0], "rolled-back: ") || !strings.HasPrefix(alarms[1], "returned: point 00000000 of smt: ") ||
		!strings.Contains(alarms[1], "(and 1 more). ") {
		t.Errorf("%q", alarms)
	}
}

// A record that is gone beside the key that it was signed with is told, once.
func TestRecordLost(t *testing.T) {
	k := keeper(t, 1, 2)
	if err := k.Sealed(Repository{ID: repoB.ID, Location: "/other"}, point(5)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(k.dir, repoA.ID+recordEnd)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := k.Sealed(repoA, point(3)); !errors.Is(err, ErrLost) {
		t.Errorf("a backup hides it: %v", err)
	}
	f := look(t, k, repoA, view(2, 3))
	if !slices.Equal(kinds(f), []Kind{Lost}) || !f.Problems[0].Kind.Warning() || f.First || len(f.Alarms()) != 1 {
		t.Errorf("%+v", f)
	}
	if f := look(t, k, repoA, view(2, 3)); len(f.Problems) > 0 || f.First || f.New > 0 || f.Since.IsZero() {
		t.Errorf("the second time: %+v", f)
	}
	if got := kinds(look(t, k, repoA, view(2))); !slices.Equal(got, []Kind{Vanished, RolledBack}) {
		t.Errorf("the new record knows nothing: %v", got)
	}
	if info, err := os.Stat(filepath.Join(k.dir, keyName)); err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	// A repository that this machine never saw is no such case.
	if f := look(t, k, Repository{ID: strings.Repeat("c", 64), Location: "/third"}, view(7)); !f.First || len(f.Problems) > 0 {
		t.Errorf("%+v", f)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := k.Accept(repoA, view(2)); err != nil {
		t.Error(err)
	}
	if f := look(t, k, repoA, view(2)); len(f.Problems) > 0 {
		t.Errorf("%+v", f)
	}
}

// TestName has advice be about the repository that was looked at, whatever it is called.
func TestName(t *testing.T) {
	f := Findings{Problems: []Problem{{Kind: Replaced, Advice: adviceReplaced}, {Kind: Unpinned, Advice: adviceUnpinned}, {Kind: Tampered, Advice: adviceTampered}}}
	f.Name(" -r $1")
	for i, wants := range [][]string{{"lifeboat verify --accept -r $1."}, {"lifeboat unpin POINT -r $1.", "lifeboat pin POINT -r $1 pins"}, {"lifeboat list -r $1 with"}} {
		for _, want := range wants {
			if !strings.Contains(f.Problems[i].Advice, want) {
				t.Errorf("%s lacks %q", f.Problems[i].Advice, want)
			}
		}
	}
}

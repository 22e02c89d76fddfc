package head

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	repoA = Repository{ID: strings.Repeat("a", 64), Location: "/backup"}
	repoB = Repository{ID: strings.Repeat("b", 64), Location: "/backup"}
	begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// point is the n-th point of a test.
func point(n int) Point {
	return Point{ID: fmt.Sprintf("%064x", n), System: "smt", Trigger: "manual", Time: begin.Add(time.Duration(n) * time.Hour), Tree: fmt.Sprintf("%064x", 1000+n)}
}

func view(numbers ...int) View {
	v := View{}
	for _, n := range numbers {
		v.Points = append(v.Points, point(n))
	}
	return v
}

func keeper(t *testing.T, sealed ...int) *Keeper {
	t.Helper()
	k := New(t.TempDir())
	if err := k.Sealed(repoA, view(sealed...).Points...); err != nil {
		t.Fatal(err)
	}
	return k
}

func look(t *testing.T, k *Keeper, repo Repository, v View) *Findings {
	t.Helper()
	f, err := k.Look(repo, v)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func kinds(f *Findings) []Kind {
	var all []Kind
	for _, p := range f.Problems {
		if p.Text == "" || p.Advice == "" {
			panic("a problem without words")
		}
		all = append(all, p.Kind)
	}
	return all
}

func TestFirstLook(t *testing.T) {
	k := New(t.TempDir())
	if f := look(t, k, repoA, view(1, 2)); !f.First || f.Points != 2 || len(f.Problems) > 0 {
		t.Errorf("%+v", f)
	}
	if f := look(t, k, repoA, view(1, 2, 3)); f.First || f.New != 1 || f.Since.IsZero() || len(f.Problems) > 0 {
		t.Errorf("%+v", f)
	}
	for name, want := range map[string]fs.FileMode{"": 0o700, keyName: 0o600, repoA.ID + recordEnd: 0o600} {
		if info, err := os.Stat(filepath.Join(k.dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestChanges(t *testing.T) {
	rewritten := func(original int, tree bool) Point {
		p := point(50)
		p.Original = point(original).ID
		if !tree {
			p.Tree = point(original).Tree
		}
		return p
	}
	swapped := point(2)
	swapped.Tree = point(9).Tree
	for _, test := range []struct {
		name string
		repo Repository
		view View
		want []Kind
		then []Kind // at the next look at the same
	}{
		{name: "nothing", view: view(1, 2, 3)},
		{name: "a new one", view: view(1, 2, 3, 4)},
		{name: "the middle is gone", view: view(1, 3), want: []Kind{Vanished}, then: []Kind{Vanished}},
		{name: "the oldest is gone", view: view(2, 3, 4), want: []Kind{Vanished}, then: []Kind{Vanished}},
		{name: "all are gone", view: view(), want: []Kind{Vanished, Vanished, Vanished, RolledBack}, then: []Kind{Vanished, Vanished, Vanished, RolledBack}},
		{name: "the newest are gone", view: view(1), want: []Kind{Vanished, Vanished, RolledBack}, then: []Kind{Vanished, Vanished, RolledBack}},
		{name: "labels were changed", view: View{Points: append(view(1, 3).Points, rewritten(2, false))}, want: []Kind{Altered}, then: []Kind{Altered}},
		{name: "content was changed", view: View{Points: append(view(1, 3).Points, rewritten(2, true))}, want: []Kind{Altered}, then: []Kind{Altered}},
		{name: "another tree", view: View{Points: []Point{point(1), swapped, point(3)}}, want: []Kind{Altered}, then: []Kind{Altered}},
		{
			name: "unreadable", want: []Kind{Altered}, then: []Kind{Altered},
			view: View{Points: view(1, 2).Points, Unreadable: map[string]error{point(3).ID: errors.New("flipped")}},
		},
		{name: "another repository", repo: repoB, view: view(7), want: []Kind{Replaced}, then: []Kind{Replaced}},
		{name: "another place", repo: Repository{ID: repoA.ID, Location: "/elsewhere"}, view: view(1, 2, 3)},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := keeper(t, 1, 2, 3)
			repo := test.repo
			if repo.ID == "" {
				repo = repoA
			}
			if got := kinds(look(t, k, repo, test.view)); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if got := kinds(look(t, k, repo, test.view)); !slices.Equal(got, test.then) {
				t.Errorf("the second time %v, want %v", got, test.then)
			}
			if err := k.Accept(repo, test.view); err != nil {
				t.Fatal(err)
			}
			if test.view.Unreadable != nil {
				test.view.Unreadable = nil
			}
			if f := look(t, k, repo, test.view); len(f.Problems) > 0 || f.First {
				t.Errorf("after it was accepted: %+v", f)
			}
		})
	}
}

// Points that this machine removes are no news, and are when they come back.
func TestForgotten(t *testing.T) {
	k := keeper(t, 1, 2, 3)
	if err := errors.Join(k.Forgetting(repoA, point(2).ID), k.Forgotten(repoA, []string{point(2).ID}, nil)); err != nil {
		t.Fatal(err)
	}
	if f := look(t, k, repoA, view(1, 3)); len(f.Problems) > 0 {
		t.Errorf("%+v", f)
	}
	for range 2 {
		if got := kinds(look(t, k, repoA, view(1, 2, 3))); !slices.Equal(got, []Kind{Returned}) {
			t.Errorf("%v", got)
		}
	}
	if err := k.Accept(repoA, view(1, 2, 3)); err != nil {
		t.Fatal(err)
	}
	if f := look(t, k, repoA, view(1, 2, 3)); len(f.Problems) > 0 {
		t.Errorf("%+v", f)
	}
}

// A removal that was cut short may have happened or not.
func TestForgettingCutShort(t *testing.T) {
	k := keeper(t, 1, 2, 3)
	if err := k.Forgetting(repoA, point(1).ID, point(2).ID); err != nil {
		t.Fatal(err)
	}
	if f := look(t, k, repoA, view(2, 3)); len(f.Problems) > 0 || len(f.Settled) != 1 || f.Settled[0].ID != point(1).ID || len(f.Remarks()) != 1 {
		t.Errorf("one of two was removed: %+v", f)
	}
	if f := look(t, k, repoA, view(2, 3)); len(f.Settled) > 0 {
		t.Errorf("told twice: %+v", f)
	}
	if got := kinds(look(t, k, repoA, view(3))); !slices.Equal(got, []Kind{Vanished}) {
		t.Errorf("the other one vanished later: %v", got)
	}
	if got := kinds(look(t, k, repoA, view(1, 2, 3))); !slices.Equal(got, []Kind{Returned}) {
		t.Errorf("the first one is back: %v", got)
	}
}

// What the store refused to remove is missed when somebody else removes it, without
// a look in between.
func TestForgettingRefused(t *testing.T) {
	k := keeper(t, 1, 2, 3)
	ids := []string{point(1).ID, point(2).ID}
	if err := errors.Join(k.Forgetting(repoA, ids...), k.Forgotten(repoA, ids[:1], ids[1:])); err != nil {
		t.Fatal(err)
	}
	if f := look(t, k, repoA, view(3)); !slices.Equal(kinds(f), []Kind{Vanished}) || f.Problems[0].Point.ID != point(2).ID || len(f.Settled) > 0 {
		t.Errorf("%+v", f)
	}
}

// Two disks that are exchanged in turn are mounted at one place.
func TestRotation(t *testing.T) {
	k := keeper(t, 1, 2)
	if err := k.Sealed(repoB, point(5)); err != nil {
		t.Fatal(err)
	}
	if got := kinds(look(t, k, repoB, view(5))); !slices.Equal(got, []Kind{Replaced}) {
		t.Errorf("a backup has made the other repository ours: %v", got)
	}
	if err := k.Accept(repoB, view(5)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		repo Repository
		view View
	}{{repoA, view(1, 2)}, {repoB, view(5)}, {repoA, view(1, 2)}} {
		if f := look(t, k, c.repo, c.view); len(f.Problems) > 0 {
			t.Errorf("%+v", f)
		}
	}
}

func TestTampered(t *testing.T) {
	change := func(path string, do func([]byte) []byte) func(*testing.T, *Keeper) {
		return func(t *testing.T, k *Keeper) {
			t.Helper()
			data, err := os.ReadFile(filepath.Join(k.dir, path))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(k.dir, path), do(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	own := repoA.ID + recordEnd
	for name, tamper := range map[string]func(*testing.T, *Keeper){
		"a point taken out": change(own, func(data []byte) []byte {
			return []byte(strings.Replace(string(data), point(2).ID, point(4).ID, 1))
		}),
		"cut off": change(own, func(data []byte) []byte { return data[:len(data)/2] }),
		"emptied": change(own, func([]byte) []byte { return nil }),
		"signed by another machine": change(own, func([]byte) []byte {
			_, key, _ := ed25519.GenerateKey(nil)
			body, _ := json.Marshal(record{Format: 1, Repository: repoA.ID})
			data, _ := json.Marshal(envelope{Record: body, Signature: ed25519.Sign(key, append([]byte(purpose), body...))})
			return data
		}),
		"of another repository": func(t *testing.T, k *Keeper) {
			if err := k.Sealed(repoB, point(3)); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(k.dir, repoB.ID+recordEnd), filepath.Join(k.dir, own)); err != nil {
				t.Fatal(err)
			}
		},
		"another key": func(t *testing.T, k *Keeper) {
			other := keeper(t, 1)
			if err := os.Rename(filepath.Join(other.dir, keyName), filepath.Join(k.dir, keyName)); err != nil {
				t.Fatal(err)
			}
		},
		"no key": func(t *testing.T, k *Keeper) {
			if err := os.Remove(filepath.Join(k.dir, keyName)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := keeper(t, 1, 2)
			tamper(t, k)
			for range 2 {
				if got := kinds(look(t, k, repoA, view(1, 2))); !slices.Equal(got, []Kind{Tampered}) {
					t.Errorf("%v", got)
				}
			}
			if err := k.Sealed(repoA, point(3)); !errors.Is(err, ErrTampered) {
				t.Errorf("a backup hides it: %v", err)
			}
			if err := k.Accept(repoA, view(1, 2, 3)); err != nil {
				t.Fatal(err)
			}
			if f := look(t, k, repoA, view(1, 2, 3)); len(f.Problems) > 0 || f.First {
				t.Errorf("after it was accepted: %+v", f)
			}
		})
	}
}

func TestKeyForAll(t *testing.T) {
	k := keeper(t, 1)
	if err := os.Chmod(filepath.Join(k.dir, keyName), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Look(repoA, view(1)); err == nil || !strings.Contains(err.Error(), "read by others") {
		t.Errorf("%v", err)
	}
}

func TestNewerFormat(t *testing.T) {
	k := keeper(t, 1)
	own, err := k.identity()
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Appendf(nil, `{"format":%d,"repository":%q}`, recordFormat+1, repoA.ID)
	data, _ := json.Marshal(envelope{Record: body, Signature: ed25519.Sign(own.key, append([]byte(purpose), body...))})
	if _, err := decode(data, own.key.Public().(ed25519.PublicKey), repoA.ID); err == nil || errors.Is(err, ErrTampered) {
		t.Errorf("%v", err)
	}
}

func TestOddRepository(t *testing.T) {
	k := New(t.TempDir())
	for _, id := range []string{"", "../../../etc/passwd", strings.Repeat("A", 64)} {
		if err := k.Sealed(Repository{ID: id, Location: "/x"}, point(1)); err == nil {
			t.Errorf("%q", id)
		}
	}
}

func TestAtOnce(t *testing.T) {
	k := keeper(t)
	var g sync.WaitGroup
	for n := range 8 {
		g.Go(func() {
			if err := New(filepath.Dir(k.dir)).Sealed(repoA, point(n)); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	if f := look(t, k, repoA, view(0, 1, 2, 3, 4, 5, 6, 7)); f.New != 0 || len(f.Problems) > 0 {
		t.Errorf("%+v", f)
	}
}

func FuzzRecord(f *testing.F) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	body, _ := json.Marshal(record{Format: 1, Repository: repoA.ID, Points: view(1).Points})
	good, _ := json.Marshal(envelope{Record: body, Signature: ed25519.Sign(private, append([]byte(purpose), body...))})
	f.Add(good)
	f.Add([]byte(`{"record":null,"signature":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(data, public, repoA.ID)
		if (r == nil) == (err == nil) {
			t.Errorf("%v, %v", r, err)
		}
	})
}

package aside

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/host"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return "absent"
	}
	must(t, err)
	return string(text)
}

func open(t testing.TB, h *host.Host, state string) *Session {
	t.Helper()
	s, err := Open(h, state, "run1", "part")
	must(t, err)
	return s
}

// replace puts text at path by a session, on the host h, whose root dir is.
func replace(t testing.TB, s *Session, path, text string) {
	t.Helper()
	must(t, s.Begin(t.Context()))
	place, err := s.Stage(t.Context(), filepath.Dir(path))
	must(t, err)
	staged := filepath.Join(place.New, "1")
	write(t, staged, text)
	must(t, s.Commit(t.Context(), Plan{Swaps: []Swap{{Path: path, New: staged, Aside: filepath.Join(place.Aside, filepath.Base(path))}}}))
}

func TestMountedMachine(t *testing.T) {
	// The journal holds paths below the machine's root, which may be mounted
	// elsewhere when the run goes on.
	top, state := t.TempDir(), t.TempDir()
	first, second := filepath.Join(top, "mnt"), filepath.Join(top, "sysroot")
	write(t, filepath.Join(first, "etc/file"), "old")
	h, err := host.At(first)
	must(t, err)
	replace(t, open(t, h, state), filepath.Join(first, "etc/file"), "new")
	must(t, os.Rename(first, second))
	moved, err := host.At(second)
	must(t, err)
	if got := read(t, filepath.Join(second, "etc/file")); got != "new" {
		t.Fatalf("restored: %q", got)
	}
	must(t, open(t, moved, state).Rollback(t.Context()))
	if got := read(t, filepath.Join(second, "etc/file")); got != "old" {
		t.Errorf("rolled back: %q", got)
	}
}

func TestWhatOthersPutThereIsKept(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	path := filepath.Join(dir, "file")
	write(t, path, "old")
	replace(t, open(t, host.Local(), state), path, "new")
	must(t, os.Rename(path, path+".moved")) // as an editor saves a file
	write(t, path, "edited after the restore")
	must(t, open(t, host.Local(), state).Rollback(t.Context()))
	if got := read(t, path); got != "old" {
		t.Errorf("rolled back: %q", got)
	}
	if got := read(t, filepath.Join(dir, Prefix+"found-run1.part", "file")); got != "edited after the restore" {
		t.Errorf("what was edited: %q", got)
	}
}

// A file that a later step of the run wrote anew is not somebody else's.
func TestWrittenAnewByTheRun(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	path := filepath.Join(dir, "file")
	write(t, path, "old")
	s := open(t, host.Local(), state)
	replace(t, s, path, "new")
	write(t, path+"2", "renamed")
	must(t, os.Rename(path+"2", path))
	changed, err := s.Changed(t.Context(), time.Now().Add(time.Hour), false)
	if err != nil || len(changed) > 0 {
		t.Fatalf("changed: %v, %v", changed, err)
	}
	must(t, s.Rollback(t.Context(), changed...))
	if kept := s.Kept(); len(kept) > 0 || read(t, path) != "old" {
		t.Errorf("kept %v, the file holds %q", kept, read(t, path))
	}
}

func TestWhatOthersChangedIsKept(t *testing.T) {
	for _, kill := range []bool{false, true} {
		dir, state := t.TempDir(), t.TempDir()
		tree, other := filepath.Join(dir, "tree"), filepath.Join(dir, "other")
		for _, path := range []string{tree + "/file", other} {
			write(t, path, "old")
		}
		s := open(t, host.Local(), state)
		place, err := s.Stage(t.Context(), dir)
		must(t, err)
		write(t, filepath.Join(place.New, "1/file"), "new")
		write(t, filepath.Join(place.New, "2"), "new")
		must(t, s.Commit(t.Context(), Plan{Swaps: []Swap{
			{Path: tree, New: filepath.Join(place.New, "1"), Aside: filepath.Join(place.Aside, "tree")},
			{Path: other, New: filepath.Join(place.New, "2"), Aside: filepath.Join(place.Aside, "other")},
		}}))
		for path, want := range map[string]bool{tree: true, tree + "/file": true, other: true, other + "2": false, dir: false} {
			if came, err := s.Replaced(path); err != nil || came != want {
				t.Errorf("%s came with the restore: %v, %v", path, came, err)
			}
		}
		since := time.Now()
		if changed, err := s.Changed(t.Context(), since, false); err != nil || len(changed) > 0 {
			t.Fatalf("changed at once: %v, %v", changed, err)
		}
		time.Sleep(20 * time.Millisecond) // clocks of file systems tick slowly
		write(t, tree+"/added", "of somebody else")
		must(t, os.Chtimes(tree+"/added", since.Add(-time.Hour), since.Add(-time.Hour)))
		changed, err := s.Changed(t.Context(), since, false)
		if err != nil || !reflect.DeepEqual(changed, []string{tree + "/added"}) {
			t.Fatalf("changed: %v, %v", changed, err)
		}
		if changed, err := s.Changed(t.Context(), since, true); err != nil || len(changed) > 0 {
			t.Errorf("after a kill only content counts: %v, %v", changed, err)
		}
		kept := filepath.Join(dir, Prefix+"found-run1.part", "tree")
		if kill { // between the record and what it announces, and after all was moved
			must(t, s.log.add(record{Do: doRollback, Keep: []Name{Name(tree + "/added")}}, record{Do: doFound, Path: Name(tree), Aside: Name(kept)}))
			must(t, s.unswap(t.Context(), s.log.all(doSwap)[0]))
		}
		must(t, open(t, host.Local(), state).Rollback(t.Context(), changed...))
		for path, want := range map[string]string{
			tree + "/file": "old", tree + "/added": "absent", other: "old",
			kept + "/added": "of somebody else", kept + "/file": "new",
			filepath.Join(filepath.Dir(kept), "other"): "absent",
		} {
			if got := read(t, path); got != want {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
		}
		if got := open(t, host.Local(), state).Kept(); !reflect.DeepEqual(got, []string{kept}) {
			t.Errorf("kept: %v", got)
		}
	}
}

func TestAppearedMeanwhile(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	path := filepath.Join(dir, "file")
	write(t, path, "old")
	s := open(t, host.Local(), state)
	place, err := s.Stage(t.Context(), dir)
	must(t, err)
	staged := filepath.Join(place.New, "1")
	write(t, staged, "new")
	write(t, filepath.Join(place.Aside, "file"), "stands where the present one should go")
	err = s.Commit(t.Context(), Plan{Swaps: []Swap{{Path: path, New: staged, Aside: filepath.Join(place.Aside, "file")}}})
	if err == nil || !strings.Contains(err.Error(), "Stop it") {
		t.Errorf("Commit: %v", err)
	}
	if got := read(t, path); got != "old" {
		t.Errorf("replaced nevertheless: %q", got)
	}
}

func TestJournalSurvives(t *testing.T) {
	odd := "/odd/\xff\n\"quote\\"
	path := filepath.Join(t.TempDir(), "state", "journal")
	j, err := openJournal(path)
	must(t, err)
	must(t, j.add(record{Do: doSwap, Path: Name(odd), Inode: 7}, record{Do: doPlanned}))
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(`{"do":"restored","pa`)
	must(t, errors.Join(err, f.Close()))
	j, err = openJournal(path)
	must(t, err)
	if want := []record{{Do: doSwap, Path: Name(odd), Inode: 7}, {Do: doPlanned}}; !reflect.DeepEqual(j.records, want) {
		t.Errorf("records %+v, want %+v", j.records, want)
	}
	must(t, j.add(record{Do: doRestored}))
	if j, err = openJournal(path); err != nil || len(j.records) != 3 {
		t.Errorf("after a torn line: %+v, %v", j, err)
	}
	must(t, os.WriteFile(path, []byte("nonsense\n{\"do\":\"planned\"}\n"), 0o600))
	if _, err := openJournal(path); err == nil {
		t.Error("a damaged line in the middle is no error")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("journal mode: %v, %v", info.Mode(), err)
	}
}

func TestPhasesRefuse(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	path := filepath.Join(dir, "file")
	write(t, path, "old")
	s := open(t, host.Local(), state)
	replace(t, s, path, "new")
	if err := s.Commit(t.Context(), Plan{}); err == nil {
		t.Error("a second plan is accepted")
	}
	must(t, s.Discard(t.Context()))
	if err := open(t, host.Local(), state).Rollback(t.Context()); !errors.Is(err, ErrDiscarded) {
		t.Errorf("rollback after a discard: %v", err)
	}
	for _, name := range []string{"", "a/b", strings.Repeat("x", 300)} {
		if _, err := Open(host.Local(), state, "run", name); err == nil {
			t.Errorf("component name %q is accepted", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := open(t, host.Local(), t.TempDir()).Stage(ctx, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("staging with an ended context: %v", err)
	}
}

func TestForeignStagingDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, Prefix+"new-run1.part", "theirs"), "x")
	state := t.TempDir()
	if _, err := open(t, host.Local(), state).Stage(t.Context(), dir); err == nil {
		t.Error("a directory that is there already is used")
	}
	must(t, open(t, host.Local(), state).Rollback(t.Context()))
	if got := read(t, filepath.Join(dir, Prefix+"new-run1.part", "theirs")); got != "x" {
		t.Errorf("it was removed: %q", got)
	}
}

func TestMountPaths(t *testing.T) {
	if got := unescape(`/a\040b\134c\011`); got != "/a b\\c\t" {
		t.Errorf("unescape: %q", got)
	}
	for _, c := range []struct {
		path, dir string
		want      bool
	}{{"/a/b", "/a", true}, {"/a", "/a", true}, {"/ab", "/a", false}, {"/x", "/", true}, {"/", "/a", false}} {
		if got := Below(c.path, c.dir); got != c.want {
			t.Errorf("Below(%q, %q) = %v", c.path, c.dir, got)
		}
	}
	if mounts, err := Mounts("/"); err != nil || len(mounts) == 0 {
		t.Errorf("Mounts: %v, %v", mounts, err)
	}
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte("{\"do\":\"swap\",\"path\":\"/a\"}\n{\"do\":\"planned\"}\n"))
	f.Add([]byte("{\"do\":\"touch\",\"path\":\"\\\\xff\",\"meta\":{}}\n{\"do"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "journal")
		must(t, os.WriteFile(path, text, 0o600))
		if j, err := openJournal(path); err == nil {
			must(t, j.add(record{Do: doPlanned}))
			if again, err := openJournal(path); err != nil || len(again.records) != len(j.records) {
				t.Fatalf("%d records became %v, %v", len(j.records), again, err)
			}
		}
	})
}

package journal

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/internal/component/boundary"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const limit = 1 << 10

// read opens the journal at a path and returns what is in it.
func read(path string, create bool) (*File, []string, error) {
	var lines []string
	j, err := Open(path, limit, create, func(line []byte) error {
		if !json.Valid(line) {
			return errors.New("is no record")
		}
		lines = append(lines, string(line))
		return nil
	})
	return j, lines, err
}

// What a crash, a person or a full disk may have left at the place of a journal.
func TestOpen(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		lines  []string
		rest   string // of the text, once it was opened
		failed string
	}{
		"empty":             {},
		"whole":             {"1\n2\n", []string{"1", "2"}, "1\n2\n", ""},
		"torn":              {"1\n{\"a\":", []string{"1"}, "1\n", ""},
		"torn at the end":   {"1\n2", []string{"1"}, "1\n", ""},
		"torn first line":   {"{\"a\"", nil, "", ""},
		"zeros at the end":  {"1\n\x00\x00\x00", []string{"1"}, "1\n", ""},
		"damaged in it":     {"1\noops\n3\n", []string{"1"}, "1\noops\n3\n", "line 2: is no record"},
		"damaged, and torn": {"oops\n3", nil, "oops\n3", "line 1: is no record"},
		"an empty line":     {"1\n\n3\n", []string{"1"}, "1\n\n3\n", "line 2: is no record"},
		"too large":         {strings.Repeat("1\n", limit), nil, strings.Repeat("1\n", limit), "it is no journal"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal")
			must(t, os.WriteFile(path, []byte(c.text), 0o600))
			j, lines, err := read(path, false)
			if (err == nil) != (c.failed == "") || err != nil && (!strings.Contains(err.Error(), c.failed) || !strings.Contains(err.Error(), path)) || !slices.Equal(lines, c.lines) {
				t.Errorf("read %q, %v", lines, err)
			}
			if (j == nil) != (err != nil) {
				t.Errorf("the journal is %v beside the error %v", j, err)
			}
			if rest, err := os.ReadFile(path); err != nil || string(rest) != c.rest {
				t.Errorf("left is %q, %v", rest, err)
			}
			if j == nil {
				return
			}
			defer j.Close()
			// What comes next stands behind what is whole.
			must(t, j.Add(t.Context(), "", map[string]int{"next": 1}, func() {}))
			if rest, err := os.ReadFile(path); err != nil || string(rest) != c.rest+"{\"next\":1}\n" {
				t.Errorf("with the next record it is %q, %v", rest, err)
			}
			_, again, err := read(path, false)
			if want := append(slices.Clone(c.lines), `{"next":1}`); err != nil || !slices.Equal(again, want) {
				t.Errorf("read again: %q, %v", again, err)
			}
		})
	}
}

func TestOpenWhereNothingIs(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a", "b", "journal")
	if j, lines, err := read(path, false); j != nil || lines != nil || err != nil {
		t.Errorf("not made, and %v, %v, %v", j, lines, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a look has made a directory: %v", err)
	}
	j, _, err := read(path, true)
	must(t, err)
	j.Close()
	for at, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if info, err := os.Stat(at); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", at, info.Mode(), err)
		}
	}
	if j.Path() != path {
		t.Errorf("it is at %s", j.Path())
	}
	for name, at := range map[string]string{"a directory": filepath.Dir(path), "below a file": path + "/x"} {
		if j, _, err := read(at, true); err == nil || j != nil {
			t.Errorf("%s is a journal: %v", name, j)
		}
	}
}

// A record is in the file before it counts, and one that cannot be written does not.
func TestAdd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, _, err := read(path, true)
	must(t, err)
	var seen []string
	ctx := boundary.Observe(t.Context(), func(name string) {
		text, err := os.ReadFile(path)
		must(t, err)
		seen = append(seen, name+" "+strings.TrimSpace(string(text)))
	})
	must(t, j.Add(ctx, "swap", 1, func() {
		text, err := os.ReadFile(path)
		must(t, err)
		seen = append(seen, "applied "+strings.TrimSpace(string(text)))
	}))
	if want := []string{"before swap ", "applied 1", "after swap 1"}; !slices.Equal(seen, want) {
		t.Errorf("the order is %q, want %q", seen, want)
	}
	j.Close()
	for name, record := range map[string]any{"of no JSON": func() {}, "of a closed file": 2} {
		if err := j.Add(t.Context(), "", record, func() { t.Errorf("a record %s counts", name) }); err == nil {
			t.Errorf("a record %s is written", name)
		}
	}
	if _, lines, err := read(path, false); err != nil || !slices.Equal(lines, []string{"1"}) {
		t.Errorf("left are %q, %v", lines, err)
	}
}

// A record of which a full disk took only a half is cut off at once: the next one that
// is written, when there is room again, would stand behind it.
func TestAddOnAFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, _, err := read(path, true)
	must(t, err)
	defer j.Close()
	must(t, j.Add(t.Context(), "", "first", func() {}))
	// A limit of this process stands for the disk.
	var was unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &was))
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(len("\"first\"\n\"sec")), Max: was.Max}))
	err = j.Add(t.Context(), "", "second", func() { t.Error("a half counts") })
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &was))
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("the disk was full: %v", err)
	}
	must(t, j.Add(t.Context(), "", "third", func() {}))
	if _, lines, err := read(path, false); err != nil || !slices.Equal(lines, []string{`"first"`, `"third"`}) {
		t.Errorf("left are %q, %v", lines, err)
	}
}

package inventory

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// must ends the test when a call has failed.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

// tree has one of everything, and names that sort oddly around the slash.
func tree(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	write(t, root+"/a/x", "one")
	write(t, root+"/a-b/x", "two")
	write(t, root+"/a.b", "three")
	write(t, root+"/etc/\xff odd\nname", "four")
	must(t, os.Link(root+"/a/x", root+"/etc/linked"))
	must(t, os.Symlink("x", root+"/a/to"))
	must(t, unix.Mkfifo(root+"/fifo", 0o600))
	must(t, unix.Setxattr(root+"/a.b", "user.note", []byte("v"), 0))
	write(t, root+"/skip/me", "x")
	past := time.Now().Add(-time.Hour)
	must(t, filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		ts := []unix.Timespec{unix.NsecToTimespec(past.UnixNano()), unix.NsecToTimespec(past.UnixNano())}
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW)
	}))
	return root
}

func skip(path string) bool { return path == "/skip" }

func take(t *testing.T, root string, o Options) ([]byte, Summary) {
	t.Helper()
	var list bytes.Buffer
	s, err := Take(t.Context(), root, o, &list)
	must(t, err)
	return list.Bytes(), s
}

func compare(t *testing.T, list []byte, root string, o Options) []string {
	t.Helper()
	var found []string
	_, err := Compare(t.Context(), bytes.NewReader(list), root, o, func(d Difference) error {
		found = append(found, d.String())
		return nil
	})
	must(t, err)
	return found
}

func TestATreeEqualsItself(t *testing.T) {
	root := tree(t)
	list, sum := take(t, root, Options{Skip: skip})
	if sum.Entries != 11 || sum.Bytes != int64(len("onetwothreefour")) || sum.Moving != 0 {
		t.Errorf("%+v\n%s", sum, list)
	}
	if found := compare(t, list, root, Options{Skip: skip}); len(found) > 0 {
		t.Error(found)
	}
	again, err := Read(bytes.NewReader(list), nil)
	if err != nil || again != sum {
		t.Errorf("read again: %+v %v, want %+v", again, err, sum)
	}
}

func TestEveryChangeIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		change func(root string) error
		want   []string
	}{
		"content under its old times": {func(root string) error {
			st, err := os.Stat(root + "/a-b/x")
			if err != nil {
				return err
			}
			if err := os.WriteFile(root+"/a-b/x", []byte("TWO"), 0o644); err != nil {
				return err
			}
			return os.Chtimes(root+"/a-b/x", st.ModTime(), st.ModTime())
		}, []string{`changed "/a-b/x": content`}},
		"mode":  {func(root string) error { return os.Chmod(root+"/a.b", 0o4755) }, []string{`changed "/a.b": mode`}},
		"times": {func(root string) error { return os.Chtimes(root+"/a.b", time.Time{}, time.Unix(7, 8)) }, []string{`changed "/a.b": modification time`}},
		"attribute": {
			func(root string) error { return unix.Setxattr(root+"/a.b", "user.note", []byte("w"), 0) },
			[]string{`changed "/a.b": attributes`},
		},
		"lost": {func(root string) error { return os.Remove(root + "/fifo") }, []string{`changed "/": modification time`, `missing "/fifo"`}},
		"new": {
			func(root string) error { return os.WriteFile(root+"/a/new", nil, 0o600) },
			[]string{`changed "/a": modification time`, `new "/a/new"`},
		},
		"link split": {func(root string) error {
			st, err := os.Stat(root + "/etc")
			if err != nil {
				return err
			}
			file, err := os.Stat(root + "/etc/linked")
			if err != nil {
				return err
			}
			if err := os.Remove(root + "/etc/linked"); err != nil {
				return err
			}
			if err := os.WriteFile(root+"/etc/linked", []byte("one"), 0o644); err != nil {
				return err
			}
			if err := os.Chtimes(root+"/etc/linked", file.ModTime(), file.ModTime()); err != nil {
				return err
			}
			return os.Chtimes(root+"/etc", st.ModTime(), st.ModTime())
		}, []string{`changed "/etc/linked": content, hard links`}},
		"another type": {func(root string) error {
			if err := os.Remove(root + "/a/to"); err != nil {
				return err
			}
			return os.Mkdir(root+"/a/to", 0o755)
		}, []string{`changed "/a": modification time`, `changed "/a/to": it was a link and is a dir`}},
		"what is skipped": {func(root string) error { return os.WriteFile(root+"/skip/more", nil, 0o600) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t)
			list, _ := take(t, root, Options{Skip: skip})
			must(t, c.change(root))
			if got := compare(t, list, root, Options{Skip: skip}); !slices.Equal(got, c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

// What was written to after a backup began proves nothing about that backup.
func TestWhatMovedIsNotCompared(t *testing.T) {
	root := tree(t)
	must(t, os.Chmod(root+"/fifo", 0o600))
	all, sum := take(t, root, Options{Skip: skip, Since: time.Now().Add(-time.Hour)})
	if sum.Moving != sum.Entries {
		t.Errorf("%d of %d move", sum.Moving, sum.Entries)
	}
	must(t, os.RemoveAll(root+"/a"))
	write(t, root+"/etc/new", "")
	if got := compare(t, all, root, Options{Skip: skip}); len(got) > 0 {
		t.Error(got)
	}
	if _, sum := take(t, root, Options{Skip: skip, Since: time.Now().Add(time.Hour)}); sum.Moving != 0 {
		t.Errorf("%d move", sum.Moving)
	}
}

func TestOrderIsThatOfAWalk(t *testing.T) {
	paths := []string{"/", "/a", "/a/x", "/a-b", "/a-b/x", "/a.b", "/ab", "/b/\xff"}
	for i := range paths {
		for j := range paths {
			if got := order(paths[i], paths[j]); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("%q %q: %d", paths[i], paths[j], got)
			}
		}
	}
}

func TestWhatIsNoInventory(t *testing.T) {
	for _, text := range []string{
		"", "{}\n", head + "x\n", head + `{"path":"etc"}` + "\n", head + `{"path":"/a/../b"}` + "\n",
		head + `{"path":"/b"}` + "\n" + `{"path":"/a"}` + "\n", head + `{"path":"/a"}` + "\n" + `{"path":"/a"}` + "\n",
		head + strings.Repeat("x", maxLine+1),
	} {
		if _, err := Read(strings.NewReader(text), nil); err == nil {
			t.Errorf("%.40q is taken", text)
		}
	}
	if _, err := Take(t.Context(), "/dev/null", Options{}, &bytes.Buffer{}); err == nil {
		t.Error("a file has an inventory")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Take(ctx, t.TempDir(), Options{}, &bytes.Buffer{}); err == nil {
		t.Error("it goes on after its end")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(head + `{"path":"/a","type":"file","sha256":"00"}` + "\n"))
	f.Add([]byte(fmt.Sprint(head, "\n\n")))
	f.Fuzz(func(_ *testing.T, text []byte) {
		_, _ = Read(bytes.NewReader(text), func(Entry) error { return nil })
	})
}

package repository

import (
	"context"
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

	"github.com/pkg/xattr"
	"golang.org/x/sys/unix"
)

// told compares and gives one line a difference: "! kind path: fields", the mark
// for a suspicious one.
func told(t *testing.T, r *Repository, s *Snapshot, dir string, opts CompareOptions) []string {
	t.Helper()
	if opts.Since.IsZero() {
		opts.Since = s.Time.Add(-time.Second)
	}
	var lines []string
	_, err := r.Compare(t.Context(), s, dir, dir, opts, func(d Difference) {
		line := string(d.Kind) + " " + strings.TrimPrefix(d.Path, dir+"/")
		if d.Suspicious {
			line = "! " + line
		}
		for _, f := range d.Fields {
			line += " " + f.Name
		}
		if d.Below > 0 {
			line += fmt.Sprint(" +", d.Below)
		}
		lines = append(lines, line)
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// setBack gives an entry and its directory the times they have now after f.
func setBack(t *testing.T, path string, f func()) {
	t.Helper()
	var times [2][]unix.Timespec
	paths := [2]string{path, filepath.Dir(path)}
	for i, p := range paths {
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			t.Fatal(err)
		}
		times[i] = []unix.Timespec{st.Atim, st.Mtim}
	}
	f()
	for i, p := range paths {
		err := unix.UtimesNanoAt(unix.AT_FDCWD, p, times[i], unix.AT_SYMLINK_NOFOLLOW)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			t.Fatal(err)
		}
	}
}

func TestCompare(t *testing.T) {
	needRoot(t)
	acl := []byte{2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 33, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255}
	ok := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	r, _ := newRepo(t)
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		opts   CompareOptions
		want   []string
	}{
		"nothing": {func(*testing.T, string) {}, CompareOptions{}, nil},
		"content": {func(t *testing.T, dir string) { put(t, dir+"/a", "B") }, CompareOptions{}, []string{"content a modification time content"}},
		"content under the old time": {
			func(t *testing.T, dir string) { setBack(t, dir+"/a", func() { put(t, dir+"/a", "B") }) },
			CompareOptions{},
			[]string{"! content a content"},
		},
		"size under the old time": {
			func(t *testing.T, dir string) { setBack(t, dir+"/a", func() { put(t, dir+"/a", "longer") }) },
			CompareOptions{},
			[]string{"! content a size"},
		},
		"quick sees a change of content": {
			func(t *testing.T, dir string) { setBack(t, dir+"/a", func() { put(t, dir+"/a", "B") }) },
			CompareOptions{Quick: true},
			[]string{"! content a content"},
		},
		"one byte of a large file": {func(t *testing.T, dir string) {
			f, err := os.OpenFile(dir+"/large", os.O_WRONLY, 0)
			ok(t, err)
			_, err = f.WriteAt([]byte{1}, 5<<20)
			ok(t, errors.Join(err, f.Close()))
		}, CompareOptions{}, []string{"content large modification time content"}},
		"missing": {func(t *testing.T, dir string) { ok(t, os.RemoveAll(dir+"/sub")) }, CompareOptions{}, []string{"missing sub +3"}},
		"missing without a trace": {
			func(t *testing.T, dir string) { setBack(t, dir+"/a", func() { ok(t, os.Remove(dir+"/a")) }) },
			CompareOptions{},
			[]string{"! missing a"},
		},
		"new":             {func(t *testing.T, dir string) { put(t, dir+"/fresh/x/y", "1") }, CompareOptions{}, []string{"new fresh +2"}},
		"new but old":     {func(t *testing.T, dir string) { put(t, dir+"/fresh", "1") }, CompareOptions{Since: time.Now().Add(time.Hour)}, []string{"! new fresh"}},
		"mode":            {func(t *testing.T, dir string) { ok(t, os.Chmod(dir+"/a", 0o600)) }, CompareOptions{}, []string{"metadata a mode"}},
		"owner and group": {func(t *testing.T, dir string) { ok(t, os.Lchown(dir+"/link", 33, 34)) }, CompareOptions{}, []string{"metadata link owner group"}},
		"owner as translated": {
			func(t *testing.T, dir string) { ok(t, os.Lchown(dir+"/foreign", 78, 0)) },
			CompareOptions{UID: func(old uint32) uint32 { return map[uint32]uint32{77: 78}[old] }},
			nil,
		},
		"account renamed": {
			func(*testing.T, string) {},
			CompareOptions{UID: func(old uint32) uint32 { return map[uint32]uint32{77: 78}[old] }},
			[]string{"metadata foreign owner (by name)"},
		},
		"ACL":       {func(t *testing.T, dir string) { ok(t, xattr.Set(dir+"/a", aclAccess, acl)) }, CompareOptions{}, []string{"metadata a ACL"}},
		"attribute": {func(t *testing.T, dir string) { ok(t, xattr.Set(dir+"/a", "user.x", []byte("1"))) }, CompareOptions{}, []string{"metadata a attribute user.x"}},
		"target": {func(t *testing.T, dir string) {
			ok(t, os.Remove(dir+"/link"))
			ok(t, os.Symlink("b", dir+"/link"))
		}, CompareOptions{}, []string{"content link modification time target"}},
		"time": {func(t *testing.T, dir string) {
			ok(t, os.Chtimes(dir+"/a", time.Unix(1, 0), time.Unix(1, 0)))
		}, CompareOptions{}, []string{"metadata a modification time"}},
		"type": {func(t *testing.T, dir string) {
			ok(t, os.Remove(dir+"/a"))
			ok(t, os.Mkdir(dir+"/a", 0o755))
		}, CompareOptions{}, []string{"content a type"}},
		"link split": {func(t *testing.T, dir string) {
			setBack(t, dir+"/two", func() {
				ok(t, os.Remove(dir+"/two"))
				put(t, dir+"/two", "linked")
			})
		}, CompareOptions{}, []string{"metadata two hard links"}},
		"link joined": {func(t *testing.T, dir string) {
			setBack(t, dir+"/sub/one", func() {
				ok(t, os.Remove(dir+"/sub/one"))
				ok(t, os.Link(dir+"/one", dir+"/sub/one"))
			})
		}, CompareOptions{}, []string{"metadata sub/one hard links"}},
		"linked content": {func(t *testing.T, dir string) { put(t, dir+"/two", "LINKED") }, CompareOptions{}, []string{
			"content one modification time content", "content two modification time content",
		}},
		"excluded": {func(t *testing.T, dir string) {
			put(t, dir+"/sub/log", "new")
			ok(t, os.RemoveAll(dir+"/sub/deep"))
		}, CompareOptions{Exclude: func(p string) bool { return strings.HasSuffix(p, "/sub") }}, nil},
		"socket and odd name": {func(t *testing.T, dir string) {
			ok(t, unix.Mknod(dir+"/socket", unix.S_IFSOCK|0o600, 0))
			put(t, dir+"/-\xff\n", "x")
		}, CompareOptions{}, []string{"new -\xff\n"}},
		"all of it": {func(t *testing.T, dir string) { ok(t, os.RemoveAll(dir)) }, CompareOptions{}, []string{"missing DIR +10"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "tree")
			put(t, dir+"/a", "A")
			put(t, dir+"/foreign", "x")
			ok(t, os.Chown(dir+"/foreign", 77, 0))
			put(t, dir+"/large", strings.Repeat("0123456789abcdef", 3<<17))
			put(t, dir+"/one", "linked")
			ok(t, os.Link(dir+"/one", dir+"/two"))
			put(t, dir+"/sub/one", "linked")
			ok(t, os.Chtimes(dir+"/sub/one", time.Unix(9, 9), time.Unix(9, 9)))
			ok(t, os.Chtimes(dir+"/one", time.Unix(9, 9), time.Unix(9, 9)))
			put(t, dir+"/sub/deep/file", "")
			ok(t, os.Symlink("a", dir+"/link"))
			s, _ := backup(t, r, nil, dir)
			for _, unsealed := range []bool{true, false} { // without and with the kernel's view
				if got := told(t, r, s, dir, CompareOptions{unsealed: unsealed}); got != nil {
					t.Fatalf("before: %q", got)
				}
			}
			c.change(t, dir)
			got := told(t, r, s, dir, c.opts)
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], dir, "DIR")
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// A file that is written to while it is read is neither called the same nor
// suspicious.
func TestCompareWhileWritten(t *testing.T) {
	r, _ := newRepo(t)
	dir := filepath.Join(t.TempDir(), "tree")
	text := strings.Repeat("x", 20<<20)
	put(t, dir+"/log", text)
	s, _ := backup(t, r, nil, dir)
	var once sync.Once
	opts := CompareOptions{seen: func(path string) {
		once.Do(func() { put(t, path, text[1:]+"y") })
	}}
	if got := told(t, r, s, dir, opts); !slices.Equal(got, []string{"changing log"}) {
		t.Errorf("got %q", got)
	}
}

// Comparing sets no access time, not even that of a symbolic link.
func TestCompareOnlyReads(t *testing.T) {
	needRoot(t)
	r, _ := newRepo(t)
	dir := filepath.Join(t.TempDir(), "tree")
	put(t, dir+"/sub/file", "x")
	if err := os.Symlink("sub", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	s, _ := backup(t, r, nil, dir)
	times := func() (all []unix.Timespec) {
		for _, name := range []string{"", "/sub", "/sub/file", "/link"} {
			var st unix.Stat_t
			if err := unix.Lstat(dir+name, &st); err != nil {
				t.Fatal(err)
			}
			all = append(all, st.Atim, st.Ctim)
		}
		return all
	}
	for _, name := range []string{"/sub/file", "/sub", "/link", ""} {
		old := []unix.Timespec{{Sec: 1000}, {Sec: 2000}} // read long before it was written
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, dir+name, old, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			t.Fatal(err)
		}
	}
	before := times()
	told(t, r, s, dir, CompareOptions{})
	if after := times(); !slices.Equal(before, after) {
		t.Errorf("times before %v, after %v", before, after)
	}
}

func TestCompareQuickDoesNotRead(t *testing.T) {
	r, _ := newRepo(t)
	dir := filepath.Join(t.TempDir(), "tree")
	put(t, dir+"/file", "x")
	s, _ := backup(t, r, nil, dir)
	for quick, want := range map[bool]CompareStats{true: {Entries: 2, Unread: 1}, false: {Entries: 2, Bytes: 1}} {
		got, err := r.Compare(t.Context(), s, dir, dir, CompareOptions{Quick: quick, Since: s.Time}, func(d Difference) { t.Error(d) })
		if err != nil || got != want {
			t.Errorf("quick %v: %+v, %v", quick, got, err)
		}
	}
}

func TestCompareErrors(t *testing.T) {
	r, where := newRepo(t)
	dir := filepath.Join(t.TempDir(), "tree")
	put(t, dir+"/file", "x")
	s, _ := backup(t, r, nil, dir)
	if _, err := r.Compare(t.Context(), s, dir+"/none", dir, CompareOptions{}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a path that is not stored: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Compare(ctx, s, dir, dir, CompareOptions{}, nil); !errors.Is(err, ctx.Err()) {
		t.Errorf("ended: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(where, "data")); err != nil {
		t.Fatal(err)
	}
	if _, err := openRepo(t, where).Compare(t.Context(), s, dir, dir, CompareOptions{}, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("without packs: %v", err)
	}
}

// TestJudge has the cases that no test can make: times that nobody can set.
func TestJudge(t *testing.T) {
	at := time.Unix(1000, 0)
	node := &Node{Type: File, ModTime: at, ChangeTime: at}
	stat := func(m, c int64) *unix.Stat_t {
		return &unix.Stat_t{Mtim: unix.Timespec{Sec: m}, Ctim: unix.Timespec{Sec: c}}
	}
	for name, c := range map[string]struct {
		kind   DifferenceKind
		field  string
		st     *unix.Stat_t
		copied bool
		want   bool
	}{
		"written since":              {Changed, "content", stat(1001, 1001), false, false},
		"replaced by an older file":  {Changed, "content", stat(900, 1001), false, false},
		"rotten":                     {Changed, "content", stat(1000, 1000), false, true},
		"time set back":              {Changed, "content", stat(1000, 1001), false, true},
		"time set back in a copy":    {Changed, "content", stat(1000, 900), true, true},
		"mode changed":               {Metadata, "mode", stat(1000, 1001), false, false},
		"mode changed by nobody":     {Metadata, "mode", stat(1000, 1000), false, true},
		"mode of a copy":             {Metadata, "mode", stat(1000, 900), true, false},
		"accounts changed":           {Metadata, "owner" + translated, stat(1000, 1000), false, false},
		"clock set back":             {Changed, "content", stat(999, 999), false, true},
		"unreadable":                 {Unreadable, "", stat(1000, 1000), false, false},
		"written to while it's read": {Moving, "", stat(1000, 1000), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			x := &comparison{opts: CompareOptions{Since: at}}
			if c.copied {
				x.opts.Since = time.Time{}
			}
			d := Difference{Kind: c.kind, Fields: []Field{{Name: c.field}}}
			x.judge(&d, node, c.st)
			if d.Suspicious != c.want || c.want && d.Note == "" {
				t.Errorf("%+v", d)
			}
		})
	}
}

// A file system that is mounted in the tree is compared with it, and is mounted
// afterwards as before: the view of the tree goes away alone.
func TestCompareLeavesMounts(t *testing.T) {
	needRoot(t)
	r, _ := newRepo(t)
	dir := filepath.Join(t.TempDir(), "tree")
	inner := filepath.Join(dir, "sub", "mounted")
	put(t, inner+"/hidden", "below the mount")
	if err := unix.Mount("compare", inner, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("needs the right to mount")
	}
	t.Cleanup(func() {
		if err := unix.Unmount(inner, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mount("", inner, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	put(t, inner+"/file", "in the mount")
	s, _ := backup(t, r, nil, dir)
	if got := told(t, r, s, dir, CompareOptions{}); got != nil {
		t.Errorf("%q", got)
	}
	put(t, inner+"/file", "other")
	if got := told(t, r, s, dir, CompareOptions{}); !slices.Equal(got, []string{"content sub/mounted/file modification time size"}) {
		t.Errorf("%q", got)
	}
	if _, err := os.Stat(inner + "/hidden"); err == nil {
		t.Error("the file system is not mounted any more")
	}
	if err := os.WriteFile(inner+"/file", []byte("still to be written"), 0o600); err != nil {
		t.Error(err)
	}
}

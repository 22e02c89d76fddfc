package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func begin(t testing.TB, r *Repository, parent *Snapshot) *Session {
	t.Helper()
	s, err := r.Begin(t.Context(), SessionOptions{Parent: parent})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A second backup stores only what changed, and reads only that.
func TestIncremental(t *testing.T) {
	t.Parallel()
	tree := filepath.Join(t.TempDir(), "tree")
	nastyTree(t, tree)
	r, dir := newRepo(t)
	first, stats1 := backup(t, r, nil, tree)
	second, stats2 := backup(t, openRepo(t, dir), first, tree)
	if stats2.New != 0 || stats2.Stored != 0 || stats2.Unchanged == 0 || stats2.Bytes != stats1.Bytes {
		t.Errorf("unchanged: %+v", stats2)
	}
	before, _ := r.Find(t.Context(), first, tree)
	after, _ := r.Find(t.Context(), second, tree)
	if *before.Subtree != *after.Subtree {
		t.Error("an unchanged tree has another ID")
	}
	if second.Parent == nil || *second.Parent != first.ID {
		t.Errorf("parent %v", second.Parent)
	}

	// The same size and modification time do not hide a change.
	name := filepath.Join(tree, "plain")
	info, _ := os.Stat(name)
	write(t, name, []byte("HELLO\n"))
	os.Chtimes(name, info.ModTime(), info.ModTime())
	// An insertion into a large file changes only the chunks around it.
	big, _ := os.ReadFile(filepath.Join(tree, "big"))
	write(t, filepath.Join(tree, "big"), slices.Concat(big[:3<<20], []byte("inserted"), big[3<<20:]))
	os.Remove(filepath.Join(tree, "empty"))
	r = openRepo(t, dir)
	third, stats3 := backup(t, r, second, tree)
	if got := readAll(t, r, third, name); string(got) != "HELLO\n" {
		t.Errorf("a changed file reads %q", got)
	}
	if stats3.New == 0 || stats3.New > 7<<20 {
		t.Errorf("%d bytes are new", stats3.New)
	}
	if _, err := r.Find(t.Context(), third, filepath.Join(tree, "empty")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a removed file: %v", err)
	}
	if got := readAll(t, r, first, name); string(got) != "hello\n" {
		t.Errorf("the first snapshot reads %q", got)
	}
}

// Content of one file is stored once however many hard links it has, and counted once.
func TestHardLinksReadOnce(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	write(t, filepath.Join(tree, "x", "file"), random(3, 3<<20))
	for i := range 50 {
		if err := os.Link(filepath.Join(tree, "x", "file"), filepath.Join(tree, fmt.Sprint("link", i))); err != nil {
			t.Fatal(err)
		}
	}
	r, _ := newRepo(t)
	snap, stats := backup(t, r, nil, tree)
	if stats.Bytes != 3<<20 || stats.New != 3<<20 || stats.Files != 51 {
		t.Errorf("%+v", stats)
	}
	if _, again := backup(t, r, snap, tree); again.Bytes != 3<<20 || again.New != 0 {
		t.Errorf("again: %+v", again)
	}
	out := filepath.Join(t.TempDir(), "out")
	if _, err := r.Restore(t.Context(), snap, tree, out, RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	sameTree(t, tree, out)
}

func TestStream(t *testing.T) {
	t.Parallel()
	r, dir := newRepo(t)
	s := begin(t, r, nil)
	data := bytes.Repeat([]byte("INSERT INTO t VALUES (1);\n"), 500_000)
	when := time.Date(2020, 2, 3, 4, 5, 6, 7, time.UTC)
	var seen int64
	stats, err := s.AddStream(t.Context(), "/.lifeboat/databases/smt.sql", Stream{Mode: 0o640, UID: 12, GID: 34, ModTime: when, Progress: func(n int64) { seen += n }}, bytes.NewReader(data))
	if err != nil || stats.Bytes != int64(len(data)) || seen != stats.Bytes || stats.Stored > stats.Bytes/10 {
		t.Fatalf("%+v, %d seen, %v", stats, seen, err)
	}
	if _, err := s.AddBytes(t.Context(), "/.lifeboat/manifest.json", Stream{}, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddBytes(t.Context(), "/.lifeboat/empty", Stream{}, nil); err != nil {
		t.Fatal(err)
	}
	snap := commit(t, r, s)
	if got := readAll(t, r, snap, "/.lifeboat/databases/smt.sql"); !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back as %d", len(data), len(got))
	}
	n, _ := r.Find(t.Context(), snap, "/.lifeboat/databases/smt.sql")
	if n.Mode != 0o640 || n.UID != 12 || n.GID != 34 || !n.ModTime.Equal(when) || n.Size != uint64(len(data)) {
		t.Errorf("%+v", n)
	}
	if n, _ := r.Find(t.Context(), snap, "/.lifeboat"); n.Mode.Perm() != 0o700 {
		t.Errorf("directories of streams have mode %v", n.Mode)
	}
	if n, _ := r.Find(t.Context(), snap, "/.lifeboat/manifest.json"); n.Mode != 0o600 {
		t.Errorf("mode %v", n.Mode)
	}
	resticCheck(t, dir)
	if out := restic(t, dir, "dump", "latest", "/.lifeboat/manifest.json"); !strings.HasSuffix(strings.TrimSpace(out), "{}") {
		t.Errorf("restic dumps %q", out)
	}
}

type brokenReader struct {
	n   int
	err error
}

func (b *brokenReader) Read(p []byte) (int, error) {
	if b.n <= 0 {
		return 0, b.err
	}
	n := min(len(p), b.n)
	b.n -= n
	return copy(p, random(9, n)), nil
}

// When the reader fails nothing of the stream counts, and the rest does.
func TestStreamFails(t *testing.T) {
	t.Parallel()
	r, dir := newRepo(t)
	s := begin(t, r, nil)
	died := errors.New("mysqldump died")
	for _, n := range []int{0, 100, 5 << 20} {
		if _, err := s.AddStream(t.Context(), "/.lifeboat/dump.sql", Stream{}, &brokenReader{n, died}); !errors.Is(err, died) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.AddStream(ctx, "/.lifeboat/dump.sql", Stream{}, io.MultiReader(strings.NewReader("x"), readerFunc(func([]byte) (int, error) { cancel(); return 0, nil }))); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := s.AddBytes(t.Context(), "/.lifeboat/other", Stream{}, []byte("x")); err != nil {
		t.Fatal(err)
	}
	snap := commit(t, r, s)
	if _, err := r.Find(t.Context(), snap, "/.lifeboat/dump.sql"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the failed stream: %v", err)
	}
	resticCheck(t, dir)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Paths of calls may lie in each other, in any order.
func TestNestedPaths(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	at := func(s string) string { return filepath.Join(top, s) }
	for _, name := range []string{"srv/www/htdocs/repo/a.rpm", "srv/www/htdocs/smt.crt", "srv/www/cgi/x", "srv/ftp/y", "etc/smt.conf"} {
		write(t, at(name), []byte(name))
	}
	os.Chmod(at("srv/www"), 0o711)
	for _, order := range [][]string{
		{"srv/www/htdocs", "srv/www/htdocs/smt.crt", "srv/www", "etc/smt.conf"},
		{"srv/www", "srv/www/htdocs/smt.crt", "etc/smt.conf", "srv/www/htdocs"},
		{"srv/www/htdocs/smt.crt", "etc/smt.conf", "srv/www/htdocs", "srv/www/htdocs", "srv/www/cgi"},
	} {
		t.Run(strings.Join(order, ","), func(t *testing.T) {
			r, dir := newRepo(t)
			s := begin(t, r, nil)
			for _, name := range order {
				// What belongs to others is excluded by the outer ones.
				opts := PathOptions{Exclude: func(p string) bool { return p == at("srv/www/htdocs/smt.crt") }}
				if strings.HasSuffix(name, "smt.crt") {
					opts = PathOptions{}
				}
				if _, err := s.AddPath(t.Context(), at(name), opts); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.AddBytes(t.Context(), at("srv/.lifeboat/manifest.json"), Stream{}, []byte("{}")); err != nil {
				t.Fatal(err)
			}
			snap := commit(t, r, s)
			var got []string
			err := r.Walk(t.Context(), snap, top, func(p string, n *Node) error {
				if n.Type == File {
					got = append(got, strings.TrimPrefix(p, top+"/"))
				}
				return nil
			})
			want := []string{"etc/smt.conf", "srv/.lifeboat/manifest.json", "srv/www/cgi/x", "srv/www/htdocs/repo/a.rpm", "srv/www/htdocs/smt.crt"}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%v, %v", got, err)
			}
			if n, err := r.Find(t.Context(), snap, at("srv/www")); err != nil || n.Mode.Perm() != 0o711 {
				t.Errorf("a directory above has not its own mode: %v, %v", n, err)
			}
			resticCheck(t, dir)
		})
	}
}

func TestPathConflicts(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	write(t, filepath.Join(top, "file"), nil)
	r, _ := newRepo(t)
	s := begin(t, r, nil)
	s.AddPath(t.Context(), filepath.Join(top, "file"), PathOptions{})
	s.AddBytes(t.Context(), filepath.Join(top, "file/below"), Stream{}, nil)
	if _, err := s.Commit(t.Context(), SnapshotInfo{}); err == nil {
		t.Error("a file with something below it was committed")
	}
	for _, name := range []string{"", "relative", "./x"} {
		s := begin(t, r, nil)
		if _, err := s.AddPath(t.Context(), name, PathOptions{}); err == nil {
			t.Errorf("the path %q was taken", name)
		}
		if _, err := s.AddBytes(t.Context(), name, Stream{}, nil); err == nil {
			t.Errorf("a stream at %q was taken", name)
		}
		if _, err := s.Commit(t.Context(), SnapshotInfo{}); err == nil {
			t.Error("a session without anything was committed")
		}
	}
	s = begin(t, r, nil)
	if _, err := s.AddPath(t.Context(), filepath.Join(top, "absent"), PathOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if err := s.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := s.AddPath(t.Context(), top, PathOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	if locks, err := r.Locks(t.Context()); err != nil || len(locks) != 0 {
		t.Errorf("locks %v, %v", locks, err)
	}
}

func TestExcludeAndRoot(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write(t, filepath.Join(root, "etc/passwd"), []byte("root:x:0:0::/:\nweird:x:4242:4242::/:\n"))
	write(t, filepath.Join(root, "etc/group"), []byte("root:x:0:\nwgroup:x:4242:\n"))
	write(t, filepath.Join(root, "srv/keep"), []byte("k"))
	write(t, filepath.Join(root, "srv/skip/inner"), []byte("s"))
	write(t, filepath.Join(root, "real/file"), []byte("f"))
	os.Symlink("/real", filepath.Join(root, "linked"))
	if os.Geteuid() == 0 {
		os.Chown(filepath.Join(root, "srv/keep"), 4242, 4242)
	}
	r, _ := newRepo(t)
	s := begin(t, r, nil)
	var asked []string
	var mu sync.Mutex
	_, err := s.AddPath(t.Context(), "/srv", PathOptions{Root: root, Exclude: func(p string) bool {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, p)
		return p == "/srv/skip"
	}})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Sort(asked); !slices.Equal(asked, []string{"/srv/keep", "/srv/skip"}) {
		t.Errorf("asked about %v", asked)
	}
	// A link on the way is followed inside the root only.
	stats, err := s.AddPath(t.Context(), "/linked/file", PathOptions{Root: root})
	if err != nil || len(stats.Warnings) != 1 {
		t.Errorf("%+v, %v", stats, err)
	}
	snap := commit(t, r, s)
	if _, err := r.Find(t.Context(), snap, "/srv/skip"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("an excluded directory was stored")
	}
	n, err := r.Find(t.Context(), snap, "/srv/keep")
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 && (n.User != "weird" || n.Group != "wgroup") {
		t.Errorf("owner %s:%s", n.User, n.Group)
	}
	if string(readAll(t, r, snap, "/linked/file")) != "f" {
		t.Error("content behind the link")
	}
}

func TestParallelCalls(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	for i := range 8 {
		for j := range 30 {
			write(t, filepath.Join(tree, fmt.Sprint(i), fmt.Sprint(j)), random(uint64(j%10), 1000*(j+1)))
		}
		write(t, filepath.Join(tree, fmt.Sprint(i), "big"), random(77, 4<<20))
	}
	r, dir := newRepo(t)
	s := begin(t, r, nil)
	var g sync.WaitGroup
	var stored, fresh int64
	var mu sync.Mutex
	for i := range 8 {
		g.Go(func() {
			st, err := s.AddPath(t.Context(), filepath.Join(tree, fmt.Sprint(i)), PathOptions{})
			if err != nil {
				t.Error(err)
			}
			st2, err := s.AddStream(t.Context(), fmt.Sprintf("/.lifeboat/%d", i), Stream{}, bytes.NewReader(random(78, 2<<20)))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			stored += st.Stored + st2.Stored
			fresh += st.New + st2.New
			mu.Unlock()
		})
	}
	g.Wait()
	snap := commit(t, r, s)
	out := filepath.Join(t.TempDir(), "out")
	if _, err := r.Restore(t.Context(), snap, tree, out, RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	sameTree(t, tree, out)
	var small int64
	for j := range 30 {
		small += int64(1000 * (j + 1))
	}
	if want := small + 4<<20 + 2<<20; fresh != want {
		t.Errorf("%d bytes are new, want %d: the same content is stored once", fresh, want)
	}
	resticCheck(t, dir)
}

func TestCancelledAddPath(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	for i := range 100 {
		write(t, filepath.Join(tree, fmt.Sprint(i%7), fmt.Sprint(i)), random(uint64(i), 100_000))
	}
	r, dir := newRepo(t)
	s := begin(t, r, nil)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.AddPath(ctx, tree, PathOptions{Progress: func(int64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	// The session goes on.
	if _, err := s.AddPath(t.Context(), filepath.Join(tree, "3"), PathOptions{}); err != nil {
		t.Fatal(err)
	}
	commit(t, r, s)
	resticCheck(t, dir)
}

// Aborting gives up the lock and leaves what was stored for the next session.
func TestAbortKeepsPacks(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	write(t, filepath.Join(tree, "big"), random(1, 20<<20))
	r, dir := newRepo(t)
	s := begin(t, r, nil)
	if _, err := s.AddPath(t.Context(), tree, PathOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	resticCheck(t, dir)
	_, stats := backup(t, openRepo(t, dir), nil, tree)
	if stats.New > 5<<20 {
		t.Errorf("%d bytes were stored again", stats.New)
	}
}

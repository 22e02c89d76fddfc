package cache

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var (
	repo  = strings.Repeat("5a", 32)
	other = strings.Repeat("3b", 32)
	key   = bytes.Repeat([]byte{7}, 32)
)

func open(t *testing.T, opts Options) *Cache {
	t.Helper()
	c := Open(opts, repo, key)
	if c == nil {
		t.Fatal("no cache")
	}
	t.Cleanup(c.Close)
	return c
}

func name(n int) string { return fmt.Sprintf("%x", sha256.Sum256([]byte{byte(n), byte(n >> 8)})) }

func TestSealed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "cache")
	c := open(t, Options{Dir: dir})
	content := []byte("what an index file lists")
	if _, ok := c.Get(Index, name(1), nil); ok {
		t.Error("found before it was put")
	}
	c.PutSealed(Index, name(1), content, nil)
	for _, again := range []*Cache{c, open(t, Options{Dir: dir})} {
		if got, ok := again.Get(Index, name(1), make([]byte, 3)); !ok || !bytes.Equal(got, content) {
			t.Errorf("got %q, %v", got, ok)
		}
	}
	file := filepath.Join(dir, repo, "index", name(1))
	sealed, err := os.ReadFile(file)
	if err != nil || bytes.Contains(sealed, content) {
		t.Fatalf("the file is %q, %v", sealed, err)
	}
	err = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	damage := map[string]func(){
		"turned over": func() {
			sealed := bytes.Clone(sealed)
			sealed[len(sealed)/2] ^= 1
			write(t, file, sealed)
		},
		"cut":    func() { write(t, file, sealed[:len(sealed)-1]) },
		"short":  func() { write(t, file, sealed[:5]) },
		"empty":  func() { write(t, file, nil) },
		"longer": func() { write(t, file, append(bytes.Clone(sealed), 0)) },
		"other key": func() {
			Open(Options{Dir: dir}, repo, bytes.Repeat([]byte{8}, 32)).PutSealed(Index, name(1), content, nil)
		},
		"of another name": func() {
			c.PutSealed(Index, name(2), content, nil)
			rename(t, filepath.Join(dir, repo, "index", name(2)), file)
		},
		"of another kind": func() {
			c.PutSealed(Tree, name(1), content, nil)
			rename(t, filepath.Join(dir, repo, "tree", name(1)), file)
		},
		"of another repository": func() {
			Open(Options{Dir: dir}, other, key).PutSealed(Index, name(1), content, nil)
			rename(t, filepath.Join(dir, other, "index", name(1)), file)
		},
		"a directory": func() {
			os.Remove(file)
			if err := os.Mkdir(file, 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"a pipe": func() {
			os.RemoveAll(file)
			if err := unix.Mkfifo(file, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
	for what, do := range damage {
		os.RemoveAll(file)
		c.PutSealed(Index, name(1), content, nil)
		do()
		if got, ok := c.Get(Index, name(1), nil); ok {
			t.Errorf("%s: found %q", what, got)
		}
	}
	os.RemoveAll(file)
	c.PutSealed(Index, name(1), content, nil)
	if _, ok := c.Get(Index, name(1), nil); !ok {
		t.Error("not there after all that damage")
	}
}

func TestNone(t *testing.T) {
	var c *Cache
	c.Put(Tree, name(1), []byte("x"))
	c.PutSealed(Tree, name(1), []byte("x"), nil)
	c.Remove(Tree, name(1))
	c.Keep(Tree, func(string) bool { return false })
	_, got := c.Get(Tree, name(1), nil)
	if got || c.ReadAt(Tree, name(1), make([]byte, 1), 0) || c.Trees() {
		t.Error("a cache that is none holds something")
	}
	c.Close()
}

func TestReadAt(t *testing.T) {
	c := open(t, Options{Dir: t.TempDir(), Trees: true})
	c.Put(Tree, name(1), []byte("0123456789"))
	buf := make([]byte, 4)
	if !c.ReadAt(Tree, name(1), buf, 3) || string(buf) != "3456" {
		t.Errorf("read %q", buf)
	}
	if c.ReadAt(Tree, name(1), buf, 8) || c.ReadAt(Tree, name(2), buf, 0) {
		t.Error("read what is not there")
	}
	c.Keep(Tree, func(name string) bool { return false })
	if c.ReadAt(Tree, name(1), buf, 3) {
		t.Error("kept what was not wanted")
	}
}

func TestBound(t *testing.T) {
	dir := t.TempDir()
	c := open(t, Options{Dir: dir, Max: 10_000})
	for n := range 9 {
		c.Put(Tree, name(n), make([]byte, 1000))
		old := time.Now().Add(time.Duration(n-20) * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, repo, "tree", name(n)), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if !c.ReadAt(Tree, name(0), make([]byte, 1), 0) {
		t.Fatal("the first is gone")
	}
	c.Put(Index, name(100), make([]byte, 1000))
	c.Put(Index, name(101), make([]byte, 1000)) // one too many
	c.Put(Index, name(102), make([]byte, 20_000))
	var there []int
	for n := range 9 {
		if c.ReadAt(Tree, name(n), make([]byte, 1), 0) {
			there = append(there, n)
		}
	}
	// Number 0 was used just now; 1 and 2 are the oldest.
	if fmt.Sprint(there) != "[0 3 4 5 6 7 8]" {
		t.Errorf("left are %v", there)
	}
	if !c.ReadAt(Index, name(101), make([]byte, 1), 0) || c.ReadAt(Index, name(102), make([]byte, 1), 0) {
		t.Error("the newest is not there, or one that is larger than all room")
	}
}

func TestForgotten(t *testing.T) {
	dir := t.TempDir()
	Open(Options{Dir: dir}, other, key).Close()
	keep := filepath.Join(dir, "something else")
	write(t, keep, nil)
	old := time.Now().Add(-2 * unused)
	for _, path := range []string{filepath.Join(dir, other), keep} {
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	abandonedFile := filepath.Join(dir, repo, "tree", name(1)+".x"+partSuffix)
	c := open(t, Options{Dir: dir})
	write(t, abandonedFile, make([]byte, 10))
	if err := os.Chtimes(abandonedFile, old, old); err != nil {
		t.Fatal(err)
	}
	c.Put(Tree, name(2), make([]byte, 10))
	for path, want := range map[string]bool{filepath.Join(dir, other): false, abandonedFile: false, keep: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v", path, err == nil)
		}
	}
}

func TestDirectoryOfOthers(t *testing.T) {
	for what, prepare := range map[string]func(dir string) error{
		"writable by others": func(dir string) error { return os.Chmod(dir, 0o777) },
		"a file":             func(dir string) error { os.Remove(dir); return os.WriteFile(dir, nil, 0o600) },
		"with a link":        func(dir string) error { return os.Symlink("/tmp", filepath.Join(dir, repo)) },
		"with a file":        func(dir string) error { return os.WriteFile(filepath.Join(dir, repo), nil, 0o600) },
	} {
		dir := filepath.Join(t.TempDir(), "cache")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := prepare(dir); err != nil {
			t.Fatal(err)
		}
		if c := Open(Options{Dir: dir}, repo, key); c != nil {
			t.Errorf("%s: used", what)
		}
	}
	if Open(Options{}, repo, key) != nil || Open(Options{Dir: t.TempDir()}, "../x", key) != nil || Open(Options{Dir: t.TempDir()}, repo, key[:3]) != nil {
		t.Error("opened without a directory, an ID or a key")
	}
	if os.Geteuid() != 0 {
		return
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if Open(Options{Dir: dir}, repo, key) != nil {
		t.Error("somebody else's directory is used")
	}
}

// A link that somebody else made is not followed, wherever it stands in the path,
// nor is anything made behind it.
func TestLinksOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes links of other users")
	}
	for name, tt := range map[string]struct {
		link, target, dir string
		uid               int
		trusted           bool
	}{
		"the directory":         {"home/lifeboat", "behind", "home/lifeboat", 1234, false},
		"above it":              {"home", "behind", "home/lifeboat", 1234, false},
		"relative":              {"home/lifeboat", "../behind", "home/lifeboat", 1234, false},
		"our own":               {"home/lifeboat", "behind", "home/lifeboat", 0, true},
		"our own, relative":     {"home/lifeboat", "../behind", "home/lifeboat", 0, true},
		"our own, to another's": {"home/lifeboat", "theirs", "home/lifeboat", 0, false},
		"our own, in a circle":  {"home/lifeboat", "lifeboat", "home/lifeboat", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			behind := filepath.Join(base, "behind")
			link := filepath.Join(base, tt.link)
			target := tt.target
			if target == "behind" || target == "theirs" {
				target = filepath.Join(base, target)
			}
			for _, err := range []error{
				os.Mkdir(behind, 0o700), os.Symlink("behind", filepath.Join(base, "theirs")), os.Lchown(filepath.Join(base, "theirs"), 1234, 1234),
				os.MkdirAll(filepath.Dir(link), 0o700), os.Symlink(target, link), os.Lchown(link, tt.uid, tt.uid),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			root, err := openPrivate(filepath.Join(base, tt.dir))
			if (err == nil) != tt.trusted {
				t.Errorf("%v", err)
			}
			if err == nil {
				root.Close()
			}
			if entries, err := os.ReadDir(behind); err != nil || len(entries) > 0 {
				t.Errorf("%v was made there, %v", entries, err)
			}
		})
	}
	// Nor is a directory taken that lies in the home of somebody else.
	home := filepath.Join(t.TempDir(), "home")
	for _, err := range []error{os.Mkdir(home, 0o700), os.Chown(home, 1234, 1234)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if root, err := openPrivate(filepath.Join(home, "lifeboat")); err == nil {
		root.Close()
		t.Error("a directory in the home of somebody else was taken")
	}
}

func TestLinkOut(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	c := open(t, Options{Dir: dir, Trees: true})
	secret := filepath.Join(outside, "secret")
	write(t, secret, []byte("secret"))
	link := filepath.Join(dir, repo, "tree", name(1))
	if err := os.Symlink(secret, link); err != nil {
		t.Fatal(err)
	}
	if c.ReadAt(Tree, name(1), make([]byte, 1), 0) {
		t.Error("a link out of the cache is followed")
	}
	c.Put(Tree, name(1), []byte("tree"))
	if got, err := os.ReadFile(secret); err != nil || string(got) != "secret" {
		t.Errorf("outside it says %q now, %v", got, err)
	}
}

func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts a small file system")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
	c := Open(Options{Dir: dir}, repo, key)
	if c == nil {
		t.Fatal("no cache")
	}
	defer c.Close()
	c.Put(Tree, name(1), make([]byte, 1000))
	if c.ReadAt(Tree, name(1), make([]byte, 1), 0) {
		t.Error("the last room of a disk was used")
	}
}

func TestManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for range 4 {
		c := open(t, Options{Dir: dir, Max: 50_000})
		all.Go(func() {
			for i := range 200 {
				n := i % 30
				content := bytes.Repeat([]byte{byte(n)}, 1000+n)
				c.PutSealed(Index, name(n), content, nil)
				if got, ok := c.Get(Index, name((n+7)%30), nil); ok && (len(got) < 1000 || got[0] != byte((n+7)%30)) {
					t.Errorf("%d bytes of %d", len(got), got[0])
				}
				if i%50 == 0 {
					c.Keep(Index, func(string) bool { return i%100 == 0 })
				}
			}
		})
	}
	all.Wait()
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

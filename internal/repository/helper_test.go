package repository

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/storage"
)

var testPassword = []byte("correct horse")

// cheap are options that make keys cost nothing.
var cheap = Options{Scrypt: ScryptParams{N: 1024, R: 1, P: 1}, Hostname: "testhost"}

// newRepo makes a repository in a new directory, which it returns too.
func newRepo(t testing.TB) (*Repository, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repo")
	return createRepo(t, dir), dir
}

func createRepo(t testing.TB, dir string) *Repository {
	t.Helper()
	store, err := storage.Open(t.Context(), dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Create(t.Context(), store, testPassword, cheap)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func openRepo(t testing.TB, dir string) *Repository {
	t.Helper()
	store, err := storage.Open(t.Context(), dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), store, testPassword, Options{Hostname: "testhost", Cache: testCache})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// backup stores paths in one snapshot.
func backup(t testing.TB, r *Repository, parent *Snapshot, paths ...string) (*Snapshot, Stats) {
	t.Helper()
	s, err := r.Begin(t.Context(), SessionOptions{Parent: parent})
	if err != nil {
		t.Fatal(err)
	}
	var stats Stats
	for _, p := range paths {
		if stats, err = s.AddPath(t.Context(), p, PathOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return commit(t, r, s), stats
}

func commit(t testing.TB, r *Repository, s *Session) *Snapshot {
	t.Helper()
	id, err := s.Commit(t.Context(), SnapshotInfo{Username: "tester", ProgramVersion: "test"})
	if err != nil {
		t.Fatal(err)
	}
	snap, err := r.LoadSnapshot(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: owners, devices and trusted attributes")
	}
}

// restic runs stock restic on a repository.
func restic(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := resticErr(t, dir, args...)
	if err != nil {
		t.Fatalf("restic %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func resticErr(t testing.TB, dir string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("restic")
	if err != nil {
		t.Skip("needs restic: the judge of what is written here")
	}
	cmd := exec.Command(path, append([]string{"-r", dir, "--no-cache"}, args...)...)
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+string(testPassword))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// resticCheck has stock restic check everything.
func resticCheck(t testing.TB, dir string) {
	t.Helper()
	if out := restic(t, dir, "check", "--read-data"); !strings.Contains(out, "no errors were found") {
		t.Fatalf("restic check: %s", out)
	}
}

func write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// random are bytes that do not compress, the same for the same seed.
func random(seed uint64, n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	b := make([]byte, n)
	r.Read(b)
	return b
}

// nastyTree makes a tree of everything a file system can hold.
func nastyTree(t testing.TB, root string) {
	t.Helper()
	needRoot(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(root, name) }
	must(os.MkdirAll(root, 0o755))
	write(t, at("plain"), []byte("hello\n"))
	write(t, at("empty"), nil)
	write(t, at("big"), random(1, 9<<20+12345))
	write(t, at("text"), []byte(strings.Repeat("compressible text, again and again\n", 100_000)))
	write(t, at("a/b/c/d/e/deep"), []byte("deep"))
	must(os.Mkdir(at("emptydir"), 0o700))
	must(os.Chmod(at("emptydir"), 0o777|os.ModeSticky))
	for _, name := range []string{"non-utf8 \xff\xfe", "quote\"back\\slash", "new\nline", "tab\t", "ümläut", "emoji \U0001F600", "nbsp\u00a0", "percent%41", "$RCE", "-rf", " lead", "trail ", "<&>", "\x01\x7f"} {
		write(t, at(name), []byte(name))
	}
	write(t, at("dir \xc0\xaf/in\xff"), []byte("x"))
	write(t, at("link1"), []byte("linked content"))
	must(os.Link(at("link1"), at("link2")))
	must(os.Link(at("link1"), at("a/link3")))
	must(os.Symlink("plain", at("sym")))
	must(os.Symlink("/nonexistent/../x", at("sym-dangling")))
	must(os.Symlink("ta\nrget \"quoted\"", at("sym-odd")))
	must(os.Symlink(".", at("sym-loop")))
	must(unix.Mkfifo(at("fifo"), 0o640))
	sparse, err := os.Create(at("sparse"))
	must(err)
	_, err = sparse.WriteAt([]byte("island"), 3<<20)
	must(err)
	must(sparse.Truncate(12 << 20))
	must(sparse.Close())
	must(unix.Setxattr(at("plain"), "user.comment", []byte("bytes \x00\xff"), 0))
	must(unix.Setxattr(at("plain"), "user.empty", nil, 0))
	must(unix.Setxattr(at("a"), "user.on-dir", []byte("d"), 0))
	must(os.Chmod(at("text"), 0o755|os.ModeSetuid|os.ModeSetgid))
	if os.Geteuid() == 0 {
		must(unix.Mknod(at("block"), unix.S_IFBLK|0o660, int(unix.Mkdev(7, 5))))
		must(unix.Mknod(at("char"), unix.S_IFCHR|0o666, int(unix.Mkdev(300, 70000))))
		must(os.Chown(at("block"), 0, 6))
		must(os.Lchown(at("plain"), 1234, 4321))
		must(os.Lchown(at("sym"), 1234, 4321))
		must(os.Chmod(at("plain"), 0o4711|os.ModeSetuid))
		write(t, at("acl"), []byte("acl"))
		must(unix.Setxattr(at("acl"), aclAccess, acl([3]uint32{1, 6, 0}, [3]uint32{2, 4, 1001}, [3]uint32{4, 4, 0}, [3]uint32{8, 6, 2002}, [3]uint32{0x10, 6, 0}, [3]uint32{0x20, 0, 0}), 0))
		must(os.Mkdir(at("acldir"), 0o750))
		must(unix.Setxattr(at("acldir"), aclDefault, acl([3]uint32{1, 7, 0}, [3]uint32{2, 5, 1003}, [3]uint32{4, 5, 0}, [3]uint32{0x10, 5, 0}, [3]uint32{0x20, 0, 0}), 0))
		write(t, at("acldir/inherits"), []byte("i"))
		write(t, at("caps"), []byte("caps"))
		must(unix.Setxattr(at("caps"), "security.capability", []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0))
		must(unix.Lsetxattr(at("sym"), "trusted.on-symlink", []byte("s"), 0))
	}
	must(os.Chmod(at("a/b"), 0o500))
	old := []time.Time{time.Unix(1, 1), time.Unix(981173106, 123456789), time.Unix(-86400, 500), time.Unix(4102444800, 999999999)}
	i := 0
	must(filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		i++
		ts, _ := unix.TimeToTimespec(old[i%len(old)])
		return errors.Join(err, unix.UtimesNanoAt(unix.AT_FDCWD, p, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
	}))
}

// acl builds an ACL attribute from tag, permissions and ID.
func acl(entries ...[3]uint32) []byte {
	b := []byte{2, 0, 0, 0}
	for _, e := range entries {
		b = append(b, byte(e[0]), byte(e[0]>>8), byte(e[1]), 0, byte(e[2]), byte(e[2]>>8), byte(e[2]>>16), byte(e[2]>>24))
	}
	return b
}

// describe lists everything about a tree that a restore must bring back, one
// line an entry. What is not the tree's own (inode numbers, change times) is
// left out; hard links are told by the first name of the file.
func describe(t testing.TB, root string) []string {
	t.Helper()
	first := make(map[uint64]string)
	var lines []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		line := fmt.Sprintf("%q mode=%o owner=%d:%d mtime=%d.%09d", rel, st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
		switch nodeType(st.Mode) {
		case File:
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" size=%d sum=%x", st.Size, sha256.Sum256(data))
		case Symlink:
			target, _ := os.Readlink(p)
			line += fmt.Sprintf(" target=%q", target)
		case Device, CharDevice:
			line += fmt.Sprintf(" rdev=%d", st.Rdev)
		}
		if st.Nlink > 1 && nodeType(st.Mode) == File {
			if first[st.Ino] == "" {
				first[st.Ino] = rel
			}
			line += fmt.Sprintf(" link=%q/%d", first[st.Ino], st.Nlink)
		}
		attrs, err := attributesAt(p).read()
		if err != nil {
			return err
		}
		sort.Slice(attrs, func(i, j int) bool { return attrs[i].Name < attrs[j].Name })
		for _, a := range attrs {
			line += fmt.Sprintf(" %s=%x", a.Name, a.Value)
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// sameTree compares two trees by everything that describe lists.
func sameTree(t testing.TB, want, got string) {
	t.Helper()
	sameLines(t, describe(t, want), describe(t, got))
}

func sameLines(t testing.TB, want, got []string) {
	t.Helper()
	index := func(lines []string) map[string]bool {
		m := make(map[string]bool)
		for _, l := range lines {
			m[l] = true
		}
		return m
	}
	w, g := index(want), index(got)
	for _, l := range want {
		if !g[l] {
			t.Errorf("missing: %s", l)
		}
	}
	for _, l := range got {
		if !w[l] {
			t.Errorf("surplus: %s", l)
		}
	}
}

func readAll(t testing.TB, r *Repository, snap *Snapshot, name string) []byte {
	t.Helper()
	n, err := r.Find(t.Context(), snap, name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.OpenFile(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

package componenttest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/xattr"
	"golang.org/x/sys/unix"

	"lifeboat/internal/component/aside"
)

// Digest describes trees by everything that a restore brings back: one line an
// entry with type, mode, owner, size, modification time, link target, device,
// extended attributes with ACLs, hard links and the content's hash.
func Digest(t testing.TB, paths ...string) string {
	t.Helper()
	var out strings.Builder
	for _, top := range paths {
		first := map[uint64]string{}
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && path == top {
				fmt.Fprintf(&out, "%q absent\n", path)
				return nil
			}
			if err != nil {
				return err
			}
			line, err := describe(path, first)
			out.WriteString(line)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

func describe(path string, first map[uint64]string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	st := info.Sys().(*syscall.Stat_t)
	line := fmt.Sprintf("%q %o %d:%d %d.%09d", path, st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
	switch {
	case info.Mode().IsRegular():
		content, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		line += fmt.Sprintf(" %d %x", len(content), sha256.Sum256(content))
		if st.Nlink > 1 {
			if first[st.Ino] == "" {
				first[st.Ino] = path
			}
			line += fmt.Sprintf(" =%q", first[st.Ino])
		}
	case info.Mode()&fs.ModeSymlink != 0:
		to, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		line += fmt.Sprintf(" -> %q", to)
	case info.Mode()&fs.ModeDevice != 0:
		line += fmt.Sprintf(" device %d", st.Rdev)
	}
	names, err := xattr.LList(path)
	if err != nil && !errors.Is(err, syscall.ENOTSUP) && !errors.Is(err, syscall.EPERM) {
		return "", err
	}
	slices.Sort(names)
	for _, n := range names {
		value, err := xattr.LGet(path, n)
		if err != nil {
			return "", err
		}
		line += fmt.Sprintf(" %s=%x", n, value)
	}
	return line + "\n", nil
}

// noResidue fails when something of a run is left below dir.
func noResidue(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(filepath.Base(path), aside.Prefix) {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// HostileNames are file names that break careless programs.
var HostileNames = []string{
	"-rf", "--help", "new\nline", "tab\there", `quo"te`, "apo'strophe", `back\slash`, "$RCE", "$(id)", "`id`",
	"not-utf8-\xff\xfe", "\x01\x7f", " leading", "trailing ", "...", "*", "[a]", "ünïcode", "日本", "%s%n", ";|&", strings.Repeat("n", 255),
}

// past is the time that all of a HostileTree carries, more or less.
var past = time.Date(2011, 3, 4, 5, 6, 7, 123456789, time.UTC)

// HostileTree makes a tree at dir with everything that a file system can hold:
// odd names, hard links, sparse files, attributes, ACLs and, for root, devices
// and foreign owners. It removes what was there.
func HostileTree(t testing.TB, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: a hostile tree holds what only root may read")
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.RemoveAll(dir))
	must(os.MkdirAll(filepath.Join(dir, "sub", "empty"), 0o755))
	must(os.Mkdir(filepath.Join(dir, "names"), 0o750))
	for i, n := range HostileNames {
		must(os.WriteFile(filepath.Join(dir, "names", n), []byte(n), 0o600+fs.FileMode(i%8)))
	}
	must(os.WriteFile(filepath.Join(dir, "sub", "one"), []byte("linked\n"), 0o644))
	must(os.Link(filepath.Join(dir, "sub", "one"), filepath.Join(dir, "sub", "two")))
	must(os.Symlink("one", filepath.Join(dir, "sub", "link")))
	must(os.Symlink("/nowhere/at all", filepath.Join(dir, "sub", "dangling")))
	must(unix.Mkfifo(filepath.Join(dir, "sub", "fifo"), 0o620))
	must(os.WriteFile(filepath.Join(dir, "sub", "zero"), nil, 0))
	must(os.WriteFile(filepath.Join(dir, "sub", "sparse"), []byte("start"), 0o640))
	must(os.Truncate(filepath.Join(dir, "sub", "sparse"), 3<<20))
	must(os.WriteFile(filepath.Join(dir, "sub", "attributes"), []byte("x"), 0o644))
	if err := xattr.Set(filepath.Join(dir, "sub", "attributes"), "user.comment", []byte("a\x00b")); err != nil && !errors.Is(err, syscall.ENOTSUP) {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		must(unix.Mknod(filepath.Join(dir, "sub", "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		must(os.Lchown(filepath.Join(dir, "sub", "link"), 33, 33))
		must(os.Lchown(filepath.Join(dir, "sub", "attributes"), 33, 8))
		acl := []byte{2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 33, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255}
		if err := xattr.Set(filepath.Join(dir, "sub", "one"), "system.posix_acl_access", acl); err != nil && !errors.Is(err, syscall.ENOTSUP) {
			t.Fatal(err)
		}
		must(os.Chmod(filepath.Join(dir, "sub", "attributes"), 0o4755))
	}
	Age(t, dir)
}

// Age gives everything below dir fixed modification times in the past.
func Age(t testing.TB, dir string) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		n++
		at, err := unix.TimeToTimespec(past.Add(time.Duration(n) * time.Second))
		if err != nil {
			return err
		}
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// same fails with the first differing lines.
func same(t testing.TB, what, want, got string) {
	t.Helper()
	if want == got {
		return
	}
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	have := map[string]bool{}
	for _, line := range g {
		have[line] = true
	}
	wanted := map[string]bool{}
	var out []string
	for _, line := range w {
		wanted[line] = true
		if !have[line] {
			out = append(out, "- "+line)
		}
	}
	for _, line := range g {
		if !wanted[line] {
			out = append(out, "+ "+line)
		}
	}
	t.Fatalf("%s (- wanted, + found):\n%s", what, strings.Join(out[:min(len(out), 20)], "\n"))
}

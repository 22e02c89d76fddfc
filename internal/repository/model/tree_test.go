package model

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// source is a small live tree that changes between backups.
type source struct {
	root  string // stands for "/" of the client
	base  string // the stored path of the tree, /srv/NAME
	rng   *rand.Rand
	pool  [][]byte // contents that files share
	clock int64    // every change gets a time of its own
}

func newSource(root, name string, rng *rand.Rand, pool [][]byte) (*source, error) {
	s := &source{root: root, base: "/srv/" + name, rng: rng, pool: pool, clock: 1_000_000_000}
	if err := os.MkdirAll(s.at(""), 0o755); err != nil {
		return nil, err
	}
	for range 4 + rng.IntN(8) {
		if err := s.mutate(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *source) at(name string) string { return filepath.Join(s.root, s.base, name) }

// newPool makes contents of all sizes that matter. One is larger than the
// smallest chunk, and shares its end with another.
func newPool(rng *rand.Rand) [][]byte {
	noise := func(n int) []byte {
		var seed [32]byte
		for i := range seed {
			seed[i] = byte(rng.Uint32())
		}
		b := make([]byte, n)
		rand.NewChaCha8(seed).Read(b)
		return b
	}
	pool := [][]byte{nil, {0}, []byte("hello\n"), bytes.Repeat([]byte("again and again\n"), 500), make([]byte, 100_000)}
	for range 6 {
		pool = append(pool, noise(1+rng.IntN(20_000)))
	}
	if rng.IntN(12) == 0 {
		large := noise(600_000 + rng.IntN(600_000))
		pool = append(pool, large, append([]byte("before"), large...))
	}
	return pool
}

var names = []string{"a", "b", "c", "d", "empty", "ümläut", "new\nline", "\xff\xfe", " lead", "-rf", "quote\"back\\slash", "z"}

var dirs = []string{"", "", "one", "one/two", "other \xc0"}

// mutate changes one thing in the tree.
func (s *source) mutate() error {
	dir := dirs[s.rng.IntN(len(dirs))]
	if err := os.MkdirAll(s.at(dir), 0o755); err != nil {
		return err
	}
	path := filepath.Join(s.at(dir), names[s.rng.IntN(len(names))])
	info, err := os.Lstat(path)
	there := err == nil
	isFile := there && info.Mode().IsRegular()
	err = nil
	switch s.rng.IntN(16) {
	case 0, 1, 2, 3, 4:
		if there && !isFile {
			os.Remove(path)
		}
		err = os.WriteFile(path, s.content(), 0o644) // in place, for all its names
	case 5:
		if there {
			err = os.Remove(path)
		}
		if err == nil {
			err = os.WriteFile(path, s.content(), 0o600)
		}
	case 6, 7:
		if isFile {
			err = s.appendTo(path)
		}
	case 8:
		if there {
			return os.Remove(path)
		}
	case 9:
		other := filepath.Join(s.at(""), names[s.rng.IntN(len(names))])
		if isFile && other != path {
			os.Remove(other)
			err = os.Link(path, other)
		}
	case 10:
		if there {
			os.Remove(path)
		}
		return os.Symlink([]string{"a", "/nonexistent", "../..", "ta\nrget"}[s.rng.IntN(4)], path)
	case 11:
		if there {
			os.Remove(path)
		}
		err = unix.Mkfifo(path, 0o640)
	case 12:
		if isFile {
			err = os.Chmod(path, []os.FileMode{0o600, 0o755, 0o4711 | os.ModeSetuid, 0o444}[s.rng.IntN(4)])
		}
	case 13:
		if isFile && os.Geteuid() == 0 {
			err = os.Lchown(path, s.rng.IntN(3000), s.rng.IntN(3000))
		}
	case 14:
		if isFile {
			err = unix.Setxattr(path, "user.model", fmt.Appendf(nil, "%d", s.rng.IntN(10)), 0)
		}
	case 15:
		if isFile {
			err = s.punch(path)
		}
	}
	if err != nil {
		return fmt.Errorf("change %q: %w", path, err)
	}
	return s.touch(path)
}

// touch gives what changed a time that nothing else has: the kernel's clock has
// ticks in which two changes look like one.
func (s *source) touch(path string) error {
	s.clock += 1_000_003
	ts := unix.NsecToTimespec(s.clock * 1000)
	err := unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT {
		return nil
	}
	return err
}

func (s *source) content() []byte { return s.pool[s.rng.IntN(len(s.pool))] }

func (s *source) appendTo(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(s.content())
	f.Close()
	return err
}

// punch makes a file sparse, with an island in it.
func (s *source) punch(path string) error {
	if err := os.Truncate(path, 0); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("island"), 70_000+int64(s.rng.IntN(70_000)))
	f.Close()
	if err != nil {
		return err
	}
	return os.Truncate(path, 250_000)
}

// describe lists everything about a tree that a restore must bring back, one
// line an entry. Names of one file are told by the first of them.
func describe(root string) ([]string, error) {
	first := make(map[uint64]string)
	var lines []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		line := fmt.Sprintf("%q mode=%o owner=%d:%d mtime=%d.%09d", rel, st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" size=%d sum=%x", len(data), sha256.Sum256(data))
			if st.Nlink > 1 {
				if first[st.Ino] == "" {
					first[st.Ino] = rel
				}
				line += fmt.Sprintf(" link=%q/%d", first[st.Ino], st.Nlink)
			}
			line += attributes(path)
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" target=%q", target)
		}
		lines = append(lines, line)
		return nil
	})
	return lines, err
}

func attributes(path string) string {
	buf := make([]byte, 1024)
	n, err := unix.Llistxattr(path, buf)
	if err != nil || n == 0 {
		return ""
	}
	list := strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00")
	sort.Strings(list)
	var text strings.Builder
	for _, name := range list {
		value := make([]byte, 1024)
		if n, err := unix.Lgetxattr(path, name, value); err == nil {
			fmt.Fprintf(&text, " %s=%x", name, value[:n])
		}
	}
	return text.String()
}

// different says in what two descriptions differ, or "".
func different(want, got []string) string {
	var text strings.Builder
	for _, l := range want {
		if !slices.Contains(got, l) {
			fmt.Fprintf(&text, "\n    missing: %s", l)
		}
	}
	for _, l := range got {
		if !slices.Contains(want, l) {
			fmt.Fprintf(&text, "\n    surplus: %s", l)
		}
	}
	return text.String()
}

// scratch is a directory for small files that come and go: in memory where the
// machine has such a place.
func scratch() (string, error) {
	const memory = "/dev/shm"
	if info, err := os.Stat(memory); err == nil && info.IsDir() && unix.Access(memory, unix.W_OK) == nil {
		if dir, err := os.MkdirTemp(memory, "lifeboat-model-"); err == nil {
			return dir, nil
		}
	}
	return os.MkdirTemp("", "lifeboat-model-")
}

// moment is the time of streams, which have none of their own.
func moment(n int) time.Time { return time.Unix(1_200_000_000+int64(n), 0).UTC() }

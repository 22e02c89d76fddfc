package repository

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Files that vanish or change are warnings, and nothing waits for ever.
func TestLiveTree(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	for i := range 20 {
		write(t, filepath.Join(tree, fmt.Sprintf("f%02d", i)), []byte("x"))
	}
	os.Mkdir(filepath.Join(tree, "gone"), 0o755)
	unix.Mkfifo(filepath.Join(tree, "fifo"), 0o600)
	r, _ := newRepo(t)
	s := begin(t, r, nil)
	var once sync.Once
	stats, err := s.AddPath(t.Context(), tree, PathOptions{Exclude: func(p string) bool {
		once.Do(func() {
			os.Remove(filepath.Join(tree, "f05"))
			os.Remove(filepath.Join(tree, "gone"))
		})
		return false
	}})
	if err != nil || len(stats.Warnings) != 2 || !strings.Contains(strings.Join(stats.Warnings, ""), "f05 vanished") {
		t.Errorf("%v, %v", stats.Warnings, err)
	}
	snap := commit(t, r, s)
	if _, err := r.Find(t.Context(), snap, filepath.Join(tree, "f06")); err != nil {
		t.Error(err)
	}
}

func TestChangingFile(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	name := filepath.Join(tree, "growing")
	write(t, name, random(1, 9<<20))
	r, _ := newRepo(t)
	s := begin(t, r, nil)
	var once sync.Once
	stats, err := s.AddPath(t.Context(), tree, PathOptions{Progress: func(int64) {
		once.Do(func() {
			f, _ := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
			f.Write([]byte("more"))
			f.Close()
		})
	}})
	if err != nil || len(stats.Warnings) != 1 || !strings.Contains(stats.Warnings[0], "changed while") {
		t.Errorf("%v, %v", stats.Warnings, err)
	}
	snap := commit(t, r, s)
	n, _ := r.Find(t.Context(), snap, name)
	if got := readAll(t, r, snap, name); uint64(len(got)) != n.Size {
		t.Errorf("%d bytes, size %d", len(got), n.Size)
	}
}

// What cannot be read is left out and named, and all else is stored.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	child := exec.Command("sleep", "60")
	if err := child.Start(); err != nil {
		t.Skip("needs sleep")
	}
	defer child.Process.Kill()
	dir := fmt.Sprintf("/proc/%d", child.Process.Pid)
	r, _ := newRepo(t)
	s := begin(t, r, nil)
	defer s.Abort(t.Context())
	// /proc/PID/mem is a regular file whose first byte cannot be read.
	_, err := s.AddPath(t.Context(), dir, PathOptions{Exclude: func(p string) bool {
		return filepath.Base(p) != "mem" && filepath.Base(p) != "comm"
	}})
	var incomplete *IncompleteError
	var entry *PathError
	if !errors.As(err, &incomplete) || len(incomplete.Entries) != 1 || !errors.As(err, &entry) || entry.Path != dir+"/mem" || !errors.Is(err, unix.EIO) {
		t.Fatalf("%v", err)
	}
	if len(s.entries) != 1 {
		t.Error("the rest was not stored")
	}
	if _, err := s.AddPath(t.Context(), dir+"/mem", PathOptions{}); !errors.Is(err, unix.EIO) {
		t.Errorf("%v", err)
	}
}

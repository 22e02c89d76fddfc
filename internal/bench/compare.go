package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Compare looks for differences between a tree and its restored copy: names,
// types, modes, sizes, times, links and contents. It stops at the first.
func Compare(original, restored string) error {
	seen := 0
	err := filepath.WalkDir(original, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(original, path)
		if err != nil || name == "." {
			return err
		}
		seen++
		return compareEntry(path, filepath.Join(restored, name))
	})
	if err != nil {
		return err
	}
	return filepath.WalkDir(restored, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if seen--; seen < -1 { // the root of the tree was not counted
			return fmt.Errorf("%s: more was restored than was backed up", path)
		}
		return nil
	})
}

func compareEntry(a, b string) error {
	want, err := os.Lstat(a)
	if err != nil {
		return err
	}
	have, err := os.Lstat(b)
	if err != nil {
		return fmt.Errorf("not restored: %w", err)
	}
	if want.Mode() != have.Mode() {
		return fmt.Errorf("%s: mode %v, was %v", b, have.Mode(), want.Mode())
	}
	if want.Mode()&fs.ModeSymlink != 0 {
		from, err1 := os.Readlink(a)
		to, err2 := os.Readlink(b)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if from != to {
			return fmt.Errorf("%s: points to %s, pointed to %s", b, to, from)
		}
		return nil
	}
	if !want.ModTime().Equal(have.ModTime()) {
		return fmt.Errorf("%s: modified %v, was %v", b, have.ModTime(), want.ModTime())
	}
	if !want.Mode().IsRegular() {
		return nil
	}
	if want.Size() != have.Size() {
		return fmt.Errorf("%s: %d bytes, were %d", b, have.Size(), want.Size())
	}
	if links(want) != links(have) {
		return fmt.Errorf("%s: %d names for the file, were %d", b, links(have), links(want))
	}
	return compareContent(a, b)
}

func links(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(stat.Nlink)
	}
	return 0
}

func compareContent(a, b string) error {
	first, err := os.Open(a)
	if err != nil {
		return err
	}
	defer first.Close()
	second, err := os.Open(b)
	if err != nil {
		return err
	}
	defer second.Close()
	var x, y [1 << 16]byte
	for {
		n, err1 := io.ReadFull(first, x[:])
		m, err2 := io.ReadFull(second, y[:])
		if !bytes.Equal(x[:n], y[:m]) {
			return fmt.Errorf("%s: the content differs", b)
		}
		if err1 == io.EOF || err1 == io.ErrUnexpectedEOF {
			return nil
		}
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
	}
}

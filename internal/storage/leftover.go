package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Leftover is what an upload that was broken off has left under a temporary name.
// It is part of no repository, and List never shows it.
type Leftover struct {
	Path string    // in the repository's directory, slash-separated
	Size int64     // bytes
	Time time.Time // when it was written to last, as the store's clock has it
}

// Sweeper is a Store in which uploads can leave something.
type Sweeper interface {
	// Leftovers calls visit for each, in no particular order, one at a time. Some may
	// belong to uploads that are under way.
	Leftovers(ctx context.Context, visit func(Leftover) error) error

	// Sweep removes one, or reports ErrNotFound.
	Sweep(ctx context.Context, l Leftover) error
}

// AsSweeper finds the Sweeper in a store, or behind those that wrap it.
func AsSweeper(s Store) (Sweeper, bool) {
	for {
		if r, ok := s.(Sweeper); ok {
			return r, true
		}
		wrapper, ok := s.(interface{ Unwrap() Store })
		if !ok {
			return nil, false
		}
		s = wrapper.Unwrap()
	}
}

// LeftoverName tells whether a file was being written to become one of a
// repository: by this program or by restic's local store (NAME-tmp-RANDOM), or by
// restic's SFTP store (NAME-restic-temp-RANDOM).
func LeftoverName(name string) bool {
	for _, mark := range []string{"-tmp-", "-restic-temp-"} {
		file, random, found := strings.Cut(name, mark)
		if !found || file != "config" && !ValidName(file) || random == "" || len(random) > 64 {
			continue
		}
		return strings.Trim(random, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
	}
	return false
}

// Valid refuses paths that Leftovers gives to nobody.
func (l Leftover) Valid() error {
	dir, name := path.Split(l.Path)
	known := dir == ""
	for _, t := range Types {
		known = known || dir == t.Dir()+"/"
	}
	if !known && (len(dir) != len("data/00/") || !strings.HasPrefix(dir, "data/") || strings.Contains(dir, "..")) || !LeftoverName(name) {
		return fmt.Errorf("%q is no leftover of an upload", l.Path)
	}
	return nil
}

// Leftovers lists what writers without unnamed files have left.
func (l *Local) Leftovers(ctx context.Context, visit func(Leftover) error) error {
	dirs := []string{""}
	for _, t := range Types {
		dirs = append(dirs, t.Dir())
	}
	subs, err := os.ReadDir(filepath.Join(l.root, Data.Dir()))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for leftovers of uploads: %w", err)
	}
	for _, sub := range subs {
		if sub.IsDir() && len(sub.Name()) == 2 {
			dirs = append(dirs, path.Join(Data.Dir(), sub.Name()))
		}
	}
	for _, dir := range dirs {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, err := os.ReadDir(filepath.Join(l.root, dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look for leftovers of uploads: %w", err)
		}
		for _, e := range entries {
			if !LeftoverName(e.Name()) {
				continue
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return fmt.Errorf("look for leftovers of uploads: %w", err)
			}
			if !info.Mode().IsRegular() {
				continue
			}
			if err := visit(Leftover{Path: path.Join(dir, e.Name()), Size: info.Size(), Time: info.ModTime()}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Sweep removes a leftover.
func (l *Local) Sweep(_ context.Context, left Leftover) error {
	if err := left.Valid(); err != nil {
		return err
	}
	if l.readOnly {
		return fmt.Errorf("remove %s: %w", left.Path, ErrReadOnly)
	}
	err := os.Remove(filepath.Join(l.root, filepath.FromSlash(left.Path)))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", left.Path, ErrNotFound)
	}
	return err
}

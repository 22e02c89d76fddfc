package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"

	"lifeboat/internal/component"
	"lifeboat/internal/repository"
)

// Extract writes a path of the point below dir, under its own name. What components
// share may have come with another one: what is there and like it in the point stays.
func Extract(ctx context.Context, source component.Source, path, dir string, f Filter) error {
	parent, err := Above(ctx, source, path, dir)
	if err != nil {
		return err
	}
	target := filepath.Join(parent, filepath.Base(path))
	opts := repository.RestoreOptions{Include: func(p string) bool { return !f.ExcludedBelow(p, path) }}
	if _, err := os.Lstat(target); err == nil {
		same, err := onlyOf(ctx, source, path, target)
		if err != nil {
			return err
		}
		if !same {
			return fmt.Errorf("%s is there already: %w", target, fs.ErrExist)
		}
		opts.InPlace = true
	}
	_, err = source.RestorePath(ctx, path, target, opts)
	return err
}

// onlyOf tells whether everything that stands at target is in the point at path, too.
func onlyOf(ctx context.Context, source component.Source, path, target string) (bool, error) {
	there := 0
	if err := filepath.WalkDir(target, func(_ string, _ fs.DirEntry, err error) error {
		there++
		return err
	}); err != nil {
		return false, err
	}
	known := 0
	err := source.Walk(ctx, path, func(p string, node *repository.Node) error {
		at := filepath.Join(target, strings.TrimPrefix(p, path))
		info, err := os.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		alike, err := like(at, info, node)
		if err == nil && !alike {
			err = errStop // nothing below a link is looked at, then
		}
		known++
		return err
	})
	if errors.Is(err, errStop) {
		return false, nil
	}
	return err == nil && known == there, err
}

// like compares an entry with a node as far as a restore in place does.
func like(at string, info fs.FileInfo, node *repository.Node) (bool, error) {
	switch node.Type {
	case repository.Dir:
		return info.IsDir(), nil
	case repository.File:
		return info.Mode() == node.Mode && info.Size() == int64(node.Size) && info.ModTime().Equal(node.ModTime), nil //nolint:gosec // a file's size
	case repository.Symlink:
		if info.Mode().Type() != fs.ModeSymlink {
			return false, nil
		}
		to, err := os.Readlink(at)
		return to == LinkTarget(node), err
	}
	return info.Mode().Type() == node.Mode.Type(), nil
}

// Above makes the directories above a path of the point that are missing below
// dir, with the permissions and numbers of owners that the point has for them, and
// returns the last. What is there stays as it is.
func Above(ctx context.Context, source component.Source, path, dir string) (string, error) {
	above := filepath.Dir(filepath.Clean("/" + path))
	if above == "/" {
		return dir, os.MkdirAll(dir, 0o700)
	}
	if _, err := Above(ctx, source, above, dir); err != nil {
		return "", err
	}
	made, err := securejoin.SecureJoin(dir, above)
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(made, 0o700); errors.Is(err, fs.ErrExist) {
		return made, nil
	} else if err != nil {
		return "", err
	}
	if os.Geteuid() != 0 { // owners cannot be given
		return made, nil
	}
	return made, NewTranslator(nil).Dress(ctx, source, above, made)
}

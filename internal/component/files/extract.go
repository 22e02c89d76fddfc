package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	securejoin "github.com/cyphar/filepath-securejoin"

	"lifeboat/internal/component"
	"lifeboat/internal/repository"
)

// Extract writes a path of the point below dir, under its own name.
func Extract(ctx context.Context, source component.Source, path, dir string, f Filter) error {
	parent, err := Above(ctx, source, path, dir)
	if err != nil {
		return err
	}
	target := filepath.Join(parent, filepath.Base(path))
	if info, err := os.Lstat(target); err == nil {
		// A file that two components share came with the other one.
		node, err := Node(ctx, source, path)
		if err == nil && node.Type == repository.File && info.Mode() == node.Mode && info.Size() == int64(node.Size) && info.ModTime().Equal(node.ModTime) {
			return nil
		}
		return fmt.Errorf("%s is there already: %w", target, fs.ErrExist)
	}
	_, err = source.RestorePath(ctx, path, target, repository.RestoreOptions{
		Include: func(p string) bool { return !f.ExcludedBelow(p, path) },
	})
	return err
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

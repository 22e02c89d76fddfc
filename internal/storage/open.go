package storage

import (
	"context"
	"fmt"
	"strings"

	"lifeboat/internal/storage/limit"
)

// Options says how a store is opened.
type Options struct {
	// ReadOnly refuses every write with ErrReadOnly.
	ReadOnly bool
	// Limit bounds what is written and read; nil for no bound.
	Limit *limit.Limit
}

// UnsupportedError says that a URL names a sort of store that this program
// does not have.
type UnsupportedError struct {
	Scheme string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("repositories on %q are not supported; a repository is a directory (/path or local:/path), or s3:, sftp: or rest: and an address", e.Scheme)
}

// foreign are the schemes that restic knows beside local.
var foreign = []string{"s3", "sftp", "rest", "b2", "azure", "gs", "swift", "rclone"}

// Open returns the local store that a URL names, in restic's notation: a path, or
// local:path. Package storage/open knows the other sorts too. Nothing is created before the first Save. A relative path that
// looks like another scheme is written as ./path or local:path.
func Open(_ context.Context, url string, opts Options) (Store, error) {
	if url == "" {
		return nil, fmt.Errorf("no repository location was given")
	}
	if path, ok := strings.CutPrefix(url, "local:"); ok {
		return OpenLocal(path, opts)
	}
	scheme, _, found := strings.Cut(url, ":")
	if found {
		for _, s := range foreign {
			if scheme == s {
				return nil, &UnsupportedError{Scheme: scheme}
			}
		}
		if strings.Contains(url, "://") && !strings.HasPrefix(url, "/") && !strings.HasPrefix(url, ".") {
			return nil, &UnsupportedError{Scheme: scheme}
		}
	}
	return OpenLocal(url, opts)
}

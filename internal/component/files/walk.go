package files

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"lifeboat/internal/host"
)

// Walk visits path on the machine and what is below it in lexical order of each
// directory, without what the filter excludes, without sockets, and without
// following links. An entry that vanishes meanwhile is passed over. The visitor
// is given the machine's path, and where that stands for this process.
func Walk(ctx context.Context, h *host.Host, path string, f Filter, visit func(path string, info fs.FileInfo, real string) error) error {
	top, err := h.Entry(path)
	if err != nil {
		return err
	}
	return filepath.WalkDir(top, func(real string, entry fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) && real != top {
			return nil
		}
		if err != nil {
			return err
		}
		at := path + real[len(top):]
		if real != top && f.Excluded(at) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if info.Mode()&os.ModeSocket != 0 {
			return nil
		}
		return visit(at, info, real)
	})
}

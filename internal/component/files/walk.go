package files

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

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
	return walk(ctx, top, path, f, visit)
}

func walk(ctx context.Context, top, path string, f Filter, visit func(path string, info fs.FileInfo, real string) error) error {
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

// walkers is how many directories Each reads at once: a cold disk gives far more
// when it is asked for several things at a time.
const walkers = 16

// Each is Walk in no order; directories are read side by side. The visitor is
// called from one goroutine at a time.
func Each(ctx context.Context, h *host.Host, path string, f Filter, visit func(path string, info fs.FileInfo) error) error {
	top, err := h.Entry(path)
	if err != nil {
		return err
	}
	info, err := os.Lstat(top)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(walkers)
	e := each{group: g, ctx: ctx, top: top, path: path, filter: f, visit: visit}
	g.Go(func() error { return e.entry(top, info) })
	return g.Wait()
}

type each struct {
	group     *errgroup.Group
	ctx       context.Context //nolint:containedctx // of this one call
	top, path string
	filter    Filter

	mu    sync.Mutex
	visit func(path string, info fs.FileInfo) error
}

func (e *each) entry(real string, info fs.FileInfo) error {
	if info.Mode()&os.ModeSocket != 0 {
		return nil
	}
	e.mu.Lock()
	err := e.visit(e.path+real[len(e.top):], info)
	e.mu.Unlock()
	if err != nil || !info.IsDir() {
		return err
	}
	entries, err := os.ReadDir(real)
	if errors.Is(err, fs.ErrNotExist) && real != e.top {
		err = nil
	}
	for _, entry := range entries {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		name := filepath.Join(real, entry.Name())
		if e.filter.Excluded(e.path + name[len(e.top):]) {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		below := func() error { return e.entry(name, info) }
		if info.IsDir() && e.group.TryGo(below) {
			continue
		}
		if err := below(); err != nil {
			return err
		}
	}
	return err
}

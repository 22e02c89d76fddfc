package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"lifeboat/internal/storage/limit"
)

// Local is a store in a directory, in the format's default layout. Files are
// 0600 and directories 0700, whatever the umask.
type Local struct {
	root     string
	readOnly bool
	limit    *limit.Limit

	mu   sync.Mutex
	made map[string]bool // directories known to exist
	ours []string        // directories that this store has made, in this order
	// named is set when the file system has no unnamed temporary files.
	named bool
}

// OpenLocal returns the store in directory path, which need not exist yet.
func OpenLocal(path string, opts Options) (*Local, error) {
	if path == "" {
		return nil, errors.New("no repository directory was given")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("repository directory %s: %w", path, err)
	}
	return &Local{root: abs, readOnly: opts.ReadOnly, limit: opts.Limit, made: make(map[string]bool)}, nil
}

// Location returns the directory.
func (l *Local) Location() string { return l.root }

// Close does nothing.
func (l *Local) Close() error { return nil }

func (l *Local) path(h Handle) (string, error) {
	if err := h.Validate(); err != nil {
		return "", err
	}
	return filepath.Join(l.root, filepath.FromSlash(h.Path())), nil
}

// Load opens the range of a file.
func (l *Local) Load(ctx context.Context, h Handle, offset, length int64) (io.ReadCloser, error) {
	path, err := l.path(h)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if offset < 0 || length < 0 {
		return nil, fmt.Errorf("load %s: negative range", h)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, classify("load", h, err)
	}
	if length == 0 && offset == 0 {
		return l.limit.Reader(ctx, f), nil
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, classify("load", h, err)
	}
	if offset > info.Size() || length > info.Size()-offset {
		f.Close()
		return nil, fmt.Errorf("load %s: %w: %d bytes, wanted %d at %d", h, ErrShort, info.Size(), length, offset)
	}
	if length == 0 {
		length = info.Size() - offset
	}
	return l.limit.Reader(ctx, &section{SectionReader: io.NewSectionReader(f, offset, length), file: f}), nil
}

type section struct {
	*io.SectionReader
	file *os.File
}

func (s *section) Close() error { return s.file.Close() }

// Stat returns the size of a file.
func (l *Local) Stat(ctx context.Context, h Handle) (Info, error) {
	path, err := l.path(h)
	if err != nil {
		return Info{}, err
	}
	if err := ctx.Err(); err != nil {
		return Info{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Info{}, classify("stat", h, err)
	}
	return Info{Name: h.Name, Size: info.Size(), Time: info.ModTime()}, nil
}

// List visits the files of a sort.
func (l *Local) List(ctx context.Context, t Type, visit func(Info) error) error {
	if t.Dir() == "" {
		return fmt.Errorf("a %s file cannot be listed", t)
	}
	dir := filepath.Join(l.root, t.Dir())
	if t != Data {
		return l.list(ctx, dir, visit)
	}
	subs, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	for _, sub := range subs {
		if !sub.IsDir() || len(sub.Name()) != 2 {
			continue
		}
		err := l.list(ctx, filepath.Join(dir, sub.Name()), func(info Info) error {
			if info.Name[:2] != sub.Name() {
				return nil
			}
			return visit(info)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *Local) list(ctx context.Context, dir string, visit func(Info) error) error {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(1024)
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			if !ValidName(e.Name()) {
				continue
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // removed meanwhile
			}
			if err != nil {
				return fmt.Errorf("list %s: %w", dir, err)
			}
			if !info.Mode().IsRegular() {
				continue
			}
			if err := visit(Info{Name: e.Name(), Size: info.Size(), Time: info.ModTime()}); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list %s: %w", dir, err)
		}
	}
}

// Remove deletes a file.
func (l *Local) Remove(ctx context.Context, h Handle) error {
	path, err := l.path(h)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.readOnly {
		return fmt.Errorf("remove %s: %w", h, ErrReadOnly)
	}
	if err := os.Remove(path); err != nil {
		return classify("remove", h, err)
	}
	// A lock is of no use after a power cut, so its removal need not survive one.
	if h.Type == Lock {
		return nil
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return classify("remove", h, err)
	}
	return nil
}

// classify wraps a system error so that the store's own errors can be tested for.
func classify(verb string, h Handle, err error) error {
	missing := errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
	switch {
	case missing && verb != "save": // which lacks a directory, not the file
		return fmt.Errorf("%s %s: %w", verb, h, ErrNotFound)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s %s: %w", verb, h, ErrExists)
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%s %s: %w: %w", verb, h, ErrNoSpace, err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%s %s: %w: %w", verb, h, ErrReadOnly, err)
	default:
		return fmt.Errorf("%s %s: %w", verb, h, err)
	}
}

// Package sftp keeps a repository in a directory of a host that is reached over
// SSH, in the layout that restic uses there. It makes single attempts:
// repetition belongs to package retry. No program is started, neither here nor,
// but for its SFTP server, there.
package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/pkg/sftp"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/stall"
)

// Store is a repository in a directory of another host. Files are 0600 and
// directories 0700.
type Store struct {
	pool  *pool
	place Place
	opts  Options
	dirs  dirs
}

// Open returns the store at a place. The host is not spoken to before the first
// operation.
func Open(place Place, opts Options) (*Store, error) {
	limit := opts.Stall.Or(stall.Default)
	return &Store{pool: &pool{place: place, opts: opts, limit: limit}, place: place, opts: opts}, nil
}

// Location returns the address; it has no place for a secret.
func (s *Store) Location() string { return s.place.String() }

// Close logs out.
func (s *Store) Close() error {
	s.pool.close()
	return nil
}

func (s *Store) path(h storage.Handle) string { return path.Join(s.place.Path, h.Path()) }

// with runs fn over a connection.
func (s *Store) with(ctx context.Context, fn func(c *sftp.Client) error) error {
	conn, err := s.pool.get(ctx)
	if err != nil {
		return err
	}
	defer s.pool.put(conn)
	return conn.call(ctx, s.pool.limit, func() error { return fn(conn.client) })
}

// Stat returns the size of a file.
func (s *Store) Stat(ctx context.Context, h storage.Handle) (storage.Info, error) {
	if err := h.Validate(); err != nil {
		return storage.Info{}, err
	}
	found := storage.Info{Name: h.Name}
	err := s.with(ctx, func(c *sftp.Client) error {
		info, err := c.Lstat(s.path(h))
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fs.ErrNotExist
		}
		found.Size, found.Time = info.Size(), info.ModTime()
		return nil
	})
	if err != nil {
		return storage.Info{}, classify("stat", h, err)
	}
	return found, nil
}

// Remove deletes a file.
func (s *Store) Remove(ctx context.Context, h storage.Handle) error {
	if err := h.Validate(); err != nil {
		return err
	}
	if s.opts.ReadOnly {
		return fmt.Errorf("remove %s: %w", h, storage.ErrReadOnly)
	}
	err := s.with(ctx, func(c *sftp.Client) error { return c.Remove(s.path(h)) })
	return classify("remove", h, err)
}

// List visits the files of a sort.
func (s *Store) List(ctx context.Context, t storage.Type, visit func(storage.Info) error) error {
	if err := storage.ValidList(t); err != nil {
		return err
	}
	dir := path.Join(s.place.Path, t.Dir())
	entries, err := s.readDir(ctx, dir)
	if err != nil {
		return classify("list", storage.Handle{Type: t}, err)
	}
	if t != storage.Data {
		return report(ctx, entries, "", visit)
	}
	for _, sub := range entries {
		if !sub.IsDir() || len(sub.Name()) != 2 {
			continue
		}
		files, err := s.readDir(ctx, path.Join(dir, sub.Name()))
		if err != nil {
			return classify("list", storage.Handle{Type: t}, err)
		}
		if err := report(ctx, files, sub.Name(), visit); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// readDir reads a directory; one that does not exist is empty.
func (s *Store) readDir(ctx context.Context, dir string) (entries []fs.FileInfo, err error) {
	err = s.with(ctx, func(c *sftp.Client) error {
		entries, err = c.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return entries, err
}

func report(ctx context.Context, entries []fs.FileInfo, prefix string, visit func(storage.Info) error) error {
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := e.Name()
		if !storage.ValidName(name) || !e.Mode().IsRegular() || name[:len(prefix)] != prefix {
			continue
		}
		if err := visit(storage.Info{Name: name, Size: e.Size(), Time: e.ModTime()}); err != nil {
			return err
		}
	}
	return nil
}

// Load opens the range of a file.
func (s *Store) Load(ctx context.Context, h storage.Handle, offset, length int64) (io.ReadCloser, error) {
	if err := storage.ValidRange(h, offset, length); err != nil {
		return nil, err
	}
	conn, err := s.pool.get(ctx)
	if err != nil {
		return nil, classify("load", h, err)
	}
	r := &reader{ctx: ctx, store: s, conn: conn, handle: h, next: offset}
	err = conn.call(ctx, s.pool.limit, func() error {
		if r.file, err = conn.client.Open(s.path(h)); err != nil {
			return err
		}
		info, err := r.file.Stat()
		if err != nil {
			return err
		}
		if r.end = info.Size(); length > 0 {
			r.end = offset + length
		}
		if offset > info.Size() || r.end > info.Size() {
			return fmt.Errorf("%w: %d bytes, wanted %d at %d", storage.ErrShort, info.Size(), length, offset)
		}
		return nil
	})
	if err != nil {
		r.Close()
		return nil, classify("load", h, err)
	}
	return r, nil
}

// readAhead is how much of a file is asked for at once, in bytes; it hides the
// time that questions and answers are under way.
const readAhead = 1 << 20

type reader struct {
	ctx       context.Context
	store     *Store
	conn      *connection
	handle    storage.Handle
	file      *sftp.File
	next, end int64 // of the file, not yet asked for
	buf       []byte
	rest      []byte // of buf, not yet read
}

func (r *reader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if err := r.ctx.Err(); err != nil {
			return 0, err
		}
		if r.next == r.end {
			return 0, io.EOF
		}
		size := min(r.end-r.next, readAhead)
		if int64(cap(r.buf)) < size {
			r.buf = make([]byte, size)
		}
		err := r.conn.call(r.ctx, r.store.pool.limit, func() error {
			n, err := r.file.ReadAt(r.buf[:size], r.next)
			if int64(n) == size {
				return nil
			}
			if err == nil || errors.Is(err, io.EOF) {
				return fmt.Errorf("%w: it ends at %d, wanted %d", storage.ErrShort, r.next+int64(n), r.end)
			}
			return err
		})
		if err != nil {
			return 0, classify("read", r.handle, err)
		}
		r.rest = r.buf[:size]
		r.next += size
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func (r *reader) Close() error {
	if r.conn == nil {
		return nil
	}
	defer r.store.pool.put(r.conn)
	conn := r.conn
	r.conn = nil
	if r.file == nil || conn.failed() != nil {
		return nil
	}
	return conn.call(context.WithoutCancel(r.ctx), r.store.pool.limit, r.file.Close)
}

package sftp

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"

	"github.com/pkg/sftp"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/retry"
)

// Extensions of OpenSSH (its file PROTOCOL, section 4).
const (
	extensionLink   = "hardlink@openssh.com"
	extensionSync   = "fsync@openssh.com"
	extensionSpace  = "statvfs@openssh.com"
	extensionRename = "posix-rename@openssh.com"
)

// errSource is an error of ours, not of the connection.
var errSource = errors.New("the upload was given up")

// dirs remembers which directories exist.
type dirs struct {
	mu   sync.Mutex
	made map[string]bool
	ours []string // those that this store has made, in this order
}

// Save writes a temporary file, has the server make it durable, and gives it
// its name by a hard link, which a name that is taken refuses. Without hard links
// the name is looked for and the file renamed; OpenSSH's rename refuses a taken
// name too. SFTP cannot make the directory durable; journaling file systems do
// that within seconds.
func (s *Store) Save(ctx context.Context, h storage.Handle, data []byte) error {
	if err := h.Validate(); err != nil {
		return err
	}
	if s.opts.ReadOnly {
		return fmt.Errorf("save %s: %w", h, storage.ErrReadOnly)
	}
	src := &source{ctx: ctx, data: data}
	defer src.end()
	err := s.with(ctx, func(c *sftp.Client) error { return s.save(c, h, src) })
	return classify("save", h, err)
}

func (s *Store) save(c *sftp.Client, h storage.Handle, src *source) error {
	target := s.path(h)
	if _, err := c.Lstat(target); err == nil {
		return fs.ErrExist
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if h.Type == storage.Config {
		if err := s.layout(c); err != nil {
			return err
		}
	}
	var r [8]byte
	rand.Read(r[:])
	temp := target + "-tmp-" + hex.EncodeToString(r[:])
	f, err := s.create(c, temp)
	if err != nil {
		return err
	}
	size := int64(len(src.data))
	err = upload(c, f, src, size)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = publish(c, temp, target)
	}
	if err == nil {
		return nil
	}
	if !lost(err) {
		err = full(c, path.Dir(target), size, err)
		c.Remove(temp)
	}
	return err
}

// create makes a file that nobody has, and its directory where that is missing.
func (s *Store) create(c *sftp.Client, name string) (*sftp.File, error) {
	f, err := c.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if errors.Is(err, fs.ErrNotExist) {
		s.dirs.mu.Lock()
		clear(s.dirs.made)
		s.dirs.mu.Unlock()
		if err = s.mkdir(c, path.Dir(name)); err == nil {
			f, err = c.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(0o600); err != nil {
		f.Close()
		c.Remove(name)
		return nil, err
	}
	return f, nil
}

func upload(c *sftp.Client, f *sftp.File, src *source, size int64) error {
	n, err := f.ReadFromWithConcurrency(src, inFlight)
	if err != nil {
		return err
	}
	if n != size {
		return fmt.Errorf("%w: %d of %d bytes", io.ErrShortWrite, n, size)
	}
	if _, ok := c.HasExtension(extensionSync); ok {
		return f.Sync()
	}
	return nil
}

// publish gives a temporary file its final name without replacing another.
func publish(c *sftp.Client, temp, target string) error {
	if _, ok := c.HasExtension(extensionLink); ok {
		err := c.Link(temp, target)
		if err == nil {
			return c.Remove(temp)
		}
		if lost(err) {
			return err
		}
	}
	if _, err := c.Lstat(target); err == nil {
		return fs.ErrExist
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := c.Rename(temp, target)
	if err == nil || lost(err) {
		return err
	}
	if _, serr := c.Lstat(target); serr == nil {
		return fs.ErrExist
	}
	// Servers without OpenSSH's way of renaming may know the other one.
	if _, ok := c.HasExtension(extensionRename); ok {
		return c.PosixRename(temp, target)
	}
	return err
}

// full tells a full disk from other failures, which SFTP has no word for.
func full(c *sftp.Client, dir string, size int64, err error) error {
	var status *sftp.StatusError
	if _, ok := c.HasExtension(extensionSpace); !ok || !errors.As(err, &status) {
		return err
	}
	if info, serr := c.StatVFS(dir); serr == nil && (info.FreeSpace() < uint64(size)+info.Frsize || info.Favail == 0 && info.Files > 0) {
		return fmt.Errorf("%w: %w", storage.ErrNoSpace, err)
	}
	return err
}

// layout makes all directories, as restic's init does.
func (s *Store) layout(c *sftp.Client) error {
	for _, t := range storage.Types {
		if err := s.mkdir(c, path.Join(s.place.Path, t.Dir())); err != nil {
			return err
		}
	}
	for i := range 256 {
		if err := s.mkdir(c, path.Join(s.place.Path, storage.Data.Dir(), fmt.Sprintf("%02x", i))); err != nil {
			return err
		}
	}
	return nil
}

// mkdir makes a directory and its parents, once.
func (s *Store) mkdir(c *sftp.Client, dir string) error {
	s.dirs.mu.Lock()
	known := s.dirs.made[dir]
	s.dirs.mu.Unlock()
	if known {
		return nil
	}
	err := c.Mkdir(dir)
	switch {
	case err == nil:
		s.dirs.mu.Lock()
		s.dirs.ours = append(s.dirs.ours, dir)
		s.dirs.mu.Unlock()
		if err := c.Chmod(dir, 0o700); err != nil {
			return err
		}
	case lost(err):
		return err
	case errors.Is(err, fs.ErrNotExist) && path.Dir(dir) != dir:
		if err := s.mkdir(c, path.Dir(dir)); err != nil {
			return err
		}
		return s.mkdir(c, dir)
	default: // there already, as a rule; SFTP does not say
		info, serr := c.Stat(dir)
		if serr != nil {
			return err
		}
		if !info.IsDir() {
			return retry.Permanent(fmt.Errorf("%s is not a directory", dir))
		}
	}
	s.dirs.mu.Lock()
	if s.dirs.made == nil {
		s.dirs.made = make(map[string]bool)
	}
	s.dirs.made[dir] = true
	s.dirs.mu.Unlock()
	return nil
}

// source is what is uploaded. After end nobody reads the caller's bytes any
// more, even if the library's goroutines should still be about.
type source struct {
	ctx context.Context

	mu    sync.Mutex
	data  []byte // not yet read
	ended bool
}

func (s *source) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return 0, errSource
	case s.ctx.Err() != nil:
		return 0, fmt.Errorf("%w: %w", errSource, s.ctx.Err())
	case len(s.data) == 0:
		return 0, io.EOF
	}
	n := copy(p, s.data)
	s.data = s.data[n:]
	return n, nil
}

func (s *source) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
}

// classify wraps an error so that those of package storage can be tested for.
func classify(verb string, h storage.Handle, err error) error {
	var status *sftp.StatusError
	var login loginError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &login):
		return fmt.Errorf("%s %s: %w", verb, h, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s %s: %w", verb, h, storage.ErrNotFound)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s %s: %w", verb, h, storage.ErrExists)
	case errors.As(err, &status) && (status.Code == badMessage || status.Code == unsupported):
		return fmt.Errorf("%s %s: %w", verb, h, retry.Permanent(err))
	default:
		return fmt.Errorf("%s %s: %w", verb, h, err)
	}
}

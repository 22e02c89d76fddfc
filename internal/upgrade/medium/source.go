package medium

import (
	"context"
	"crypto/md5"  //nolint:gosec // old package repositories list it; it proves nothing
	"crypto/sha1" //nolint:gosec // what SLES 11 lists its files by
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net"
	"strings"
	"time"
)

// tree gives the files below an address.
type tree interface {
	// open gives a file; an error that is fs.ErrNotExist says that there is none. The
	// name is a good one. One file is open at a time.
	open(ctx context.Context, name string) (io.ReadCloser, error)
	Close() error
}

// Source is one that is open. It is used by one goroutine.
type Source struct {
	Address string
	place   place
	tree    tree
	options Options
	stop    context.CancelFunc
}

// Open opens a source; nothing is known of what it says yet. ctx ends whatever is under
// way.
func Open(ctx context.Context, address string, o Options) (*Source, error) {
	p, err := parse(address)
	if err != nil {
		return nil, err
	}
	if o.Limit == 0 {
		o.Limit = time.Minute
	}
	inner, stop := context.WithCancel(ctx)
	d := dialer{inner, o.Limit}
	s := &Source{Address: p.String(), place: p, options: o, stop: stop}
	switch p.scheme {
	case "dir":
		s.tree, err = openDir(p.path)
	case "iso":
		s.tree, err = openISO(p.path)
	case "http", "https":
		s.tree = newWeb(d, p, o.Login)
	case "ftp":
		s.tree, err = dialFTP(d, p, o.Login)
	case "nfs":
		s.tree, err = openNFS(d, p)
	case "smb":
		s.tree, err = openSMB(d, p, o.Login)
	case "tftp":
		s.tree = trivial{d, p.server(), p.path}
	default:
		err = ErrAddress
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("%s: %w", s.Address, err)
	}
	return s, nil
}

// Close ends the connection.
func (s *Source) Close() error {
	defer s.stop()
	return s.tree.Close()
}

// get reads a file of at most so many bytes.
func (s *Source) get(ctx context.Context, name string, most int64) ([]byte, error) {
	f, err := s.tree.open(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	text, err := bounded(f, most)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return text, nil
}

func (s *Source) small(ctx context.Context, name string) ([]byte, error) {
	return s.get(ctx, name, maxSmall)
}

// copyTo reads a file for what takes its checksum.
func (s *Source) copyTo(ctx context.Context, name string, to io.Writer) (size int64, err error) {
	f, err := s.tree.open(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	size, err = io.Copy(to, &capped{ctx, f, maxFile})
	if err = errors.Join(err, f.Close()); err != nil {
		return size, fmt.Errorf("read %s: %w", name, err)
	}
	return size, nil
}

// newHash makes a hash by the name that indexes give it.
func newHash(kind string) (hash.Hash, bool) {
	switch kind {
	case "sha256":
		return sha256.New(), true
	case "sha512":
		return sha512.New(), true
	case "sha384":
		return sha512.New384(), true
	case "sha224":
		return sha256.New224(), true
	case "sha1", "sha":
		return sha1.New(), true //nolint:gosec // see above
	case "md5":
		return md5.New(), true //nolint:gosec // see above
	}
	return nil, false
}

func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// errLarge says that a file is larger than one of its kind can be.
var errLarge = errors.New("it is too large")

// bounded reads all of at most so many bytes.
func bounded(r io.Reader, most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%w: more than %d bytes", errLarge, most)
	}
	return text, err
}

// capped ends with its context, and refuses more than so many bytes.
type capped struct {
	ctx  context.Context //nolint:containedctx // lives as long as one copy
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return n, errLarge
	}
	return n, err
}

// dialer makes connections that end with a context, and on which a server that sends
// nothing for so long is given up.
type dialer struct {
	ctx   context.Context //nolint:containedctx // of the source: a connection outlives the call that made it
	limit time.Duration
}

func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{Timeout: d.limit}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return d.patient(c), nil
}

func (d dialer) patient(c net.Conn) net.Conn {
	p := &patient{Conn: c, limit: d.limit}
	p.stop = context.AfterFunc(d.ctx, func() { _ = c.Close() })
	return p
}

type patient struct {
	net.Conn
	limit time.Duration
	stop  func() bool
}

func (p *patient) Read(b []byte) (int, error) {
	if err := p.SetReadDeadline(time.Now().Add(p.limit)); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

func (p *patient) Write(b []byte) (int, error) {
	if err := p.SetWriteDeadline(time.Now().Add(p.limit)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

func (p *patient) Close() error {
	p.stop()
	return p.Conn.Close()
}

// missing marks an error as "there is no such file".
func missing(err error) error {
	return fmt.Errorf("%w (%s)", fs.ErrNotExist, strings.TrimSpace(err.Error()))
}

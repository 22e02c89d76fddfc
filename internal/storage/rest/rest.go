// Package rest keeps a repository on a server that speaks restic's REST protocol
// (https://restic.readthedocs.io/en/stable/100_references.html#rest-backend). It
// makes single attempts: repetition belongs to package retry, certificates and
// stalled transfers to package transport. The server's side is package restserver.
package rest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/retry"
	"lifeboat/internal/storage/transport"
)

// Options says how a server is reached and who we are.
type Options struct {
	storage.Options
	Transport transport.Options
	// User and Password log in. Where they are not set, those of the address are
	// used, else RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD.
	User     string
	Password func(context.Context) ([]byte, error)
}

// Store is a repository on a server.
type Store struct {
	place     Place
	client    *http.Client
	transport *transport.Transport
	opts      Options
}

// Open returns the store at a place. Nothing is asked of the server before the
// first operation.
func Open(place Place, opts Options) (*Store, error) {
	if place.Socket != "" {
		opts.Transport.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", place.Socket)
		}
	}
	tr, err := transport.New(opts.Transport)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", place, err)
	}
	if opts.User == "" {
		opts.User = place.User
		if opts.User == "" {
			opts.User = os.Getenv("RESTIC_REST_USERNAME")
		}
	}
	if opts.Password == nil {
		secret := place.secret
		if secret == "" {
			secret = os.Getenv("RESTIC_REST_PASSWORD")
		}
		opts.Password = func(context.Context) ([]byte, error) { return []byte(secret), nil }
	}
	client := &http.Client{
		Transport: tr,
		// A redirection could lead the password elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Store{place: place, client: client, transport: tr, opts: opts}, nil
}

// Location returns the address without a password.
func (s *Store) Location() string { return s.place.String() }

// Close gives up connections.
func (s *Store) Close() error {
	s.transport.Close()
	return nil
}

// url is the address of a file, or of a list where the name is empty.
func (s *Store) url(h storage.Handle) string {
	u := *s.place.URL
	if s.place.Socket != "" {
		u.Scheme, u.Host = "http", "localhost"
	}
	if h.Type == storage.Config {
		u.Path += "config"
	} else {
		u.Path += h.Type.Dir() + "/" + h.Name
	}
	return u.String()
}

// do sends a request. The answer has status 200 or, to a range, 206; everything
// else is a *transport.StatusError.
func (s *Store) do(ctx context.Context, method, address string, body []byte, header http.Header) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", "lifeboat")
	if body != nil {
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	if s.opts.User != "" {
		password, err := s.opts.Password(ctx)
		if err != nil {
			return nil, retry.Permanent(fmt.Errorf("password of %s: %w", s.opts.User, err))
		}
		req.SetBasicAuth(s.opts.User, string(password))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusOK,
		resp.StatusCode == http.StatusPartialContent && header.Get("Range") != "",
		resp.StatusCode == http.StatusNoContent && method == http.MethodDelete:
		return resp, nil
	}
	return nil, transport.Status(resp)
}

func isStatus(err error, codes ...int) bool {
	var status *transport.StatusError
	if errors.As(err, &status) {
		for _, code := range codes {
			if status.Code == code {
				return true
			}
		}
	}
	return false
}

// Save posts a file. The server creates it atomically, or refuses a name that is
// taken: with 409, or with 403 as restic's own server does.
func (s *Store) Save(ctx context.Context, h storage.Handle, data []byte) error {
	if err := h.Validate(); err != nil {
		return err
	}
	if s.opts.ReadOnly {
		return fmt.Errorf("save %s: %w", h, storage.ErrReadOnly)
	}
	if data == nil {
		data = []byte{}
	}
	err := s.post(ctx, s.url(h), data)
	if h.Type == storage.Config && isStatus(err, http.StatusNotFound) {
		// Servers want to be told of a new repository.
		if err = s.post(ctx, s.createURL(), []byte{}); err == nil {
			err = s.post(ctx, s.url(h), data)
		}
	}
	switch {
	case err == nil:
		return nil
	case isStatus(err, http.StatusConflict):
		return fmt.Errorf("save %s: %w", h, storage.ErrExists)
	case isStatus(err, http.StatusForbidden, http.StatusMethodNotAllowed):
		if _, serr := s.Stat(ctx, h); serr == nil {
			return fmt.Errorf("save %s: %w", h, storage.ErrExists)
		}
	}
	return fmt.Errorf("save %s: %w", h, err)
}

// createURL is what a server is told of a new repository with.
func (s *Store) createURL() string {
	return strings.TrimSuffix(s.url(storage.Handle{Type: storage.Config}), "config") + "?create=true"
}

func (s *Store) post(ctx context.Context, address string, data []byte) error {
	resp, err := s.do(ctx, http.MethodPost, address, data, nil)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Load opens the range of a file.
func (s *Store) Load(ctx context.Context, h storage.Handle, offset, length int64) (io.ReadCloser, error) {
	if err := storage.ValidRange(h, offset, length); err != nil {
		return nil, err
	}
	header := http.Header{}
	switch {
	case length > 0:
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	case offset > 0:
		header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := s.do(ctx, http.MethodGet, s.url(h), nil, header)
	if isStatus(err, http.StatusRequestedRangeNotSatisfiable) {
		return storage.BeyondEnd(ctx, s, h, offset, length)
	}
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", h, err)
	}
	fail := func(err error) (io.ReadCloser, error) {
		resp.Body.Close()
		return nil, fmt.Errorf("load %s: %w", h, err)
	}
	if len(header) > 0 {
		begins := fmt.Sprintf("bytes %d-", offset)
		if resp.StatusCode != http.StatusPartialContent || !strings.HasPrefix(resp.Header.Get("Content-Range"), begins) {
			return fail(errNoRanges)
		}
	}
	size := resp.ContentLength
	switch {
	case size < 0:
		return fail(errNoLength)
	case length > 0 && size < length:
		return fail(fmt.Errorf("%w: %d bytes came, wanted %d at %d", storage.ErrShort, size, length, offset))
	case length > 0 && size > length:
		return fail(errNoRanges)
	}
	return transport.Body(resp.Body, size), nil
}

var (
	errNoRanges = retry.Permanent(errors.New("the server did not answer with the range that was asked for"))
	errNoLength = retry.Permanent(errors.New("the server does not say how long the file is"))
)

// Stat returns the size of a file.
func (s *Store) Stat(ctx context.Context, h storage.Handle) (storage.Info, error) {
	if err := h.Validate(); err != nil {
		return storage.Info{}, err
	}
	resp, err := s.do(ctx, http.MethodHead, s.url(h), nil, nil)
	if err != nil {
		return storage.Info{}, fmt.Errorf("stat %s: %w", h, err)
	}
	resp.Body.Close()
	if resp.ContentLength < 0 {
		return storage.Info{}, fmt.Errorf("stat %s: %w", h, errNoLength)
	}
	written, err := http.ParseTime(resp.Header.Get("Last-Modified"))
	if err != nil {
		written = time.Time{} // restic's server does not tell
	}
	return storage.Info{Name: h.Name, Size: resp.ContentLength, Time: written}, nil
}

// Remove deletes a file. Servers that only append refuse with 403, or 405.
func (s *Store) Remove(ctx context.Context, h storage.Handle) error {
	if err := h.Validate(); err != nil {
		return err
	}
	if s.opts.ReadOnly {
		return fmt.Errorf("remove %s: %w", h, storage.ErrReadOnly)
	}
	resp, err := s.do(ctx, http.MethodDelete, s.url(h), nil, nil)
	if h.Type != storage.Lock && isStatus(err, http.StatusForbidden, http.StatusMethodNotAllowed) {
		return fmt.Errorf("remove %s: %w: %w", h, storage.ErrAppendOnly, err)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", h, err)
	}
	return resp.Body.Close()
}

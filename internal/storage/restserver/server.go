// Package restserver serves repositories over restic's REST protocol
// (https://restic.readthedocs.io/en/stable/100_references.html#rest-backend), to
// stock restic and to package rest. It decides who may do what to which
// repository and sees that files are what their names say; how they are kept is
// the business of the stores behind it, and it knows nothing of their content.
package restserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/stall"
)

// Repositories finds what a path names. Its methods may be called from several
// goroutines at once.
type Repositories interface {
	// Open returns the store of the repository at a path of one or more valid
	// segments, "" for the root. That nothing lies there is no error.
	Open(ctx context.Context, path string) (storage.Store, error)
	// Usage is how many bytes lie in a space: the first segment of paths where
	// repositories are private, else "" for everything.
	Usage(ctx context.Context, space string) (int64, error)
}

// Authenticator tells who may log in, to do what. It is called from several
// goroutines.
type Authenticator interface {
	Authenticate(user, password string) (Access, bool)
}

// Options says what is served to whom.
type Options struct {
	Repositories Repositories
	// Auth checks users. Nil serves everybody, as behind an inherited socket.
	Auth Authenticator
	// Private gives every user the repositories below /USER/ and no others.
	Private bool
	// AppendOnly refuses to remove anything but locks, to those whom Auth
	// leaves AsServer.
	AppendOnly bool
	// ReadOnly tells for each request whether it may only read. Nil for never.
	ReadOnly func(*http.Request) bool
	// Quota bounds each space, in bytes; 0 for no bound. What other programs
	// add or remove is counted when the server starts again.
	Quota int64
	// MaxFile bounds one file, in bytes; DefaultMaxFile if 0.
	MaxFile int64
	// Memory bounds all uploads under way, in bytes; at least MaxFile.
	Memory int64
	// TLS encrypts what Serve accepts. Nil for plain HTTP.
	TLS *tls.Config
	// Stall is the least progress of an upload; stall.Default if not set.
	Stall stall.Limit
	// Grace is how long requests may still take once Serve is told to end.
	Grace time.Duration
	// Cut ends the grace when it ends. Nil for never.
	Cut context.Context
	// Log takes a line for each request. Nil for none.
	Log *slog.Logger
}

// DefaultMaxFile is larger than any file that restic writes with its largest
// pack size (128 MiB) and a full-sized index.
const DefaultMaxFile = 512 << 20

// defaultGrace is how long an upload under way may take to end.
const defaultGrace = 30 * time.Second

// Server is an http.Handler.
type Server struct {
	opts   Options
	quota  *quota
	memory *semaphore.Weighted
}

// New returns a server.
func New(opts Options) (*Server, error) {
	if opts.Repositories == nil {
		return nil, errors.New("REST server: there is nothing to serve")
	}
	if opts.Private && opts.Auth == nil {
		return nil, errors.New("REST server: private repositories need users")
	}
	if opts.MaxFile <= 0 {
		opts.MaxFile = DefaultMaxFile
	}
	opts.Memory = max(opts.Memory, opts.MaxFile)
	opts.Stall = opts.Stall.Or(stall.Default)
	if opts.Grace <= 0 {
		opts.Grace = defaultGrace
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		opts:   opts,
		quota:  &quota{limit: opts.Quota, usage: opts.Repositories.Usage},
		memory: semaphore.NewWeighted(opts.Memory),
	}, nil
}

// Serve answers on a listener until ctx ends; then requests under way are given
// Options.Grace to end. It returns nil if they did. The listener is closed.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s,
		TLSConfig:         s.opts.TLS,
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelWarn),
	}
	done := make(chan error, 1)
	go func() {
		if s.opts.TLS != nil {
			done <- server.ServeTLS(l, "", "")
		} else {
			done <- server.Serve(l)
		}
	}()
	select {
	case err := <-done:
		return fmt.Errorf("REST server on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.Grace)
	defer cancel()
	if s.opts.Cut != nil {
		defer context.AfterFunc(s.opts.Cut, cancel)()
	}
	err := server.Shutdown(grace)
	if err != nil {
		server.Close()
		err = fmt.Errorf("REST server on %s: requests under way were cut off: %w", l.Addr(), err)
	}
	<-done
	return err
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	recorder := &recorder{ResponseWriter: w, control: http.NewResponseController(w), window: s.opts.Stall.Window}
	defer recorder.control.SetWriteDeadline(time.Time{})
	user, access, known := s.user(r)
	defer func() {
		s.opts.Log.LogAttrs(r.Context(), slog.LevelInfo, "request",
			slog.String("remote", r.RemoteAddr), slog.String("user", user), slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.Int("status", recorder.status), slog.Int64("sent", recorder.sent),
			slog.Duration("took", time.Since(begin)))
	}()
	if !known {
		user = ""
		recorder.Header().Set("WWW-Authenticate", `Basic realm="repositories", charset="UTF-8"`)
		fail(recorder, http.StatusUnauthorized, "user or password is wrong")
		return
	}
	req, err := parse(r.URL.Path)
	if err != nil {
		fail(recorder, http.StatusNotFound, err.Error())
		return
	}
	if s.opts.Private && req.space() != user {
		fail(recorder, http.StatusForbidden, "this repository belongs to another user")
		return
	}
	s.serve(recorder, r, req, access)
}

// user is who asks, for what, and whether that is proved.
func (s *Server) user(r *http.Request) (user string, access Access, known bool) {
	if s.opts.Auth != nil {
		var password string
		var given bool
		user, password, given = r.BasicAuth()
		if !given || !validSegment(user) {
			return user, AppendOnly, false
		}
		if access, known = s.opts.Auth.Authenticate(user, password); !known {
			return user, AppendOnly, false
		}
	}
	if access == AsServer {
		access = Full
		if s.opts.AppendOnly {
			access = AppendOnly
		}
	}
	return user, access, true
}

// recorder remembers what was answered, and gives up on clients that do not
// take it.
type recorder struct {
	http.ResponseWriter
	control *http.ResponseController
	window  time.Duration
	status  int
	sent    int64
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	_ = r.control.SetWriteDeadline(time.Now().Add(r.window)) // not every ResponseWriter has one
	n, err := r.ResponseWriter.Write(p)
	r.sent += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func fail(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Del("Content-Length")
	w.WriteHeader(status)
	io.WriteString(w, text+"\n")
}

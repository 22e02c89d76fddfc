// Package fleet is the server that knows many hosts: it listens, lets in, answers for
// how it is itself, does what has to be done from time to time, and ends in an orderly
// way. What is asked of it is answered in fleet/api and fleet/console, what it
// remembers is in fleet/store; recovery points never pass through it.
package fleet

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"

	"lifeboat/internal/config"
	"lifeboat/internal/fleet/account"
	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/api"
	"lifeboat/internal/fleet/rear"
	"lifeboat/internal/fleet/record"
)

// Options are what a server works with. Desk and Log are needed.
type Options struct {
	Desk    *action.Desk
	Log     *slog.Logger
	Version string
	// Certificate is the server's own; nil: the fleet's authority makes one.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Console serves the pages for people; nil for none. Closing is called when the
	// server begins to end, so that live pages do too.
	Console http.Handler
	Closing func()
	Session func(*http.Request) (api.Session, error)
	People  *account.Accounts // who may sign in there
	Limits  api.Limits
	// Notices are told of systems that are late.
	Notices []config.Notice
	// Keep is how long reports, runs and versions of configurations are kept at least;
	// nil is for ever. KeepVersions of each host stay beyond that.
	Keep         func(now time.Time) time.Time
	KeepVersions int
	// Every is how often periodic jobs are looked at; 0 is a minute.
	Every time.Duration
	// Grace is how long requests under way may take at the end; 0 is 20 s.
	Grace time.Duration
	// Cut ends them at once.
	Cut context.Context //nolint:containedctx // the second Ctrl-C
}

// Server is a fleet server.
type Server struct {
	Options
	holder  string // names this process in leases
	api     *api.API
	metrics *metrics
	mux     *http.ServeMux
	closing atomic.Bool
	done    chan struct{} // closed when the server begins to end
}

// New makes a server.
func New(o Options) *Server {
	if o.Every <= 0 {
		o.Every = time.Minute
	}
	if o.Grace <= 0 {
		o.Grace = 20 * time.Second
	}
	s := &Server{Options: o, holder: holder(), mux: http.NewServeMux(), done: make(chan struct{})}
	s.api = api.New(api.Options{Desk: o.Desk, Log: o.Log, Version: o.Version, Session: o.Session, People: o.People, Limits: o.Limits})
	s.metrics = newMetrics(o.Desk, o.Version)
	s.mux.Handle(api.Prefix+"/", s.api)
	s.mux.Handle(api.RecoveryPath, s.api)
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "ok") })
	s.mux.HandleFunc("GET /readyz", s.ready)
	s.mux.Handle("GET /metrics", s.api.Viewers(s.metrics.handler()))
	plain := rear.New(rear.Options{
		Store: o.Desk.Store, Stock: rear.Versions{Store: o.Desk.Store, Identities: []age.Identity{o.Desk.Keys.Age}},
		Log: o.Log, Now: o.Desk.Now, Done: s.done,
		From: func(r *http.Request) netip.Addr {
			from, _ := netip.ParseAddr(api.Address(r))
			return from.Unmap()
		},
		Certified: s.api.Certified,
	})
	s.mux.Handle("/rear/", plain)
	s.mux.Handle("/clients/", plain)
	if o.Console != nil {
		s.mux.Handle("/", o.Console)
	}
	return s
}

func holder() string {
	name, _ := os.Hostname()
	random := make([]byte, 8)
	_, _ = rand.Read(random) // it never fails, crypto/rand says
	return name + "-" + hex.EncodeToString(random)
}

// TLS is how connections are encrypted: TLS 1.3, with the certificate of a host
// checked if it shows one. Who shows none is nobody yet.
func (s *Server) TLS() *tls.Config {
	certificate := s.Certificate
	if certificate == nil {
		certificate = s.Desk.Keys.ServerCertificate()
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: certificate,
		ClientAuth:     tls.VerifyClientCertIfGiven,
		ClientCAs:      s.Desk.Keys.Pool(),
	}
}

const (
	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
	// requestTime bounds reading a request, and writing its answer.
	requestTime = 2 * time.Minute
	maxHeader   = 32 << 10
)

// Serve answers until ctx ends, which is a good end; then requests under way may come
// to theirs.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s,
		TLSConfig:         s.TLS(),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       requestTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(lines{s.Log}, "", 0),
	}
	server.RegisterOnShutdown(func() {
		close(s.done)
		if s.Closing != nil {
			s.Closing()
		}
	})
	err := s.Desk.Conceal(ctx, func(err error) { s.Log.Error("recovery configurations", "error", err) })
	if err != nil && ctx.Err() == nil {
		return err
	}
	if err := s.Desk.Started(ctx); errors.Is(err, record.ErrFull) {
		s.Log.Error("nothing is taken, and no recovery code is good, until there is room", "error", err)
	} else if err != nil && ctx.Err() == nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	var jobs sync.WaitGroup
	jobs.Go(func() { s.work(working) })
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(l, "", "") }()
	select {
	case err := <-done:
		stop()
		jobs.Wait()
		return fmt.Errorf("fleet server on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	s.closing.Store(true)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Grace)
	defer cancel()
	if s.Cut != nil {
		defer context.AfterFunc(s.Cut, cancel)()
	}
	err = server.Shutdown(grace)
	if err != nil {
		server.Close()
		err = fmt.Errorf("fleet server on %s: requests under way were cut off: %w", l.Addr(), err)
	}
	<-done
	jobs.Wait()
	return err
}

// ServeHTTP answers one request, and logs and counts it. No header, no body and no
// query is logged: there may be secrets in them.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := time.Now()
	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	w.Header().Set("Strict-Transport-Security", "max-age=31536000")
	// Live pages and logs of ReaR last as long as what they tell of.
	if !strings.HasPrefix(r.Header.Get("Accept"), "text/event-stream") && !strings.HasPrefix(r.URL.Path, "/clients/") {
		_ = http.NewResponseController(w).SetWriteDeadline(begin.Add(requestTime))
	}
	defer func() {
		if failure := recover(); failure != nil {
			if err, ok := failure.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(failure)
			}
			s.Log.ErrorContext(r.Context(), "a request broke down", "path", r.URL.Path, "failure", fmt.Sprint(failure))
			if !rec.begun {
				say(rec, http.StatusInternalServerError, "the server could not do that; its log says why")
			}
		}
		took := time.Since(begin)
		s.metrics.request(r, rec.status, took)
		s.Log.LogAttrs(r.Context(), slog.LevelInfo, "request",
			slog.String("remote", r.RemoteAddr), slog.String("method", r.Method), slog.String("path", r.URL.Path),
			slog.Int("status", rec.status), slog.Int64("sent", rec.sent), slog.Duration("took", took))
	}()
	s.mux.ServeHTTP(rec, r)
}

// ready tells whether requests should come here: the database answers, and the server
// does not end.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.closing.Load() {
		say(w, http.StatusServiceUnavailable, "ending")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	if err := s.Desk.Store.Ping(ctx); err != nil {
		what := "the database does not answer"
		if errors.Is(err, record.ErrFull) {
			what = record.ErrFull.Error()
		}
		s.Log.WarnContext(ctx, what, "error", err)
		say(w, http.StatusServiceUnavailable, what)
		return
	}
	say(w, http.StatusOK, "ok")
}

func say(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text + "\n"))
}

// recorder sees what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	sent   int64
	begun  bool
}

func (r *recorder) WriteHeader(code int) {
	if !r.begun {
		r.status, r.begun = code, code >= http.StatusOK
	}
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.begun = true
	n, err := r.ResponseWriter.Write(b)
	r.sent += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// lines takes what net/http has to say of connections: mostly that somebody else than
// a host of ours knocked.
type lines struct{ log *slog.Logger }

func (l lines) Write(b []byte) (int, error) {
	l.log.Debug("connection", "text", strings.TrimSpace(string(b)))
	return len(b), nil
}

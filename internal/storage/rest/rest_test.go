package rest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/rest"
	"lifeboat/internal/storage/restserver"
	"lifeboat/internal/storage/retry"
	"lifeboat/internal/storage/storagetest"
	"lifeboat/internal/storage/transport"
)

var options = rest.Options{Transport: transport.Options{Stall: storagetest.Limit}}

func open(t *testing.T, location string, opts rest.Options) *rest.Store {
	t.Helper()
	place, err := rest.ParseURL(location)
	if err != nil {
		t.Fatal(err)
	}
	s, err := rest.Open(place, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func handler(t *testing.T) http.Handler {
	t.Helper()
	h, err := restserver.New(restserver.Options{Repositories: restserver.Directory(t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.Listener.Addr().String()
}

var repositories atomic.Int32

func fresh(addr string) func(*testing.T) string {
	return func(*testing.T) string {
		return fmt.Sprintf("rest:http://%s/some/repo%d/", addr, repositories.Add(1))
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	addr := serve(t, handler(t))
	storagetest.Run(t, func(t *testing.T, location string) storage.Store {
		return open(t, location, options)
	}, fresh(addr))
	storagetest.RunRemote(t, storagetest.Remote{HTTP: true, Start: func(t *testing.T) (*storagetest.Proxy, storage.Store) {
		proxy := storagetest.NewHTTPProxy(t, addr)
		return proxy, retry.New(open(t, fresh(proxy.Addr)(t), options), storagetest.Policy)
	}})
}

// Servers of the protocol's first version list names without sizes, refuse
// taken names with 403, and want to be told of a new repository.
func TestFirstVersionConformance(t *testing.T) {
	t.Parallel()
	inner := handler(t)
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Accept")
		inner.ServeHTTP(forbidding{w}, r)
	}))
	storagetest.Run(t, func(t *testing.T, location string) storage.Store {
		return open(t, location, options)
	}, fresh(addr))
}

type forbidding struct{ http.ResponseWriter }

func (f forbidding) WriteHeader(status int) {
	if status == http.StatusConflict {
		status = http.StatusForbidden
	}
	f.ResponseWriter.WriteHeader(status)
}

func (f forbidding) Unwrap() http.ResponseWriter { return f.ResponseWriter }

func TestUnixSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler(t)}
	go server.Serve(l)
	defer server.Close()
	s := open(t, "rest:http+unix://"+socket+":/repo/", options)
	if err := s.Save(t.Context(), storage.Handle{Type: storage.Config}, []byte("c")); err != nil {
		t.Fatal(err)
	}
	if want := "rest:http+unix://" + socket + ":/repo/"; s.Location() != want {
		t.Errorf("location %s", s.Location())
	}
}

func TestBadServers(t *testing.T) {
	name := strings.Repeat("ab", 32)
	h := storage.Handle{Type: storage.Data, Name: name}
	load := func(s *rest.Store, offset, length int64) error {
		r, err := s.Load(t.Context(), h, offset, length)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.ReadAll(r)
		return err
	}
	list := func(s *rest.Store) error {
		return s.List(t.Context(), storage.Data, func(storage.Info) error { return nil })
	}
	answer := func(media, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", media)
			io.WriteString(w, text)
		}
	}
	const v2 = "application/vnd.x.restic.rest.v2"
	tests := []struct {
		name      string
		handle    http.HandlerFunc
		do        func(s *rest.Store) error
		is        error
		transient bool
	}{
		{"the whole file for a range", answer("", "0123456789"), func(s *rest.Store) error { return load(s, 2, 4) }, nil, false},
		{"the wrong range", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-3/10")
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, "0123")
		}, func(s *rest.Store) error { return load(s, 2, 4) }, nil, false},
		{"less than the range", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 2-3/4")
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, "23")
		}, func(s *rest.Store) error { return load(s, 2, 4) }, storage.ErrShort, false},
		{"no length", func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			io.WriteString(w, "0123456789")
		}, func(s *rest.Store) error { return load(s, 0, 0) }, nil, false},
		{"a redirection", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, func(s *rest.Store) error { return load(s, 0, 0) }, nil, false},
		{"a list without an end", answer(v2, `[{"name":"`+name+`","size":1}`), list, storage.ErrTruncated, true},
		{"half an entry", answer(v2, `[{"name":"`+name), list, storage.ErrTruncated, true},
		{"no list", answer(v2, `{"name":1}`), list, nil, false},
		{"a list of other things", answer(v2, `[1,2]`), list, nil, false},
		{"a page", answer(v2, `<html>`), list, nil, false},
		{"an endless name", answer(v2, `[{"name":"`+strings.Repeat("a", 100_000)+`"}]`), list, nil, false},
		{"not allowed", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, list, fs.ErrPermission, false},
		{"full", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(507) }, func(s *rest.Store) error {
			return s.Save(t.Context(), h, []byte("x"))
		}, storage.ErrNoSpace, false},
		{"busy", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, list, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.do(open(t, "rest:http://"+serve(t, tt.handle)+"/", options))
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) || retry.Transient(err) != tt.transient {
				t.Errorf("%v, transient %v", err, retry.Transient(err))
			}
		})
	}
}

func TestNullIsAnEmptyList(t *testing.T) {
	s := open(t, "rest:http://"+serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "null")
	}))+"/", options)
	if err := s.List(t.Context(), storage.Data, func(storage.Info) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestPasswords(t *testing.T) {
	var got string
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		got = user + " " + password
		w.WriteHeader(404)
	}))
	stat := func(location string, opts rest.Options) string {
		got = ""
		s := open(t, location, opts)
		_, err := s.Stat(t.Context(), storage.Handle{Type: storage.Config})
		if !errors.Is(err, storage.ErrNotFound) {
			t.Error(err)
		}
		if strings.Contains(s.Location(), "secret") || strings.Contains(err.Error(), "secret") {
			t.Errorf("the password is shown: %s, %v", s.Location(), err)
		}
		return got
	}
	if got := stat("rest:http://me:secret1@"+addr+"/", options); got != "me secret1" {
		t.Errorf("of the address: %q", got)
	}
	t.Setenv("RESTIC_REST_USERNAME", "env")
	t.Setenv("RESTIC_REST_PASSWORD", "secret2")
	if got := stat("rest:http://"+addr+"/", options); got != "env secret2" {
		t.Errorf("of the environment: %q", got)
	}
	opts := options
	opts.User = "opt"
	opts.Password = func(context.Context) ([]byte, error) { return []byte("secret3"), nil }
	if got := stat("rest:http://me:secret1@"+addr+"/", opts); got != "opt secret3" {
		t.Errorf("of the options: %q", got)
	}
}

func TestParseURL(t *testing.T) {
	for in, want := range map[string]string{
		"rest:http://host/":                    "rest:http://host/",
		"rest:https://host:8000/a/b":           "rest:https://host:8000/a/b/",
		"rest:https://me:secret@host:8000/a/":  "rest:https://me@host:8000/a/",
		"rest:http+unix:///run/x.socket:/a/":   "rest:http+unix:///run/x.socket:/a/",
		"rest:http+unix:///run/x.socket:/":     "rest:http+unix:///run/x.socket:/",
		"rest:https://[2001:db8::1]:8000/repo": "rest:https://[2001:db8::1]:8000/repo/",
		"rest:host/":                           "",
		"rest:ftp://host/":                     "",
		"rest:http:///a":                       "",
		"rest:http://host/../a":                "",
		"rest:http://host/?x=y":                "",
		"rest:http://me:secr%%et@host/":        "",
		"rest:http+unix://host/x":              "",
		"s3:host/bucket":                       "",
	} {
		place, err := rest.ParseURL(in)
		if want == "" {
			if err == nil || strings.Contains(err.Error(), "secr") {
				t.Errorf("%s: %v", in, err)
			}
			continue
		}
		if err != nil || place.String() != want {
			t.Errorf("%s: %s, %v", in, place, err)
		}
	}
}

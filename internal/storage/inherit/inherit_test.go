package inherit_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/inherit"
	"lifeboat/internal/storage/rest"
	"lifeboat/internal/storage/restserver"
)

// serve answers with the handler on what comes through a pair, and returns the dialer's file.
func serve(t *testing.T, handler http.Handler) *os.File {
	t.Helper()
	l, file, err := inherit.Pair()
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: handler}}
	server.Start()
	t.Cleanup(server.Close)
	return file
}

// A store behind a pair of sockets gives what it has, on several connections at
// once, and takes nothing.
func TestStoreBehindAPair(t *testing.T) {
	local, err := storage.OpenLocal(t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	config := storage.Handle{Type: storage.Config}
	if err := local.Save(ctx, config, bytes.Repeat([]byte("x"), 1<<16)); err != nil {
		t.Fatal(err)
	}
	server, err := restserver.New(restserver.Options{Repositories: restserver.Single(local), ReadOnly: func(*http.Request) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	dial, err := inherit.Dialer(serve(t, server))
	if err != nil {
		t.Fatal(err)
	}
	place, err := rest.ParseURL("rest:http://parent/")
	if err != nil {
		t.Fatal(err)
	}
	var opts rest.Options
	opts.Transport.Dial = dial
	store, err := rest.Open(place, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			r, err := store.Load(ctx, config, 0, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			if text, err := io.ReadAll(r); err != nil || len(text) != 1<<16 {
				t.Errorf("%d bytes, %v", len(text), err)
			}
		})
	}
	group.Wait()
	lock := storage.Handle{Type: storage.Lock, Name: strings.Repeat("ab", 32)}
	if err := store.Save(ctx, lock, []byte("x")); err == nil {
		t.Error("a lock was written")
	}
}

// The listener ends with the last holder of the other file, and bears messages
// that are none of its own.
func TestListenerEnds(t *testing.T) {
	l, file, err := inherit.Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := unix.Sendmsg(int(file.Fd()), []byte("noise"), nil, nil, 0); err != nil {
		t.Fatal(err)
	}
	file.Close()
	if conn, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, %v", conn, err)
	}
	if _, err := inherit.Dialer(file); err == nil {
		t.Error("a closed file makes connections")
	}
	plain, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inherit.Dialer(plain); err == nil {
		t.Error("a file that is no socket makes connections")
	}
}

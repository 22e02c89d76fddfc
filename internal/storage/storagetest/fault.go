package storagetest

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// Kind is a way in which a network or a server behind it fails.
type Kind int

// The kinds of faults.
const (
	None   Kind = iota
	Lost        // the request is carried out, but no answer comes: the connection breaks
	Cut         // the connection breaks in the middle of the answer
	Hang        // no answer comes, and the connection stays
	Drip        // the answer comes one byte at a time
	Status      // the server answers 503 instead of doing anything; HTTP only
	Refuse      // connections are closed at once
)

// dripPause lies between two bytes of an answer that drips.
const dripPause = 5 * time.Millisecond

// Proxy stands before a real server and makes its answers fail.
type Proxy struct {
	Addr string // HOST:PORT that clients use

	mu    sync.Mutex
	kind  Kind
	left  int
	after int64
	hits  int
}

// Fail makes the next answers fail, as many as times says; Cut breaks off after
// so many bytes of an answer.
func (p *Proxy) Fail(kind Kind, times int, after int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kind, p.left, p.after, p.hits = kind, times, after, 0
}

// Hits is how many answers failed since Fail was called.
func (p *Proxy) Hits() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hits
}

func (p *Proxy) take(can func(Kind) bool) (Kind, int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left == 0 || !can(p.kind) {
		return None, 0
	}
	p.left--
	p.hits++
	return p.kind, p.after
}

// NewHTTPProxy stands before an HTTP server at address target. The Host that
// clients name is passed on, as signatures cover it.
func NewHTTPProxy(t *testing.T, target string) *Proxy {
	t.Helper()
	p := &Proxy{}
	base := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 32}
	closing := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind, after := p.take(func(Kind) bool { return true })
		switch kind {
		case Status:
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case Refuse:
			panic(http.ErrAbortHandler)
		case Hang:
			io.Copy(io.Discard, r.Body)
			select {
			case <-r.Context().Done():
			case <-closing:
			}
			return
		}
		out := r.Clone(r.Context())
		out.RequestURI = ""
		out.URL.Scheme, out.URL.Host = "http", target
		out.Close = false
		if r.ContentLength == 0 {
			out.Body = nil
		}
		resp, err := base.RoundTrip(out)
		if err != nil || kind == Lost {
			if err == nil {
				resp.Body.Close()
			}
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		for name, values := range resp.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(resp.StatusCode)
		switch kind {
		case Cut:
			io.CopyN(w, resp.Body, after)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case Drip:
			drip(w, resp.Body, closing)
		default:
			if _, err := io.Copy(w, resp.Body); err != nil {
				panic(http.ErrAbortHandler)
			}
		}
	}))
	server.Config.ErrorLog = nil
	t.Cleanup(func() {
		close(closing)
		server.CloseClientConnections()
		server.Close()
		base.CloseIdleConnections()
	})
	p.Addr = server.Listener.Addr().String()
	return p
}

func drip(w io.Writer, r io.Reader, closing <-chan struct{}) {
	var b [1]byte
	for {
		if _, err := r.Read(b[:]); err != nil {
			return
		}
		if _, err := w.Write(b[:]); err != nil {
			return
		}
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		select {
		case <-time.After(dripPause):
		case <-closing:
			return
		}
	}
}

// NewTCPProxy stands before any server at address target. A fault strikes a
// connection when the server next sends something over it; Status is unknown.
func NewTCPProxy(t *testing.T, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String()}
	closing := make(chan struct{})
	var g sync.WaitGroup
	g.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			if kind, _ := p.take(func(k Kind) bool { return k == Refuse }); kind == Refuse {
				client.Close()
				continue
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				continue
			}
			stop := sync.OnceFunc(func() { client.Close(); server.Close() })
			g.Go(func() { defer stop(); io.Copy(server, client) })
			g.Go(func() { defer stop(); p.answer(client, server, closing) })
			g.Go(func() { <-closing; stop() })
		}
	})
	t.Cleanup(func() { close(closing); l.Close(); g.Wait() })
	return p
}

func (p *Proxy) answer(client, server net.Conn, closing <-chan struct{}) {
	buf := make([]byte, 32<<10)
	for {
		n, err := server.Read(buf)
		if n > 0 {
			kind, after := p.take(func(k Kind) bool { return k != Refuse && k != Status })
			switch kind {
			case Lost:
				return
			case Cut:
				if after > int64(n) {
					io.CopyN(client, io.MultiReader(bytes.NewReader(buf[:n]), server), after)
				} else {
					client.Write(buf[:after])
				}
				return
			case Hang:
				<-closing
				return
			case Drip:
				drip(client, io.MultiReader(bytes.NewReader(buf[:n]), server), closing)
				return
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

package store_test

import (
	"bytes"
	"net"
	"net/url"
	"sync/atomic"
	"testing"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store/postgrestest"
	"lifeboat/internal/fleet/store/storetest"
)

// proxy stands between store and database and cuts a connection at its commit.
type proxy struct {
	net.Listener
	to string
	// cut is set to let the next commit fail: before it arrives, or after it was
	// answered and before the answer arrives.
	cut atomic.Int32
}

const (
	cutRequest = 1 + iota
	cutAnswer
)

func (p *proxy) serve(t *testing.T) {
	for {
		client, err := p.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", p.to)
		if err != nil {
			t.Error(err)
			return
		}
		var mute atomic.Bool
		end := func() {
			_ = client.Close()
			_ = server.Close()
		}
		go func() {
			defer end()
			buf := make([]byte, 64<<10)
			for {
				n, err := client.Read(buf)
				if err != nil {
					return
				}
				// COMMIT is sent as a message of its own, which is small.
				if bytes.Contains(buf[:n], []byte("COMMIT")) {
					switch {
					case p.cut.CompareAndSwap(cutRequest, 0):
						return
					case p.cut.CompareAndSwap(cutAnswer, 0):
						mute.Store(true)
					}
				}
				if _, err := server.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
		go func() {
			defer end()
			buf := make([]byte, 64<<10)
			for {
				n, err := server.Read(buf)
				if err != nil || mute.Load() {
					return
				}
				if _, err := client.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
	}
}

// A commit whose answer is lost counts if it was made, and is made again if not.
func postgresAnswerLost(t *testing.T, server *postgrestest.Server) {
	u, err := url.Parse(server.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	p := &proxy{Listener: listener, to: server.Socket()}
	go p.serve(t)
	u.Host, u.RawQuery = listener.Addr().String(), "sslmode=disable"
	s := storetest.Open(t, u.String())
	want := 0
	for _, cut := range []int32{0, cutAnswer, cutRequest, cutAnswer, cutRequest, 0} {
		p.cut.Store(cut)
		calls := 0
		if err := s.Change(t.Context(), func(tx record.Tx) ([]record.Entry, error) {
			calls++
			return []record.Entry{{Action: "count"}}, nil
		}); err != nil {
			t.Errorf("cut %d: %v", cut, err)
		}
		want++
		if p.cut.Load() != 0 {
			t.Errorf("cut %d: no commit passed by", cut)
		}
		// The answer's being lost must not make a change happen twice.
		if cut == cutAnswer && calls != 1 || cut == cutRequest && calls != 2 {
			t.Errorf("cut %d: the change ran %d times", cut, calls)
		}
		if h := storetest.Get(t, s, func(r record.Reader) (record.Head, error) { return r.AuditHead() }); h.Number != int64(want) {
			t.Errorf("cut %d: %d entries, want %d", cut, h.Number, want)
		}
	}
}

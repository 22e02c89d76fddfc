package limit

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pair is a limited connection and its other end. The clock is the test's own.
func pair(t *testing.T, l *Limit) (limited, other net.Conn) {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	return l.Conn(a), b
}

func TestUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const speed, total = 100_000, 1_000_000
		conn, other := pair(t, New(speed, 0))
		begin := time.Now()
		var most int
		var g sync.WaitGroup
		g.Go(func() {
			defer conn.Close()
			if n, err := conn.Write(make([]byte, total)); n != total || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		})
		buf := make([]byte, total)
		for read := 0; read < total; {
			n, err := other.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			read += n
			most = max(most, n)
			// Never more than the allowance of the time that passed, and one burst.
			if allowed := int(time.Since(begin).Seconds()*speed) + speed/10 + 1; read > allowed {
				t.Fatalf("%d bytes after %v", read, time.Since(begin))
			}
		}
		g.Wait()
		if took := time.Since(begin); took < 9*time.Second || took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		if most > speed/10 {
			t.Errorf("a burst of %d bytes", most)
		}
	})
}

// TestShared has two connections share one limit, downwards.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const speed, each = 100_000, 500_000
		l := New(0, speed)
		begin := time.Now()
		var g sync.WaitGroup
		for range 2 {
			conn, other := pair(t, l)
			g.Go(func() {
				defer other.Close()
				other.Write(make([]byte, each))
			})
			g.Go(func() {
				if n, err := io.Copy(io.Discard, conn); n != each || err != nil {
					t.Errorf("%d, %v", n, err)
				}
			})
		}
		g.Wait()
		if took := time.Since(begin); took < 9*time.Second || took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestCloseEndsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, other := pair(t, New(Least, 0))
		go io.Copy(io.Discard, other)
		done := make(chan error)
		go func() {
			_, err := conn.Write(make([]byte, 100<<20))
			done <- err
		}()
		time.Sleep(time.Second)
		conn.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, other := pair(t, New(Least, 0))
		go io.Copy(io.Discard, other)
		begin := time.Now()
		conn.SetWriteDeadline(begin.Add(5 * time.Second))
		_, err := conn.Write(make([]byte, 100<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

func TestNone(t *testing.T) {
	if l := New(0, -1); l != nil {
		t.Error("no limit is not none")
	}
	a, b := net.Pipe()
	defer b.Close()
	if (*Limit)(nil).Conn(a) != a {
		t.Error("a connection was changed without a limit")
	}
	a.Close()
}

// Package limit holds connections, and files that stand for them, to a number of
// bytes a second, so that a backup leaves room for others on a line or a disk. Of
// a connection it counts what goes over the wire, encryption and protocol included.
// What is transferred is not known here.
package limit

import (
	"context"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Least is the smallest limit in bytes a second: several transfers share one, and
// each must be faster than what package stall takes for a halt.
const Least = 16 << 10

// burst is how many bytes may pass at once, at the most: a short hiccup on a
// line. A slow limit has a smaller one.
const burst = 256 << 10

// Limit is what all connections to one store may transfer together. A nil
// Limit is none. It may be used by several goroutines at once.
type Limit struct {
	up, down *rate.Limiter
}

// New returns a limit in bytes a second; 0 is no limit in that direction.
func New(upload, download int64) *Limit {
	if upload <= 0 && download <= 0 {
		return nil
	}
	return &Limit{up: limiter(upload), down: limiter(download)}
}

func limiter(bytes int64) *rate.Limiter {
	if bytes <= 0 {
		return nil
	}
	// A tenth of a second's worth keeps the line smooth.
	return rate.NewLimiter(rate.Limit(bytes), int(min(max(bytes/10, 4<<10), burst)))
}

// Conn returns a connection that keeps to the limit. Closing it ends a call that
// waits, and so does its deadline.
func (l *Limit) Conn(conn net.Conn) net.Conn {
	if l == nil {
		return conn
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	return &limited{Conn: conn, limit: l, ctx: ctx, cancel: cancel}
}

type limited struct {
	net.Conn
	limit  *Limit
	ctx    context.Context // over when the connection is closed
	cancel context.CancelCauseFunc

	mu          sync.Mutex
	read, write time.Time // deadlines
}

func (c *limited) Close() error {
	c.cancel(net.ErrClosed)
	return c.Conn.Close()
}

// Read reads what has come, and pays for it afterwards: how much that is was
// not known before. What waits in the kernel slows the sender down.
func (c *limited) Read(p []byte) (int, error) {
	if c.limit.down == nil {
		return c.Conn.Read(p)
	}
	n, err := c.Conn.Read(p[:min(len(p), c.limit.down.Burst())])
	if n > 0 {
		// What was read is handed over; the next call meets the same end.
		_ = c.wait(c.limit.down, n, &c.read)
	}
	return n, err
}

// Write pays for every part before it sends it.
func (c *limited) Write(p []byte) (int, error) {
	if c.limit.up == nil {
		return c.Conn.Write(p)
	}
	written := 0
	for {
		part := p[written:min(len(p), written+c.limit.up.Burst())]
		if err := c.wait(c.limit.up, len(part), &c.write); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(part)
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// wait takes n bytes from the allowance.
func (c *limited) wait(l *rate.Limiter, n int, deadline *time.Time) error {
	now := time.Now()
	reserved := l.ReserveN(now, n)
	pause := reserved.DelayFrom(now)
	if pause <= 0 {
		return context.Cause(c.ctx)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	c.mu.Lock()
	until := *deadline
	c.mu.Unlock()
	var expired <-chan time.Time
	if !until.IsZero() {
		end := time.NewTimer(time.Until(until))
		defer end.Stop()
		expired = end.C
	}
	select {
	case <-timer.C:
		return nil
	case <-expired:
		reserved.Cancel()
		return os.ErrDeadlineExceeded
	case <-c.ctx.Done():
		reserved.Cancel()
		return context.Cause(c.ctx)
	}
}

func (c *limited) SetDeadline(t time.Time) error {
	c.mu.Lock()
	c.read, c.write = t, t
	c.mu.Unlock()
	return c.Conn.SetDeadline(t)
}

func (c *limited) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.read = t
	c.mu.Unlock()
	return c.Conn.SetReadDeadline(t)
}

func (c *limited) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	c.write = t
	c.mu.Unlock()
	return c.Conn.SetWriteDeadline(t)
}

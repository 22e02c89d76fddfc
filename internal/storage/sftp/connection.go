package sftp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/retry"
	"lifeboat/internal/storage/stall"
)

const (
	// connections is how many logins at most work side by side. Each has a
	// server process of its own, which does one thing after the other.
	connections = 4
	// loginTimeout bounds a connection's handshake and login.
	loginTimeout = time.Minute
	// inFlight is how many requests of one file are under way, of 32 KiB each.
	inFlight = 64
)

// connection is one login. Breaking it ends whatever waits for it.
type connection struct {
	client *sftp.Client
	tcp    *countedConn
	users  int // guarded by pool.mu

	mu     sync.Mutex
	broken error
}

// countedConn tells the meters of all who wait for it what came and went.
type countedConn struct {
	net.Conn
	mu     sync.Mutex
	meters map[*stall.Meter]struct{}
}

func (c *countedConn) count(n int) {
	c.mu.Lock()
	for m := range c.meters {
		m.Add(n)
	}
	c.mu.Unlock()
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.count(n)
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.count(n)
	return n, err
}

// fail breaks the connection. The first cause is remembered.
func (c *connection) fail(cause error) {
	c.mu.Lock()
	if c.broken == nil {
		c.broken = cause
	}
	c.mu.Unlock()
	c.tcp.Close()
}

func (c *connection) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

// Status codes of SFTP version 3 (draft-ietf-secsh-filexfer-02, section 7).
const (
	badMessage     = 5
	noConnection   = 6 // given by the client itself, as is the next
	connectionLost = 7
	unsupported    = 8
)

var errLost = errors.New("the connection was lost")

// call runs fn, which waits for the server. When ctx ends or nothing moves, the
// connection is broken, as SFTP knows no way to take a request back; others who
// use it must repeat theirs.
func (c *connection) call(ctx context.Context, limit stall.Limit, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	meter := stall.Watch(limit, c.fail)
	c.tcp.mu.Lock()
	c.tcp.meters[meter] = struct{}{}
	c.tcp.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { c.fail(errLost) })
	meter.Start()
	err := fn()
	meter.Stop()
	stop()
	c.tcp.mu.Lock()
	delete(c.tcp.meters, meter)
	c.tcp.mu.Unlock()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if lost(err) {
		c.fail(errLost)
	}
	if broken := c.failed(); broken != nil {
		return fmt.Errorf("%w: %v", broken, err)
	}
	return err
}

// lost tells the loss of the connection from an answer of the server, and from
// what we made of one.
func lost(err error) bool {
	var status *sftp.StatusError
	if errors.As(err, &status) {
		return status.Code == connectionLost || status.Code == noConnection
	}
	for _, answer := range []error{
		fs.ErrNotExist, fs.ErrPermission, fs.ErrExist, storage.ErrShort, storage.ErrNoSpace, errSource, io.ErrShortWrite,
	} {
		if errors.Is(err, answer) {
			return false
		}
	}
	var permanent interface{ Permanent() bool }
	return !errors.As(err, &permanent)
}

// pool holds the connections to a host.
type pool struct {
	place Place
	opts  Options
	limit stall.Limit

	mu     sync.Mutex
	conns  []*connection
	dialed chan struct{} // closed when the login under way has ended; nil if none is
	closed bool
}

// get returns the connection that is used least, or a new one. It is given back
// with put. One login is made at a time: servers drop those that come in crowds.
func (p *pool) get(ctx context.Context) (*connection, error) {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, retry.Permanent(fs.ErrClosed)
		}
		best := p.best()
		if best != nil && (best.users == 0 || len(p.conns) >= connections || p.dialed != nil) {
			best.users++
			p.mu.Unlock()
			return best, nil
		}
		if dialed := p.dialed; dialed != nil {
			p.mu.Unlock()
			select {
			case <-dialed:
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		dialed := make(chan struct{})
		p.dialed = dialed
		p.mu.Unlock()

		c, err := p.dial(ctx)
		p.mu.Lock()
		p.dialed = nil
		close(dialed)
		if err == nil {
			p.conns = append(p.conns, c)
		} else if c = p.best(); c == nil {
			p.mu.Unlock()
			return nil, err
		}
		c.users++
		if p.closed {
			c.fail(fs.ErrClosed)
		}
		p.mu.Unlock()
		return c, nil
	}
}

// best drops broken connections and returns the one that is used least. p.mu is
// held.
func (p *pool) best() *connection {
	var best *connection
	p.conns = slices.DeleteFunc(p.conns, func(c *connection) bool { return c.failed() != nil })
	for _, c := range p.conns {
		if best == nil || c.users < best.users {
			best = c
		}
	}
	return best
}

func (p *pool) put(c *connection) {
	p.mu.Lock()
	c.users--
	p.mu.Unlock()
}

func (p *pool) close() {
	p.mu.Lock()
	conns := p.conns
	p.conns, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range conns {
		c.fail(fs.ErrClosed)
		c.client.Close()
	}
}

// dial logs in.
func (p *pool) dial(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, loginTimeout, fmt.Errorf("log in to %s: %w", p.place.Host, stall.ErrStalled))
	defer cancel()
	c, err := p.login(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, loginError{err}
	}
	return c, nil
}

// loginError keeps what is missing here from being taken for a file that is
// missing there.
type loginError struct{ error }

func (e loginError) Unwrap() error { return e.error }

func (p *pool) login(ctx context.Context) (*connection, error) {
	keys, err := p.opts.hostKeys()
	if err != nil {
		return nil, retry.Permanent(err)
	}
	login, err := p.opts.login(ctx, p.place.User)
	if err != nil {
		return nil, retry.Permanent(err)
	}
	defer login.close()
	addr := net.JoinHostPort(p.place.Host, p.place.Port)
	raw, err := (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	tcp := &countedConn{Conn: p.opts.Limit.Conn(raw), meters: make(map[*stall.Meter]struct{})}
	c := &connection{tcp: tcp}
	stop := context.AfterFunc(ctx, func() { tcp.Close() })
	defer stop()
	err = stallable(c, p.limit, func() error {
		conn, channels, requests, err := ssh.NewClientConn(tcp, addr, &ssh.ClientConfig{
			User:              login.user,
			Auth:              login.methods,
			HostKeyCallback:   keys.verify,
			HostKeyAlgorithms: keys.algorithms(addr),
			ClientVersion:     "SSH-2.0-lifeboat",
		})
		if err != nil {
			if strings.Contains(err.Error(), "unable to authenticate") {
				err = fmt.Errorf("%w: %w", fs.ErrPermission, err)
			}
			return fmt.Errorf("log in to %s as %s: %w", addr, login.user, err)
		}
		c.client, err = sftp.NewClient(ssh.NewClient(conn, channels, requests),
			sftp.MaxConcurrentRequestsPerFile(inFlight), sftp.UseConcurrentWrites(true))
		if err != nil {
			return fmt.Errorf("start SFTP on %s: %w", addr, err)
		}
		return nil
	})
	if err != nil {
		tcp.Close()
		return nil, err
	}
	return c, nil
}

// stallable is call for a connection that is still being made.
func stallable(c *connection, limit stall.Limit, fn func() error) error {
	limit.Bytes = 1 // a login is small
	return c.call(context.Background(), limit, fn)
}

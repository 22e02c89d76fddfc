// Package inherit carries connections over a pair of sockets that a child process
// inherits, so that the child reaches a server of its parent without any network:
// it sends one end of each new connection through the pair (SCM_RIGHTS, unix(7)).
// What is spoken on the connections is the affair of others.
package inherit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Pair returns a listener for this process and the file that a child inherits. The
// caller closes the file once the child has it: the listener ends when nobody else does.
func Pair() (net.Listener, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "listener"), os.NewFile(uintptr(fds[1]), "dialer")
	conn, err := unixConn(ours)
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return &listener{conn: conn}, theirs, nil
}

// unixConn takes over a file.
func unixConn(f *os.File) (*net.UnixConn, error) {
	defer f.Close() // FileConn duplicates it
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("use an inherited socket: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("descriptor %s is no unix socket", f.Name()), c.Close())
	}
	return u, nil
}

type listener struct{ conn *net.UnixConn }

// Accept waits for the child's next connection. net.ErrClosed when the child, and
// everybody else who has the file, is gone.
func (l *listener) Accept() (net.Conn, error) {
	for {
		var b [1]byte
		rights := make([]byte, unix.CmsgSpace(4))
		n, size, _, _, err := l.conn.ReadMsgUnix(b[:], rights)
		switch {
		case errors.Is(err, io.EOF) || err == nil && n == 0:
			return nil, net.ErrClosed
		case err != nil:
			return nil, err
		}
		conn, err := received(rights[:size])
		if err == nil {
			return conn, nil
		}
		// A message that is none of ours: the child is asked for nothing more.
	}
}

func received(rights []byte) (net.Conn, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return nil, err
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			return unixConn(os.NewFile(uintptr(fd), "connection"))
		}
	}
	return nil, errors.New("no descriptor came")
}

func (l *listener) Close() error   { return l.conn.Close() }
func (l *listener) Addr() net.Addr { return l.conn.LocalAddr() }

// Dialer makes connections to the process that holds the other end of an inherited
// file, which it takes over. Network and address do not matter.
func Dialer(f *os.File) (func(ctx context.Context, network, address string) (net.Conn, error), error) {
	to, err := unixConn(f)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	return func(context.Context, string, string) (net.Conn, error) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("make a pair of sockets: %w", err)
		}
		ours, theirs := os.NewFile(uintptr(fds[0]), "connection"), os.NewFile(uintptr(fds[1]), "connection")
		defer theirs.Close()
		mu.Lock()
		_, _, err = to.WriteMsgUnix([]byte{0}, unix.UnixRights(fds[1]), nil)
		mu.Unlock()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connect to the parent process: %w", err), ours.Close())
		}
		return unixConn(ours)
	}, nil
}

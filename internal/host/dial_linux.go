package host

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// DialAs connects to a Unix socket of the machine as one of its accounts, whom the
// other side then sees (SO_PEERCRED, see unix(7)). "" is the present user, and so is
// every account where this process may not become another.
func (h *Host) DialAs(ctx context.Context, account, socket string) (net.Conn, error) {
	path, err := h.Path(socket)
	if err != nil {
		return nil, err
	}
	if account == "" || os.Geteuid() != 0 {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	user, err := h.User(account)
	if err != nil {
		return nil, err
	}
	type answer struct {
		conn net.Conn
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		// The thread alone becomes the account. It is never unlocked, so that it ends
		// with this goroutine and runs nothing else.
		runtime.LockOSThread()
		conn, err := dialAs(user.UID, path)
		answers <- answer{conn, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			return nil, fmt.Errorf("connect to %s as %s: %w", socket, account, a.err)
		}
		return a.conn, nil
	case <-ctx.Done(): // a server that is full lets others wait
		go func() {
			if a := <-answers; a.conn != nil {
				a.conn.Close()
			}
		}()
		return nil, fmt.Errorf("connect to %s as %s: %w", socket, account, ctx.Err())
	}
}

func dialAs(uid uint32, path string) (net.Conn, error) {
	const same = ^uintptr(0)
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, same, uintptr(uid), same); e != 0 {
		return nil, e
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, err
	}
	return net.FileConn(f) // its own descriptor
}

package nfs

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxReply bounds an answer, in bytes.
const maxReply = chunk + 4096

var errReply = errors.New("the server's answer makes no sense")

// conn is a connection to one program. Calls follow each other.
type conn struct {
	net.Conn
	r   *bufio.Reader
	xid uint32
}

// connect prefers a port below 1024, as most servers want one (export option
// "insecure" of Linux, which does not).
func (c Client) connect(ctx context.Context, address string) (*conn, error) {
	raw, err := c.Dial(WithReservedPort(ctx), "tcp", address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: raw, r: bufio.NewReader(raw), xid: 1}, nil
}

type reserved struct{}

// WithReservedPort marks the context that Dial gets: a port below 1024 is wanted.
func WithReservedPort(ctx context.Context) context.Context {
	return context.WithValue(ctx, reserved{}, true)
}

// Reserve binds a socket to a port below 1024 where the context wants one and this
// process may; it is for Dialer.ControlContext.
func Reserve(ctx context.Context, network, _ string, raw interface {
	Control(f func(fd uintptr)) error
},
) error {
	if ctx.Value(reserved{}) == nil || os.Geteuid() != 0 {
		return nil
	}
	var bound error
	err := raw.Control(func(fd uintptr) {
		for port := 1023; port > 600; port-- {
			var a unix.Sockaddr = &unix.SockaddrInet4{Port: port}
			if network == "tcp6" {
				a = &unix.SockaddrInet6{Port: port}
			}
			if bound = unix.Bind(int(fd), a); !errors.Is(bound, unix.EADDRINUSE) {
				return
			}
		}
	})
	return errors.Join(err, bound)
}

// call asks, and gives the results of the procedure.
func (c *conn) call(program, vers, procedure uint32, args []byte) (*reader, error) {
	c.xid++
	var w writer
	for _, v := range []uint32{c.xid, 0, 2, program, vers, procedure} {
		w.number(v)
	}
	// AUTH_SYS as root, as kernels do; the server maps it as it likes.
	var who writer
	who.number(0)
	who.opaque([]byte("lifeboat"))
	for range 3 { // uid, gid, no other groups
		who.number(0)
	}
	w.number(1)
	w.opaque(who.text)
	w.number(0) // AUTH_NONE
	w.number(0)
	w.text = append(w.text, args...)
	message := binary.BigEndian.AppendUint32(nil, uint32(len(w.text))|1<<31)
	if _, err := c.Write(append(message, w.text...)); err != nil {
		return nil, err
	}
	reply, err := c.receive()
	if err != nil {
		return nil, err
	}
	r := &reader{text: reply}
	xid, kind, state := r.number(), r.number(), r.number()
	if r.failed || xid != c.xid || kind != 1 {
		return nil, errReply
	}
	if state != 0 {
		return nil, errors.New("the server refuses the call (RPC denied)")
	}
	r.number()
	r.opaque(400)
	if code := r.number(); code != 0 || r.failed {
		return nil, fmt.Errorf("the server does not do that (RPC %d of program %d)", code, program)
	}
	return r, nil
}

// receive reads one record, which may come in fragments.
func (c *conn) receive() ([]byte, error) {
	var all []byte
	for {
		var head [4]byte
		if _, err := io.ReadFull(c.r, head[:]); err != nil {
			return nil, fmt.Errorf("the server has hung up: %w", err)
		}
		n := binary.BigEndian.Uint32(head[:])
		size := int(n &^ (1 << 31))
		if size > maxReply-len(all) || size == 0 && n>>31 == 0 {
			return nil, errReply
		}
		part := make([]byte, size)
		if _, err := io.ReadFull(c.r, part); err != nil {
			return nil, fmt.Errorf("the server has hung up: %w", err)
		}
		all = append(all, part...)
		if n>>31 == 1 {
			return all, nil
		}
	}
}

// port asks the port mapper for a program's.
func (c Client) port(ctx context.Context, server string, program uint32) (string, error) {
	pm, err := c.connect(ctx, net.JoinHostPort(server, "111"))
	if err != nil {
		return "", fmt.Errorf("ask the port mapper (a server of NFSv4 alone has none; it has to offer NFSv3): %w", err)
	}
	defer pm.Close()
	var w writer
	for _, v := range []uint32{program, version, 6, 0} { // 6 is TCP
		w.number(v)
	}
	r, err := pm.call(portProgram, portVersion, portGet, w.text)
	if err != nil {
		return "", fmt.Errorf("ask the port mapper: %w", err)
	}
	port := r.number()
	switch {
	case r.failed || port > 65535:
		return "", errReply
	case port == 0:
		return "", fmt.Errorf("%s offers no NFS version 3 over TCP", server)
	}
	return strconv.Itoa(int(port)), nil
}

func (c *conn) mount(dir string) ([]byte, error) {
	var w writer
	w.opaque([]byte(dir))
	r, err := c.call(mountProgram, version, mountMount, w.text)
	if err != nil {
		return nil, err
	}
	if code := r.number(); code != 0 {
		return nil, Status{"mount " + dir, code}
	}
	handle := r.opaque(64)
	if r.failed {
		return nil, errReply
	}
	return handle, nil
}

// lookup finds a name in a directory.
func (e *Export) lookup(dir []byte, name string) (handle []byte, kind uint32, err error) {
	var w writer
	w.opaque(dir)
	w.opaque([]byte(name))
	r, err := e.conn.call(nfsProgram, version, nfsLookup, w.text)
	if err != nil {
		return nil, 0, err
	}
	if code := r.number(); code != 0 {
		return nil, 0, Status{"look up " + name, code}
	}
	handle = r.opaque(64)
	kind, known := r.attributes()
	if r.failed || !known {
		return nil, 0, errReply
	}
	return handle, kind, nil
}

func (e *Export) readlink(handle []byte) (string, error) {
	var w writer
	w.opaque(handle)
	r, err := e.conn.call(nfsProgram, version, nfsReadlink, w.text)
	if err != nil {
		return "", err
	}
	code := r.number()
	r.attributes()
	if code != 0 {
		return "", Status{"read a link", code}
	}
	target := r.opaque(4096)
	if r.failed {
		return "", errReply
	}
	return string(target), nil
}

func (e *Export) read(handle []byte, at uint64) (text []byte, ended bool, err error) {
	var w writer
	w.opaque(handle)
	w.number(uint32(at >> 32))
	w.number(uint32(at))
	w.number(chunk)
	r, err := e.conn.call(nfsProgram, version, nfsRead, w.text)
	if err != nil {
		return nil, false, err
	}
	code := r.number()
	r.attributes()
	if code != 0 {
		return nil, false, Status{"read", code}
	}
	r.number()
	eof := r.number()
	text = r.opaque(chunk)
	if r.failed {
		return nil, false, errReply
	}
	return text, eof != 0, nil
}

// writer and reader speak XDR.
type writer struct{ text []byte }

func (w *writer) number(v uint32) { w.text = binary.BigEndian.AppendUint32(w.text, v) }

func (w *writer) opaque(b []byte) {
	w.number(uint32(len(b)))
	w.text = append(w.text, b...)
	for len(w.text)%4 != 0 {
		w.text = append(w.text, 0)
	}
}

type reader struct {
	text   []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if r.failed || n > len(r.text) {
		r.failed = true
		return nil
	}
	b := r.text[:n]
	r.text = r.text[n:]
	return b
}

func (r *reader) number() uint32 {
	b := r.take(4)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func (r *reader) opaque(most uint32) []byte {
	n := r.number()
	if n > most {
		r.failed = true
		return nil
	}
	b := r.take(int(n))
	r.take(int(-n & 3))
	return b
}

// attributes are those of a file, which a server may leave out (post_op_attr).
func (r *reader) attributes() (kind uint32, known bool) {
	if r.number() == 0 {
		return 0, false
	}
	kind = r.number()
	r.take(80)
	return kind, !r.failed
}

// Package nfs reads files of a server of NFS version 3 without the kernel, which may
// know no NFS: nothing is mounted, and root is needed for a port below 1024 only. It reads
// and nothing else. What the files are for must not enter here.
//
// The protocols are those of RFC 1813 (NFS and its MOUNT), RFC 5531 (RPC), RFC 4506 (XDR)
// and RFC 1833 (the port mapper). Everything that a server sends is bounded.
package nfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path"
	"strings"
	"time"
)

// Programs of RPC, and their procedures that are used.
const (
	portProgram, portVersion, portGet = 100000, 2, 3
	mountProgram, mountMount          = 100005, 1
	nfsProgram, version               = 100003, 3
	nfsLookup, nfsReadlink, nfsRead   = 3, 5, 6
)

// Types of files (ftype3).
const (
	typeFile = 1
	typeDir  = 2
	typeLink = 5
)

const (
	maxLinks = 8
	chunk    = 64 << 10 // bytes asked for at once
)

// Client is what reads. Its Dial makes connections; they have to end by themselves when
// a server sends nothing any more.
type Client struct {
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Port is that of NFS and of its MOUNT; "" asks the server's port mapper.
	Port string
}

// Export is a directory of a server.
type Export struct {
	conn *conn
	root []byte // its file handle
}

// Status is what a server answers instead of a file (nfsstat3, mountstat3).
type Status struct {
	Call string
	Code uint32
}

func (s Status) Error() string {
	text, known := map[uint32]string{
		1: "not permitted", 2: "no such file or directory", 5: "input/output error", 13: "permission denied", 20: "not a directory", 21: "is a directory",
		22: "invalid argument", 63: "the name is too long", 70: "stale file handle", 10004: "not supported", 10006: "server fault", 10008: "try again later",
	}[s.Code]
	if !known {
		text = fmt.Sprintf("status %d", s.Code)
	}
	return s.Call + ": " + text
}

// Is tells that there is no such file.
func (s Status) Is(target error) bool {
	return target == fs.ErrNotExist && (s.Code == 2 || s.Code == 20) || target == fs.ErrPermission && (s.Code == 1 || s.Code == 13)
}

// Open opens the directory with a path of a server. Where the path is below what the
// server exports and it mounts exports only, the directories above are tried, too.
func (c Client) Open(ctx context.Context, server, dir string) (*Export, error) {
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: time.Minute}).DialContext
	}
	mountPort, nfsPort := c.Port, c.Port
	var err error
	if c.Port == "" {
		if mountPort, err = c.port(ctx, server, mountProgram); err != nil {
			return nil, err
		}
		if nfsPort, err = c.port(ctx, server, nfsProgram); err != nil {
			return nil, err
		}
	}
	mount, err := c.connect(ctx, net.JoinHostPort(server, mountPort))
	if err != nil {
		return nil, err
	}
	dir = path.Clean("/" + dir)
	at, below := dir, ""
	handle, err := mount.mount(at)
	for errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		if at == "/" {
			break
		}
		below = path.Join(path.Base(at), below)
		at = path.Dir(at)
		var above error
		if handle, above = mount.mount(at); above == nil {
			err = nil
		}
	}
	if err = errors.Join(err, mount.Close()); err != nil {
		return nil, fmt.Errorf("mount %s of %s: %w", dir, server, err)
	}
	e := &Export{root: handle}
	if e.conn, err = c.connect(ctx, net.JoinHostPort(server, nfsPort)); err != nil {
		return nil, err
	}
	if below != "" {
		var kind uint32
		if e.root, kind, err = e.walk(below); err == nil && kind != typeDir {
			err = Status{"look up " + below, 20}
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s of %s: %w", dir, server, err), e.Close())
		}
	}
	return e, nil
}

// Close ends the connection.
func (e *Export) Close() error { return e.conn.Close() }

// Get opens a file below the export; nothing leads out of it. An error that is
// fs.ErrNotExist says that there is none.
func (e *Export) Get(name string) (io.Reader, error) {
	if !fs.ValidPath(name) {
		return nil, fmt.Errorf("open %q: %w", name, fs.ErrInvalid)
	}
	handle, kind, err := e.walk(name)
	if err == nil && kind != typeFile {
		err = errors.New("it is no plain file")
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return &file{e: e, handle: handle}, nil
}

// walk looks a path up, and follows links that stay below the export.
func (e *Export) walk(name string) (handle []byte, kind uint32, err error) {
	type step struct{ handle []byte }
	trail := []step{{e.root}}
	kind = typeDir
	parts := strings.Split(name, "/")
	for links := 0; len(parts) > 0; {
		part := parts[0]
		parts = parts[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if len(trail) == 1 {
				return nil, 0, errors.New("a link leads out of the export")
			}
			trail, kind = trail[:len(trail)-1], typeDir
			continue
		}
		if kind != typeDir {
			return nil, 0, Status{"look up " + part, 20}
		}
		at := trail[len(trail)-1].handle
		if handle, kind, err = e.lookup(at, part); err != nil {
			return nil, 0, err
		}
		if kind != typeLink {
			trail = append(trail, step{handle})
			continue
		}
		target, err := e.readlink(handle)
		if err != nil {
			return nil, 0, err
		}
		if links++; links > maxLinks || strings.HasPrefix(target, "/") || len(parts) > 1000 {
			return nil, 0, errors.New("a link leads out of the export, or in circles")
		}
		parts, kind = append(strings.Split(target, "/"), parts...), typeDir
	}
	return trail[len(trail)-1].handle, kind, nil
}

// file reads a file from its beginning.
type file struct {
	e      *Export
	handle []byte
	at     uint64
	left   []byte
	ended  bool
}

func (f *file) Read(p []byte) (int, error) {
	for len(f.left) == 0 {
		if f.ended {
			return 0, io.EOF
		}
		text, ended, err := f.e.read(f.handle, f.at)
		if err != nil {
			return 0, err
		}
		if len(text) == 0 && !ended {
			return 0, io.ErrNoProgress
		}
		f.left, f.ended = text, ended
		f.at += uint64(len(text))
	}
	n := copy(p, f.left)
	f.left = f.left[n:]
	return n, nil
}

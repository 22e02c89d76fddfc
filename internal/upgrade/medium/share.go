package medium

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"strings"
	"syscall"

	"github.com/cloudsoda/go-smb2"

	"lifeboat/internal/nfs"
)

// export is a directory of a server of NFS.
type export struct{ *nfs.Export }

func openNFS(d dialer, p place) (tree, error) {
	client := nfs.Client{Port: p.port, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{Timeout: d.limit, ControlContext: func(ctx context.Context, network, address string, raw syscall.RawConn) error {
			return nfs.Reserve(ctx, network, address, raw)
		}}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return d.patient(conn), nil
	}}
	e, err := client.Open(d.ctx, p.host, p.path)
	if err != nil {
		return nil, err
	}
	return export{e}, nil
}

func (e export) open(_ context.Context, name string) (io.ReadCloser, error) {
	r, err := e.Get(name)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(r), nil
}

// share is a directory in a share of a server of SMB.
type share struct {
	session *smb2.Session
	share   *smb2.Share
	base    string
}

func openSMB(d dialer, p place, l Login) (tree, error) {
	name, base, _ := strings.Cut(strings.TrimPrefix(p.path, "/"), "/")
	if name == "" {
		return nil, fmt.Errorf("%w: it names no share; one looks like smb://server/share/directory", ErrAddress)
	}
	if l.User == "" {
		l.User = "guest"
	}
	conn, err := d.dial(d.ctx, "tcp", p.server())
	if err != nil {
		return nil, err
	}
	dial := &smb2.Dialer{Initiator: &smb2.NTLMInitiator{User: l.User, Password: l.Password, Domain: l.Domain}}
	session, err := dial.DialConn(d.ctx, conn, p.server())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("log in as %s: %w", l.User, err), conn.Close())
	}
	s := &share{session: session, base: base}
	if s.share, err = session.Mount(name); err != nil {
		_ = session.Logoff()
		return nil, fmt.Errorf("share %s: %w", name, err)
	}
	s.share = s.share.WithContext(d.ctx)
	return s, nil
}

func (s *share) open(_ context.Context, name string) (io.ReadCloser, error) {
	f, err := s.share.Open(strings.ReplaceAll(path.Join(s.base, name), "/", `\`))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (s *share) Close() error {
	_ = s.share.Umount() // the server may have gone before
	_ = s.session.Logoff()
	return nil
}

package medium

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/cloudsoda/go-smb2"
)

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

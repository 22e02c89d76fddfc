package medium

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"path"
	"strings"

	"github.com/jlaffaye/ftp"
)

// files is a server of FTP.
type files struct {
	conn *ftp.ServerConn
	base string
}

func dialFTP(d dialer, p place, l Login) (tree, error) {
	if l.User == "" {
		l = Login{User: "anonymous", Password: "anonymous@"}
	}
	conn, err := ftp.Dial(p.server(), ftp.DialWithContext(d.ctx), ftp.DialWithShutTimeout(d.limit),
		ftp.DialWithDialFunc(func(network, address string) (net.Conn, error) { return d.dial(d.ctx, network, address) }))
	if err != nil {
		return nil, err
	}
	if err := conn.Login(l.User, l.Password); err != nil {
		return nil, errors.Join(fmt.Errorf("log in as %s: %w", l.User, err), conn.Quit())
	}
	return files{conn, p.path}, nil
}

func (f files) open(_ context.Context, name string) (io.ReadCloser, error) {
	target := path.Join(f.base, name)
	r, err := f.conn.Retr(target)
	var answer *textproto.Error
	if errors.As(err, &answer) && answer.Code == ftp.StatusFileUnavailable {
		// 550 is said of what is not there, and of what may not be read (RFC 959).
		if !strings.Contains(strings.ToLower(answer.Msg), "permission") {
			err = missing(err)
		}
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (f files) Close() error {
	_ = f.conn.Quit() // the server may have gone before
	return nil
}

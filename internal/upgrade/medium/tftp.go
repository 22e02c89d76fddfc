package medium

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"time"

	"lifeboat/internal/excerpt"
)

// trivial is a server of TFTP (RFC 1350), which machines start from. A block is asked for
// again until it comes or the limit is over.
type trivial struct {
	d      dialer
	server string
	base   string
}

// Packets of TFTP.
const (
	tftpRead, tftpData, tftpAck, tftpError = 1, 3, 4, 5
	tftpBlock                              = 512
	tftpAgain                              = time.Second
)

func (t trivial) open(ctx context.Context, name string) (io.ReadCloser, error) {
	server, err := net.ResolveUDPAddr("udp", t.server)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp", nil) // the server answers from another port
	if err != nil {
		return nil, err
	}
	f := &tftpFile{t: t, ctx: ctx, conn: conn, to: server, next: 1}
	f.last = binary.BigEndian.AppendUint16(nil, tftpRead)
	f.last = append(f.last, path.Join("/", t.base, name)+"\x00octet\x00"...)
	if err := f.exchange(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return f, nil
}

func (t trivial) Close() error { return nil }

type tftpFile struct {
	t       trivial
	ctx     context.Context //nolint:containedctx // lives as long as one file
	conn    *net.UDPConn
	to      *net.UDPAddr
	settled bool   // to is the port that the server answers from
	last    []byte // what is sent again
	next    uint16 // block
	left    []byte
	ended   bool
}

func (f *tftpFile) Read(p []byte) (int, error) {
	for len(f.left) == 0 {
		if f.ended {
			return 0, io.EOF
		}
		if err := f.exchange(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.left)
	f.left = f.left[n:]
	return n, nil
}

func (f *tftpFile) Close() error { return f.conn.Close() }

// exchange sends what was due and waits for the next block.
func (f *tftpFile) exchange() error {
	buffer := make([]byte, 4+tftpBlock+1)
	until := time.Now().Add(f.t.d.limit)
	for {
		if err := f.ctx.Err(); err != nil {
			return err
		}
		if time.Now().After(until) {
			return errors.New("the server does not answer")
		}
		if _, err := f.conn.WriteToUDP(f.last, f.to); err != nil {
			return err
		}
		again := time.Now().Add(tftpAgain)
		for time.Now().Before(again) {
			if err := f.conn.SetReadDeadline(again); err != nil {
				return err
			}
			n, from, err := f.conn.ReadFromUDP(buffer)
			var late net.Error
			if errors.As(err, &late) && late.Timeout() {
				break
			}
			if err != nil {
				return err
			}
			done, err := f.take(buffer[:n], from)
			if done || err != nil {
				return err
			}
		}
	}
}

// take looks at one packet; it is done when it is the block that is due.
func (f *tftpFile) take(packet []byte, from *net.UDPAddr) (done bool, err error) {
	if !from.IP.Equal(f.to.IP) || f.settled && from.Port != f.to.Port || len(packet) < 4 {
		return false, nil // of somebody else
	}
	code := binary.BigEndian.Uint16(packet[2:])
	switch binary.BigEndian.Uint16(packet) {
	case tftpError:
		err := fmt.Errorf("the server says %q", excerpt.Line(string(packet[4:]), 200))
		if code == 1 {
			err = missing(err)
		}
		return false, err
	case tftpData:
		if code != f.next || len(packet) > 4+tftpBlock {
			return false, nil
		}
	default:
		return false, nil
	}
	f.to, f.settled = from, true
	f.left, f.ended = packet[4:], len(packet) < 4+tftpBlock
	f.last = binary.BigEndian.AppendUint16([]byte{0, tftpAck}, f.next)
	f.next++ // begins again at 0 behind 65535, as servers do
	if f.ended {
		_, err = f.conn.WriteToUDP(f.last, f.to)
	}
	return true, err
}

package nfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net"
	"testing"
)

// A server that answers nonsense gets an error, whatever it says. What a real server
// gives is tried in internal/upgrade/medium.
func FuzzReply(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 0, 0, 0, 1})
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	good := bytes.Repeat([]byte{0}, 24)
	good[3], good[7] = 2, 1
	f.Add(append(good, 0, 0, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4))
	f.Fuzz(func(t *testing.T, reply []byte) {
		client := Client{Port: "1", Dial: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go func() {
				defer there.Close()
				var head [4]byte
				if _, err := io.ReadFull(there, head[:]); err != nil {
					return
				}
				if _, err := io.CopyN(io.Discard, there, int64(binary.BigEndian.Uint32(head[:])&^(1<<31))); err != nil {
					return
				}
				_, _ = there.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(reply))|1<<31), reply...))
			}()
			return here, nil
		}}
		e, err := client.Open(t.Context(), "server", "/export")
		if err != nil {
			return
		}
		if r, err := e.Get("a/b"); err == nil {
			_, _ = io.Copy(io.Discard, r)
		}
		_ = e.Close()
	})
}

func TestStatus(t *testing.T) {
	for code, want := range map[uint32]error{2: fs.ErrNotExist, 20: fs.ErrNotExist, 13: fs.ErrPermission} {
		if err := (Status{"look up", code}); !errors.Is(err, want) || errors.Is(err, io.EOF) {
			t.Errorf("%v is not %v", err, want)
		}
	}
}

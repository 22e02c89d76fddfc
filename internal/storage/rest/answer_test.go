package rest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/transport"
)

// saying is a server that gives the same bytes to every request.
type saying []byte

func (s saying) RoundTrip(r *http.Request) (*http.Response, error) {
	return http.ReadResponse(bufio.NewReader(bytes.NewReader(s)), r)
}

// FuzzAnswer has a server say anything to each operation. What is then taken for
// a name, a size, a range or a message must be one.
func FuzzAnswer(f *testing.F) {
	name := strings.Repeat("0123", 16)
	for _, head := range []string{
		"200 OK\r\nContent-Type: " + mediaV2, "200 OK\r\nContent-Type: " + mediaV1,
		"206 Partial Content\r\nContent-Range: bytes 3-6/9", "503 Busy\r\nRetry-After: 7", "507 Full",
		"404 Not Found", "403 Forbidden", "409 Conflict", "416 Range", "301 Moved\r\nLocation: http://x/", "200 OK\r\nTransfer-Encoding: chunked",
	} {
		for _, body := range []string{
			"", "abcd", `["` + name + `","../../x"]`, `[{"name":"` + name + `","size":3},{"name":"x"},{"name":"` + name + `","size":-1}]`,
			"words\x1b[31m of \xff the\u202e server", "4\r\nabcd\r\n0\r\n\r\n",
		} {
			f.Add("HTTP/1.1 "+head+"\r\n\r\n"+body, false)
			f.Add("HTTP/1.1 "+head+"\r\n\r\n"+body, true)
		}
	}
	place, err := ParseURL("rest:http://user:secret@localhost/repository/")
	if err != nil {
		f.Fatal(err)
	}
	base, err := Open(place, Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answer string, measured bool) {
		if head, body, ok := strings.Cut(answer, "\r\n\r\n"); ok && measured {
			answer = head + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
		}
		s := *base
		s.client = &http.Client{Transport: saying(answer), CheckRedirect: base.client.CheckRedirect}
		h := storage.Handle{Type: storage.Data, Name: name}
		err := s.List(t.Context(), storage.Data, func(info storage.Info) error {
			if !storage.ValidName(info.Name) || info.Size < 0 {
				t.Errorf("the list names %q with %d bytes", info.Name, info.Size)
			}
			return nil
		})
		told(t, err)
		if info, err := s.Stat(t.Context(), h); err == nil && info.Size < 0 {
			t.Errorf("a size of %d", info.Size)
		}
		for _, r := range []struct{ offset, length int64 }{{0, 0}, {3, 4}, {3, 0}, {0, 4}} {
			body, err := s.Load(t.Context(), h, r.offset, r.length)
			told(t, err)
			if err != nil {
				continue
			}
			data, err := io.ReadAll(body)
			body.Close()
			if err == nil && r.length > 0 && int64(len(data)) != r.length {
				t.Errorf("%d bytes of %d came without an error", len(data), r.length)
			}
		}
		told(t, s.Save(t.Context(), h, []byte("data")))
		told(t, s.Remove(t.Context(), h))
	})
}

// told looks whether what a server says can be shown, and holds no secret.
func told(t *testing.T, err error) {
	t.Helper()
	var status *transport.StatusError
	if err == nil || !errors.As(err, &status) {
		return
	}
	text := status.Error()
	if len(text) > 1000 || strings.Contains(text, "secret") || status.After < 0 {
		t.Errorf("%q, after %v", text, status.After)
	}
	for _, r := range status.Text {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			t.Errorf("%q", status.Text)
		}
	}
}

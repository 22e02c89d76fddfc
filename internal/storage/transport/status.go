package transport

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"lifeboat/internal/storage"
)

// StatusError is an answer that is not what was asked for.
type StatusError struct {
	Code  int
	Text  string        // what the server says to it, cleaned and bounded
	After time.Duration // how long the server wants to be left alone; 0 if it does not say
}

// Error gives the status and the server's words.
func (e *StatusError) Error() string {
	s := "the server answers " + strconv.Itoa(e.Code)
	if name := http.StatusText(e.Code); name != "" {
		s += " " + name
	}
	if e.Text != "" && !strings.EqualFold(e.Text, http.StatusText(e.Code)) {
		s += ": " + e.Text
	}
	return s
}

// Permanent tells whether the same request would get the same answer again.
func (e *StatusError) Permanent() bool {
	switch e.Code {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported, http.StatusInsufficientStorage:
		return true
	}
	return e.Code < 500
}

// RetryAfter is how long the server wants to be left alone.
func (e *StatusError) RetryAfter() time.Duration { return e.After }

// Unwrap maps the status to the errors of package storage where one fits.
func (e *StatusError) Unwrap() error {
	switch e.Code {
	case http.StatusNotFound:
		return storage.ErrNotFound
	case http.StatusInsufficientStorage:
		if strings.Contains(strings.ToLower(e.Text), "quota") { // RFC 4918 has one status for both
			return storage.ErrQuota
		}
		return storage.ErrNoSpace
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return fs.ErrPermission
	}
	return nil
}

// maxText bounds what a server may say in an error, in bytes.
const maxText = 300

// Status makes an error of an answer and closes the answer's body.
func Status(resp *http.Response) *StatusError {
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxText))
	if strings.Contains(resp.Header.Get("Content-Type"), "html") {
		text = nil // a page of a proxy
	}
	return NewStatus(resp.StatusCode, string(text), resp.Header)
}

// NewStatus makes an error of a status, the server's words and its header,
// which may be nil.
func NewStatus(code int, text string, header http.Header) *StatusError {
	return &StatusError{Code: code, Text: clean(text), After: after(header)}
}

// clean makes a server's words fit for a terminal.
func clean(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxText)], "")
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// after reads Retry-After (RFC 9110, 10.2.3).
func after(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// Body returns an answer's body of which exactly want bytes are read: fewer are
// storage.ErrTruncated, more are an error.
func Body(body io.ReadCloser, want int64) io.ReadCloser {
	return &exact{ReadCloser: body, left: want}
}

type exact struct {
	io.ReadCloser
	left int64
}

func (e *exact) Read(p []byte) (int, error) {
	n, err := e.ReadCloser.Read(p)
	if int64(n) > e.left {
		n = int(e.left)
		e.left = 0
		return n, fmt.Errorf("%w: the server sends more than was asked for", storage.ErrTruncated)
	}
	e.left -= int64(n)
	if err == io.ErrUnexpectedEOF || err == io.EOF && e.left > 0 {
		err = fmt.Errorf("%w: %d bytes are missing", storage.ErrTruncated, e.left)
	}
	return n, err
}

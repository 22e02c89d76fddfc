package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"lifeboat/internal/storage/retry"
)

func TestReason(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("connect: %w", syscall.ECONNREFUSED)}
	for want, err := range map[string]error{
		"connection refused":                                   fmt.Errorf("save data/x: %w", &url.Error{Op: "Post", URL: "https://me:secret@x/", Err: dial}),
		"the connection broke off":                             &url.Error{Op: "Get", URL: "x", Err: io.EOF},
		"the server is busy":                                   errors.New("the server is busy"),
		"the name x.invalid cannot be resolved (no such host)": &url.Error{Op: "Get", URL: "x", Err: &net.DNSError{Name: "x.invalid", Err: "no such host"}},
		"odd": &url.Error{Op: "Get", URL: "https://me:secret@x/", Err: errors.New("odd")},
	} {
		if got := reason(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestNotices has several transfers fail at once: a person is told once.
func TestNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		n := &notices{err: &out}
		fail := func(err error, attempt int, pause time.Duration) {
			n.retry(retry.Failure{Store: "sftp://host/x", Err: err, Pause: pause, Attempt: attempt})
		}
		fail(syscall.ECONNRESET, 2, 4*time.Second)
		fail(syscall.ECONNRESET, 2, 5*time.Second)
		fail(errors.New("\x1b[31mhostile"), 3, 200*time.Millisecond)
		time.Sleep(4 * time.Second)
		fail(syscall.ECONNRESET, 3, 8*time.Second)
		want := `store sftp://host/x: connection reset by peer; trying again in 4 s (attempt 2)
store sftp://host/x: ` + "\uFFFD" + `[31mhostile; trying again in a moment (attempt 3)
store sftp://host/x: connection reset by peer; trying again in 8 s (attempt 3)
`
		if out.String() != want {
			t.Errorf("got\n%s", out.String())
		}
		var lines []string
		done := n.through(func(s string) { lines = append(lines, s) })
		time.Sleep(time.Minute)
		fail(syscall.ECONNRESET, 4, time.Second)
		done()
		if len(lines) != 1 || !strings.HasPrefix(lines[0], "store sftp") || out.String() != want {
			t.Errorf("%q", lines)
		}
	})
}

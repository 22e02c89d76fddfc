package console

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/a-h/templ"

	"lifeboat/internal/fleet/account"
)

const (
	// heartbeat keeps proxies from closing a stream on which nothing happens.
	heartbeat = 20 * time.Second
	// longest is how long a stream lasts; browsers come back by themselves.
	longest = time.Hour
	// patience is how long one write may take: who reads no more is let go.
	patience = 20 * time.Second
)

// stream is a live page's line: server-sent events (WHATWG HTML, 9.2).
type stream struct {
	*Console
	w     http.ResponseWriter
	r     *http.Request
	out   *http.ResponseController
	began time.Time
	spoke time.Time
	err   error
}

// stream opens one, if there is room. The page stays readable without it.
func (c *Console) stream(w http.ResponseWriter, r *http.Request, v *visit) (*stream, error) {
	select {
	case c.streams <- struct{}{}:
	default:
		w.Header().Set("Retry-After", "60")
		return nil, account.ErrBusy
	}
	s := &stream{Console: c, w: w, r: r, out: http.NewResponseController(w), began: time.Now(), spoke: time.Now()}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	// The server's bound on reading a request would end the stream with it.
	if err := s.out.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.end()
		return nil, err
	}
	w.WriteHeader(http.StatusOK)
	return s, s.write([]byte("retry: 3000\n\n"))
}

// end gives the place to the next.
func (s *stream) end() { <-s.streams }

// send sends a piece of the page.
func (s *stream) send(id, event string, piece templ.Component) error {
	var html bytes.Buffer
	if err := piece.Render(s.r.Context(), &html); err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString("id: " + id + "\nevent: " + event + "\n")
	for line := range strings.Lines(strings.ReplaceAll(html.String(), "\r", "")) {
		b.WriteString("data: " + strings.TrimSuffix(line, "\n") + "\n")
	}
	b.WriteString("\n")
	return s.write(b.Bytes())
}

// over tells the page that nothing more will come.
func (s *stream) over() error {
	_ = s.write([]byte("event: over\ndata:\n\n"))
	return nil
}

// fail ends a stream; its answer has begun, so that only the log can say why.
func (s *stream) fail(err error) error {
	if s.r.Context().Err() == nil && s.ctx.Err() == nil {
		s.Log.Error("console: a live page ended", "path", s.r.URL.Path, "error", err)
	}
	return nil
}

func (s *stream) write(b []byte) error {
	if err := s.out.SetWriteDeadline(time.Now().Add(patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, s.err = s.w.Write(b); s.err == nil {
		s.err = s.out.Flush()
	}
	// Over HTTP/2 a bound that passes ends the stream even when nothing is written.
	if err := s.out.SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.err = errors.Join(s.err, err)
	}
	s.spoke = time.Now()
	return s.err
}

// idle tells that nothing was sent for long: it is time for a sign of life, and what
// says how long something takes has grown stale on the page.
func (s *stream) idle() bool { return time.Since(s.spoke) > s.heartbeat }

// wait waits until it is time to look again. false: it is time to end, because the
// browser or the session has gone, or the server goes.
func (s *stream) wait(v *visit) bool {
	timer := time.NewTimer(s.Poll)
	defer timer.Stop()
	select {
	case <-s.r.Context().Done():
		return false
	case <-s.ctx.Done():
		return false
	case <-timer.C:
	}
	v.At = s.Now()
	if s.idle() {
		// A page that nobody looks at must not keep a session alive, and one that was
		// ended elsewhere must see nothing more.
		role := v.Role
		if err := v.know(s.r, false); err != nil || !v.May(role) {
			_ = s.over()
			return false
		}
	}
	return time.Since(s.began) < longest
}

package console

import (
	"bufio"
	"context"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/runbook"
)

// message is one server-sent event.
type message struct{ id, event, data string }

// listener reads a live page's stream.
type listener struct {
	t     *testing.T
	lines *bufio.Scanner
	stop  context.CancelFunc
	a     *http.Response
}

func (b *browser) listen(path, last string) *listener {
	b.f.t.Helper()
	ctx, stop := context.WithCancel(b.f.t.Context())
	b.f.t.Cleanup(stop)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.f.server.URL+path, nil)
	if err != nil {
		b.f.t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	a, err := b.Do(r)
	if err != nil {
		b.f.t.Fatal(err)
	}
	b.f.t.Cleanup(func() { a.Body.Close() })
	lines := bufio.NewScanner(a.Body)
	lines.Buffer(nil, 1<<20)
	return &listener{b.f.t, lines, stop, a}
}

// next is the next event, comments left out; false at the end.
func (l *listener) next() (m message, ok bool) {
	for l.lines.Scan() {
		field, value, _ := strings.Cut(l.lines.Text(), ": ")
		switch field {
		case "id":
			m.id = value
		case "event":
			m.event = value
		case "data":
			m.data += value + "\n"
		case "":
			if m.event != "" {
				return m, true
			}
		}
	}
	return m, false
}

// until reads on until an event of a kind holds a text.
func (l *listener) until(event, holds string) message {
	l.t.Helper()
	for {
		m, ok := l.next()
		if !ok {
			l.t.Fatalf("the stream ended before an event %s with %q", event, holds)
		}
		if m.event == event && strings.Contains(m.data, holds) {
			return m
		}
	}
}

func TestRunLive(t *testing.T) {
	f := newFleet(t)
	host, run := f.showcase()
	live := runURL(host, run) + "/live"
	b := f.browser("vera")
	l := b.listen(live, "")
	if kind := l.a.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") || l.a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", l.a.Header)
	}
	first := l.until("steps", "37 % of 298 GiB")
	if first.id != "15" {
		t.Errorf("id %q", first.id)
	}
	f.event(host, run, 16, runbook.Event{Type: runbook.StepFinished, Stage: "restore", Step: "tree", Seconds: 700})
	l.until("steps", "11:40 min")
	f.event(host, run, 17, runbook.Event{Type: runbook.StepLog, Stage: "start", Step: "start", Text: "two lines:\r\nSMT <runs>"})
	l.until("log", "SMT &lt;runs&gt;")
	f.change(func(tx record.Tx) error {
		return tx.PutRun(record.Run{ID: run, Host: host, System: "smt", Kind: "recover", State: "done with warnings", Started: ago(time.Hour), Updated: now})
	})
	l.until("state", "done with warnings")
	l.until("over", "")
	if m, ok := l.next(); ok {
		t.Errorf("after its end: %+v", m)
	}
	// The page is the same without a stream, and has none when all is over.
	_, page := b.get(runURL(host, run))
	if strings.Contains(page, "sse-connect") || !strings.Contains(page, "11:40 min") || !strings.Contains(page, "done with warnings") {
		t.Errorf("the page afterwards:\n%s", page)
	}
}

func TestLostConnection(t *testing.T) {
	f := newFleet(t)
	host, run := f.showcase()
	b := f.browser("vera")
	// Who has seen everything is sent only what comes then.
	l := b.listen(runURL(host, run)+"/live", "15")
	f.event(host, run, 16, runbook.Event{Type: runbook.StepFinished, Stage: "restore", Step: "tree", Seconds: 700})
	if m, ok := l.next(); !ok || m.id != "16" {
		t.Errorf("after a lost connection: %+v", m)
	}
	// Who missed something is sent all of the pieces, whole. What the browser says
	// counts more than what the page's address says.
	l = b.listen(runURL(host, run)+"/live?after=16", "15")
	if m := l.until("steps", "11:40 min"); m.id != "16" {
		t.Errorf("what was missed: %+v", m)
	}
	for _, last := range []string{"-1", "99999", "x", "9223372036854775808"} {
		b.listen(runURL(host, run)+"/live", last).until("steps", "11:40 min")
	}
}

func TestDeskLive(t *testing.T) {
	f := newFleet(t)
	host := f.add(1, "smt1", "", good("smt"))
	l := f.browser("otto").listen("/desk/live", "")
	l.until("recoveries", "No host is being recovered")
	f.change(func(tx record.Tx) error {
		return tx.PutRun(record.Run{ID: "r1", Host: host, System: "smt", Kind: "recover", State: "running", Started: now, Updated: now})
	})
	l.until("recoveries", `href="/hosts/`+string(host)+`/runs/r1"`)
}

func TestStreamsAreBounded(t *testing.T) {
	f := newFleet(t, func(o *Options) { o.Streams = 2 })
	host, run := f.showcase()
	b := f.browser("vera")
	path := runURL(host, run) + "/live"
	one, two := b.listen(path, ""), b.listen(path, "")
	one.until("steps", "")
	two.until("steps", "")
	third := b.listen(path, "")
	if third.a.StatusCode != http.StatusTooManyRequests || third.a.Header.Get("Retry-After") == "" {
		t.Errorf("a third stream: %d", third.a.StatusCode)
	}
	if status, _ := b.get(runURL(host, run)); status != http.StatusOK {
		t.Errorf("the page itself: %d", status)
	}
	one.stop()
	for { // the place is free as soon as the server has seen that
		if l := b.listen(path, ""); l.a.StatusCode == http.StatusOK {
			l.until("steps", "")
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestStreamsEndWithTheServer(t *testing.T) {
	f := newFleet(t)
	host, run := f.showcase()
	l := f.browser("vera").listen(runURL(host, run)+"/live", "")
	l.until("steps", "")
	if err := f.server.Config.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for {
		if _, ok := l.next(); !ok {
			break
		}
	}
}

// A page that nobody looks at keeps no session alive, and sees nothing of what
// happens after it.
func TestStreamsEndWithTheSession(t *testing.T) {
	f := newFleet(t)
	f.heartbeat = time.Millisecond
	host, run := f.showcase()
	b := f.browser("vera")
	l := b.listen(runURL(host, run)+"/live", "")
	l.until("steps", "")
	f.accounts.mu.Lock()
	touched := f.accounts.touched["vera"]
	f.accounts.mu.Unlock()
	for range 5 {
		l.until("state", "") // the times on the page grow
	}
	f.accounts.mu.Lock()
	if f.accounts.touched["vera"] != touched {
		t.Error("the stream keeps the session alive")
	}
	clear(f.accounts.sessions)
	f.accounts.mu.Unlock()
	l.until("over", "")
	// An EventSource is told to come back no more.
	if l := b.listen(runURL(host, run)+"/live", ""); l.a.StatusCode != http.StatusNoContent {
		t.Errorf("signed out: %d", l.a.StatusCode)
	}
}

// A page that shows what is so already gets nothing until something happens.
func TestHostLive(t *testing.T) {
	f := newFleet(t)
	host, run := f.showcase()
	b := f.browser("vera")
	_, page := b.get(hostURL(host))
	address := regexp.MustCompile(`sse-connect="([^"]+)"`).FindStringSubmatch(page)
	if address == nil || !strings.Contains(page, "37 % of 298 GiB") {
		t.Fatalf("the page:\n%s", page)
	}
	l := b.listen(html.UnescapeString(address[1]), "")
	f.event(host, run, 16, runbook.Event{Type: runbook.StepFinished, Stage: "restore", Step: "tree", Seconds: 700})
	m, ok := l.next()
	if !ok || m.event != "going" || !strings.Contains(m.data, "11:40 min") {
		t.Errorf("first of all %+v", m)
	}
	f.change(func(tx record.Tx) error {
		return tx.PutRun(record.Run{ID: run, Host: host, System: "smt", Kind: "recover", State: "failed", Started: ago(time.Hour), Updated: now})
	})
	l.until("runs", "failed")
	// Who comes back gets what was missed, and a page of older runs has no news.
	f.change(func(tx record.Tx) error {
		return tx.PutRun(record.Run{ID: "other", Host: host, System: "sles", Kind: "verify", State: "running", Started: ago(time.Minute), Updated: now})
	})
	b.listen(hostURL(host)+"/live", m.id).until("going", "verify of <bdi>sles")
	if _, page := b.get(hostURL(host) + "?runs=drill-8"); strings.Contains(page, "sse-connect") {
		t.Error("a page of older runs is live")
	}
}

package fleet

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/fleet/agent"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/notice"
)

// A host that falls silent is told of, once for each time that it gets worse.
func TestWatch(t *testing.T) {
	var mu sync.Mutex
	var told []notice.Message
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var m notice.Message
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			t.Error(err)
		}
		mu.Lock()
		told = append(told, m)
		mu.Unlock()
	}))
	defer hook.Close()
	at := time.Now()
	var passed atomic.Int64
	p := start(t, func(o *Options) {
		if held, err := o.Desk.Store.Hold(context.Background(), "watch", "the test", time.Hour); err != nil || !held {
			t.Fatal(held, err) // it looks itself
		}
		o.Desk.Now = func() time.Time { return at.Add(time.Duration(passed.Load())) }
		o.Notices = []config.Notice{{Name: "hook", On: config.OnWarning, Webhook: &config.Webhook{Address: config.Address{URL: hook.URL}}}}
	})
	a := p.join(t, wire.NewHost{Name: "smt1"})
	r := report("run-1", time.Now())
	r.Objectives.RPO = 24 * time.Hour
	send(t, a, agent.NewSpool(t.TempDir()), r)
	look := func(later time.Duration, want int) {
		t.Helper()
		passed.Store(int64(later))
		if err := p.watch(context.Background()); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if len(told) != want {
			t.Fatalf("%d messages after %v, not %d: %+v", len(told), later, want, told)
		}
	}
	look(time.Hour, 0)
	look(25*time.Hour, 1)
	look(26*time.Hour, 1)
	if text := told[0].Text; !strings.Contains(text, "host smt1") || !strings.Contains(text, "recovery point") {
		t.Errorf("%q", text)
	}
}

// Servers that end give their leases up, so that another need not wait.
// What is older than is wanted is forgotten, once, with an entry in the audit log.
func TestPrune(t *testing.T) {
	at := time.Now()
	var passed time.Duration
	p := start(t, func(o *Options) {
		if held, err := o.Desk.Store.Hold(context.Background(), "prune", "the test", time.Hour); err != nil || !held {
			t.Fatal(held, err) // it does so itself
		}
		o.Keep, o.KeepVersions = func(now time.Time) time.Time { return now.AddDate(0, 0, -400) }, 1
	})
	spool := agent.NewSpool(t.TempDir())
	a := p.join(t, wire.NewHost{Name: "smt1"})
	send(t, a, spool, report("run-1", at.Add(-time.Hour)))
	send(t, a, spool, report("run-2", at))
	p.Desk.Now = func() time.Time { return at.Add(passed) }
	for _, step := range []struct {
		later time.Duration
		want  int
	}{{0, 2}, {500 * 24 * time.Hour, 1}} {
		later, want := step.later, step.want
		passed = later
		for range 2 {
			if err := p.prune(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		var reports []record.Report
		var entries []record.Entry
		err := p.Desk.Store.Read(context.Background(), func(r record.Reader) error {
			h, err := r.HostNamed("smt1")
			if err == nil {
				reports, err = r.Reports(h.ID, record.Page{Limit: 10})
			}
			if err == nil {
				entries, err = r.Audit(0, 1000)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		pruned := 0
		for _, e := range entries {
			if e.Action == "history.prune" {
				pruned++
			}
		}
		if len(reports) != want || later == 0 && pruned != 0 || later > 0 && pruned != 1 {
			t.Errorf("after %v there are %d reports, and %d entries tell of it", later, len(reports), pruned)
		}
	}
}

func TestLease(t *testing.T) {
	p := start(t, func(o *Options) { o.Every = time.Hour })
	other := New(p.Options)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); other.work(ctx) }()
	stop()
	<-done
	p.stop()
	for _, j := range p.jobs() {
		if held, err := p.Desk.Store.Hold(context.Background(), j.name, "stranger", time.Second); err != nil || !held {
			t.Errorf("%s: the servers are gone and their lease is not: %v", j.name, err)
		}
	}
}

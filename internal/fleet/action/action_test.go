package action

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/runbook"
)

var operator = Actor{Name: "token:test", Role: record.Operator}

func desk(t *testing.T) *Desk {
	t.Helper()
	settings, err := keys.NewSettings("", []string{"fleet.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	k, err := keys.Create(filepath.Join(t.TempDir(), "keys"), settings, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(context.Background(), "sqlite:"+filepath.Join(t.TempDir(), "fleet.db"), store.Signed(k.Signing))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return New(db, k)
}

func TestProtect(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC) }
	run := func(kind string, state runbook.State, hour int) wire.RunReport {
		r := wire.RunReport{Kind: kind, State: string(state), Ended: at(hour), Profile: "smt"}
		if kind == "backup" && state == runbook.StateDone {
			r.Point, r.PointAt = "point", at(hour)
		}
		if state == runbook.StateFailed {
			r.Error = "it broke"
		}
		return r
	}
	for name, c := range map[string]struct {
		reports []wire.RunReport
		state   runbook.State
		point   int
		drilled int
		failure string
	}{
		"done":                         {[]wire.RunReport{run("backup", runbook.StateDone, 1)}, runbook.StateDone, 1, 0, ""},
		"an older one comes later":     {[]wire.RunReport{run("backup", runbook.StateDone, 2), run("backup", runbook.StateFailed, 1)}, runbook.StateDone, 2, 0, ""},
		"an older point comes later":   {[]wire.RunReport{run("backup", runbook.StateFailed, 2), run("backup", runbook.StateDone, 1)}, runbook.StateFailed, 1, 0, "backup: it broke"},
		"a prune heals no backup":      {[]wire.RunReport{run("backup", runbook.StateFailed, 1), run("prune", runbook.StateDone, 2)}, runbook.StateFailed, 0, 0, "backup: it broke"},
		"the next backup does":         {[]wire.RunReport{run("backup", runbook.StateFailed, 1), run("prune", runbook.StateDone, 2), run("backup", runbook.StateDone, 3)}, runbook.StateDone, 3, 0, ""},
		"a drill that failed is none":  {[]wire.RunReport{run("drill", runbook.StateDone, 1), run("drill", runbook.StateFailed, 2)}, runbook.StateFailed, 0, 1, "drill: it broke"},
		"a drill with warnings is one": {[]wire.RunReport{run("drill", runbook.StateWarnings, 2)}, runbook.StateWarnings, 0, 2, ""},
	} {
		var p record.Protection
		for _, r := range c.reports {
			p = protect(p, r)
		}
		hour := func(t time.Time) int {
			if t.IsZero() {
				return 0
			}
			return t.Hour()
		}
		if p.LastState != string(c.state) || hour(p.PointAt) != c.point || hour(p.DrillAt) != c.drilled || p.LastError != c.failure {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// A clock that is ahead must not make a system protected for ever.
func TestTimesOfTheFuture(t *testing.T) {
	now := time.Now()
	r := wire.RunReport{System: "smt", Kind: "backup", State: "done", Started: now, Ended: now.AddDate(1, 0, 0), PointAt: now.AddDate(1, 0, 0)}
	if _, err := checkReport("run", &r, now); err != nil || r.PointAt.After(now) || r.Ended.After(now) {
		t.Errorf("%+v %v", r, err)
	}
}

func FuzzReport(f *testing.F) {
	f.Add("run-1", "smt", "backup", "done", "smt", []byte(`{}`), "error", "52:54:00:12:34:56")
	f.Add("../run", "s m t", "", "\x00", "a/b", []byte(`{`), "\xff", "x")
	f.Fuzz(func(t *testing.T, run, system, kind, state, profile string, detail []byte, failure, mac string) {
		now := time.Now()
		r := wire.RunReport{System: system, Kind: kind, State: state, Profile: profile, Detail: detail, Error: failure, Identity: record.Identity{MACs: []string{mac}}}
		identity, err := checkReport(run, &r, now)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		if strings.ContainsAny(run+system+kind+state+profile, "/\x00\n ") && !strings.Contains(state, " ") || strings.Contains(r.Error, "\x00") {
			t.Errorf("%q %q %q %q %q were taken", run, system, kind, state, profile)
		}
		if again, err := normal(identity); err != nil || !same(again, identity) {
			t.Errorf("%+v is not in its only form: %+v", identity, again)
		}
	})
}

// Two that come with one token: exactly one joins.
func TestOneTokenOneHost(t *testing.T) {
	d := desk(t)
	ctx := context.Background()
	made, err := d.AddHost(ctx, operator, wire.NewHost{Name: "smt1"})
	if err != nil {
		t.Fatal(err)
	}
	var joined, spent atomic.Int32
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			_, err := d.Join(ctx, "", wire.Join{Token: made.Token, Request: request(t)})
			switch {
			case err == nil:
				joined.Add(1)
			case errors.Is(err, record.ErrSpent):
				spent.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if joined.Load() != 1 || spent.Load() != 7 {
		t.Errorf("%d joined, %d were too late", joined.Load(), spent.Load())
	}
}

// What was revoked while it was being asked for is not done any more.
func TestRevokedBetween(t *testing.T) {
	d := desk(t)
	ctx := context.Background()
	made, err := d.AddHost(ctx, operator, wire.NewHost{Name: "smt1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Join(ctx, "", wire.Join{Token: made.Token, Request: request(t)}); err != nil {
		t.Fatal(err)
	}
	h, err := d.Host(ctx, "smt1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.HostByKey(ctx, h.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Revoke(ctx, operator, "smt1"); !errors.Is(err, ErrForbidden) {
		t.Errorf("an operator has revoked: %v", err)
	}
	if _, err := d.Revoke(ctx, Actor{Name: "token:admin", Role: record.Administrator}, "smt1"); err != nil {
		t.Fatal(err)
	}
	report := wire.RunReport{System: "smt", Kind: "backup", State: "done", Started: time.Now(), Ended: time.Now()}
	if _, err := d.AddReport(ctx, h, "", "run-1", report); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("a report of a revoked host: %v", err)
	}
	if err := d.AddEvents(ctx, h, "run-1", wire.RunEvents{System: "smt", Kind: "backup"}); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("events of a revoked host: %v", err)
	}
	if _, err := d.HostByKey(ctx, h.Key); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("a revoked host is known: %v", err)
	}
	if _, err := d.Enrol(ctx, operator, "smt1", ""); !errors.Is(err, ErrForbidden) {
		t.Errorf("an operator lets a revoked host in: %v", err)
	}
}

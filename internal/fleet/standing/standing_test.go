package standing

import (
	"strings"
	"testing"
	"time"

	"lifeboat/internal/fleet/record"
)

var now = time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

func TestSystems(t *testing.T) {
	const day = 24 * time.Hour
	good := record.Protection{System: "smt", LastState: "done", Point: "p", PointAt: ago(time.Hour), VerifyAt: ago(day), DrillAt: ago(day)}
	cases := []struct {
		name   string
		change func(*record.Protection)
		want   State
		why    string
	}{
		{"all is well", func(*record.Protection) {}, Protected, ""},
		{"warnings are no failure", func(p *record.Protection) { p.LastState = "done with warnings" }, Protected, ""},
		{"failed", func(p *record.Protection) { p.LastState = "failed" }, Failing, "ended failed"},
		{"killed", func(p *record.Protection) { p.LastState = "interrupted" }, Failing, "ended interrupted"},
		{"waits", func(p *record.Protection) { p.LastState = "waiting" }, Failing, "waits for a person"},
		{"no point", func(p *record.Protection) { p.PointAt = time.Time{} }, NoPoint, "no recovery point"},
		{"failed before the first point", func(p *record.Protection) { p.PointAt, p.LastState = time.Time{}, "failed" }, Failing, "no recovery point"},
		{"old point", func(p *record.Protection) { p.PointAt = ago(27 * time.Hour) }, Late, "27 hours old"},
		{"own objective", func(p *record.Protection) { p.PointAt, p.Objectives.RPO = ago(27*time.Hour), 2*day }, Protected, ""},
		{"sharper objective", func(p *record.Protection) { p.Objectives.RPO = 30 * time.Minute }, Late, "60 minutes old"},
		{"old verify", func(p *record.Protection) { p.VerifyAt = ago(36 * day) }, Late, "last verify is 36 days"},
		{"old drill", func(p *record.Protection) { p.DrillAt = ago(101 * day) }, Late, "drill is 101 days"},
		{"failing is worse than late", func(p *record.Protection) { p.PointAt, p.LastState = ago(27*time.Hour), "failed" }, Failing, "27 hours"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := good
			c.change(&p)
			got := OfSystem(p, now)
			if why := strings.Join(got.Reasons, "; "); got.State != c.want || !strings.Contains(why, c.why) || c.why == "" && why != "" {
				t.Errorf("state %q because %q, want %q because %q", got.State, why, c.want, c.why)
			}
			if got.NeverDrilled {
				t.Error("it was drilled")
			}
		})
	}
	p := good
	p.DrillAt = time.Time{}
	if got := OfSystem(p, now); !got.NeverDrilled || got.State != Protected {
		t.Errorf("never drilled: %+v", got)
	}
}

func TestHosts(t *testing.T) {
	fine := record.Protection{System: "a", LastState: "done", PointAt: ago(time.Hour), DrillAt: ago(time.Hour)}
	old := record.Protection{System: "b", LastState: "done", PointAt: ago(100 * time.Hour)}
	joined := record.Host{Name: "h", Key: "k"}
	gone := joined
	gone.Revoked = now
	cases := []struct {
		name    string
		host    record.Host
		systems []record.Protection
		want    State
		never   bool
	}{
		{"one", joined, []record.Protection{fine}, Protected, false},
		{"the worst counts", joined, []record.Protection{fine, old}, Late, true},
		{"nothing reported", joined, nil, NoPoint, false},
		{"not joined", record.Host{Name: "h"}, nil, Waiting, false},
		{"ReaR may fetch", record.Host{Name: "h", Networks: []string{"192.0.2.0/24"}}, nil, RearOnly, false},
		{"ReaR has fetched", record.Host{Name: "h", Seen: now}, nil, RearOnly, false},
		{"revoked", gone, []record.Protection{old}, Revoked, false},
	}
	var all []Host
	for _, c := range cases {
		got := OfHost(c.host, c.systems, now)
		if got.State != c.want || got.NeverDrilled != c.never {
			t.Errorf("%s: %q, never drilled %v", c.name, got.State, got.NeverDrilled)
		}
		all = append(all, got)
	}
	if c := Count(all); c.All != 7 || c.By[Late] != 1 || c.By[Revoked] != 1 || c.NeverDrilled != 1 {
		t.Errorf("counts %+v", c)
	}
	Sort(all)
	if all[0].State != NoPoint || all[6].State != Revoked {
		t.Errorf("sorted from %q to %q", all[0].State, all[6].State)
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "0 seconds", time.Second: "1 second", time.Minute: "1 minute", 90 * time.Minute: "90 minutes",
		2 * time.Hour: "2 hours", 47 * time.Hour: "47 hours", 48 * time.Hour: "2 days", 400 * 24 * time.Hour: "400 days",
	} {
		if got := Age(d); got != want {
			t.Errorf("Age(%v) = %q, want %q", d, got, want)
		}
	}
}

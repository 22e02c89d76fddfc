// Package standing judges how well the hosts of a fleet are protected, from what
// they have reported: the console, the metrics and the notices of the server say the
// same of one host. It reads no store and shows nothing.
package standing

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/runbook/ending"
)

// State is how something stands, in one word or two for people.
type State string

// The states, the worst first.
const (
	Failing   State = "failing"  // the last run did not succeed
	NoPoint   State = "no point" // nothing could be recovered
	Late      State = "late"     // a point, verify or drill is older than the objective
	Protected State = "protected"
	RearOnly  State = "ReaR only"  // its files are for plain ReaR, which says nothing of points
	Waiting   State = "not joined" // an administrator added the host; it has not come yet
	Revoked   State = "revoked"
)

// States lists them in that order.
func States() []State { return []State{Failing, NoPoint, Late, Protected, RearOnly, Waiting, Revoked} }

// What counts where a host's lifeboat.yaml says nothing, as `lifeboat status` has it.
const (
	usualRPO    = 26 * time.Hour
	usualVerify = 35 * 24 * time.Hour
	usualDrill  = 100 * 24 * time.Hour
)

// System is how one system of a host stands.
type System struct {
	record.Protection
	State        State
	NeverDrilled bool // there is something to rehearse, and nobody did
	Reasons      []string
}

// Host is how a host stands: as the worst of its systems.
type Host struct {
	record.Host
	State        State
	NeverDrilled bool // one of its systems
	Reasons      []string
	Systems      []System
	PointAt      time.Time // the oldest of its systems' newest points
}

// OfSystem judges one system.
func OfSystem(p record.Protection, now time.Time) System {
	s := System{Protection: p, State: Protected}
	worse := func(to State, format string, args ...any) {
		if rank(to) < rank(s.State) {
			s.State = to
		}
		s.Reasons = append(s.Reasons, fmt.Sprintf(format, args...))
	}
	switch ending.State(p.LastState) {
	case ending.StateFailed, ending.StateInterrupted, ending.StateRolledBack:
		worse(Failing, "the last run ended %s", short(p.LastState))
	case ending.StateWaiting:
		worse(Failing, "the last run waits for a person")
	}
	if p.PointAt.IsZero() {
		worse(NoPoint, "there is no recovery point yet")
		return s
	}
	late := func(what string, since time.Time, bound, usual time.Duration) {
		if bound = cmp.Or(bound, usual); !since.IsZero() && now.Sub(since) > bound {
			worse(Late, "%s is %s old, which is more than %s", what, Age(now.Sub(since)), Age(bound))
		}
	}
	late("the newest recovery point", p.PointAt, p.Objectives.RPO, usualRPO)
	late("the last verify", p.VerifyAt, p.Objectives.Verify, usualVerify)
	late("the last passed drill", p.DrillAt, p.Objectives.Drill, usualDrill)
	s.NeverDrilled = p.DrillAt.IsZero()
	return s
}

// OfHost judges a host by its systems, which stay in the order they have.
func OfHost(h record.Host, systems []record.Protection, now time.Time) Host {
	s := Host{Host: h, State: Protected, Systems: make([]System, len(systems))}
	for i, p := range systems {
		one := OfSystem(p, now)
		s.Systems[i] = one
		if rank(one.State) < rank(s.State) {
			s.State = one.State
		}
		s.NeverDrilled = s.NeverDrilled || one.NeverDrilled
		for _, why := range one.Reasons {
			s.Reasons = append(s.Reasons, p.System+": "+why)
		}
		if i == 0 || p.PointAt.Before(s.PointAt) {
			s.PointAt = p.PointAt
		}
	}
	switch {
	case !h.Revoked.IsZero():
		s.State, s.NeverDrilled = Revoked, false
	// Who has no key is heard of by ReaR alone.
	case h.Key == "" && len(systems) == 0 && (len(h.Networks) > 0 || !h.Seen.IsZero()):
		s.State = RearOnly
	case h.Key == "" && len(systems) == 0:
		s.State = Waiting
	case len(systems) == 0:
		s.State = NoPoint
		s.Reasons = append(s.Reasons, "it has not reported a backup yet")
	}
	return s
}

// Counts is how many hosts stand how.
type Counts struct {
	All          int           `json:"all"`
	By           map[State]int `json:"by"`
	NeverDrilled int           `json:"never_drilled"`
}

// Count counts.
func Count(hosts []Host) Counts {
	c := Counts{All: len(hosts), By: map[State]int{}}
	for _, h := range hosts {
		c.By[h.State]++
		if h.NeverDrilled {
			c.NeverDrilled++
		}
	}
	return c
}

// Sort puts the worst first, and equals by name.
func Sort(hosts []Host) {
	slices.SortFunc(hosts, func(a, b Host) int {
		return cmp.Or(cmp.Compare(rank(a.State), rank(b.State)), strings.Compare(a.Name, b.Name))
	})
}

// Age puts a duration into the largest unit that says enough.
func Age(d time.Duration) string {
	unit := func(n int, one string) string {
		if n == 1 {
			return "1 " + one
		}
		return fmt.Sprintf("%d %ss", n, one)
	}
	switch d = max(d, 0); {
	case d < time.Minute:
		return unit(int(d/time.Second), "second")
	case d < 100*time.Minute:
		return unit(int(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return unit(int(d/time.Hour), "hour")
	}
	return unit(int(d/(24*time.Hour)), "day")
}

func rank(s State) int { return slices.Index(States(), s) }

// short keeps a foreign word from filling a page.
func short(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

package upgrade

import (
	"crypto/rand"
	"fmt"
	"slices"

	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/path"
)

// Way is where a step stands on a way of several hops. Each hop is a run of its own; what
// follows it stands in its request, and so in its journal: whoever was killed between two
// hops finds there how to go on.
type Way struct {
	ID   string    `json:"id"`  // what the runs of one way have in common
	Hop  int       `json:"hop"` // counted from 1
	Of   int       `json:"of"`
	Then []Request `json:"then,omitempty"` // the hops that follow, the next one first
}

// Along makes one way of the requests of several hops, in their order: what it returns is
// that of the first one. One hop alone is a step by itself.
func Along(hops []Request) Request {
	hops = slices.Clone(hops)
	if len(hops) > 1 {
		id := rand.Text()
		for i := range hops {
			hops[i].Way = &Way{ID: id, Hop: i + 1, Of: len(hops)}
		}
	}
	return starting(hops, 0)
}

// starting is the request of a hop with those that follow it.
func starting(hops []Request, i int) Request {
	r := hops[i]
	if r.Way == nil {
		return r
	}
	w := *r.Way
	w.Then = slices.Clone(hops[i+1:])
	for n := range w.Then {
		next := *w.Then[n].Way
		next.Then = nil
		w.Then[n].Way = &next
	}
	r.Way = &w
	return r
}

// following are the hops behind this one.
func (r Request) following() []Request {
	if r.Way == nil {
		return nil
	}
	return r.Way.Then
}

// Place says where on its way a step is, "" for a step by itself.
func (r Request) Place() string {
	if r.Way == nil {
		return ""
	}
	return fmt.Sprintf("hop %d of %d", r.Way.Hop, r.Way.Of)
}

// Goal is the release at the end of the way.
func (r Request) Goal() path.Release {
	if then := r.following(); len(then) > 0 {
		return then[len(then)-1].To
	}
	return r.To
}

// Hop is one step of a way.
type Hop struct {
	Request Request
	Run     *runbook.Run // the newest one of it, nil where none was begun
}

// Reached tells whether the hop has come to its release, and was not taken back.
func (h Hop) Reached() bool { return h.Run != nil && reached(h.Run) }

func reached(run *runbook.Run) bool {
	return !run.RollingBack && (run.State == runbook.StateDone || run.State == runbook.StateWarnings)
}

// Hops are the hops of the way that a run is of, in their order; nil for a run that is a
// step by itself. Runs are in the order in which they were started.
func Hops(runs []*runbook.Run, of *runbook.Run) []Hop {
	r, err := Asked(of)
	if err != nil || r.Way == nil || r.Way.Of < 1 || r.Way.Of > mostHops {
		return nil
	}
	hops := make([]Hop, r.Way.Of)
	for _, run := range runs {
		one, err := Asked(run)
		if err != nil || one.Way == nil || one.Way.ID != r.Way.ID || one.Root != r.Root {
			continue
		}
		at := one.Way.Hop - 1
		if at < 0 || at+len(one.Way.Then) >= len(hops) {
			continue
		}
		hops[at].Run = run
		for i, next := range append([]Request{one}, one.Way.Then...) {
			hops[at+i].Request = next
		}
	}
	if slices.ContainsFunc(hops, func(h Hop) bool { return h.Request.Way == nil }) {
		return nil // the journals of its beginning are not there
	}
	return hops
}

// mostHops bounds a way: no catalogue has as many releases.
const mostHops = 100

// gone is how many hops of a way are behind the host, by the journals.
func gone(hops []Hop) int {
	n := slices.IndexFunc(hops, func(h Hop) bool { return !h.Reached() })
	if n < 0 {
		return len(hops)
	}
	return n
}

// Next is the first hop that was not gone, with the request for it and those that follow;
// ok is false at the end of the way.
func Next(hops []Hop) (h Hop, ok bool) {
	n := gone(hops)
	if n == len(hops) {
		return Hop{}, false
	}
	all := make([]Request, len(hops))
	for i := range hops {
		all[i] = hops[i].Request
	}
	return Hop{Request: starting(all, n), Run: hops[n].Run}, true
}

// Where is the release at which a way has left the host, as far as its journals tell.
func Where(hops []Hop) path.Release {
	if n := gone(hops); n > 0 {
		return hops[n-1].Request.To
	}
	return hops[0].Request.From
}

// Untouched tells whether a run has changed nothing, so that it may be begun anew.
func Untouched(run *runbook.Run) bool {
	return run.State == runbook.StateRolledBack || run.State == runbook.StateFailed && !Changed(run) && !run.RollingBack
}

// Behind are the runs that have to be taken back for a hop to be taken back, the newest
// hop first and the one itself last.
func Behind(hops []Hop, run *runbook.Run) []*runbook.Run {
	var list []*runbook.Run
	for _, h := range slices.Backward(hops) {
		if h.Run != nil && h.Run.State != runbook.StateRolledBack {
			list = append(list, h.Run)
		}
		if h.Run != nil && h.Run.ID == run.ID {
			if h.Run.State == runbook.StateRolledBack {
				list = append(list, h.Run) // which says so
			}
			return list
		}
	}
	return []*runbook.Run{run}
}

// Newest is the run that going back begins with when none is named: of a way the last hop
// that has changed the host and was not taken back, else the run itself.
func Newest(hops []Hop, run *runbook.Run) *runbook.Run {
	for _, h := range slices.Backward(hops) {
		if h.Run != nil && h.Run.State != runbook.StateRolledBack && (Changed(h.Run) || h.Run.RollingBack) {
			return h.Run
		}
	}
	return run
}

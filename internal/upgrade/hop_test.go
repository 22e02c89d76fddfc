package upgrade

import (
	"encoding/json"
	"strings"
	"testing"

	"lifeboat/internal/lab/sles"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/zypper"
)

// threeHops are the requests of a way.
func threeHops(t *testing.T) []Request {
	t.Helper()
	c, err := catalogue()
	if err != nil {
		t.Fatal(err)
	}
	var hops []Request
	names := []string{"SLES 11 SP2", "SLES 11 SP3", "SLES 12", "SLES 12 SP1"}
	for i := range 3 {
		hops = append(hops, Request{Format: Format, Root: "/mnt", From: release(t, c, names[i]), To: release(t, c, names[i+1]), Method: "online"})
	}
	hops[1].Method = methodEntry
	return hops
}

func runOf(t *testing.T, id string, r Request, state runbook.State) *runbook.Run {
	t.Helper()
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return &runbook.Run{Meta: runbook.Meta{ID: id, Kind: Kind, Options: map[string]string{options: string(raw)}}, State: state}
}

// Where a way stands is told by the journals of its runs alone, whichever of them there
// are.
func TestHopsOfAWay(t *testing.T) {
	t.Parallel()
	first := Along(threeHops(t))
	if first.Place() != "hop 1 of 3" || first.Goal().Name() != "SLES 12 SP1" || len(first.following()) != 2 {
		t.Fatalf("%+v", first)
	}
	if alone := Along(threeHops(t)[:1]); alone.Way != nil || alone.Place() != "" {
		t.Errorf("one hop alone is a way: %+v", alone.Way)
	}
	var runs []*runbook.Run
	check := func(what string, left int, where, behind string) Request {
		t.Helper()
		hops := Hops(runs, runs[0])
		if len(hops) != 3 {
			t.Fatalf("%s: %d hops", what, len(hops))
		}
		next, more := Next(hops)
		if more != (left > 0) || more && next.Request.Way.Hop != 4-left || Where(hops).Name() != where {
			t.Errorf("%s: next is %s (%v), the host %s", what, next.Request.Place(), more, Where(hops).Name())
		}
		if more && len(next.Request.following()) != left-1 {
			t.Errorf("%s: %d hops follow %s", what, len(next.Request.following()), next.Request.Place())
		}
		var ids []string
		for _, run := range Behind(hops, runs[0]) {
			ids = append(ids, run.ID)
		}
		if got := strings.Join(ids, " "); got != behind {
			t.Errorf("%s: to take the first one back, %q are taken back", what, got)
		}
		return next.Request
	}
	add := func(id string, r Request, state runbook.State) { runs = append(runs, runOf(t, id, r, state)) }
	add("one", first, runbook.StateFailed)
	check("failed", 3, "SLES 11 SP2", "one")
	runs = nil
	add("one", first, runbook.StateWarnings)
	second := check("killed between two hops", 2, "SLES 11 SP3", "one")
	add("two", second, runbook.StateWaiting)
	add("other", Along(threeHops(t)), runbook.StateDone) // another way
	check("waiting", 2, "SLES 11 SP3", "two one")
	runs[1].State = runbook.StateDone
	third := check("two gone", 1, "SLES 12", "two one")
	add("three", third, runbook.StateRolledBack)
	check("the third taken back", 1, "SLES 12", "two one")
	add("again", third, runbook.StateDone)
	check("at its end", 0, "SLES 12 SP1", "again two one")
	runs[4].State, runs[1].State = runbook.StateRolledBack, runbook.StateRolledBack
	if r := check("two taken back", 2, "SLES 11 SP3", "one"); r.To.Name() != "SLES 12" {
		t.Errorf("%+v", r)
	}
	if hops := Hops(runs[1:], runs[1]); hops != nil {
		t.Errorf("without the first journal: %+v", hops)
	}
	if hops := Hops(runs, runOf(t, "alone", threeHops(t)[0], runbook.StateDone)); hops != nil {
		t.Errorf("a step by itself: %+v", hops)
	}
}

// What a later hop lacks is told before the first one changes anything, and all of it.
func TestForeseen(t *testing.T) {
	t.Parallel()
	s := at(t, sles.SLES12)
	hop := s.req
	hop.From, hop.To = s.req.To, path.Release{Product: "SLES", Version: "12", SP: 2, Arch: "x86_64"}
	hop.Repositories = []zypper.Repository{{Alias: "SLES12-SP1-Pool", URLs: []string{"file:///nowhere"}, Enabled: true}}
	last := hop
	last.From, last.To, last.Repositories = hop.To, path.Release{Product: "SLES", Version: "12", SP: 3, Arch: "x86_64"}, nil
	s.req = Along([]Request{s.req, hop, last})
	before := s.fingerprint()
	run, err := s.start()
	if runbook.ExitCode(run, err) != runbook.ExitRefused || Changed(run) {
		t.Fatalf("%v\n%s", err, steps(run))
	}
	for _, want := range []string{
		"hop 2 of 3, to SLES 12 SP2: the host has a package repository SLES12-SP1-Pool at another address", "--accept release-notes=SLES-12-SP2",
		"hop 3 of 3, to SLES 12 SP3: no package repositories", "repositories-missing",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	s.same(before)
}

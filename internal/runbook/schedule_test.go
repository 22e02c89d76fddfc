package runbook

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

func TestIndependentStepsRunInParallel(t *testing.T) {
	var meet sync.WaitGroup
	meet.Add(3)
	together := func(id string) Step {
		return Step{ID: id, Run: func(context.Context, Task) error {
			meet.Done()
			meet.Wait() // ends only if all three run at the same time
			return nil
		}}
	}
	run, err := engine(t, Options{Parallel: 3}).Start(t.Context(), book(steps(together("a"), together("b"), together("c"))), Meta{})
	wantState(t, run, err, StateDone, ExitDone)
}

// TestScheduling runs graphs of many steps and looks that needs are kept, the
// bound too, and that every step runs once.
func TestScheduling(t *testing.T) {
	for seed := range 5 {
		const n, limit = 40, 4
		var l ledger
		var now, most atomic.Int32
		var all []Step
		for i := range n {
			var needs []string
			for j := range i {
				if (i*7+j*13+seed)%11 == 0 {
					needs = append(needs, fmt.Sprint(j))
				}
			}
			id := fmt.Sprint(i)
			all = append(all, Step{ID: id, Needs: needs, Run: func(_ context.Context, task Task) error {
				if c := now.Add(1); c > most.Load() {
					most.Store(c)
				}
				defer now.Add(-1)
				for _, need := range needs {
					if !l.has(need) {
						return fmt.Errorf("runs before %s", need)
					}
				}
				for b := range int64(100) {
					task.Progress(b, 100)
				}
				task.Logf("log of %s", id)
				l.note(id)
				return task.Keep(id, i)
			}})
		}
		var rec recorder
		run, err := engine(t, Options{Parallel: limit, Observers: []Observer{&rec}}).Start(t.Context(), book(steps(all...)), Meta{})
		wantState(t, run, err, StateDone, ExitDone)
		if len(l.list()) != n || len(run.Kept) != n {
			t.Errorf("ran %d of %d, kept %d", len(l.list()), n, len(run.Kept))
		}
		if most.Load() > limit {
			t.Errorf("%d steps at a time, want at most %d", most.Load(), limit)
		}
		var last int64
		for _, e := range rec.events {
			if e.Seq != 0 && e.Seq != last+1 {
				t.Fatalf("event %d follows %d", e.Seq, last)
			}
			last = max(last, e.Seq)
		}
	}
}

func TestRestartRunsAlone(t *testing.T) {
	var l ledger
	var active atomic.Int32
	other := func(id string, needs ...string) Step {
		return Step{ID: id, Needs: needs, Run: func(context.Context, Task) error {
			active.Add(1)
			defer active.Add(-1)
			l.note(id)
			return nil
		}}
	}
	reboot := Step{ID: "reboot", Reboot: true, Run: func(context.Context, Task) error {
		if active.Load() != 0 {
			t.Error("restart while other steps run")
		}
		l.note("reboot")
		return nil
	}}
	boot := "one"
	e := engine(t, Options{boot: func() string { return boot }})
	rb := book(steps(reboot, other("a"), other("b", "a"), other("c", "reboot")), steps(other("d")), always(l.does("start")))
	run, err := e.Start(t.Context(), rb, Meta{})
	wantState(t, run, err, StateWaiting, ExitWaiting)
	wantSteps(t, l.list(), "a", "b", "reboot")

	// Resumed before the machine has gone down: it restarts again.
	run, err = e.Resume(t.Context(), run.ID, rb)
	wantState(t, run, err, StateWaiting, ExitWaiting)
	wantSteps(t, l.list(), "a", "b", "reboot", "reboot")

	boot = "two"
	run, err = e.Resume(t.Context(), run.ID, rb)
	wantState(t, run, err, StateDone, ExitDone)
	wantSteps(t, l.list(), "a", "b", "reboot", "reboot", "c", "d", "start")
}

func TestRestartWhoseEffectIsMissing(t *testing.T) {
	var l ledger
	boot, kernel := "one", "old"
	reboot := Step{
		ID: "reboot", Reboot: true,
		Run:  func(context.Context, Task) error { l.note("reboot"); return nil },
		Done: func(context.Context) (bool, string, error) { return kernel == "new", "kernel is " + kernel, nil },
	}
	e := engine(t, Options{boot: func() string { return boot }})
	rb := book(steps(reboot))
	run, err := e.Start(t.Context(), rb, Meta{})
	wantState(t, run, err, StateWaiting, ExitWaiting)
	boot = "two" // not an endless row of restarts
	run, err = e.Resume(t.Context(), run.ID, rb)
	wantState(t, run, err, StateFailed, ExitFailed)
	kernel = "new"
	run, err = e.Resume(t.Context(), run.ID, rb)
	wantState(t, run, err, StateDone, ExitDone)
	wantSteps(t, l.list(), "reboot")
}

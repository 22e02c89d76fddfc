package runbook

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestRollbackUndoesInReverse(t *testing.T) {
	var l ledger
	undoable := func(s Step) Step {
		s.Undo = func(context.Context, Task) error { l.note("undo " + s.ID); return nil }
		return s
	}
	there, skipped := undoable(l.does("there")), undoable(l.does("skipped"))
	there.Done = func(context.Context) (bool, string, error) { return true, "was there", nil }
	skipped.When = func(context.Context) (bool, string, error) { return false, "no", nil }
	broken := true
	c := l.fails("c", errBoom)
	c.Undo = func(context.Context, Task) error {
		l.note("undo c")
		if broken {
			return errBoom
		}
		return nil
	}
	rb := book(
		steps(undoable(l.does("a")), undoable(l.does("b", "a")), there, skipped, l.does("plain", "b")),
		steps(c), steps(undoable(l.does("never"))),
	)
	e := engine(t, Options{Parallel: 1})
	run, err := e.Start(t.Context(), rb, Meta{})
	wantState(t, run, err, StateFailed, ExitFailed)
	l.done = nil

	run, err = e.Rollback(t.Context(), run.ID, rb)
	wantState(t, run, err, StateFailed, ExitFailed)
	wantSteps(t, l.list(), "undo c")
	if _, err := e.Resume(t.Context(), run.ID, rb); !errors.Is(err, ErrNotResumable) {
		t.Errorf("resume of a run on its way back: %v", err)
	}
	if open, _ := Unfinished(e.o.Dir, "smt", "recover"); len(open) != 1 || !open[0].RollingBack {
		t.Errorf("unfinished %+v", open)
	}
	broken = false
	run, err = e.Rollback(t.Context(), run.ID, rb)
	wantState(t, run, err, StateRolledBack, ExitDone)
	wantSteps(t, l.list(), "undo c", "undo c", "undo b", "undo a")
	if _, err := e.Rollback(t.Context(), run.ID, rb); !errors.Is(err, ErrNotResumable) {
		t.Errorf("second rollback: %v", err)
	}
	if open, _ := Unfinished(e.o.Dir, "smt", ""); len(open) != 0 {
		t.Errorf("unfinished %+v", open)
	}
}

func TestRollbackInterrupted(t *testing.T) {
	var l ledger
	a, b := l.does("a"), l.does("b", "a")
	ctx, interrupt := context.WithCancel(t.Context())
	a.Undo = func(context.Context, Task) error { l.note("undo a"); return nil }
	b.Undo = func(context.Context, Task) error { l.note("undo b"); interrupt(); return nil }
	rb := book(steps(a, b))
	e := engine(t, Options{})
	run, err := e.Start(t.Context(), rb, Meta{})
	wantState(t, run, err, StateDone, ExitDone)
	run, err = e.Rollback(ctx, run.ID, rb)
	wantState(t, run, err, StateInterrupted, ExitInterrupted)
	if !strings.HasSuffix(run.Hint, "--rollback") {
		t.Errorf("a way back that was interrupted is to be gone on with by %q", run.Hint)
	}
	run, err = e.Rollback(t.Context(), run.ID, rb)
	wantState(t, run, err, StateRolledBack, ExitDone)
	wantSteps(t, l.list(), "a", "b", "undo b", "undo a")
}

package runbook

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

func TestLockNamesItsHolder(t *testing.T) {
	dir := t.TempDir()
	l, err := Acquire(dir, "smt", "run-1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Acquire(dir, "smt", "run-2")
	var busy *BusyError
	if !errors.As(err, &busy) || !errors.Is(err, ErrBusy) || busy.Holder.Run != "run-1" || busy.Holder.PID != os.Getpid() {
		t.Fatalf("%v", err)
	}
	if !strings.Contains(err.Error(), "run run-1 is active (pid ") {
		t.Errorf("message %q", err)
	}
	if other, err := Acquire(dir, "opsi", "run-3"); err != nil {
		t.Error(err)
	} else {
		other.Release()
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if l, err = Acquire(dir, "smt", "run-2"); err != nil {
		t.Fatal(err)
	}
	l.Release()
	if _, err := Acquire(dir, "../smt", "run"); !errors.Is(err, ErrInvalid) {
		t.Errorf("hostile name: %v", err)
	}
}

func TestTwoRunsAtOnce(t *testing.T) {
	e := engine(t, Options{})
	var inner error
	var state State
	rb := book(steps(Step{ID: "a", Run: func(ctx context.Context, task Task) error {
		if LockFile(ctx) == nil {
			t.Error("no lock file in a step's context")
		}
		run, err := Load(e.o.Dir, task.RunID())
		if err != nil {
			return err
		}
		state = run.State
		if open, err := Unfinished(e.o.Dir, "smt", ""); err != nil || len(open) != 1 {
			t.Errorf("a running run is unfinished: %v %v", open, err)
		}
		_, inner = e.Start(ctx, book(), Meta{})
		if inner != nil {
			_, inner = e.Resume(ctx, task.RunID(), book())
		}
		return nil
	}}))
	run, err := e.Start(t.Context(), rb, Meta{})
	wantState(t, run, err, StateDone, ExitDone)
	if !errors.Is(inner, ErrBusy) || !strings.Contains(inner.Error(), run.ID) {
		t.Errorf("second run: %v", inner)
	}
	if state != StateRunning {
		t.Errorf("state of the run while it ran: %q", state)
	}
	if LockFile(t.Context()) != nil {
		t.Error("a lock file out of nowhere")
	}
}

func TestProcessesAreToldApart(t *testing.T) {
	birth, ok := birthOf(os.Getpid())
	if !ok || birth == "" {
		t.Fatalf("own process: %q %v", birth, ok)
	}
	if !(Holder{PID: os.Getpid(), Birth: birth}).alive() {
		t.Error("this process does not live")
	}
	if (Holder{PID: os.Getpid(), Birth: "1"}).alive() {
		t.Error("an earlier process with this id lives")
	}
	if (Holder{PID: 1 << 30, Birth: birth}).alive() {
		t.Error("no process lives")
	}
	if first, second := bootMark(), bootMark(); first != second || len(first) < 10 {
		t.Errorf("boots %q and %q", first, second)
	}
}

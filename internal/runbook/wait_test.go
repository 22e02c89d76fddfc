package runbook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestManualStepWithoutATerminal(t *testing.T) {
	var l ledger
	exported := false
	manual := Step{
		ID: "export", Title: "Export the certificate", Confirm: "Export it in YaST.",
		Done: func(context.Context) (bool, string, error) { return exported, "not issued by the CA", nil },
	}
	rb := book(steps(l.does("a"), manual, l.does("b", "export")), steps(l.does("c")), always(l.does("start")))
	e := engine(t, Options{})
	for range 2 { // asking again changes nothing
		var run *Run
		var err error
		if runs, _ := List(e.o.Dir); len(runs) == 0 {
			run, err = e.Start(t.Context(), rb, Meta{Resume: "lifeboat recover smt --resume"})
		} else {
			run, err = e.Resume(t.Context(), runs[0].ID, rb)
		}
		wantState(t, run, err, StateWaiting, ExitWaiting)
		var w *WaitingError
		if !errors.As(err, &w) || w.Step != "export" || w.Resume != "lifeboat recover smt --resume" || w.Run != run.ID {
			t.Fatalf("error %#v", err)
		}
		if run.Step("export").Text != "Export it in YaST." || run.Hint != w.Resume {
			t.Errorf("%+v %q", run.Step("export"), run.Hint)
		}
	}
	wantSteps(t, l.list(), "a", "start", "start")
	exported = true
	runs, _ := List(e.o.Dir)
	run, err := e.Resume(t.Context(), runs[0].ID, rb)
	wantState(t, run, err, StateDone, ExitDone)
	wantSteps(t, l.list(), "a", "start", "start", "b", "c", "start")
}

func TestManualStepWithAPerson(t *testing.T) {
	t.Run("word is enough without Done", func(t *testing.T) {
		p := &script{answers: []Answer{AnswerDone}}
		run, err := engine(t, Options{Prompter: p}).Start(t.Context(), book(steps(Step{ID: "m", Confirm: "do it"})), Meta{})
		wantState(t, run, err, StateDone, ExitDone)
		if len(p.asked) != 1 || p.asked[0].Text != "do it" || p.asked[0].Watched {
			t.Errorf("asked %+v", p.asked)
		}
	})
	t.Run("word is not enough with Done", func(t *testing.T) {
		p := &script{answers: []Answer{AnswerDone, AnswerDone, AnswerStop}}
		s := Step{ID: "m", Confirm: "do it", Done: func(context.Context) (bool, string, error) { return false, "not there", nil }}
		run, err := engine(t, Options{Prompter: p, Poll: time.Hour}).Start(t.Context(), book(steps(s)), Meta{})
		wantState(t, run, err, StateWaiting, ExitWaiting)
		if len(p.asked) != 3 || p.asked[2].Seen != "not there" || !p.asked[0].Watched {
			t.Errorf("asked %+v", p.asked)
		}
	})
	t.Run("Done ends the question", func(t *testing.T) {
		var looks atomic.Int32
		s := Step{ID: "m", Confirm: "do it", Done: func(context.Context) (bool, string, error) {
			switch looks.Add(1) {
			case 1:
				return false, "not there", nil
			case 2:
				return false, "", errBoom // the person has it in pieces just now
			}
			return true, "there", nil
		}}
		run, err := engine(t, Options{Prompter: &script{}}).Start(t.Context(), book(steps(s)), Meta{})
		wantState(t, run, err, StateDone, ExitDone)
		if run.Step("m").Text != "there" {
			t.Errorf("%+v", run.Step("m"))
		}
	})
	t.Run("one question at a time", func(t *testing.T) {
		var open, most atomic.Int32
		p := prompterFunc(func(context.Context, Question) (Answer, error) {
			if n := open.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer open.Add(-1)
			return AnswerDone, nil
		})
		var all []Step
		for i := range 10 {
			all = append(all, Step{ID: fmt.Sprint(i), Confirm: "do it"})
		}
		run, err := engine(t, Options{Prompter: p, Parallel: 10}).Start(t.Context(), book(steps(all...)), Meta{})
		wantState(t, run, err, StateDone, ExitDone)
		if most.Load() != 1 {
			t.Errorf("%d questions at a time", most.Load())
		}
	})
	t.Run("no terminal", func(t *testing.T) {
		p := prompterFunc(func(context.Context, Question) (Answer, error) { return AnswerDone, ErrNoTerminal })
		run, err := engine(t, Options{Prompter: p}).Start(t.Context(), book(steps(Step{ID: "m", Confirm: "do it"})), Meta{})
		wantState(t, run, err, StateWaiting, ExitWaiting)
	})
}

type prompterFunc func(context.Context, Question) (Answer, error)

func (f prompterFunc) Ask(ctx context.Context, q Question) (Answer, error) { return f(ctx, q) }

func TestStepMayAskToWait(t *testing.T) {
	ready := false
	s := Step{ID: "mirror", Repeat: RepeatSafe, Run: func(context.Context, Task) error {
		if !ready {
			return fmt.Errorf("%w for the mirror to end", ErrWaiting)
		}
		return nil
	}}
	e := engine(t, Options{})
	run, err := e.Start(t.Context(), book(steps(s)), Meta{})
	wantState(t, run, err, StateWaiting, ExitWaiting)
	ready = true
	run, err = e.Resume(t.Context(), run.ID, book(steps(s)))
	wantState(t, run, err, StateDone, ExitDone)
}

func TestInterruptCancelsAndAlwaysStillRuns(t *testing.T) {
	var l ledger
	ctx, interrupt := context.WithCancel(t.Context())
	first := true
	slow := Step{ID: "slow", Repeat: RepeatSafe, Run: func(ctx context.Context, _ Task) error {
		l.note("slow")
		if !first {
			return nil
		}
		first = false
		interrupt()
		<-ctx.Done()
		return ctx.Err()
	}}
	start := Step{ID: "start", Run: func(ctx context.Context, _ Task) error {
		l.note("start")
		return ctx.Err()
	}}
	rb := book(steps(slow, l.does("next", "slow")), steps(l.does("later")), always(start))
	e := engine(t, Options{})
	run, err := e.Start(ctx, rb, Meta{})
	wantState(t, run, err, StateInterrupted, ExitInterrupted)
	wantSteps(t, l.list(), "slow", "start")
	if s := run.Step("slow"); s.State != StepStateInterrupted || !s.Open {
		t.Errorf("%+v", s)
	}
	run, err = e.Resume(t.Context(), run.ID, rb)
	wantState(t, run, err, StateDone, ExitDone)
	wantSteps(t, l.list(), "slow", "start", "slow", "next", "later", "start")
}

func TestHardInterruptAbandonsSteps(t *testing.T) {
	var l ledger
	hard, kill := context.WithCancel(t.Context())
	stuck := make(chan struct{})
	returned := make(chan error, 1)
	rb := book(
		steps(Step{ID: "stuck", Run: func(_ context.Context, task Task) error {
			kill()
			<-stuck // deaf to its context
			task.Logf("late")
			returned <- task.Keep("late", 1)
			return nil
		}}),
		always(l.does("start")),
	)
	var rec recorder
	e := engine(t, Options{Hard: hard, Observers: []Observer{&rec}})
	run, err := e.Start(t.Context(), rb, Meta{})
	wantState(t, run, err, StateInterrupted, ExitInterrupted)
	wantSteps(t, l.list())
	close(stuck)
	if err := <-returned; err == nil {
		t.Error("an abandoned step could still write the journal")
	}
	if all := rec.types(); all[len(all)-1] != "run.finished" {
		t.Errorf("events after the end: %v", all)
	}

	// It has no result: a person decides.
	e = engine(t, Options{Dir: e.o.Dir})
	run, err = e.Resume(t.Context(), run.ID, rb)
	wantState(t, run, err, StateWaiting, ExitWaiting)
	p := &script{answers: []Answer{AnswerDone}}
	e = engine(t, Options{Dir: e.o.Dir, Prompter: p})
	run, err = e.Resume(t.Context(), run.ID, rb)
	wantState(t, run, err, StateDone, ExitDone)
	if len(p.asked) != 1 || !p.asked[0].Repeat {
		t.Errorf("asked %+v", p.asked)
	}
}

func TestInterrupts(t *testing.T) {
	soft, hard, stop := Interrupts(t.Context())
	defer stop()
	self := os.Getpid()
	if err := syscall.Kill(self, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-soft.Done()
	if hard.Err() != nil {
		t.Error("the first signal ended hard")
	}
	if err := syscall.Kill(self, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-hard.Done()
}

// Whoever reads the output may go away, as head does: the run goes on. It is a process
// of its own that tries this, since Go dies of a closed pipe on its own outputs only.
func TestUnreadOutput(t *testing.T) {
	const inside = "LIFEBOAT_TEST_UNREAD"
	if os.Getenv(inside) != "" {
		_, _, stop := Interrupts(t.Context())
		defer stop()
		if _, err := os.Stdout.WriteString("nobody reads this"); !errors.Is(err, syscall.EPIPE) {
			os.Exit(1)
		}
		os.Exit(0)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestUnreadOutput$")
	child.Env = append(os.Environ(), inside+"=1")
	child.Stdout = w
	if err := child.Run(); err != nil {
		t.Errorf("a process whose output nobody reads: %v", err)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	w := &WaitingError{Step: "export", Text: "Export it.", Seen: "not there", Resume: "lifeboat recover smt --resume"}
	if got := w.Error(); !strings.Contains(got, "Export it.") || !strings.HasSuffix(got, "then: lifeboat recover smt --resume") {
		t.Error(got)
	}
	w.Restart = true
	if got := w.Error(); !strings.HasPrefix(got, "restarting") {
		t.Error(got)
	}
}

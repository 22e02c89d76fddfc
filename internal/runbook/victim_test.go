package runbook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// victimEnv makes the test program a process that kills itself: "run 3 torn
// DIR" acts on a run until its third journal write.
const victimEnv = "RUNBOOK_TEST_VICTIM"

// The places around a journal write where a victim dies.
var phases = []string{"before", "torn", "after"}

// deadly is a journal file that kills the process at its nth write.
type deadly struct {
	*os.File
	left  int
	phase string
}

func (d *deadly) Write(p []byte) (int, error) {
	d.left--
	if d.left == 0 && d.phase != "after" {
		if d.phase == "torn" {
			_, _ = d.File.Write(p[:len(p)/2])
		}
		die()
	}
	n, err := d.File.Write(p)
	if d.left == 0 {
		_ = d.Sync()
		die()
	}
	return n, err
}

func die() {
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	select {}
}

func victim() int {
	f := strings.Fields(os.Getenv(victimEnv))
	n, _ := strconv.Atoi(f[1])
	e := New(Options{Dir: f[3], Prompter: judge{f[3]}, wrap: func(file *os.File) journalFile {
		return &deadly{File: file, left: n, phase: f[2]}
	}})
	if _, err := act(context.Background(), e, f[0]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// act starts or resumes the one run of a directory, or rolls it back.
func act(ctx context.Context, e *Engine, what string) (*Run, error) {
	runs, err := List(e.o.Dir)
	if err != nil {
		return nil, err
	}
	rb := victimBook(e.o.Dir)
	switch {
	case what == "orphan":
		return e.Start(ctx, orphanBook(e.o.Dir), Meta{})
	case len(runs) == 0:
		return e.Start(ctx, rb, Meta{})
	case what == "rollback":
		return e.Rollback(ctx, runs[0].ID, rb)
	}
	return e.Resume(ctx, runs[0].ID, rb)
}

// effects are lines in a file: what the steps of a victim have really done.
func effects(dir string) []string {
	data, _ := os.ReadFile(filepath.Join(dir, "effects"))
	return strings.Fields(string(data))
}

func affect(dir, what string) error {
	f, err := os.OpenFile(filepath.Join(dir, "effects"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, what)
	return errors.Join(err, f.Close())
}

func affected(dir, what string) int {
	n := 0
	for _, e := range effects(dir) {
		if e == what {
			n++
		}
	}
	return n
}

// judge is a person who looks at what has happened before answering.
type judge struct{ dir string }

func (j judge) Ask(_ context.Context, q Question) (Answer, error) {
	if !q.Repeat {
		return AnswerDone, affect(j.dir, q.Step)
	}
	if affected(j.dir, q.Step) > 0 {
		return AnswerDone, nil
	}
	return AnswerRetry, nil
}

func victimBook(dir string) Runbook {
	undo := func(id string, after ...string) func(context.Context, Task) error {
		return func(context.Context, Task) error {
			for _, other := range after { // what came later must be gone already
				if affected(dir, other) > 0 && affected(dir, "undo:"+other) == 0 {
					return fmt.Errorf("undo of %s before that of %s", id, other)
				}
			}
			return affect(dir, "undo:"+id)
		}
	}
	do := func(id string) func(context.Context, Task) error {
		return func(_ context.Context, task Task) error {
			task.Logf("doing %s", id)
			return affect(dir, id)
		}
	}
	seen := func(id string) func(context.Context) (bool, string, error) {
		return func(context.Context) (bool, string, error) {
			return affected(dir, id) > 0, fmt.Sprintf("%s happened %d times", id, affected(dir, id)), nil
		}
	}
	return book(
		steps(
			Step{ID: "once", Run: do("once"), Undo: undo("once", "seen", "also")},
			Step{ID: "keep", Needs: []string{"once"}, Repeat: RepeatSafe, Run: func(_ context.Context, task Task) error {
				return task.Keep("answer", 42)
			}},
		),
		steps(
			Step{ID: "seen", Run: do("seen"), Done: seen("seen"), Undo: undo("seen")},
			Step{ID: "also", Run: do("also"), Undo: undo("also")},
			Step{ID: "not", When: func(context.Context) (bool, string, error) { return false, "never", nil }, Run: do("not")},
		),
		steps(Step{ID: "person", Confirm: "do it", Done: seen("person")}),
		always(Step{ID: "start", Run: do("start")}),
		steps(Step{ID: "last", Run: func(_ context.Context, task Task) error {
			var answer int
			if ok, err := task.Kept("answer", &answer); !ok || answer != 42 {
				return fmt.Errorf("kept %v %d %v", ok, answer, err)
			}
			return affect(dir, "last")
		}}),
	)
}

// kill runs a victim; false when it came to its end instead of dying.
func kill(t *testing.T, what string, n int, phase, dir string) bool {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), victimEnv+"="+fmt.Sprint(what, " ", n, " ", phase, " ", dir))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false
	case errors.As(err, &exit) && exit.ExitCode() == -1:
		return true
	}
	t.Fatalf("%s %d %s: %v: %s", what, n, phase, err, bytes.TrimSpace(out))
	return false
}

// checkDone looks that everything has happened exactly once.
func checkDone(t *testing.T, dir string, run *Run, err error) {
	t.Helper()
	wantState(t, run, err, StateDone, ExitDone)
	for _, id := range []string{"once", "seen", "also", "person", "last"} {
		if n := affected(dir, id); n != 1 {
			t.Errorf("%s happened %d times: %v", id, n, effects(dir))
		}
	}
	if affected(dir, "start") == 0 || affected(dir, "not") != 0 {
		t.Errorf("effects %v", effects(dir))
	}
}

func TestKilledAtEveryJournalWriteThenResumed(t *testing.T) {
	for _, phase := range phases {
		t.Run(phase, func(t *testing.T) {
			t.Parallel()
			n := 1
			for ; ; n++ {
				dir := t.TempDir()
				if !kill(t, "run", n, phase, dir) {
					break
				}
				runs, err := List(dir)
				if err != nil || len(runs) != 1 || runs[0].State == StateRunning {
					t.Fatalf("killed at %d: %v %+v", n, err, runs)
				}
				if runs[0].State == StateDone { // killed after its last record
					checkDone(t, dir, runs[0], nil)
					continue
				}
				run, err := act(t.Context(), New(Options{Dir: dir, Prompter: judge{dir}}), "run")
				if checkDone(t, dir, run, err); t.Failed() {
					t.Fatalf("killed at write %d", n)
				}
			}
			if n < 20 {
				t.Errorf("only %d journal writes", n)
			}
		})
	}
}

// TestKilledAgainAndAgain kills the resumed runs too.
func TestKilledAgainAndAgain(t *testing.T) {
	for _, phase := range phases {
		t.Run(phase, func(t *testing.T) {
			t.Parallel()
			for n := 13; n < 18; n++ {
				dir, deaths := t.TempDir(), 0
				for kill(t, "run", n, phase, dir) {
					if runs, err := List(dir); err == nil && len(runs) == 1 && runs[0].State == StateDone {
						break
					}
					if deaths++; deaths > 40 {
						t.Fatalf("no progress when killed at write %d: %v", n, effects(dir))
					}
				}
				runs, err := List(dir)
				if err != nil || len(runs) != 1 || deaths == 0 {
					t.Fatalf("%v %v, died %d times", runs, err, deaths)
				}
				checkDone(t, dir, runs[0], nil)
			}
		})
	}
}

func TestKilledDuringRollbackThenRolledBack(t *testing.T) {
	for _, phase := range phases {
		t.Run(phase, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				dir := t.TempDir()
				e := New(Options{Dir: dir, Prompter: judge{dir}})
				run, err := act(t.Context(), e, "run")
				checkDone(t, dir, run, err)
				if !kill(t, "rollback", n, phase, dir) {
					if n < 6 {
						t.Errorf("only %d journal writes", n)
					}
					return
				}
				runs, err := List(dir)
				if err != nil {
					t.Fatal(err)
				}
				run = runs[0]
				if run.State != StateRolledBack {
					run, err = act(t.Context(), e, "rollback")
				}
				wantState(t, run, err, StateRolledBack, ExitDone)
				for _, id := range []string{"once", "seen", "also"} {
					if affected(dir, "undo:"+id) == 0 {
						t.Fatalf("killed at %d: %s is not undone: %v", n, id, effects(dir))
					}
				}
			}
		})
	}
}

// TestKilledThenRolledBack rolls back what was killed on its way forward.
func TestKilledThenRolledBack(t *testing.T) {
	for n := 1; ; n++ {
		dir := t.TempDir()
		if !kill(t, "run", n, "after", dir) {
			return
		}
		run, err := act(t.Context(), New(Options{Dir: dir}), "rollback")
		wantState(t, run, err, StateRolledBack, ExitDone)
		for _, id := range []string{"once", "seen", "also"} {
			if affected(dir, id) > 0 && affected(dir, "undo:"+id) == 0 {
				t.Fatalf("killed at %d: %s is not undone: %v", n, id, effects(dir))
			}
		}
	}
}

// orphanBook has a step whose command goes on when the run is killed.
func orphanBook(dir string) Runbook {
	return book(steps(Step{ID: "load", Repeat: RepeatSafe, Run: func(ctx context.Context, _ Task) error {
		fifo := filepath.Join(dir, "fifo")
		if _, err := os.Stat(fifo); err != nil {
			return nil // the second time
		}
		cmd := exec.Command("cat", fifo)
		cmd.ExtraFiles = []*os.File{LockFile(ctx)}
		if err := cmd.Start(); err != nil {
			return err
		}
		die()
		return nil
	}}))
}

func TestResumeWaitsForOrphans(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if !kill(t, "orphan", 1000, "after", dir) {
		t.Fatal("not killed")
	}
	runs, err := List(dir)
	if err != nil || len(runs) != 1 || runs[0].State != StateInterrupted {
		t.Fatalf("%v %+v", err, runs)
	}
	rb := orphanBook(dir)
	_, err = New(Options{Dir: dir}).Start(t.Context(), rb, Meta{})
	var busy *BusyError
	if !errors.As(err, &busy) || busy.Holder.Run != runs[0].ID || len(busy.Orphans) != 1 || ExitCode(nil, err) != ExitRefused {
		t.Fatalf("a new run: %v", err)
	}
	waits := make(chan Event, 100)
	e := New(Options{Dir: dir, Observers: []Observer{ObserverFunc(func(e Event) { waits <- e })}})
	type result struct {
		run *Run
		err error
	}
	ended := make(chan result)
	go func() {
		run, err := e.Resume(context.Background(), runs[0].ID, rb)
		ended <- result{run, err}
	}()
	if first := <-waits; first.Type != RunWaiting || !strings.Contains(first.Text, fmt.Sprint(busy.Orphans[0])) {
		t.Errorf("first event %+v", first)
	}
	select {
	case r := <-ended:
		t.Fatalf("did not wait: %v", r.err)
	default:
	}
	w, err := os.OpenFile(fifo, os.O_WRONLY, 0) // lets cat go on, to its end
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(fifo), w.Close()); err != nil {
		t.Fatal(err)
	}
	r := <-ended
	wantState(t, r.run, r.err, StateDone, ExitDone)
}

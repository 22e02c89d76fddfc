package runbook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestStagesRunInOrderAndAreRecorded(t *testing.T) {
	var l ledger
	var rec recorder
	e := engine(t, Options{Observers: []Observer{&rec}})
	run, err := e.Start(t.Context(), book(
		steps(l.does("a"), l.does("b", "a")),
		steps(l.does("c")),
	), Meta{Point: "abc", Options: map[string]string{"only": "db"}})
	wantState(t, run, err, StateDone, ExitDone)
	wantSteps(t, l.list(), "a", "b", "c")
	want := []string{
		"run.started", "stage.started", "step.started a", "step.finished a", "step.started b", "step.finished b",
		"stage.finished", "stage.started", "step.started c", "step.finished c", "stage.finished", "run.finished",
	}
	if got := rec.types(); !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	for i, e := range rec.events {
		if e.Seq != int64(i+1) || e.Run != run.ID || e.System != "smt" || e.Time.IsZero() {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	back, err := Load(e.o.Dir, run.ID)
	if err != nil || back.Point != "abc" || back.Options["only"] != "db" || back.Digest == "" || len(back.Steps) != 3 {
		t.Errorf("read back: %v %+v", err, back)
	}
	for path, mode := range map[string]fs.FileMode{"": 0o700, "run.json": 0o600, "journal.jsonl": 0o600} {
		if info, err := os.Stat(filepath.Join(run.Dir, path)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
}

func TestFailureStopsNewStepsButNotAlways(t *testing.T) {
	var l ledger
	e := engine(t, Options{Parallel: 1})
	rb := book(
		steps(l.does("stop")),
		steps(l.fails("bad", errBoom), l.does("sibling")),
		always(l.does("start")),
		steps(l.does("seal")),
		always(l.does("report", "seal"), l.does("clean")),
	)
	run, err := e.Start(t.Context(), rb, Meta{})
	wantState(t, run, err, StateFailed, ExitFailed)
	wantSteps(t, l.list(), "stop", "bad", "start", "clean")
	var se *StepError
	if !errors.As(err, &se) || se.Step != "bad" || !errors.Is(err, errBoom) {
		t.Errorf("error %v", err)
	}
	if s := run.Step("report"); s.State != StepStateBlocked {
		t.Errorf("report: %+v", s)
	}
	if s := run.Step("sibling"); s.State != StepStatePending {
		t.Errorf("sibling: %+v", s)
	}
}

// Order without need: a step waits for the one before it, and a warning of that
// one does not keep it back; a failure does.
func TestAfter(t *testing.T) {
	for _, warns := range []bool{true, false} {
		var l ledger
		first := l.fails("first", errBoom)
		first.Warn = warns
		second := l.does("second")
		second.After = []string{"first"}
		third := l.does("third")
		third.After = []string{"second"}
		run, err := engine(t, Options{}).Start(t.Context(), book(steps(third, second, first)), Meta{})
		if warns {
			wantState(t, run, err, StateWarnings, ExitWarnings)
			if got := strings.Join(l.list(), " "); got != "first second third" {
				t.Errorf("ran %s", got)
			}
		} else if err == nil || l.has("second") || l.has("third") {
			t.Errorf("ran %v, %v", l.list(), err)
		}
	}
}

func TestWarnings(t *testing.T) {
	var l ledger
	warn := l.fails("tree", errBoom)
	warn.Warn = true
	clean := l.does("discard")
	clean.Unwarned, clean.EachTime = true, true
	e := engine(t, Options{})
	rb := book(steps(l.does("acl", "chown"), warn, l.does("chown", "tree"), l.does("other")), steps(l.does("verify")), steps(clean))
	run, err := e.Start(t.Context(), rb, Meta{})
	wantState(t, run, err, StateWarnings, ExitWarnings)
	if l.has("acl") || l.has("chown") || !l.has("other") || !l.has("verify") || l.has("discard") {
		t.Errorf("ran %v", l.list())
	}
	if run.Step("chown").State != StepStateBlocked || run.Step("acl").State != StepStateBlocked || len(run.Warnings) != 1 || run.Warnings[0].Text != "boom" {
		t.Errorf("%+v %+v", run.Step("chown"), run.Warnings)
	}

	// What only warned may be tried again, and then warns no more.
	rb.Stages[0].Steps[1].Run = func(context.Context, Task) error { return nil }
	run, err = e.Resume(t.Context(), run.ID, rb)
	wantState(t, run, err, StateDone, ExitDone)
	if l.count("verify") != 1 || l.count("chown") != 1 || l.count("discard") != 1 || len(run.Warnings) != 0 {
		t.Errorf("ran %v, warnings %v", l.list(), run.Warnings)
	}
	if _, err := e.Resume(t.Context(), run.ID, rb); !errors.Is(err, ErrNotResumable) {
		t.Errorf("resume of a done run: %v", err)
	}
}

func TestTaskWarningAndChecks(t *testing.T) {
	step := func(c Check) Step {
		return Step{ID: "check", Run: func(_ context.Context, task Task) error { task.Check(c); return nil }}
	}
	for _, c := range []struct {
		check Check
		state State
		code  int
	}{
		{Check{Name: "rows", OK: true}, StateDone, 0},
		{Check{Name: "rows", Warning: true, Expected: "3", Found: "2"}, StateWarnings, ExitWarnings},
		{Check{Name: "rows", Expected: "3", Found: "2"}, StateFailed, ExitFailed},
		{Check{Name: "rows", Skipped: true, Expected: "3", Found: "not tried"}, StateDone, 0},
	} {
		run, err := engine(t, Options{}).Start(t.Context(), book(steps(step(c.check))), Meta{})
		wantState(t, run, err, c.state, c.code)
		if got := run.Checks(); len(got) != 1 || got[0] != c.check {
			t.Errorf("checks %+v", got)
		}
		if got := run.Step("check").State; (got == StepStateSkipped) != c.check.Skipped {
			t.Errorf("%+v: the step is %s", c.check, got)
		}
		if err != nil && !strings.Contains(err.Error(), "expected 3, found 2") {
			t.Errorf("error %v", err)
		}
	}
}

func TestWhenAndDone(t *testing.T) {
	var l ledger
	has := func(id string) func(context.Context) (bool, string, error) {
		return func(context.Context) (bool, string, error) { return l.has(id), "saw " + id, nil }
	}
	made, there, lies, asserts := l.does("made"), l.does("there"), l.does("lies", "there"), Step{ID: "asserts"}
	made.Done, there.Done, lies.Done, asserts.Done = has("made"), has("before"), has("never"), has("made")
	skipped := l.does("skipped")
	skipped.When = func(context.Context) (bool, string, error) { return false, "no such package", nil }
	l.note("before")
	e := engine(t, Options{})
	run, err := e.Start(t.Context(), book(steps(made), steps(there, skipped, asserts, l.does("after", "skipped")), steps(lies)), Meta{})
	wantState(t, run, err, StateFailed, ExitFailed)
	for id, want := range map[string]StepState{
		"made": StepStateFinished, "there": StepStateAlreadyDone, "skipped": StepStateSkipped,
		"asserts": StepStateAlreadyDone, "after": StepStateFinished, "lies": StepStateFailed,
	} {
		if s := run.Step(id); s.State != want {
			t.Errorf("%s: %+v, want %s", id, s, want)
		}
	}
	if l.has("there") || l.has("skipped") {
		t.Errorf("ran %v", l.list())
	}
	if !strings.Contains(err.Error(), "its effect is not there: saw never") {
		t.Errorf("error %v", err)
	}
}

func TestPanicIsAFailure(t *testing.T) {
	for name, s := range map[string]Step{
		"run":  {ID: "x", Run: func(context.Context, Task) error { panic("oops") }},
		"when": {ID: "x", When: func(context.Context) (bool, string, error) { panic("oops") }},
		"done": {ID: "x", Done: func(context.Context) (bool, string, error) { panic("oops") }},
	} {
		var l ledger
		run, err := engine(t, Options{}).Start(t.Context(), book(steps(s), always(l.does("start"))), Meta{})
		wantState(t, run, err, StateFailed, ExitFailed)
		if !strings.Contains(err.Error(), "oops") || !l.has("start") {
			t.Errorf("%s: %v, ran %v", name, err, l.list())
		}
	}
}

func TestRefusedAndInvalid(t *testing.T) {
	var l ledger
	run, err := engine(t, Options{}).Start(t.Context(), book(steps(l.fails("identity", Refuse("hostname", "it is smt2")))), Meta{})
	wantState(t, run, err, StateFailed, ExitRefused)
	if !strings.Contains(err.Error(), "--force hostname") {
		t.Errorf("error %v", err)
	}
	for text, rb := range map[string]Runbook{
		"a → b → a":                  book(steps(l.does("a", "b"), l.does("b", "a"))),
		"needs zzz":                  book(steps(l.does("a", "zzz"))),
		"stands twice":               book(steps(l.does("a")), steps(l.does("a"))),
		"later stage":                book(steps(l.does("a", "b")), steps(l.does("b"))),
		"has no id":                  book(steps(l.does(""))),
		`system name "../x"`:         {Kind: "recover", System: "../x"},
		"steps need each other: c →": book(steps(l.does("c", "c"))),
	} {
		run, err := engine(t, Options{}).Start(t.Context(), rb, Meta{})
		if run != nil || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), text) || ExitCode(run, err) != ExitUsage {
			t.Errorf("want %q, got %v", text, err)
		}
	}
}

func TestKeptValuesSurviveResume(t *testing.T) {
	var l ledger
	type value struct{ Tables []string }
	fail := true
	rb := book(
		steps(Step{ID: "keep", Run: func(_ context.Context, task Task) error {
			l.note("keep")
			return task.Keep("tables", value{[]string{"A", "B"}})
		}}),
		steps(Step{ID: "use", Run: func(_ context.Context, task Task) error {
			var v value
			if ok, err := task.Kept("tables", &v); !ok || err != nil || len(v.Tables) != 2 {
				return fmt.Errorf("kept: %v %v %v", ok, err, v)
			}
			if ok, err := task.Kept("nothing", &v); ok || err != nil {
				return fmt.Errorf("nothing: %v %v", ok, err)
			}
			if err := task.Keep("big", strings.Repeat("x", maxKept)); err == nil {
				return errors.New("a value too big was kept")
			}
			if fail {
				return errBoom
			}
			return nil
		}}),
	)
	e := engine(t, Options{})
	run, err := e.Start(t.Context(), rb, Meta{})
	if !errors.Is(err, errBoom) {
		t.Fatal(err)
	}
	fail = false
	run, err = e.Resume(t.Context(), run.ID, rb)
	wantState(t, run, err, StateDone, ExitDone)
	wantSteps(t, l.list(), "keep")
	if run.Passes != 2 {
		t.Errorf("passes %d", run.Passes)
	}
}

func TestResumeRefusesAnotherRunbook(t *testing.T) {
	var l ledger
	dir := t.TempDir()
	e := engine(t, Options{Dir: dir})
	run, err := e.Start(t.Context(), book(steps(l.does("a"), l.fails("b", errBoom))), Meta{})
	wantState(t, run, err, StateFailed, ExitFailed)
	changed := book(steps(l.does("a"), l.does("b"), l.does("c")))
	if _, err := e.Resume(t.Context(), run.ID, changed); !errors.Is(err, ErrRefused) {
		t.Errorf("changed runbook: %v", err)
	}
	e = engine(t, Options{Dir: dir, AcceptChange: true})
	run, err = e.Resume(t.Context(), run.ID, changed)
	wantState(t, run, err, StateDone, ExitDone)
	if l.count("a") != 1 || !l.has("c") {
		t.Errorf("ran %v", l.list())
	}
	if _, err := e.Resume(t.Context(), "20200101-000000-no-such-run", changed); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such run: %v", err)
	}
	if _, err := e.Resume(t.Context(), "../../etc", changed); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("hostile id: %v", err)
	}
}

func TestEachTimeStepsRunAgain(t *testing.T) {
	var l ledger
	ok := false
	open := l.does("open")
	open.EachTime = true
	rb := book(steps(open), steps(Step{ID: "work", Run: func(context.Context, Task) error {
		if !ok {
			return errBoom
		}
		return nil
	}}), always(l.does("close")))
	e := engine(t, Options{})
	run, _ := e.Start(t.Context(), rb, Meta{})
	ok = true
	run, err := e.Resume(t.Context(), run.ID, rb)
	wantState(t, run, err, StateDone, ExitDone)
	wantSteps(t, l.list(), "open", "close", "open", "close")
}

func TestDryRunChangesNothing(t *testing.T) {
	var l ledger
	a, b, c, d := l.does("a"), l.does("b", "a"), Step{ID: "c", Confirm: "press the button"}, l.does("d")
	a.Done = func(context.Context) (bool, string, error) { return true, "it is there", nil }
	b.Effects = []string{"replaces /etc/smt.conf"}
	b.Undo = func(context.Context, Task) error { return nil }
	d.When = func(context.Context) (bool, string, error) { return false, "", errBoom }
	dir := t.TempDir()
	plan, err := engine(t, Options{Dir: dir}).DryRun(t.Context(), book(steps(a, b, c, d)))
	if err != nil {
		t.Fatal(err)
	}
	got := plan.Stages[0].Steps
	want := []Outlook{WasDone, WouldRun, WouldAsk, Unclear}
	for i, s := range got {
		if s.Outlook != want[i] {
			t.Errorf("%s: %q, want %q", s.ID, s.Outlook, want[i])
		}
	}
	if got[0].Text != "it is there" || got[1].Effects[0] != "replaces /etc/smt.conf" || !got[1].Undo {
		t.Errorf("%+v", got)
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 || len(l.list()) > 0 {
		t.Errorf("the dry run left %v, ran %v", entries, l.list())
	}
}

func TestSecretsAreConcealed(t *testing.T) {
	const secret = `pa"ss#w\rd`
	var out bytes.Buffer
	w := NewJSONWriter(&out)
	e := engine(t, Options{Observers: []Observer{w}})
	rb := book(steps(Step{ID: "login", Run: func(_ context.Context, task Task) error {
		e.Conceal(secret, secret+"longer")
		task.Logf("tried %s", secret)
		task.Warnf("tried %slonger", secret)
		task.Check(Check{Name: "login", Found: secret, Hint: "not " + secret})
		return fmt.Errorf("access denied for smt/%s", secret)
	}}))
	run, err := e.Start(t.Context(), rb, Meta{})
	wantState(t, run, err, StateFailed, ExitFailed)
	journal, _ := os.ReadFile(filepath.Join(run.Dir, journalName))
	quoted, _ := json.Marshal(secret)
	for _, text := range []string{out.String(), string(journal)} {
		if strings.Contains(text, strings.Trim(string(quoted), `"`)) || strings.Contains(text, "longer") || !strings.Contains(text, "tried ***") {
			t.Errorf("secret not concealed:\n%s", text)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	if w.Err() != nil {
		t.Error(w.Err())
	}
}

func TestList(t *testing.T) {
	var l ledger
	e := engine(t, Options{})
	if runs, err := List(e.o.Dir); err != nil || len(runs) != 0 {
		t.Errorf("empty: %v %v", runs, err)
	}
	first, _ := e.Start(t.Context(), book(steps(l.does("a"))), Meta{ID: "20260101-000000-smt-recover-0001"})
	second, _ := e.Start(t.Context(), book(steps(l.fails("a", errBoom))), Meta{ID: "20260102-000000-smt-recover-0001"})
	if err := os.Mkdir(RunDir(e.o.Dir, "20260103-000000-smt-recover-0001"), 0o700); err != nil {
		t.Fatal(err)
	}
	runs, err := List(e.o.Dir)
	if err != nil || len(runs) != 2 || runs[0].ID != first.ID || runs[1].ID != second.ID {
		t.Errorf("%v %v", runs, err)
	}
	open, err := Unfinished(e.o.Dir, "smt", "recover")
	if err != nil || len(open) != 1 || open[0].ID != second.ID {
		t.Errorf("unfinished %v %v", open, err)
	}
	if open, _ := Unfinished(e.o.Dir, "smt", "backup"); len(open) != 0 {
		t.Errorf("unfinished backups %v", open)
	}
	journal := filepath.Join(first.Dir, journalName)
	if err := os.WriteFile(journal, []byte("{\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open, err = Unfinished(e.o.Dir, "smt", "recover")
	if !errors.Is(err, ErrJournal) || len(open) != 2 || open[0].State != StateFailed || !strings.Contains(open[0].Hint, first.Dir) {
		t.Errorf("with a damaged journal: %+v %v", open, err)
	}
	data, err := json.Marshal(runs[1])
	if err != nil || !strings.Contains(string(data), `"state":"failed"`) {
		t.Errorf("%s %v", data, err)
	}
}

func TestDryRunKnowsWhatArrives(t *testing.T) {
	missing := func(context.Context) (bool, string, error) { return false, "it is not there", nil }
	run := func(context.Context, Task) error { return nil }
	plan, err := New(Options{Dir: t.TempDir()}).DryRun(t.Context(), Runbook{
		Kind: "recover", System: "smt", Title: "t",
		Stages: []Stage{{Name: "s", Steps: []Step{
			{ID: "s/brought", Run: run, When: missing, Arrives: true, Repeat: RepeatSafe},
			{ID: "s/missing", Run: run, When: missing, Repeat: RepeatSafe},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Outlook{WouldRun, WouldSkip} {
		if got := plan.Stages[0].Steps[i].Outlook; got != want {
			t.Errorf("step %d would %s, want %s", i, got, want)
		}
	}
}

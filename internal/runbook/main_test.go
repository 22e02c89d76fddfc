package runbook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimEnv) != "" {
		os.Exit(victim())
	}
	os.Exit(m.Run())
}

// recorder is an Observer that remembers events, as "type step".
type recorder struct {
	mu     sync.Mutex
	events []Event
}

func (r *recorder) Observe(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) types() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, e := range r.events {
		out = append(out, strings.TrimSpace(string(e.Type)+" "+e.Step))
	}
	return out
}

// ledger counts what steps do.
type ledger struct {
	mu   sync.Mutex
	done []string
}

func (l *ledger) note(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = append(l.done, what)
}

func (l *ledger) list() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.done)
}

func (l *ledger) count(what string) int {
	n := 0
	for _, d := range l.list() {
		if d == what {
			n++
		}
	}
	return n
}

func (l *ledger) has(what string) bool { return l.count(what) > 0 }

// does returns a step that notes its id.
func (l *ledger) does(id string, needs ...string) Step {
	return Step{
		ID: id, Title: "Do " + id, Needs: needs,
		Run: func(context.Context, Task) error { l.note(id); return nil },
	}
}

// fails returns a step that notes its id and fails.
func (l *ledger) fails(id string, err error) Step {
	return Step{ID: id, Run: func(context.Context, Task) error { l.note(id); return err }}
}

func book(stages ...Stage) Runbook {
	for i := range stages {
		if stages[i].Name == "" {
			stages[i].Name = fmt.Sprintf("stage%d", i+1)
		}
	}
	return Runbook{Kind: "recover", System: "smt", Title: "Recover smt", Stages: stages}
}

func steps(s ...Step) Stage { return Stage{Steps: s} }

func always(s ...Step) Stage { return Stage{Steps: s, Always: true} }

// script is a Prompter that gives fixed answers and remembers the questions.
type script struct {
	mu      sync.Mutex
	answers []Answer
	asked   []Question
}

func (s *script) Ask(ctx context.Context, q Question) (Answer, error) {
	s.mu.Lock()
	s.asked = append(s.asked, q)
	if len(s.answers) > 0 {
		a := s.answers[0]
		s.answers = s.answers[1:]
		s.mu.Unlock()
		return a, nil
	}
	s.mu.Unlock()
	<-ctx.Done() // a person who never answers
	return AnswerStop, ctx.Err()
}

func engine(t *testing.T, o Options) *Engine {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Poll == 0 {
		o.Poll = time.Millisecond
	}
	return New(o)
}

func wantSteps(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("steps ran: %v, want %v", got, want)
	}
}

func wantState(t *testing.T, run *Run, err error, state State, code int) {
	t.Helper()
	if run == nil {
		t.Fatalf("no run: %v", err)
	}
	if run.State != state || ExitCode(run, err) != code {
		t.Fatalf("state %q, exit code %d (%v), want %q and %d", run.State, ExitCode(run, err), err, state, code)
	}
	if got, loadErr := Load(strings.TrimSuffix(run.Dir, "/runs/"+run.ID), run.ID); loadErr != nil || got.State != state {
		t.Fatalf("read back: %v, %+v; want state %q", loadErr, got, state)
	}
}

var errBoom = errors.New("boom")

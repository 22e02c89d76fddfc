package hook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
)

// DefaultLimit is how long a hook may take when nothing else is said: one that dumps a
// database takes its time.
const DefaultLimit = time.Hour

// maxTries bounds how often a hook is begun when nobody is there to be asked.
const maxTries = 3

// Answer is what becomes of a hook that failed.
type Answer string

// The answers.
const (
	Retry  Answer = "retry"  // run it again
	Ignore Answer = "ignore" // go on with the next one, with a warning
	Cancel Answer = "cancel" // skip those that are left; the policy says what else
)

// Question is put to a person when a hook has failed.
type Question struct {
	Occasion Occasion
	Hook     Hook
	Err      error
	Left     []string // names of the hooks of the occasion that have not run
}

// CancelledError says that a hook failed and that the others of its occasion do not
// run.
type CancelledError struct {
	Occasion Occasion
	Hook     string   // its path
	Left     []string // names of the hooks that did not run
	Err      error
}

func (e *CancelledError) Error() string {
	text := fmt.Sprintf("hook %s: %v", e.Hook, e.Err)
	if len(e.Left) > 0 {
		text += "; not run: " + strings.Join(e.Left, ", ")
	}
	return text
}

// Unwrap returns why the hook failed.
func (e *CancelledError) Unwrap() error { return e.Err }

// Runner runs hooks. It is safe for concurrent use; hooks are not, so run the
// occasions one after the other.
type Runner struct {
	Host   *host.Host
	Dir    string // "" is Dir
	Policy Policy // "" is Strict
	// OnFailure is what becomes of a hook that failed when nobody can be asked; "" is
	// Cancel. Retry stands for two more tries, and then Cancel.
	OnFailure Answer
	Limit     time.Duration // of each hook; 0 is DefaultLimit
	// Ask asks a person. It returns runbook.ErrNoTerminal when there is none; nil is
	// the same.
	Ask func(ctx context.Context, q Question) (Answer, error)
}

// Step is a step of a runbook that runs the hooks of occasions, one after the other.
// Hooks have to bear repetition, as the manual says, so it may be begun again.
func (r *Runner) Step(id, title string, occasions ...Occasion) runbook.Step {
	return runbook.Step{
		ID: id, Title: title, Repeat: runbook.RepeatSafe,
		When: func(ctx context.Context) (bool, string, error) {
			l, err := Look(ctx, r.Host, r.Dir, r.policy())
			if err != nil {
				return false, "", err
			}
			applies := slices.ContainsFunc(occasions, func(o Occasion) bool { return len(l.Of(o)) > 0 })
			return applies, "there are no hooks for it in " + l.Dir, nil
		},
		Run: func(ctx context.Context, task runbook.Task) error {
			for _, o := range occasions {
				if err := r.Run(ctx, task, o); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// Run runs the hooks of an occasion in their order and logs what they print. What is
// there is looked at anew each time. A hook that failed and is cancelled is, strictly,
// a *CancelledError; with Wagon's leniency it is a warning.
func (r *Runner) Run(ctx context.Context, task runbook.Task, o Occasion) error {
	l, err := Look(ctx, r.Host, r.Dir, r.policy())
	if err != nil {
		return err
	}
	hooks := l.Of(o)
	for i, h := range hooks {
		var left []string
		for _, other := range hooks[i+1:] {
			left = append(left, other.Name)
		}
		err := r.one(ctx, task, Question{Occasion: o, Hook: h, Left: left})
		cancelled := new(CancelledError)
		switch {
		case err == nil:
		case r.policy() == Wagon && errors.As(err, &cancelled):
			task.Warnf("%v; the upgrade goes on, as it does with Wagon", err)
			return nil
		default:
			return err
		}
	}
	return nil
}

func (r *Runner) policy() Policy {
	if r.Policy == "" {
		return Strict
	}
	return r.Policy
}

// one brings one hook to an end.
func (r *Runner) one(ctx context.Context, task runbook.Task, q Question) error {
	for try := 1; ; try++ {
		err := r.attempt(ctx, task, q)
		if err == nil || ctx.Err() != nil {
			return err
		}
		q.Err = err
		answer, err := r.decide(ctx, q, try)
		if err != nil {
			return err
		}
		switch answer {
		case Retry:
			task.Logf("hook %s: %v; it is run again", q.Hook.Path, q.Err)
		case Ignore:
			task.Warnf("hook %s: %v; that is ignored", q.Hook.Path, q.Err)
			return nil
		default:
			return &CancelledError{Occasion: q.Occasion, Hook: q.Hook.Path, Left: q.Left, Err: q.Err}
		}
	}
}

func (r *Runner) attempt(ctx context.Context, task runbook.Task, q Question) error {
	if q.Hook.Reason == OddName {
		return errors.New(q.Hook.Why)
	}
	limit := r.Limit
	if limit <= 0 {
		limit = DefaultLimit
	}
	return r.Host.RunHook(ctx, host.Hook{
		Command: []string{q.Hook.Path},
		Env:     []string{"LIFEBOAT_HOOK=" + string(q.Occasion), "LIFEBOAT_RUN=" + task.RunID()},
		Limit:   limit, Lock: runbook.LockFile(ctx), Logf: task.Logf,
	})
}

// decide says what becomes of a hook that failed at its n-th try.
func (r *Runner) decide(ctx context.Context, q Question, try int) (Answer, error) {
	if r.Ask != nil {
		answer, err := r.Ask(ctx, q)
		if err == nil || !errors.Is(err, runbook.ErrNoTerminal) {
			return answer, err
		}
	}
	if r.OnFailure == Retry && try >= maxTries {
		return Cancel, nil
	}
	return r.OnFailure, nil
}

package upgrade

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/wayback"
)

// Start runs the upgrade. What fails after the package repositories were switched is
// taken back at once, unless the request says that it is to stay: the run then is
// rolled back, and the error is the one that caused it. Before that nothing is to be
// taken back, and the run can be resumed. Results are else those of runbook.Engine.
func (u *Upgrade) Start(ctx context.Context, engine *runbook.Engine) (*runbook.Run, error) {
	book, err := u.Runbook()
	if err != nil {
		return nil, err
	}
	if err := u.itself(); err != nil { // a run that is begun anew
		return nil, err
	}
	id, err := wayback.Identify(u.Root)
	if err != nil {
		return nil, err
	}
	u.Identity = &id
	meta, err := u.Meta()
	if err != nil {
		return nil, err
	}
	u.conceal(ctx, engine)
	run, err := engine.Start(ctx, book, meta)
	return u.settle(ctx, engine, book, run, err)
}

// Resume goes on with a run, in the direction in which it was.
func (u *Upgrade) Resume(ctx context.Context, engine *runbook.Engine, run *runbook.Run) (*runbook.Run, error) {
	if run.RollingBack {
		return u.Rollback(ctx, engine, run)
	}
	book, err := u.Runbook()
	if err != nil {
		return nil, err
	}
	u.conceal(ctx, engine)
	if err := u.itself(); err != nil {
		return nil, err
	}
	run, err = engine.Resume(ctx, run.ID, book)
	return u.settle(ctx, engine, book, run, err)
}

// Rollback takes the root back to what it was before the run.
func (u *Upgrade) Rollback(ctx context.Context, engine *runbook.Engine, run *runbook.Run) (*runbook.Run, error) {
	book, err := u.Runbook()
	if err != nil {
		return nil, err
	}
	u.conceal(ctx, engine)
	if err := u.itself(); err != nil {
		return nil, err
	}
	return u.takeBack(ctx, engine, run.ID, book)
}

// of tells whether the root is the one that the request was made of.
func (r Request) of(root string) bool { return r.Identity != nil && r.Identity.Expect(root) == nil }

// itself refuses to act on another root than the run was begun on, before anything is
// changed or recorded: in a rescue system that is whatever is mounted there now.
func (u *Upgrade) itself() error {
	if u.Identity == nil {
		return nil
	}
	return u.Identity.Expect(u.Root)
}

// takeBack rolls a run back. Where the disk is too full even for its journal, what was
// downloaded makes room: it is needed no more.
func (u *Upgrade) takeBack(ctx context.Context, engine *runbook.Engine, id string, book runbook.Runbook) (*runbook.Run, error) {
	run, err := engine.Rollback(ctx, id, book)
	if !errors.Is(err, runbook.ErrJournal) || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return run, err
	}
	z, zypperErr := u.zypper(ctx, true)
	if zypperErr == nil {
		zypperErr = z.Idle(ctx)
	}
	if zypperErr == nil {
		zypperErr = z.Forget()
	}
	if zypperErr != nil {
		return run, errors.Join(err, zypperErr)
	}
	return engine.Rollback(ctx, id, book)
}

// settle takes back what has failed behind the first change.
func (u *Upgrade) settle(ctx context.Context, engine *runbook.Engine, book runbook.Runbook, run *runbook.Run, err error) (*runbook.Run, error) {
	if err == nil || run == nil || u.Stay || ctx.Err() != nil || run.State != runbook.StateFailed || !Changed(run) {
		return run, err
	}
	back, backErr := u.takeBack(ctx, engine, run.ID, book)
	if backErr != nil {
		return back, fmt.Errorf("%w; and going back from there: %w", err, backErr)
	}
	return back, &TakenBackError{Err: err, Reached: Back(back)}
}

// TakenBackError says that an upgrade failed and was taken back.
type TakenBackError struct {
	Err     error
	Reached Reached
}

func (e *TakenBackError) Error() string {
	return fmt.Sprintf("%v; the upgrade was taken back, and %v", e.Err, e.Reached)
}

// Unwrap returns why it failed.
func (e *TakenBackError) Unwrap() error { return e.Err }

// begun tells whether a step was started.
func begun(run *runbook.Run, step string) bool {
	return slices.ContainsFunc(run.Begun(), func(s *runbook.StepReport) bool { return s.ID == step })
}

// Changed tells whether a run has begun to change the root, has stopped what it serves, or
// has left it to an installer.
func Changed(run *runbook.Run) bool {
	return begun(run, stepSwitch) || begun(run, stepEntry) || begun(run, stepPass) || begun(run, stepServersStop)
}

// Standing says in words where a run stands.
func Standing(run *runbook.Run) string {
	var at string
	for _, s := range run.Begun() {
		at = s.Title
	}
	switch {
	case run.State == runbook.StateDone, run.State == runbook.StateWarnings, run.State == runbook.StateRolledBack:
		return string(run.State)
	case run.RollingBack:
		return "on its way back, and not there yet"
	case begun(run, stepPass):
		return fmt.Sprintf("%s behind the point of no return (%s)", run.State, at)
	case at == "":
		return fmt.Sprintf("%s at the beginning", run.State)
	}
	return fmt.Sprintf("%s before the point of no return (%s)", run.State, at)
}

// Unfinished finds the run of a root that has to be resumed or taken back before
// another upgrade of it may begin; nil when there is none. Runs that have changed
// nothing yet do not stand in the way.
func Unfinished(runs []*runbook.Run, root string) *runbook.Run {
	for _, run := range slices.Backward(runs) {
		r, err := Asked(run)
		if err != nil || r.Root != root && !r.of(root) {
			continue
		}
		if run.State == runbook.StateRunning || run.Resumable() && (Changed(run) || run.RollingBack) {
			return run
		}
		if !run.Resumable() {
			return nil // the last one that has come to its end
		}
	}
	return nil
}

// ErrNone says that there is no upgrade.
var ErrNone = errors.New("no upgrade was run")

// Last finds the newest run of a root's upgrades, or the one with an id.
// The root is known again wherever it is mounted; where none is that root's, the newest
// run at its path is meant.
func Last(runs []*runbook.Run, root, id string) (*runbook.Run, error) {
	for _, suits := range []func(Request) bool{
		func(r Request) bool { return r.of(root) },
		func(r Request) bool { return r.Root == root },
	} {
		for _, run := range slices.Backward(runs) {
			r, err := Asked(run)
			if err == nil && (id == "" && suits(r) || id != "" && run.ID == id) {
				return run, nil
			}
		}
	}
	if id != "" {
		return nil, fmt.Errorf("run %s: %w", id, ErrNone)
	}
	return nil, fmt.Errorf("%s: %w", root, ErrNone)
}

// Left is what an upgrade that has come to its end has left; ok is false before.
func Left(run *runbook.Run) (out Outcome, ok bool) {
	found, err := run.Value(keptOutcome, &out)
	return out, found && err == nil
}

package runbook

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// stepRun is one step in one pass.
type stepRun struct {
	*pass
	*task
	step  *Step
	stage Stage
}

// step brings one step to an end, whatever state an earlier process left it in.
func (p *pass) step(ctx context.Context, st Stage, s *Step) outcome {
	r := &stepRun{pass: p, step: s, stage: st}
	r.task = &task{pass: p, stage: st.Name, step: s.ID, title: s.Title, began: p.engine.o.Clock()}
	state, err := r.do(ctx)
	return outcome{step: s, state: state, err: err}
}

func (r *stepRun) do(ctx context.Context) (StepState, error) {
	s := r.step
	prior := r.reported(s.ID)
	open := prior.Open && !r.stage.Always && !s.EachTime
	if s.Unwarned && r.warnings() > 0 {
		r.tell(r.about(Event{Type: StepSkipped, Text: "there are warnings, and somebody should look at them first"}))
		return StepStateSkipped, nil
	}
	if s.When != nil {
		applies, why, err := r.guarded(func() (bool, string, error) { return s.When(ctx) })
		if err != nil {
			return r.fail(ctx, fmt.Errorf("decide whether it applies: %w", err))
		}
		if !applies {
			r.tell(r.about(Event{Type: StepSkipped, Text: why}))
			return StepStateSkipped, nil
		}
	}
	if done, seen, err := r.done(ctx); err != nil {
		return r.fail(ctx, err)
	} else if done {
		r.tell(r.about(Event{Type: StepAlreadyDone, Text: seen}))
		return StepStateAlreadyDone, nil
	} else if s.Reboot {
		return r.restart(ctx, prior, seen)
	} else if s.Run == nil && s.Confirm == "" && s.Done != nil {
		return r.fail(ctx, fmt.Errorf("it is not so: %s", seen))
	}
	if open && s.Done == nil && s.Run != nil && s.Repeat == RepeatAsk {
		answer, err := r.askRepeat(ctx)
		if err != nil {
			return r.fail(ctx, err)
		}
		if answer == AnswerDone {
			return r.finished(ctx, "a person says that it was done")
		}
	}
	if s.Confirm != "" {
		seen, err := r.askManual(ctx)
		if err != nil {
			return r.fail(ctx, err)
		}
		if s.Run == nil {
			return r.finished(ctx, seen)
		}
	}
	return r.act(ctx)
}

// act runs the step and sees that its effect is there.
func (r *stepRun) act(ctx context.Context) (StepState, error) {
	if err := r.started(""); err != nil {
		return StepStateFailed, r.wrap(err)
	}
	if r.step.Run != nil {
		if err := r.call(ctx, r.step.Run); err != nil {
			return r.fail(ctx, err)
		}
	}
	done, seen, err := r.done(ctx)
	switch {
	case err != nil:
		return r.fail(ctx, err)
	case r.step.Done != nil && !done:
		return r.fail(ctx, fmt.Errorf("it ended without an error, but its effect is not there: %s", seen))
	}
	if failed := r.failedChecks(); failed != nil {
		return r.fail(ctx, failed)
	}
	if why := r.untried(); why != "" {
		r.tell(r.about(Event{Type: StepSkipped, Text: why, Seconds: r.since(r.began)}))
		return StepStateSkipped, nil
	}
	return r.finished(ctx, seen)
}

// restart handles a Reboot step whose Done does not hold.
func (r *stepRun) restart(ctx context.Context, prior StepReport, seen string) (StepState, error) {
	s := r.step
	boot := r.engine.o.boot()
	if prior.Open && prior.boot != boot {
		if s.Done == nil {
			return r.finished(ctx, "the machine has restarted")
		}
		return r.fail(ctx, fmt.Errorf("the machine has restarted, but: %s", seen))
	}
	if s.Confirm != "" {
		if _, err := r.askManual(ctx); err != nil {
			return r.fail(ctx, err)
		}
	}
	if err := r.started(boot); err != nil {
		return StepStateFailed, r.wrap(err)
	}
	text := "restart this machine"
	if s.Run != nil {
		text = "restarting"
		if err := r.call(ctx, s.Run); err != nil {
			return r.fail(ctx, err)
		}
	}
	r.tell(r.about(Event{Type: StepWaiting, Text: text}))
	return StepStateWaiting, &WaitingError{Step: s.ID, Title: s.Title, Text: text, Restart: true}
}

// done asks Done; without one nothing is done.
func (r *stepRun) done(ctx context.Context) (bool, string, error) {
	if r.step.Done == nil {
		return false, "", nil
	}
	done, seen, err := r.guarded(func() (bool, string, error) { return r.step.Done(ctx) })
	if err != nil {
		err = fmt.Errorf("see whether it is done: %w", err)
	}
	return done, seen, err
}

// started journals that the step begins. Without that it must not: unless it
// belongs to an Always stage, which brings services back also on a full disk.
func (r *stepRun) started(boot string) error {
	e := r.about(Event{Type: StepStarted, Boot: boot})
	if r.stage.Always {
		r.tell(e)
		return nil
	}
	if err := r.emit(e); err != nil {
		return fmt.Errorf("not started: %w", err)
	}
	return nil
}

func (r *stepRun) finished(_ context.Context, seen string) (StepState, error) {
	e := r.about(Event{Type: StepFinished, Text: seen, Seconds: r.since(r.began)})
	if r.stage.Always {
		r.tell(e)
		return StepStateFinished, nil
	}
	if err := r.emit(e); err != nil {
		return StepStateFailed, r.wrap(fmt.Errorf("it was done, but that could not be recorded: %w", err))
	}
	return StepStateFinished, nil
}

// fail records an error according to what it is.
func (r *stepRun) fail(ctx context.Context, err error) (StepState, error) {
	var w *WaitingError
	e := r.about(Event{Error: err.Error(), Seconds: r.since(r.began)})
	switch {
	case errors.As(err, &w) && w.Step == r.step.ID: // told when the person was asked
		return StepStateWaiting, w
	case ctx.Err() != nil:
		e.Type = StepInterrupted
		r.tell(e)
		return StepStateInterrupted, nil
	case errors.Is(err, ErrWaiting):
		e.Type, e.Error, e.Text = StepWaiting, "", err.Error()
		r.tell(e)
		return StepStateWaiting, &WaitingError{Step: r.step.ID, Title: r.step.Title, Text: err.Error(), Err: err}
	}
	e.Type, e.Warn = StepFailed, r.step.Warn
	r.tell(e)
	if r.step.Warn {
		return StepStateWarned, nil
	}
	return StepStateFailed, r.wrap(err)
}

func (r *stepRun) wrap(err error) error {
	return &StepError{Step: r.step.ID, Title: r.step.Title, Err: err}
}

// call runs one of the step's functions; a panic is an error.
func (r *stepRun) call(ctx context.Context, f func(context.Context, Task) error) error {
	_, _, err := r.guarded(func() (bool, string, error) { return false, "", f(ctx, r.task) })
	return err
}

func (r *stepRun) guarded(f func() (bool, string, error)) (ok bool, text string, err error) {
	defer func() {
		if v := recover(); v != nil {
			r.Logf("panic: %v\n%s", v, debug.Stack())
			err = fmt.Errorf("internal error, please report it: %v", v)
		}
	}()
	return f()
}

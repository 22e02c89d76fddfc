package runbook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
)

// rollback undoes what the run has begun, the last first, and ends the pass. An Undo that
// returns an ErrWaiting waits for a person or a restart; the same command goes on then.
func (p *pass) rollback(ctx context.Context) (*Run, error) {
	if err := p.begin(Event{Type: RunRollback}); err != nil {
		return p.run, err
	}
	soft, _, cancel := p.contexts(ctx)
	defer cancel()
	last, err := Event{State: StateRolledBack}, error(nil)
	for _, report := range p.begun() {
		if err = p.undo(soft, report); err != nil {
			break
		}
	}
	last.Type = RunFinished
	var waiting *WaitingError
	if errors.As(err, &waiting) {
		last.State, last.Hint = StateWaiting, waiting.Resume
		return p.end(last, err)
	}
	if err != nil {
		last.State, last.Hint = StateFailed, p.run.next()
		if soft.Err() != nil {
			last.State = StateInterrupted
			err = fmt.Errorf("%w: %w", ErrInterrupted, err)
		}
		err = fmt.Errorf("roll back run %s: %w; roll it back again to go on", p.run.ID, err)
	}
	return p.end(last, err)
}

// begun returns the steps with an effect to take back, the last begun first.
func (p *pass) begun() []StepReport {
	p.mu.Lock()
	defer p.mu.Unlock()
	var steps []StepReport
	for _, s := range p.run.Steps {
		if s.order > 0 && s.State != StepStateUndone {
			steps = append(steps, *s)
		}
	}
	slices.SortFunc(steps, func(a, b StepReport) int { return cmp.Compare(b.order, a.order) })
	return steps
}

func (p *pass) undo(ctx context.Context, report StepReport) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	st, s := p.find(report.ID)
	t := &task{pass: p, stage: report.Stage, step: report.ID, title: report.Title, began: p.engine.o.Clock()}
	if s == nil {
		t.Warnf("the runbook no longer has this step, so its effect stays")
		return nil
	}
	if s.Undo == nil {
		t.Logf("this step has no way back, so its effect stays")
		return nil
	}
	if err := p.emit(t.about(Event{Type: UndoStarted})); err != nil {
		return fmt.Errorf("undo of %s not started: %w", s.ID, err)
	}
	r := &stepRun{pass: p, task: t, step: s, stage: st}
	result := make(chan error, 1)
	go func() { result <- r.call(ctx, s.Undo) }()
	var err error
	select {
	case err = <-result:
	case <-p.engine.o.Hard.Done():
		return fmt.Errorf("undo of %s: %w", s.ID, p.engine.o.Hard.Err())
	}
	if errors.Is(err, ErrWaiting) {
		p.tell(t.about(Event{Type: StepWaiting, Text: err.Error()}))
		return &WaitingError{Run: p.run.ID, Step: s.ID, Title: s.Title, Text: err.Error(), Resume: p.run.next(), Err: err}
	}
	if err != nil {
		p.tell(t.about(Event{Type: UndoFailed, Error: err.Error(), Seconds: p.since(t.began)}))
		return fmt.Errorf("undo of %s: %w", s.ID, err)
	}
	if err := p.emit(t.about(Event{Type: UndoFinished, Seconds: p.since(t.began)})); err != nil && !errors.Is(err, errEnded) {
		return fmt.Errorf("undo of %s was done, but that could not be recorded: %w", s.ID, err)
	}
	return nil
}

func (p *pass) find(id string) (Stage, *Step) {
	for _, st := range p.rb.Stages {
		for i := range st.Steps {
			if st.Steps[i].ID == id {
				return st, &st.Steps[i]
			}
		}
	}
	return Stage{}, nil
}

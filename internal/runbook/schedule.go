package runbook

import (
	"context"
	"errors"
	"slices"
)

// outcome is how a step ended in this pass. err is set for a failure and for
// waiting.
type outcome struct {
	step  *Step
	state StepState
	err   error
}

// turn is what the scheduler may do with a step now.
type turn int

const (
	turnLater turn = iota // a needed step still runs
	turnNow
	turnBlocked // a needed step did not succeed, so this one is passed over
	turnNever   // the same, but the run stops anyway
)

// stage runs the steps of one stage: those without an order between them in
// parallel. A failure or an interrupt keeps further steps from starting. It
// returns when no step runs any more, or at once when Options.Hard ends.
func (p *pass) stage(ctx context.Context, st Stage) {
	pending := p.pending(st)
	if len(pending) == 0 {
		return
	}
	start := p.engine.o.Clock()
	p.tell(Event{Type: StageStarted, Stage: st.Name, Title: st.Title})
	results := make(chan outcome, len(pending))
	running, failed := 0, len(p.failures)
	for {
		if len(p.failures) == failed && !p.restarting() {
			pending = p.launch(ctx, st, pending, results, &running)
		}
		if running == 0 {
			break
		}
		select {
		case r := <-results:
			running--
			p.take(r)
		case <-p.engine.o.Hard.Done():
			p.stopped = true
			return
		}
	}
	if ctx.Err() != nil && len(pending) > 0 {
		p.stopped = true
	}
	p.tell(Event{Type: StageFinished, Stage: st.Name, Title: st.Title, Seconds: p.since(start)})
}

// pending returns the stage's steps that this pass has to come to.
func (p *pass) pending(st Stage) []*Step {
	var pending []*Step
	for i := range st.Steps {
		s := &st.Steps[i]
		if was := p.reported(s.ID).State; was.settled() && !st.Always && !s.EachTime {
			p.results[s.ID] = was
			continue
		}
		pending = append(pending, s)
	}
	// A restart comes last: it takes every other step with it.
	slices.SortStableFunc(pending, func(a, b *Step) int {
		switch {
		case a.Reboot == b.Reboot:
			return 0
		case a.Reboot:
			return 1
		}
		return -1
	})
	return pending
}

// launch starts every step whose turn it is and returns those still to come.
func (p *pass) launch(ctx context.Context, st Stage, pending []*Step, results chan<- outcome, running *int) []*Step {
	again := true
	for again {
		again = false
		var left []*Step
		for _, s := range pending {
			t, need := p.turn(st, s)
			switch {
			case ctx.Err() != nil || t == turnLater || t == turnNever:
				left = append(left, s)
			case t == turnBlocked:
				p.results[s.ID] = StepStateBlocked
				p.tell(Event{
					Type: StepSkipped, Stage: st.Name, Step: s.ID, Title: s.Title, Blocked: true,
					Text: "needs " + need + ", which did not succeed",
				})
				again = true // others may need this one
			case *running >= p.engine.o.Parallel, s.Reboot && (*running > 0 || p.anyNow(st, left)):
				left = append(left, s)
			default:
				*running++
				p.results[s.ID] = StepStateRunning
				go func() { results <- p.step(ctx, st, s) }()
				if s.Reboot {
					return append(left, pending[slices.Index(pending, s)+1:]...)
				}
			}
		}
		pending = left
		if p.rebootRuns(st) {
			break
		}
	}
	return pending
}

// turn decides on one step; need names the step that stands in its way.
func (p *pass) turn(st Stage, s *Step) (t turn, need string) {
	if p.rebootRuns(st) {
		return turnLater, ""
	}
	t = turnNow
	for _, id := range s.Needs {
		state, met := p.results[id]
		switch {
		case met && state.settled():
		case met && state == StepStateRunning, !met && inStage(st, id):
			t = turnLater
		case st.Always || state == StepStateWarned || state == StepStateBlocked:
			return turnBlocked, id
		default:
			return turnNever, id
		}
	}
	for _, id := range s.After {
		state, met := p.results[id]
		switch {
		case met && (state.settled() || state == StepStateWarned || state == StepStateBlocked):
		case met && state == StepStateRunning, !met && inStage(st, id):
			t = turnLater
		case !st.Always:
			return turnNever, id
		}
	}
	return t, ""
}

func (p *pass) anyNow(st Stage, steps []*Step) bool {
	return slices.ContainsFunc(steps, func(s *Step) bool {
		t, _ := p.turn(st, s)
		return t == turnNow && !s.Reboot
	})
}

func (p *pass) rebootRuns(st Stage) bool {
	return slices.ContainsFunc(st.Steps, func(s Step) bool {
		return s.Reboot && p.results[s.ID] == StepStateRunning
	})
}

func inStage(st Stage, id string) bool {
	return slices.ContainsFunc(st.Steps, func(s Step) bool { return s.ID == id })
}

// take notes how a step ended.
func (p *pass) take(r outcome) {
	p.results[r.step.ID] = r.state
	switch r.state {
	case StepStateInterrupted:
		p.stopped = true
	case StepStateWaiting:
		var w *WaitingError
		if errors.As(r.err, &w) && (p.waiting == nil || w.Restart) {
			p.waiting = w
		}
	default:
		if r.err != nil {
			p.failures = append(p.failures, r.err)
		}
	}
}

func (p *pass) restarting() bool { return p.waiting != nil && p.waiting.Restart }

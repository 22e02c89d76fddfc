package runbook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// pass is one process acting on a run, from its start or resume to its end.
type pass struct {
	engine *Engine
	rb     Runbook
	lock   *Lock
	asking chan struct{} // holds one value while a person is asked

	mu         sync.Mutex // guards what follows, and the order of events
	run        *Run
	journal    *journal
	journalErr error // first record that was lost
	closed     bool

	// Set by the goroutine that schedules.
	results  map[string]StepState // of this pass
	failures []error
	waiting  *WaitingError
	stopped  bool // a step was interrupted, or none was started because of an interrupt
}

var errEnded = errors.New("the run has ended")

func (e *Engine) newPass(rb Runbook, run *Run, j *journal, lock *Lock) *pass {
	return &pass{
		engine: e, rb: rb, run: run, journal: j, lock: lock,
		asking: make(chan struct{}, 1), results: map[string]StepState{},
	}
}

// emit journals an event and tells it. After an error it has not happened: the
// caller must not act on it.
func (p *pass) emit(e Event) error { return p.event(e, false) }

// tell is emit for what has happened already, or must happen whether or not
// the journal can be written. A lost record fails the run in the end.
func (p *pass) tell(e Event) { _ = p.event(e, true) }

func (p *pass) event(e Event, regardless bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errEnded
	}
	e.Version, e.Time = Version, p.engine.o.Clock().UTC()
	e.Run, e.System, e.Kind = p.run.ID, p.run.System, p.run.Kind
	p.engine.secrets.event(&e)
	if e.Type.journaled() {
		if err := p.journal.append(&e, e.Type.durable()); err != nil {
			if p.journalErr == nil {
				p.journalErr = err
			}
			if !regardless {
				return err
			}
			e.Seq = 0
		}
	}
	p.run.apply(e)
	for _, o := range p.engine.o.Observers {
		o.Observe(e)
	}
	return nil
}

// begin records that this process acts on the run.
func (p *pass) begin(first Event) error {
	first.Title, first.Outline, first.PID = p.run.Title, outline(p.rb), os.Getpid()
	if err := p.emit(first); err != nil {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		return errors.Join(fmt.Errorf("run %s: nothing was started: %w", p.run.ID, err), p.journal.close())
	}
	return nil
}

// contexts returns the context of ordinary steps and that of Always stages,
// which only Options.Hard ends.
func (p *pass) contexts(ctx context.Context) (soft, always context.Context, cancel func()) {
	ctx = withLock(ctx, p.lock)
	always, cancelAlways := context.WithCancel(context.WithoutCancel(ctx))
	soft, cancelSoft := context.WithCancel(ctx)
	unhook := context.AfterFunc(p.engine.o.Hard, func() { cancelSoft(); cancelAlways() })
	return soft, always, func() { unhook(); cancelSoft(); cancelAlways() }
}

// execute runs the stages in order and ends the pass.
func (p *pass) execute(ctx context.Context, first Event) (*Run, error) {
	if err := p.begin(first); err != nil {
		return p.run, err
	}
	soft, always, cancel := p.contexts(ctx)
	defer cancel()
	for _, st := range p.rb.Stages {
		switch {
		case p.engine.o.Hard.Err() != nil || p.waiting != nil && p.waiting.Restart:
			p.stopped = p.stopped || !p.settled(st)
		case st.Always:
			p.stage(always, st)
		case len(p.failures) > 0 || p.waiting != nil:
		case soft.Err() != nil:
			p.stopped = p.stopped || !p.settled(st)
		default:
			p.stage(soft, st)
		}
	}
	return p.finish()
}

// finish records how the pass ended, and returns it.
func (p *pass) finish() (*Run, error) {
	var err error
	end := Event{Type: RunFinished}
	p.mu.Lock()
	warnings, journalErr, resume := len(p.run.Warnings), p.journalErr, p.run.next()
	if p.waiting != nil {
		p.waiting.Run, p.waiting.Resume = p.run.ID, resume
	}
	p.mu.Unlock()
	switch {
	case len(p.failures) > 0:
		end.State, err = StateFailed, p.failures[0]
		if more := len(p.failures) - 1; more > 0 {
			err = fmt.Errorf("%w (and %d more)", err, more)
		}
		end.Hint = resume
	case p.stopped && (p.waiting == nil || !p.waiting.Restart):
		end.State, err = StateInterrupted, fmt.Errorf("run %s: %w; %s: %s", p.run.ID, ErrInterrupted, again(resume), resume)
		end.Hint = resume
	case p.waiting != nil:
		end.State, err = StateWaiting, p.waiting
		end.Hint = resume
	case warnings > 0:
		end.State = StateWarnings
	default:
		end.State = StateDone
	}
	if err == nil && journalErr != nil {
		end.State, end.Hint = StateFailed, resume
		err = fmt.Errorf("run %s: records were lost: %w", p.run.ID, journalErr)
	}
	return p.end(end, err)
}

// end emits the last event, closes the journal and returns the run.
func (p *pass) end(last Event, err error) (*Run, error) {
	if err != nil {
		last.Error = err.Error()
	}
	p.mu.Lock()
	last.Seconds = p.engine.o.Clock().Sub(p.run.passFrom).Seconds()
	lost := p.journalErr
	p.mu.Unlock()
	p.tell(last)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true // abandoned steps find it so
	closing := p.journal.close()
	if err == nil && lost == nil && (p.journalErr != nil || closing != nil) {
		err = fmt.Errorf("run %s has done its work, but its end could not be recorded: %w", p.run.ID, errors.Join(p.journalErr, closing))
	}
	return p.run, err
}

// settled tells whether nothing of the stage is left to do.
func (p *pass) settled(st Stage) bool {
	for _, s := range st.Steps {
		if !p.reported(s.ID).State.settled() {
			return false
		}
	}
	return true
}

// reported returns a copy of what is known about a step.
func (p *pass) reported(id string) StepReport {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.run.index[id]; s != nil {
		return *s
	}
	return StepReport{ID: id, State: StepStatePending}
}

// warnings is how many warnings the run has so far.
func (p *pass) warnings() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.run.Warnings)
}

func (p *pass) since(start time.Time) float64 {
	return p.engine.o.Clock().Sub(start).Seconds()
}

// again says what a command does with a run that has ended too early: only what takes
// a run up resumes it, anything else begins a new one.
func again(command string) string {
	if strings.Contains(command, "resume") || strings.Contains(command, "rollback") {
		return "resume it with"
	}
	return "begin again with"
}

package runbook

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/runbook/ending"
)

// State says where a run stands.
type State = ending.State

// The states of a run.
const (
	StateRunning     = ending.StateRunning
	StateDone        = ending.StateDone
	StateWarnings    = ending.StateWarnings
	StateFailed      = ending.StateFailed
	StateInterrupted = ending.StateInterrupted // by a person, or its process was killed
	StateWaiting     = ending.StateWaiting     // for a person or a restart
	StateRolledBack  = ending.StateRolledBack
)

// StepState says where a step of a run stands.
type StepState string

// The states of a step.
const (
	StepStatePending     StepState = "pending"
	StepStateRunning     StepState = "running" // in a run that is not running: killed half-way
	StepStateFinished    StepState = "finished"
	StepStateAlreadyDone StepState = "already done"
	StepStateSkipped     StepState = "skipped"
	StepStateBlocked     StepState = "blocked" // a needed step did not succeed
	StepStateFailed      StepState = "failed"
	StepStateWarned      StepState = "failed with a warning"
	StepStateWaiting     StepState = "waiting"
	StepStateInterrupted StepState = "interrupted"
	StepStateUndoing     StepState = "undoing"
	StepStateUndoFailed  StepState = "undo failed"
	StepStateUndone      StepState = "undone"
)

// settled tells whether a resumed run need not come back to the step.
func (s StepState) settled() bool {
	return s == StepStateFinished || s == StepStateAlreadyDone || s == StepStateSkipped
}

// Meta says what a run is for. Start fills the fields below ID when they are
// empty. It must hold no secret.
type Meta struct {
	Version int               `json:"version"`
	ID      string            `json:"id"` // see NewID; made by Start when empty
	Kind    string            `json:"kind"`
	System  string            `json:"system"`
	Title   string            `json:"title,omitempty"`
	Point   string            `json:"point,omitempty"`   // recovery point that is used
	Options map[string]string `json:"options,omitempty"` // what the run was asked for, to compile its runbook again
	Resume  string            `json:"resume,omitempty"`  // command that resumes it, shown to people
	Digest  string            `json:"digest"`            // Runbook.Digest
	PID     int               `json:"pid"`
	Started time.Time         `json:"started"`
}

// Run is what is known about a run: its journal, read.
type Run struct {
	Meta
	Dir         string                     `json:"dir"`
	State       State                      `json:"state"`
	RollingBack bool                       `json:"rolling_back,omitempty"` // the way back has begun
	BackFrom    time.Time                  `json:"back_from,omitzero"`     // when it began first
	Finished    time.Time                  `json:"finished,omitzero"`
	Seconds     float64                    `json:"seconds"` // time spent acting, all passes together
	Passes      int                        `json:"passes"`  // 1 and one for each resume
	Steps       []*StepReport              `json:"steps"`
	Stages      []Outline                  `json:"stages"`
	Warnings    []Warning                  `json:"warnings,omitempty"`
	Error       string                     `json:"error,omitempty"`
	Hint        string                     `json:"hint,omitempty"` // what to do next
	Kept        map[string]json.RawMessage `json:"kept,omitempty"`
	// Damaged says that the journal cannot be read to its end: what the run did is not
	// known.
	Damaged bool `json:"damaged,omitempty"`

	index    map[string]*StepReport
	passFrom time.Time // when the present pass began
	last     time.Time
}

// StepReport is what became of a step.
type StepReport struct {
	ID       string    `json:"id"`
	Title    string    `json:"title,omitempty"`
	Stage    string    `json:"stage"`
	State    StepState `json:"state"`
	Text     string    `json:"text,omitempty"` // why skipped, what was seen, what to do
	Error    string    `json:"error,omitempty"`
	Started  time.Time `json:"started,omitzero"` // last time
	Finished time.Time `json:"finished,omitzero"`
	Seconds  float64   `json:"seconds,omitempty"`
	Attempts int       `json:"attempts,omitempty"`
	Checks   []Check   `json:"checks,omitempty"`
	// Open says that the step was started and that its result is not known.
	Open bool `json:"open,omitempty"`

	order int64  // journal number of the first start, for undo
	boot  string // boot in which it was last started, of restart steps
}

// Warning is something to look at although the run went on.
type Warning struct {
	Time time.Time `json:"time"`
	Step string    `json:"step,omitempty"`
	Text string    `json:"text"`
}

// Step returns the report of a step, or nil.
func (r *Run) Step(id string) *StepReport { return r.index[id] }

// Begun lists the steps that were started, the first one first.
func (r *Run) Begun() []*StepReport {
	steps := slices.DeleteFunc(slices.Clone(r.Steps), func(s *StepReport) bool { return s.order == 0 })
	slices.SortFunc(steps, func(a, b *StepReport) int { return cmp.Compare(a.order, b.order) })
	return steps
}

// Checks returns the checks of all steps, in the runbook's order.
func (r *Run) Checks() []Check {
	var all []Check
	for _, s := range r.Steps {
		all = append(all, s.Checks...)
	}
	return all
}

// Value reads a kept value; false when the run kept none under the key.
func (r *Run) Value(key string, into any) (bool, error) {
	raw, ok := r.Kept[key]
	if !ok {
		return false, nil
	}
	return true, json.Unmarshal(raw, into)
}

// Resumable tells whether something of the run, or of its way back, is left to
// do and its process no longer acts.
func (r *Run) Resumable() bool {
	switch r.State {
	case StateFailed, StateInterrupted, StateWaiting:
		return true
	case StateWarnings:
		return r.unsettled()
	}
	return false
}

// next is the command that brings the run to its end: a way back that has begun is
// not left again.
func (r *Run) next() string {
	if there, ok := strings.CutSuffix(r.Resume, "--resume"); ok && r.RollingBack {
		return there + "--rollback"
	}
	return r.Resume
}

// unsettled tells whether a step has not come to its end.
func (r *Run) unsettled() bool {
	for _, s := range r.Steps {
		if !s.State.settled() {
			return true
		}
	}
	return false
}

func newRun(meta Meta, dir string) *Run {
	return &Run{
		Meta: meta, Dir: dir, State: StateRunning, Steps: []*StepReport{},
		Kept: map[string]json.RawMessage{}, index: map[string]*StepReport{},
		passFrom: meta.Started, last: meta.Started,
	}
}

// apply takes one event into account. The state of a run is nothing but its
// journal's events applied in order.
func (r *Run) apply(e Event) {
	switch e.Type {
	case StepProgress, RunWaiting:
		return
	case RunStarted, RunResumed, RunRollback:
		r.begin(e)
	case RunFinished:
		r.State, r.Finished, r.Error, r.Hint = e.State, e.Time, e.Error, e.Hint
		r.Seconds += e.Time.Sub(r.passFrom).Seconds()
	case ValueKept:
		r.Kept[e.Key] = e.Value
	case StepWarning:
		r.Warnings = append(r.Warnings, Warning{Time: e.Time, Step: e.Step, Text: e.Text})
	}
	r.last = e.Time
	if s := r.index[e.Step]; s != nil {
		r.applyStep(s, e)
	}
}

func (r *Run) begin(e Event) {
	if r.State == StateRunning && r.Passes > 0 { // the pass before was killed
		r.Seconds += r.last.Sub(r.passFrom).Seconds()
	}
	r.Passes++
	r.passFrom, r.PID = e.Time, e.PID
	r.State, r.Finished, r.Error, r.Hint = StateRunning, time.Time{}, "", ""
	if e.Type == RunRollback && !r.RollingBack {
		r.RollingBack, r.BackFrom = true, e.Time
	}
	r.Stages = e.Outline
	steps := make([]*StepReport, 0, len(r.Steps))
	inOutline := map[string]bool{}
	for _, st := range e.Outline {
		for _, o := range st.Steps {
			s := r.index[o.ID]
			if s == nil {
				s = &StepReport{ID: o.ID, State: StepStatePending}
				r.index[o.ID] = s
			}
			s.Title, s.Stage = o.Title, st.Name
			steps = append(steps, s)
			inOutline[o.ID] = true
		}
	}
	for _, s := range r.Steps { // of a runbook that has changed meanwhile
		if !inOutline[s.ID] && s.order > 0 {
			steps = append(steps, s)
		}
	}
	r.Steps = steps
}

func (r *Run) applyStep(s *StepReport, e Event) {
	end := func(state StepState) {
		s.State, s.Finished, s.Text, s.Error = state, e.Time, e.Text, e.Error
		if e.Seconds > 0 {
			s.Seconds = e.Seconds
		}
	}
	switch e.Type {
	case StepStarted:
		r.forget(s.ID)
		s.State, s.Started, s.Finished, s.Text, s.Error, s.Seconds = StepStateRunning, e.Time, time.Time{}, "", "", 0
		s.Checks, s.Open, s.boot = nil, true, e.Boot
		s.Attempts++
		if s.order == 0 {
			s.order = max(e.Seq, 1)
		}
	case StepCheck:
		if e.Check != nil {
			s.Checks = append(s.Checks, *e.Check)
			if !e.Check.OK && e.Check.Warning {
				r.Warnings = append(r.Warnings, Warning{Time: e.Time, Step: s.ID, Text: e.Check.Text()})
			}
		}
	case StepSkipped:
		end(StepStateSkipped)
		if e.Blocked {
			s.State = StepStateBlocked
		}
	case StepAlreadyDone:
		if !s.Open {
			r.forget(s.ID)
		}
		end(StepStateAlreadyDone)
		s.Open = false
	case StepFinished:
		end(StepStateFinished)
		s.Open = false
		if s.order == 0 { // a manual step is not started
			s.order = max(e.Seq, 1)
		}
	case StepFailed:
		end(StepStateFailed)
		s.Open = false
		if e.Warn {
			s.State = StepStateWarned
			r.Warnings = append(r.Warnings, Warning{Time: e.Time, Step: s.ID, Text: e.Error})
		}
	case StepInterrupted:
		end(StepStateInterrupted)
	case StepWaiting:
		end(StepStateWaiting)
	case UndoStarted:
		s.State, s.Error = StepStateUndoing, ""
	case UndoFinished:
		s.State, s.Open = StepStateUndone, false
	case UndoFailed:
		s.State, s.Error = StepStateUndoFailed, e.Error
	}
}

// forget drops the warnings of a step's earlier attempt.
func (r *Run) forget(step string) {
	kept := r.Warnings[:0]
	for _, w := range r.Warnings {
		if w.Step != step {
			kept = append(kept, w)
		}
	}
	r.Warnings = kept
}

// Text is the check in one line, as warnings and refusals tell it.
func (c Check) Text() string {
	s := c.Name
	if c.Expected != "" || c.Found != "" {
		s += ": expected " + c.Expected + ", found " + c.Found
	}
	if c.Hint != "" {
		s += " (" + c.Hint + ")"
	}
	return s
}

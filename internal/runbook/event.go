package runbook

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// Version is the version of events and of the journal made of them. Readers
// refuse a higher one.
const Version = 1

// EventType says what happened.
type EventType string

// What can happen.
const (
	RunStarted  EventType = "run.started"
	RunResumed  EventType = "run.resumed"
	RunRollback EventType = "run.rollback" // the way back begins or continues
	RunWaiting  EventType = "run.waiting"  // a resume waits for processes that the killed run left behind
	RunFinished EventType = "run.finished" // State says how; the process stops acting

	StageStarted  EventType = "stage.started"
	StageFinished EventType = "stage.finished"

	StepStarted     EventType = "step.started"
	StepSkipped     EventType = "step.skipped"      // Text says why
	StepAlreadyDone EventType = "step.already-done" // Text says what was seen
	StepWaiting     EventType = "step.waiting"      // for a person or a restart; Text says what to do
	StepProgress    EventType = "step.progress"     // not journaled
	StepLog         EventType = "step.log"
	StepWarning     EventType = "step.warning"
	StepCheck       EventType = "step.check"
	StepFailed      EventType = "step.failed"
	StepInterrupted EventType = "step.interrupted" // cancelled half-way: no result
	StepFinished    EventType = "step.finished"

	UndoStarted  EventType = "undo.started"
	UndoFinished EventType = "undo.finished"
	UndoFailed   EventType = "undo.failed"

	ValueKept EventType = "value.kept"
)

// Event is one thing that happened in a run, and one line of its journal. Which
// fields are set depends on Type.
type Event struct {
	Version int       `json:"v"`
	Seq     int64     `json:"seq,omitempty"` // position in the journal, from 1; 0 when not journaled
	Time    time.Time `json:"time"`
	Type    EventType `json:"type"`
	Run     string    `json:"run"`
	System  string    `json:"system"`
	Kind    string    `json:"kind,omitempty"`

	Stage   string  `json:"stage,omitempty"`
	Step    string  `json:"step,omitempty"`
	Title   string  `json:"title,omitempty"`
	Text    string  `json:"text,omitempty"`
	Error   string  `json:"error,omitempty"`
	Hint    string  `json:"hint,omitempty"`    // what to do next, with a command where there is one
	Seconds float64 `json:"seconds,omitempty"` // how long what finished took
	Bytes   int64   `json:"bytes,omitempty"`   // progress: done so far
	Total   int64   `json:"total,omitempty"`   // progress: 0 is unknown
	Warn    bool    `json:"warn,omitempty"`    // a failure that is only a warning
	Blocked bool    `json:"blocked,omitempty"` // skipped because a needed step did not succeed

	Check *Check          `json:"check,omitempty"`
	Key   string          `json:"key,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`

	State   State     `json:"state,omitempty"`   // run.finished
	Outline []Outline `json:"outline,omitempty"` // run.started, run.resumed, run.rollback
	PID     int       `json:"pid,omitempty"`
	Boot    string    `json:"boot,omitempty"` // step.started of a restart: the boot it began in
}

// Outline is a stage of the runbook with the steps it has.
type Outline struct {
	Name   string        `json:"name"`
	Title  string        `json:"title,omitempty"`
	Always bool          `json:"always,omitempty"`
	Steps  []OutlineStep `json:"steps"`
}

// OutlineStep is a step as an Outline shows it.
type OutlineStep struct {
	ID    string `json:"id"`
	Title string `json:"title,omitempty"`
}

// journaled tells whether events of the type stand in the journal.
func (t EventType) journaled() bool { return t != StepProgress && t != RunWaiting }

// durable tells whether the engine acts on the record, so that it must be on
// disk first. Other records reach the disk with the next durable one.
func (t EventType) durable() bool {
	switch t {
	case StepLog, StepWarning, StepCheck, StageStarted, StageFinished:
		return false
	}
	return true
}

// Observer is told every event, one at a time and in order. It must return
// soon, and must not call the engine.
type Observer interface{ Observe(Event) }

// ObserverFunc makes a function an Observer.
type ObserverFunc func(Event)

// Observe calls f.
func (f ObserverFunc) Observe(e Event) { f(e) }

// JSONWriter writes each event as one line of JSON.
type JSONWriter struct {
	mu  sync.Mutex
	enc *json.Encoder
	err error
}

// NewJSONWriter returns an Observer that writes to w.
func NewJSONWriter(w io.Writer) *JSONWriter {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &JSONWriter{enc: enc}
}

// Observe writes the event. After an error nothing more is written. Values that
// a run keeps for itself are left out.
func (j *JSONWriter) Observe(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil && e.Type != ValueKept {
		j.err = j.enc.Encode(e)
	}
}

// Err returns the first error of writing.
func (j *JSONWriter) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

func outline(rb Runbook) []Outline {
	out := make([]Outline, 0, len(rb.Stages))
	for _, st := range rb.Stages {
		o := Outline{Name: st.Name, Title: st.Title, Always: st.Always, Steps: []OutlineStep{}}
		for _, s := range st.Steps {
			o.Steps = append(o.Steps, OutlineStep{ID: s.ID, Title: s.Title})
		}
		out = append(out, o)
	}
	return out
}

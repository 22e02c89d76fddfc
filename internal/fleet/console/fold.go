package console

import (
	"encoding/json"
	"slices"
	"time"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/runbook"
)

// What a run may fill of a page: events come from hosts.
const (
	maxStages = 50
	maxSteps  = 2000
	maxLog    = 200 // the newest lines
	maxNotes  = 50  // warnings and checks of one step
	maxEvents = 100_000
)

// runView is a run as its events tell it, folded one after the other.
type runView struct {
	record.Run
	Seq      int64 // of the newest event
	Title    string
	Stages   []*stageView
	Log      []logLine
	Lost     int // lines of the log that are no longer shown
	Finished time.Time
	count    int
	steps    map[string]*stepView
}

type stageView struct {
	Name, Title string
	Steps       []*stepView
}

type stepView struct {
	ID, Title, State  string
	Text, Error, Hint string
	Seconds           float64
	Bytes, Total      int64
	Checks            []runbook.Check
	Warnings          []string
}

type logLine struct {
	Time time.Time
	Text string
}

// percent of a step that says how much there is; -1 is unknown.
func (s *stepView) percent() int {
	if s.Total <= 0 {
		return -1
	}
	return int(min(100, max(0, s.Bytes)*100/s.Total))
}

// done counts the steps that need nothing more.
func (v *runView) done() (done, all int) {
	for _, stage := range v.Stages {
		for _, s := range stage.Steps {
			all++
			switch runbook.StepState(s.State) {
			case runbook.StepStateFinished, runbook.StepStateAlreadyDone, runbook.StepStateSkipped, runbook.StepStateWarned:
				done++
			}
		}
	}
	return done, all
}

func newRunView(r record.Run) *runView { return &runView{Run: r, steps: map[string]*stepView{}} }

// add folds one event in. What cannot be read as one of runbook's is a line of the
// log: that is how foreign programs' logs come.
func (v *runView) add(e record.Event) {
	v.Seq = max(v.Seq, e.Seq)
	if v.count++; v.count > maxEvents {
		return
	}
	var ev runbook.Event
	if err := json.Unmarshal(e.Data, &ev); err != nil || ev.Type == "" {
		var line string
		if json.Unmarshal(e.Data, &line) != nil {
			line = ev.Text
		}
		if line == "" {
			line = string(e.Data)
		}
		v.log(e.Time, line)
		return
	}
	if ev.Title != "" && ev.Step == "" && ev.Stage == "" {
		v.Title = ev.Title
	}
	switch ev.Type {
	case runbook.RunStarted, runbook.RunResumed, runbook.RunRollback:
		v.outline(ev.Outline)
		v.Finished = time.Time{}
		if ev.Type != runbook.RunStarted {
			v.log(e.Time, map[runbook.EventType]string{runbook.RunResumed: "resumed", runbook.RunRollback: "on the way back"}[ev.Type])
		}
	case runbook.RunFinished:
		v.Finished = ev.Time
		if ev.Error != "" {
			v.log(e.Time, ev.Error)
		}
	case runbook.RunWaiting:
		v.log(e.Time, ev.Text)
	default:
		if ev.Step == "" { // ReaR's log comes like this
			v.log(e.Time, ev.Text)
			return
		}
		v.step(ev, e.Time)
	}
}

func (v *runView) step(ev runbook.Event, at time.Time) {
	if ev.Type == runbook.StepLog {
		v.log(at, ev.Text)
		return
	}
	s := v.at(ev)
	if s == nil {
		return
	}
	set := func(state runbook.StepState) { s.State = string(state) }
	switch ev.Type {
	case runbook.StepStarted:
		set(runbook.StepStateRunning)
		s.Text, s.Error, s.Hint = "", "", ""
	case runbook.StepProgress:
		s.Bytes, s.Total = ev.Bytes, ev.Total
		if ev.Text != "" {
			s.Text = ev.Text
		}
	case runbook.StepFinished:
		set(runbook.StepStateFinished)
		s.Seconds = ev.Seconds
	case runbook.StepAlreadyDone:
		set(runbook.StepStateAlreadyDone)
		s.Text = ev.Text
	case runbook.StepSkipped:
		set(runbook.StepStateSkipped)
		if ev.Blocked {
			set(runbook.StepStateBlocked)
		}
		s.Text = ev.Text
	case runbook.StepWaiting:
		set(runbook.StepStateWaiting)
		s.Text, s.Hint = ev.Text, ev.Hint
	case runbook.StepFailed:
		set(runbook.StepStateFailed)
		if ev.Warn {
			set(runbook.StepStateWarned)
		}
		s.Error, s.Hint, s.Seconds = ev.Error, ev.Hint, ev.Seconds
	case runbook.StepInterrupted:
		set(runbook.StepStateInterrupted)
	case runbook.UndoStarted:
		set(runbook.StepStateUndoing)
	case runbook.UndoFinished:
		set(runbook.StepStateUndone)
	case runbook.UndoFailed:
		set(runbook.StepStateUndoFailed)
		s.Error, s.Hint = ev.Error, ev.Hint
	case runbook.StepCheck:
		if ev.Check != nil && len(s.Checks) < maxNotes {
			s.Checks = append(s.Checks, *ev.Check)
		}
	case runbook.StepWarning:
		if len(s.Warnings) < maxNotes {
			s.Warnings = append(s.Warnings, ev.Text)
		}
	}
}

// at finds a step, or makes one where the outline has none.
func (v *runView) at(ev runbook.Event) *stepView {
	if s := v.steps[ev.Step]; s != nil {
		return s
	}
	i := slices.IndexFunc(v.Stages, func(s *stageView) bool { return s.Name == ev.Stage })
	if i < 0 {
		if len(v.Stages) >= maxStages {
			return nil
		}
		i = len(v.Stages)
		v.Stages = append(v.Stages, &stageView{Name: ev.Stage, Title: ev.Stage})
	}
	return v.new(v.Stages[i], ev.Step, ev.Title)
}

func (v *runView) new(stage *stageView, id, title string) *stepView {
	if len(v.steps) >= maxSteps {
		return nil
	}
	if title == "" {
		title = id
	}
	s := &stepView{ID: id, Title: title, State: string(runbook.StepStatePending)}
	v.steps[id] = s
	stage.Steps = append(stage.Steps, s)
	return s
}

// outline takes a runbook in. A resumed run keeps what its steps have come to.
func (v *runView) outline(stages []runbook.Outline) {
	if len(stages) == 0 {
		return
	}
	known := v.steps
	v.Stages, v.steps = nil, map[string]*stepView{}
	for _, o := range stages[:min(len(stages), maxStages)] {
		stage := &stageView{Name: o.Name, Title: o.Title}
		if stage.Title == "" {
			stage.Title = o.Name
		}
		v.Stages = append(v.Stages, stage)
		for _, step := range o.Steps {
			s := v.new(stage, step.ID, step.Title)
			if old := known[step.ID]; s != nil && old != nil {
				title := s.Title
				*s = *old
				s.Title = title
			}
		}
	}
}

func (v *runView) log(at time.Time, line string) {
	if line == "" {
		return
	}
	if len(v.Log) == maxLog {
		v.Log = slices.Delete(v.Log, 0, 1)
		v.Lost++
	}
	v.Log = append(v.Log, logLine{at, line})
}

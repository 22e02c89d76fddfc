package drill

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/runbook"
)

// Format is the version of the report's JSON that this program writes.
const Format = 1

// State is what a drill has come to.
type State string

// The states of a drill.
const (
	Passed   State = "passed"
	Warnings State = "passed with warnings"
	Failed   State = "failed"
	Invalid  State = "invalid" // it proves nothing either way
)

// Report is what a drill has measured and proved. Durations are in nanoseconds, sizes in
// bytes.
type Report struct {
	Type     string `json:"type"`
	Format   int    `json:"format"`
	ID       string `json:"id"`
	System   string `json:"system"`
	Title    string `json:"title"`
	State    State  `json:"state"`
	Error    string `json:"error,omitempty"`
	Depth    Depth  `json:"depth"`
	Version  string `json:"lifeboat_version"`
	Profile  string `json:"profile"`
	Digest   string `json:"profile_sha256"`
	Hostname string `json:"hostname"` // of the machine that rehearsed
	Machine  string `json:"machine_id,omitempty"`
	OS       string `json:"os,omitempty"`
	Kernel   string `json:"kernel,omitempty"`

	Point    string            `json:"point"`
	Of       string            `json:"of,omitempty"` // machine that the point is of
	Moment   time.Time         `json:"moment"`
	Trigger  string            `json:"trigger,omitempty"`
	Newest   string            `json:"newest_point,omitempty"`
	Identity map[string]string `json:"identity,omitempty"`
	Tools    map[string]string `json:"tools,omitempty"` // of the backup
	Bytes    int64             `json:"bytes"`

	Started   time.Time     `json:"started"`
	Finished  time.Time     `json:"finished"`
	Assembly  time.Duration `json:"assembly_ns"` // of the sandbox
	RTO       time.Duration `json:"rto_ns"`      // of the recovery inside; 0 when it did not come to its end
	RPO       time.Duration `json:"rpo_ns"`      // age of the newest point when the drill began
	Age       time.Duration `json:"age_ns"`      // age of the point that was rehearsed
	TargetRTO time.Duration `json:"objective_rto_ns,omitempty"`
	TargetRPO time.Duration `json:"objective_rpo_ns,omitempty"`

	Components   []Component     `json:"components"`
	Steps        []Step          `json:"steps"`
	Checks       []runbook.Check `json:"checks"`
	Findings     []string        `json:"findings,omitempty"` // why it did not pass
	Warnings     []string        `json:"warnings,omitempty"`
	NotExercised []Unexercised   `json:"not_exercised,omitempty"`
}

// Component is what became of a part of the point.
type Component struct {
	Name       string `json:"name"`
	Kind       string `json:"kind"`
	Importance string `json:"importance"`
	Bytes      int64  `json:"bytes"`
	Items      int64  `json:"items"`
	State      string `json:"state"`
}

// What becomes of a component in a drill.
const (
	Restored   = "restored"
	ReadOnly   = "read" // no step restores it
	Sampled    = "read in part"
	NotChosen  = "not chosen"
	NotInPoint = "not in the point"
	Missing    = "not restored"
	NotReached = "not reached" // the recovery had failed before
)

// Step is a step of the recovery with its time.
type Step struct {
	ID      string        `json:"id"`
	Stage   string        `json:"stage"`
	Title   string        `json:"title"`
	State   string        `json:"state"`
	Text    string        `json:"text,omitempty"`
	Error   string        `json:"error,omitempty"`
	Took    time.Duration `json:"took_ns"`
	Attempt int           `json:"attempts,omitempty"`
}

// Unexercised is what the drill could not try, or tried in another way.
type Unexercised struct {
	What string `json:"what"`
	By   string `json:"by,omitempty"` // what was done instead
	Why  string `json:"why"`
}

func (d *drill) report(o *outcome, assembled time.Time) *Report {
	m := d.Point.Manifest
	r := &Report{
		Type: "drill.report", Format: Format, ID: d.id, System: d.System, Title: d.Profile.Title, State: Passed, Depth: cmp.Or(d.Depth, Full),
		Version: d.Version, Profile: d.Profile.Name, Digest: d.Profile.Digest(),
		Hostname: cmp.Or(d.facts.FQDN, d.facts.Hostname), Machine: d.facts.MachineID, OS: d.facts.OS.Name, Kernel: d.facts.Kernel,
		Point: d.Point.ID(), Of: d.Point.Hostname(), Moment: d.Point.Time(), Trigger: string(d.Point.Trigger()), Identity: m.Identity, Tools: m.Tools, Bytes: m.Bytes(),
		Started: d.started, Finished: time.Now(), Assembly: assembled.Sub(d.started), Age: d.Point.Age(d.started), RPO: d.Point.Age(d.started),
		TargetRTO: d.Objectives.RTO, TargetRPO: d.Objectives.RPO, Checks: o.Checks,
		Warnings: slices.Concat(d.Remarks, lessThan(d.Before, d.Point), d.foreign),
	}
	if d.Newest != nil {
		r.Newest, r.RPO = d.Newest.ID(), d.Newest.Age(d.started)
	}
	r.judge(o)
	d.account(r, o)
	r.unexercised(o)
	if d.otherName() != "" {
		r.NotExercised = append(r.NotExercised, Unexercised{What: "The name of this machine", By: d.otherName(), Why: "the sandbox has the name of the machine that the point is of"})
	}
	r.settle()
	return r
}

// judge takes over what the run says of itself.
func (r *Report) judge(o *outcome) {
	if o.Error != "" {
		r.find("the recovery failed: %s", o.Error)
	}
	if o.Run == nil {
		return
	}
	for _, s := range o.Run.Steps {
		if s.State == runbook.StepStatePending {
			continue
		}
		r.Steps = append(r.Steps, Step{
			ID: s.ID, Stage: s.Stage, Title: s.Title, State: string(s.State), Text: s.Text, Error: s.Error,
			Took: time.Duration(s.Seconds * float64(time.Second)), Attempt: s.Attempts,
		})
		// What a recovery bears with, a drill names.
		if s.State == runbook.StepStateWarned {
			r.find("%s: %s", cmp.Or(s.Title, s.ID), s.Error)
		}
	}
	for _, c := range r.Checks {
		if !c.OK && !c.Skipped && (!c.Warning || c.Lacking) {
			r.find("%s: expected %s, found %s", c.Name, cmp.Or(c.Expected, "nothing"), cmp.Or(c.Found, "nothing"))
		}
	}
	for _, w := range o.Run.Warnings {
		if !slices.Contains(r.Warnings, w.Text) {
			r.Warnings = append(r.Warnings, w.Text)
		}
	}
	if o.Run.State == runbook.StateDone || o.Run.State == runbook.StateWarnings {
		var last time.Time
		for _, s := range o.Run.Steps {
			if s.Stage != proofStage && s.Finished.After(last) {
				last = s.Finished
			}
		}
		r.RTO = max(last.Sub(o.Run.Started), time.Nanosecond)
	}
}

// account compares what was restored with what the manifest promises.
func (d *drill) account(r *Report, o *outcome) {
	for _, record := range d.Point.Manifest.Components {
		c := Component{Name: record.Name, Kind: record.Kind, Importance: string(record.Importance), Bytes: record.Bytes, Items: record.Items}
		switch {
		case record.Status == component.StatusInapplicable:
			continue
		case record.Status != component.StatusCaptured:
			c.State = NotInPoint
			r.NotExercised = append(r.NotExercised, Unexercised{What: "Component " + record.Name, Why: "the recovery point does not have it: " + cmp.Or(record.Reason, string(record.Status))})
		case d.Depth.chosen(record.Importance):
			if c.State = restored(record.Name, o); c.State == Missing {
				r.find("component %s is in the recovery point and was not restored%s", record.Name, why(record.Name, o))
			}
			r.NotExercised = append(r.NotExercised, leads(record)...)
		case d.Depth == Quick:
			c.State = NotChosen
			r.NotExercised = append(r.NotExercised, Unexercised{What: "Component " + record.Name, Why: "a quick drill restores what is critical"})
		default:
			c.State = Sampled
			r.NotExercised = append(r.NotExercised, Unexercised{
				What: "Component " + record.Name, Why: "it is optional, and --random-subset was given", By: fmt.Sprintf("%.3g %% of its files were read", 100*d.Share),
			})
		}
		r.Components = append(r.Components, c)
	}
}

// step finds a step of the run, which came as JSON and so has lost its own index.
func (o *outcome) step(id string) *runbook.StepReport {
	if i := slices.IndexFunc(o.Run.Steps, func(s *runbook.StepReport) bool { return s.ID == id }); i >= 0 {
		return o.Run.Steps[i]
	}
	return nil
}

// steps are those that put a component back.
func steps(name string, o *outcome) []*runbook.StepReport {
	var list []*runbook.StepReport
	if o.Run == nil {
		return nil
	}
	for _, s := range o.Run.Steps {
		if o.Restores[s.ID] == name {
			list = append(list, s)
		}
	}
	return list
}

func restored(name string, o *outcome) string {
	failed := o.Error != ""
	if o.Run == nil {
		return NotReached
	}
	put := steps(name, o)
	if len(put) == 0 {
		s := o.step(proofStage + "/read-" + name)
		switch {
		case s != nil && s.State == runbook.StepStateFinished:
			return ReadOnly
		case failed && (s == nil || s.State == runbook.StepStatePending):
			return NotReached
		}
		return Missing
	}
	state := Missing
	for _, s := range put {
		switch s.State {
		case runbook.StepStateFinished, runbook.StepStateAlreadyDone:
			state = Restored
		case runbook.StepStateSkipped:
		case runbook.StepStatePending, runbook.StepStateBlocked, runbook.StepStateInterrupted:
			if failed {
				return NotReached
			}
			return Missing
		default:
			return Missing
		}
	}
	return state
}

func why(name string, o *outcome) string {
	var reasons []string
	for _, s := range steps(name, o) {
		if text := cmp.Or(s.Error, s.Text, string(s.State)); !slices.Contains(reasons, text) {
			reasons = append(reasons, text)
		}
	}
	if len(reasons) == 0 {
		return ""
	}
	return ": " + strings.Join(reasons, "; ")
}

// unexercised adds the steps that were done in another way, of those that apply.
func (r *Report) unexercised(o *outcome) {
	for _, replaced := range o.Replaced {
		if o.Run != nil {
			s := o.step(replaced.Step)
			if s == nil || s.State == runbook.StepStatePending || s.State == runbook.StepStateSkipped && replaced.By != "" {
				continue
			}
		}
		r.NotExercised = append(r.NotExercised, Unexercised{What: replaced.Title, By: replaced.By, Why: replaced.Why})
	}
	for _, c := range r.Checks {
		if c.Skipped && strings.HasPrefix(c.Found, EncryptedKey) {
			r.NotExercised = append(r.NotExercised, Unexercised{What: "The authority's key", Why: c.Found})
		}
	}
}

func (r *Report) find(format string, args ...any) {
	if text := strings.Join(strings.FieldsFunc(fmt.Sprintf(format, args...), func(c rune) bool { return c == '\n' }), "; "); !slices.Contains(r.Findings, text) {
		r.Findings = append(r.Findings, text)
	}
}

// settle decides what the drill has come to.
func (r *Report) settle() {
	if r.TargetRTO > 0 && r.RTO > r.TargetRTO {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the recovery took %s, more than the objective of %s", r.RTO.Round(time.Second), r.TargetRTO))
	}
	if r.TargetRPO > 0 && r.RPO > r.TargetRPO {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the newest recovery point was %s old, more than the objective of %s", r.RPO.Round(time.Second), r.TargetRPO))
	}
	warned := len(r.Warnings) > 0 || slices.ContainsFunc(r.Checks, func(c runbook.Check) bool { return !c.OK && c.Warning })
	switch {
	case len(r.Findings) > 0:
		r.State = Failed
	case warned:
		r.State = Warnings
	}
}

// Met tells whether the objectives that are set were met.
func (r *Report) Met() bool {
	return (r.TargetRTO == 0 || r.RTO > 0 && r.RTO <= r.TargetRTO) && (r.TargetRPO == 0 || r.RPO <= r.TargetRPO)
}

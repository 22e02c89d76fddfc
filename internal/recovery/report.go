package recovery

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
)

// Report is what a recovery came to.
type Report struct {
	Type     string                `json:"type"`
	Run      string                `json:"run"`
	Kind     string                `json:"kind"`
	System   string                `json:"system"`
	Point    string                `json:"point"`
	Moment   time.Time             `json:"moment,omitzero"` // what was written after it is lost
	State    string                `json:"state"`
	Steps    []*runbook.StepReport `json:"steps"`
	Checks   []runbook.Check       `json:"checks"` // none of a run that was taken back
	Warnings []string              `json:"warnings,omitempty"`
	Jobs     []Job                 `json:"jobs,omitempty"`
	Whole    bool                  `json:"whole"` // the whole system, not single components
	// Undone are the titles of steps that did not succeed and that a resume would
	// try again; Full says that one of them found no room.
	Undone []string `json:"undone,omitempty"`
	Full   bool     `json:"full,omitempty"`
	// RPO is the age of the restored data when the recovery began.
	RPO time.Duration `json:"rpo_ns,omitempty"`
	// RTO is from the beginning to the end, waiting for persons and restarts
	// included, 0 while the recovery is unfinished; Active is the part of it in
	// which this program ran.
	RTO         time.Duration `json:"rto_ns,omitempty"`
	Active      time.Duration `json:"active_ns"`
	RTOWithJobs time.Duration `json:"rto_with_jobs_ns,omitempty"` // 0 while a job is pending
	dir         string
	run         *runbook.Run
}

// NewReport reads the report of a run that has ended, for now or for good.
func NewReport(run *runbook.Run) (*Report, error) {
	r := &Report{
		Type: "report", Run: run.ID, Kind: run.Kind, System: run.System, Point: run.Point, State: string(run.State),
		Checks: run.Checks(), Active: time.Duration(run.Seconds * float64(time.Second)), dir: run.Dir, run: run,
	}
	r.Whole = run.Kind == Kind && run.Options["only"] == ""
	if moment, err := time.Parse(time.RFC3339Nano, run.Options["moment"]); err == nil {
		r.Moment = moment
		r.RPO = run.Started.Sub(moment)
	}
	for _, s := range run.Steps {
		if s.State != runbook.StepStatePending {
			r.Steps = append(r.Steps, s)
		}
	}
	for _, w := range run.Warnings {
		if !w.Time.Before(run.BackFrom) && !slices.Contains(r.Warnings, w.Text) {
			r.Warnings = append(r.Warnings, w.Text)
		}
	}
	if run.State == runbook.StateRolledBack {
		r.Checks = []runbook.Check{} // they were of what is gone again
	}
	if ended(run) {
		r.RTO = run.Finished.Sub(run.Started)
	}
	if ended(run) && run.Resumable() {
		for _, s := range run.Steps {
			if s.State == runbook.StepStateWarned || s.State == runbook.StepStateBlocked {
				r.Undone = append(r.Undone, cmp.Or(s.Title, s.ID))
				r.Full = r.Full || noRoom.MatchString(s.Error)
			}
		}
	}
	return r, r.jobs()
}

// noRoom is how the errors of file systems, quotas and database servers tell it.
var noRoom = regexp.MustCompile(`(?i)no (space|more room)|disk quota exceeded|disk full`)

// ended tells whether the recovery came to its end.
func ended(run *runbook.Run) bool {
	return run.Kind == Kind && (run.State == runbook.StateDone || run.State == runbook.StateWarnings)
}

// jobs reads the background jobs and what they make of the state.
func (r *Report) jobs() error {
	jobs, err := Jobs(r.dir)
	if err != nil {
		return err
	}
	r.Jobs = jobs
	if !ended(r.run) {
		return nil
	}
	r.State = "recovered"
	if r.run.State == runbook.StateWarnings {
		r.State = "recovered with warnings"
	}
	r.RTOWithJobs = r.RTO
	for _, j := range jobs {
		switch {
		case j.Pending(host.Local()):
			r.State += fmt.Sprintf(", %s pending", j.Title)
			r.RTOWithJobs = 0
			return nil
		case j.Finished == nil:
			r.State += fmt.Sprintf(", %s was interrupted", j.Title)
		case j.Failure != "":
			r.State += fmt.Sprintf(", %s failed", j.Title)
		default:
			r.RTOWithJobs = max(r.RTOWithJobs, j.Finished.Sub(r.run.Started))
		}
	}
	return nil
}

// Wait returns when no background job is pending any more.
func (r *Report) Wait(ctx context.Context) error {
	for {
		pending := false
		for _, j := range r.Jobs {
			pending = pending || j.Pending(host.Local())
		}
		if !pending {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
		if err := r.jobs(); err != nil {
			return err
		}
	}
}

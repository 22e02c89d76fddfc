package cli

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/routine"
	"lifeboat/internal/runbook"
)

// jobView is a job as --json shows it.
type jobView struct {
	Type    string         `json:"type"`
	System  string         `json:"system"`
	Job     string         `json:"job"`
	At      string         `json:"at"`
	On      string         `json:"on,omitempty"` // systemd or cron
	Current bool           `json:"current"`      // what is written is what the configuration says
	Next    time.Time      `json:"next,omitzero"`
	Within  float64        `json:"within_seconds,omitempty"` // the random delay
	Missed  bool           `json:"missed,omitempty"`         // it is to be caught up
	Last    routine.Record `json:"last"`
	Running bool           `json:"running,omitempty"`
	Unknown bool           `json:"unknown,omitempty"` // what is remembered of it cannot be read
	Idle    bool           `json:"idle,omitempty"`    // the schedule is on, and nothing calls this job
}

// jobs tells how the schedule of a system and its jobs stand. What could not be read
// is unknown in them, and an error.
func (a *app) jobs(ctx context.Context, conf *config.Config, i routine.Installer, s config.System, tasks []routine.Task, now time.Time) ([]jobView, routine.Standing, error) {
	standing, err := i.State(ctx, s.Name, tasks)
	form := standing.Form
	errs := []error{err}
	busy := runbook.Busy(a.state(conf), s.Name)
	var views []jobView
	for _, t := range tasks {
		view := jobView{Type: "job", System: s.Name, Job: t.Name, At: t.Times.String(), On: form, Current: standing.Current, Unknown: err != nil, Idle: slices.Contains(standing.Idle, t.Name)}
		last, err := i.Book.Run(s.Name, t.Name)
		if err != nil {
			errs = append(errs, err)
			last, view.Unknown = routine.Record{}, true
		}
		view.Last = last
		view.Running = busy && !view.Last.Started.IsZero() && view.Last.Finished.IsZero()
		if form != "" && !view.Unknown && !view.Idle {
			view.Next = t.Due(view.Last, now, machine())
		}
		if form == routine.BySystemd && !view.Idle { // which draws the delay each time anew
			view.Within = t.Job.RandomDelay.Seconds()
			view.Next = t.Times.Next(now)
		}
		view.Missed = !view.Next.IsZero() && view.Next.Before(now)
		views = append(views, view)
	}
	return views, standing, errors.Join(errs...)
}

// machine tells this machine from others.
func machine() string {
	if id, err := os.ReadFile("/etc/machine-id"); err == nil && len(id) > 0 {
		return strings.TrimSpace(string(id))
	}
	name, _ := os.Hostname()
	return name
}

func (a *app) scheduleStatus(ctx context.Context, f scheduleFlags, names []string) error {
	conf, systems, gone, i, err := a.planned(f, names)
	if err != nil {
		return err
	}
	now := time.Now()
	var rows [][]string
	changed := false
	for _, s := range systems {
		tasks, err := a.tasks(conf, s)
		if err != nil {
			return err
		}
		views, standing, err := a.jobs(ctx, conf, i, s, tasks, now)
		problems := each(err)
		for _, text := range standing.Problems(s.Name) {
			problems = append(problems, errors.New(s.Name+": "+text))
		}
		for _, e := range problems {
			if err := a.warn(e); err != nil {
				return err
			}
		}
		changed = changed || standing.Form != "" && !standing.Current && len(standing.Changed)+len(standing.Missing) == 0 && !standing.Waiting
		for _, v := range views {
			if a.JSON {
				if err := a.Emit(v); err != nil {
					return err
				}
				continue
			}
			rows = append(rows, []string{v.System, v.Job, v.At, v.next(), minute(v.Last.Started), v.last()})
		}
	}
	for _, name := range gone {
		standing, err := i.State(ctx, name, nil)
		if err != nil {
			return err
		}
		if a.JSON {
			if err := a.Emit(map[string]any{"type": "orphan", "system": name, "on": standing.Form}); err != nil {
				return err
			}
		}
	}
	if a.JSON {
		return nil
	}
	if len(rows) > 0 {
		a.Table([]string{"system", "job", "at", "next", "last", "result"}, rows)
	} else if len(gone) == 0 {
		a.Printf("No system of %s has a schedule.\n", a.configFile)
	}
	for _, name := range gone {
		a.Printf("\n%s %s\n", screen.PainterFor(a.Out).Yellow("warning"), a.paragraph(name+": "+routine.OrphanText(name), 8))
	}
	if changed {
		a.Printf("\n%s %s\n", screen.PainterFor(a.Out).Yellow("warning"), a.paragraph(a.configFile+" was changed since the schedule was switched on, or Lifeboat was. Next: lifeboat schedule on", 8))
	}
	return nil
}

func (v jobView) next() string {
	switch {
	case v.Unknown && v.Next.IsZero():
		return "not known"
	case v.On == "":
		return "off"
	case v.Idle:
		return "none: see the warning"
	case v.Missed:
		return "now: " + minute(v.Next) + " was missed"
	case v.Within > 0:
		return minute(v.Next) + " + ≤" + roundly(time.Duration(v.Within)*time.Second)
	}
	return minute(v.Next)
}

func (v jobView) last() string {
	switch {
	case v.Unknown:
		return "not known"
	case v.Last.Started.IsZero():
		return ""
	case v.Running:
		return "running"
	case v.Last.Finished.IsZero():
		return "killed"
	}
	return exitWord(v.Last.Exit)
}

// exitWord says what an exit code means.
func exitWord(code int) string {
	switch code {
	case runbook.ExitDone:
		return "done"
	case runbook.ExitWarnings:
		return "done with warnings"
	case runbook.ExitUsage:
		return "failed: a mistake in the command or the configuration"
	case runbook.ExitRefused:
		return "refused"
	case runbook.ExitWaiting:
		return "waits for a person"
	case runbook.ExitInterrupted:
		return "interrupted"
	}
	return "failed"
}

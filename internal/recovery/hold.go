package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
)

const (
	holdStep    = "restore/hold"
	releaseStep = "start/release"
)

// hold stops the system and keeps it stopped, across reboots too, before the
// first thing is restored: started on half-restored data a product would
// migrate it.
func (r *Recovery) hold() []runbook.Step {
	if r.alone() {
		return nil // a single component is put back into a system that its owner has stopped
	}
	stop := r.stopStep()
	stop.ID = holdStep
	stop.Title = "Stop the system and keep it stopped until the recovery ends"
	run := stop.Run
	stop.Run = func(ctx context.Context, task runbook.Task) error {
		if err := r.reach(ctx); err != nil {
			return err
		}
		return run(ctx, task)
	}
	return []runbook.Step{r.identityStep("restore/identity", true), withNeeds(stop, "restore/identity")}
}

// reach looks for the services that the restore needs, while the system still runs.
func (r *Recovery) reach(ctx context.Context) error {
	if r.Rehearsal != nil { // the sandbox has its own
		return nil
	}
	var problems []error
	settings := r.Scope(ctx).Settings
	for _, spec := range r.Profile.Components {
		if _, err := r.record(spec.Name); err != nil || !r.wanted(spec.Name) {
			continue
		}
		c, err := component.Make(r.Catalog.Kinds, component.Env{Host: r.Host, Settings: settings}, spec)
		if err != nil {
			continue // its restore says so
		}
		if s, ok := c.(component.Reacher); ok {
			if err := s.Reach(ctx); err != nil {
				problems = append(problems, fmt.Errorf("component %s: %w; nothing was stopped or changed yet", spec.Name, err))
			}
		}
	}
	return errors.Join(problems...)
}

// Reachable looks, before a restore of single components, which prepares nothing,
// whether the services that it needs answer.
func (r *Recovery) Reachable(ctx context.Context) error {
	if len(r.Only) == 0 {
		return nil
	}
	return r.reach(ctx)
}

// alone tells whether components are put back without the system being stopped.
func (r *Recovery) alone() bool { return len(r.Only) > 0 && !r.Around }

// release lets the system start again at boot.
func (r *Recovery) release() []runbook.Step {
	if r.alone() || len(r.Profile.Quiesce.Release) == 0 {
		return nil
	}
	return []runbook.Step{{
		ID:     releaseStep,
		Title:  "Let the system start at boot again",
		Repeat: runbook.RepeatSafe,
		Hand:   r.commandsByHand(r.Profile.Quiesce.Release),
		Run: func(ctx context.Context, task runbook.Task) error {
			return r.commands(ctx, task, r.Profile.Quiesce.Release)
		},
		Undo: func(ctx context.Context, task runbook.Task) error {
			return r.commands(ctx, task, r.Profile.Quiesce.Hold)
		},
	}}
}

const keyRan = "system-ran-before"

func (r *Recovery) stopStep() runbook.Step {
	q := r.Profile.Quiesce
	return runbook.Step{
		Title:  "Stop the system",
		Repeat: runbook.RepeatSafe,
		Hand:   r.commandsByHand(q.Stop, q.Hold),
		Run: func(ctx context.Context, task runbook.Task) error {
			running, _, err := r.running(ctx)
			if err != nil {
				return err
			}
			var ran bool
			if kept, err := task.Kept(keyRan, &ran); err != nil {
				return err
			} else if !kept {
				if err := task.Keep(keyRan, running); err != nil {
					return err
				}
			}
			if running {
				if err := r.commands(ctx, task, q.Stop); err != nil {
					return err
				}
			}
			return r.commands(ctx, task, q.Hold)
		},
		Undo: func(ctx context.Context, task runbook.Task) error {
			if err := r.commands(ctx, task, q.Release); err != nil {
				return err
			}
			var ran bool
			if _, err := task.Kept(keyRan, &ran); err != nil || !ran {
				return err
			}
			return r.commands(ctx, task, q.Start)
		},
	}
}

func (r *Recovery) startStep() runbook.Step {
	q := r.Profile.Quiesce
	return runbook.Step{
		Title:  "Start the system",
		Repeat: runbook.RepeatSafe,
		Hand:   r.commandsByHand(q.Start),
		Run: func(ctx context.Context, task runbook.Task) error {
			return r.commands(ctx, task, q.Start)
		},
		Undo: func(ctx context.Context, task runbook.Task) error {
			running, _, err := r.running(ctx)
			if err != nil || !running {
				return err
			}
			return r.commands(ctx, task, q.Stop)
		},
	}
}

// running tells whether the system runs; without a condition in the profile it
// counts as running.
func (r *Recovery) running(ctx context.Context) (bool, string, error) {
	if r.Profile.Quiesce.Running == nil {
		return true, "", nil
	}
	return r.Catalog.Profile.Holds(ctx, *r.Profile.Quiesce.Running, r.Scope(ctx))
}

// commands runs those of the profile's commands that apply.
func (r *Recovery) commands(ctx context.Context, task runbook.Task, list []profile.Command) error {
	lines, err := profile.Commands(list, r.Scope(ctx))
	if err != nil {
		return err
	}
	if r.Rehearsal != nil && !r.Rehearsal.Services {
		task.Logf("not run: %s", withoutServices)
		return nil
	}
	for _, args := range lines {
		if err := r.run(ctx, task, args, "", 0); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
		}
	}
	return nil
}

// commandsByHand writes out the commands that apply. Of a machine that is only
// files that cannot be told: there a condition becomes a comment, and its command
// with it.
func (r *Recovery) commandsByHand(lists ...[]profile.Command) string {
	var text strings.Builder
	for _, c := range slices.Concat(lists...) {
		comment := ""
		if c.When != "" && !r.Host.IsLocal() {
			comment = "# where " + c.When + ": "
		} else if c.When != "" {
			if applies, err := profile.Expr(c.When, r.Scope(context.Background())); err == nil && !applies {
				continue
			}
		}
		line := quoteAll(c.Run)
		if expanded, err := profile.Expand(line, r.settings); err == nil {
			line = expanded
		}
		text.WriteString(comment + line + "\n")
	}
	if text.Len() == 0 {
		return ""
	}
	return "```sh\n" + text.String() + "```\n"
}

func withNeeds(s runbook.Step, needs ...string) runbook.Step {
	s.Needs = append(s.Needs, needs...)
	return s
}

// Held tells whether a run keeps its system stopped: it has begun to stop it and
// has neither let it start again nor taken that back.
func Held(run *runbook.Run) bool {
	hold, release := run.Step(holdStep), run.Step(releaseStep)
	if hold == nil || hold.Attempts == 0 || hold.State == runbook.StepStateUndone {
		return false
	}
	return release == nil || release.State != runbook.StepStateFinished
}

// DiscardStep is the id of the step that removes what was set aside.
const DiscardStep = "finish/discard"

// finish removes what was set aside, once everything before it has ended well. With
// warnings it stays: whether they are worth going back a person has to say.
func (r *Recovery) finish() []runbook.Step {
	if r.KeepOld {
		return nil
	}
	return []runbook.Step{{
		ID:    DiscardStep,
		Title: "Remove what was set aside",
		// A resume may have restored what there was no room for before.
		EachTime: true,
		Unwarned: true,
		Hand:     r.cleanByHand(),
		Run: func(ctx context.Context, task runbook.Task) error {
			for _, spec := range r.Profile.Components {
				if !r.wanted(spec.Name) {
					continue
				}
				if _, err := r.record(spec.Name); err != nil {
					continue
				}
				c, err := r.component(ctx, task, spec.Name)
				if err != nil {
					return err
				}
				if err := c.Discard(ctx); err != nil {
					return fmt.Errorf("remove what was set aside for %s: %w", spec.Name, err)
				}
			}
			return nil
		},
	}}
}

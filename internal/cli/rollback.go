package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
)

// maxChanged bounds what is shown of one component without -v.
const maxChanged = 10

// confirmRollback shows what was changed since the run, and asks whether it is
// to be taken back.
func (a *app) confirmRollback(ctx context.Context, r *recovery.Recovery, run *runbook.Run) error {
	changes, err := r.TakeBack(ctx, run)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if a.JSON {
			if err := a.Emit(c); err != nil {
				return err
			}
			continue
		}
		a.Printf("%s was changed since the restore; as it is now it is kept aside:\n", c.Component)
		shown := c.Entries
		if !a.verbose && len(shown) > maxChanged {
			shown = shown[:maxChanged]
		}
		for _, entry := range shown {
			a.Printf("  %s\n", screen.Clean(entry))
		}
		if more := len(c.Entries) - len(shown); more > 0 {
			a.Printf("  and %d more (-v shows them)\n", more)
		}
	}
	return screen.Confirm(ctx, fmt.Sprintf("Take back run %s? What was there before it comes back.", run.ID), a.yes)
}

// earlierRun is the recovery of the system that is named, or the last one, when it
// can take what is asked.
func (a *app) earlierRun(conf *config.Config, system string, f recoverFlags) (*runbook.Run, error) {
	all, err := runbook.List(a.state(conf))
	runs := slices.DeleteFunc(slices.Clone(all), func(r *runbook.Run) bool { return r.System != system || r.Kind != recovery.Kind })
	if len(runs) == 0 {
		return nil, errors.Join(screen.Usagef("no recovery of %s was run on this machine; lifeboat runs list shows all runs", system), err)
	}
	at := len(runs) - 1
	if f.run != "" {
		at = slices.IndexFunc(runs, func(r *runbook.Run) bool { return r.ID == f.run })
		if at < 0 {
			return nil, screen.Usagef("%q is no recovery of %s on this machine; lifeboat runs list shows all runs", f.run, system)
		}
	} else if f.discardOld && runs[at].State != runbook.StateRunning && !runs[at].Resumable() {
		for i, r := range slices.Backward(runs) {
			if len(recovery.Holds(r)) > 0 {
				at = i
				break
			}
		}
	}
	run := runs[at]
	finished := run.State == runbook.StateDone || run.State == runbook.StateWarnings
	switch {
	case run.State == runbook.StateRunning:
		return nil, activeError(run)
	case f.resume && run.State == runbook.StateRolledBack, f.resume && !run.Resumable():
		return nil, screen.Usagef("run %s is %s; there is nothing left to resume", run.ID, run.State)
	case f.resume && run.RollingBack:
		return nil, screen.Usagef("run %s is on its way back; finish that with lifeboat recover %s --rollback", run.ID, system)
	case f.rollback && run.State == runbook.StateRolledBack:
		return nil, screen.Usagef("run %s is rolled back already%s", run.ID, others(runs[:at], system))
	case f.rollback && recovery.NoWayBack(run):
		return nil, runbook.Refuse("", "run %s has removed what it had set aside, so there is no way back; restore from a recovery point instead", run.ID)
	case f.discardOld && !finished && run.State != runbook.StateRolledBack:
		return nil, screen.Usagef("run %s is %s; resume it or roll it back first", run.ID, run.State)
	}
	if f.rollback {
		for _, later := range runs[at+1:] {
			if later.State == runbook.StateRolledBack {
				continue
			}
			for _, name := range recovery.Holds(later) {
				if slices.Contains(recovery.Holds(run), name) {
					return nil, runbook.Refuse("", "run %[1]s has restored %[2]s after it; take that back first (lifeboat recover %[3]s --rollback %[1]s), or remove what it set aside (lifeboat recover %[3]s --discard-old %[1]s)", later.ID, name, system)
				}
			}
		}
	}
	return run, nil
}

// others tells of earlier runs that could be taken back.
func others(runs []*runbook.Run, system string) string {
	held := slices.DeleteFunc(recovery.HoldingRuns(runs, system), func(h recovery.Holding) bool { return h.TakenBack })
	if len(held) == 0 {
		return ""
	}
	last := held[len(held)-1]
	return fmt.Sprintf("; an earlier one can be: lifeboat recover %s --rollback %s", system, last.Run)
}

// discard removes what a run has set aside.
func (a *app) discard(ctx context.Context, r *recovery.Recovery, run *runbook.Run) error {
	names := recovery.Holds(run)
	if err := r.Discard(ctx, run); err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(map[string]any{"type": "discarded", "run": run.ID, "components": names})
	}
	if len(names) == 0 {
		a.Printf("Run %s has nothing set aside.\n", run.ID)
		return nil
	}
	what := "had set aside"
	if run.State == runbook.StateRolledBack {
		what = "had kept of what was changed before it was taken back"
	}
	a.Printf("What run %s %s is removed: %s\n", run.ID, what, strings.Join(names, ", "))
	return nil
}

// discardAll removes what any run of the system has set aside, each as it was
// asked for.
func (a *app) discardAll(ctx context.Context, conf *config.Config, system string, f recoverFlags) error {
	runs, err := runbook.List(a.state(conf))
	if err != nil {
		return err
	}
	repository, options, password := a.repository, a.storeOptions, a.password
	for _, held := range recovery.HoldingRuns(runs, system) {
		one := f
		one.run = held.Run
		if err := a.recover(ctx, system, one); err != nil {
			return err
		}
		a.repository, a.storeOptions, a.password = repository, options, password
	}
	return nil
}

// tellKept tells, at the end of a run, what it still has set aside, where that is, and
// how it is removed or brought back.
func (a *app) tellKept(ctx context.Context, r *recovery.Recovery, system string) error {
	names := recovery.Holds(a.ran)
	if len(names) == 0 {
		return nil
	}
	if a.ran.State == runbook.StateRolledBack {
		found := recovery.Found(a.ran)
		a.Code = runbook.ExitWarnings // somebody's work is not where it was
		if a.JSON {
			return a.Emit(map[string]any{"type": "found", "system": system, "run": a.ran.ID, "places": found})
		}
		a.Printf("\n%s What was changed since the restore is no longer in its place; it is kept:\n", screen.PainterFor(a.Out).Yellow("warning:"))
		for _, name := range names {
			for _, place := range found[name] {
				a.Printf("  %s  %s\n", name, screen.Clean(place))
			}
		}
		a.Printf("When you have what you need of it: lifeboat recover %s --discard-old %s\n", system, a.ran.ID)
		return nil
	}
	if a.ran.State != runbook.StateWarnings && a.ran.State != runbook.StateDone {
		return nil // what can be done about it is told
	}
	held, err := r.Held(ctx, a.ran)
	if err != nil {
		return a.warn(err) // the run is at its end all the same
	}
	if a.JSON {
		return a.Emit(map[string]any{"type": "kept", "system": system, "run": a.ran.ID, "components": names, "held": held})
	}
	if len(held) == 0 {
		a.Printf("\nNothing stood in the way. To take it back: lifeboat recover %s --rollback %s\n", system, a.ran.ID)
		return nil
	}
	why := "What was here before"
	if step := a.ran.Step(recovery.DiscardStep); a.ran.State == runbook.StateWarnings && step != nil {
		why = "As there are warnings, what was here before"
	}
	a.Printf("\n%s is still set aside:\n", why)
	var rows [][]string
	for _, h := range held {
		rows = append(rows, []string{"  " + h.Component, screen.Clean(h.Place), size(h.Bytes)})
	}
	a.Table([]string{"  component", "where", "size"}, rows, "size")
	a.Printf("When all is well: lifeboat recover %[1]s --discard-old %[2]s\nTo go back to it:  lifeboat recover %[1]s --rollback %[2]s\n", system, a.ran.ID)
	return nil
}

// tellHolding tells, at the end of a run, of those before it that still have
// something set aside.
func (a *app) tellHolding(conf *config.Config, system string) error {
	runs, err := runbook.List(a.state(conf))
	if err != nil {
		return nil //nolint:nilerr // runs list tells what cannot be read
	}
	held := slices.DeleteFunc(recovery.HoldingRuns(runs, system), func(h recovery.Holding) bool { return h.Run == a.ran.ID })
	if len(held) == 0 {
		return nil
	}
	if a.JSON {
		return a.Emit(map[string]any{"type": "held", "system": system, "runs": held})
	}
	a.Printf("\nEarlier runs still have what they set aside:\n")
	for _, h := range held {
		what := ""
		if h.TakenBack {
			what = " (taken back; what was changed before that)"
		}
		a.Printf("  %s  %s%s\n", h.Run, strings.Join(h.Components, ", "), what)
	}
	a.Printf("To remove it: lifeboat recover %[1]s --discard-old all (or RUN). To take one back: lifeboat recover %[1]s --rollback RUN\n", system)
	return nil
}

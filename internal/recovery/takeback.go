package recovery

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/runbook"
)

// Change is what others changed of one restored component.
type Change struct {
	Type      string   `json:"type"`
	Component string   `json:"component"`
	Entries   []string `json:"entries"` // files and tables
}

// TakeBack prepares the rollback of a run: it returns what others changed of what
// was restored since the run acted last. The rollback keeps that aside.
func (r *Recovery) TakeBack(ctx context.Context, run *runbook.Run) ([]Change, error) {
	r.since, r.killed = lastAct(run), run.State == runbook.StateInterrupted
	if r.killed && len(r.Only) == 0 && started(run, "start") {
		// The system that the run has started, and its commands, may have gone on.
		r.since = time.Time{}
	}
	var changes []Change
	for _, spec := range r.Profile.Components {
		state := filepath.Join(run.Dir, "components", spec.Name)
		if _, err := os.Stat(state); err != nil {
			continue
		}
		c, err := component.Make(r.Catalog.Kinds, component.Env{
			Host: r.Host, Settings: r.Scope(ctx).Settings, Run: run.ID, State: state, Since: r.since, Killed: r.killed,
		}, spec)
		if err != nil {
			return nil, err
		}
		w, ok := c.(component.Watcher)
		if !ok {
			continue
		}
		entries, err := w.Changed(ctx)
		if err != nil {
			return nil, err
		}
		if len(entries) > 0 {
			changes = append(changes, Change{Type: "changed", Component: spec.Name, Entries: entries})
		}
	}
	return changes, nil
}

// lastAct is when the run did something last; its way back does not count.
func lastAct(run *runbook.Run) time.Time {
	last := run.Started
	for _, s := range run.Steps {
		for _, t := range []time.Time{s.Started, s.Finished} {
			if t.After(last) {
				last = t
			}
		}
	}
	return last
}

func started(run *runbook.Run, stage string) bool {
	for _, s := range run.Steps {
		if s.Stage == stage && s.Attempts > 0 {
			return true
		}
	}
	return false
}

func tellKept(ctx context.Context, task runbook.Task, c component.Component, name string) error {
	w, ok := c.(component.Watcher)
	if !ok {
		return nil
	}
	kept, err := w.Kept(ctx)
	if err != nil {
		return fmt.Errorf("component %s was taken back; see what was kept of it: %w", name, err)
	}
	if len(kept) > 0 {
		task.Warnf("component %s was changed after the restore; as it was then it is kept as %s", name, strings.Join(kept, ", "))
	}
	return nil
}

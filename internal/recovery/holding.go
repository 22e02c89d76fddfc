package recovery

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"lifeboat/internal/component"
	"lifeboat/internal/runbook"
)

// Holding is a run that still has what it set aside.
type Holding struct {
	Run        string   `json:"run"`
	Components []string `json:"components"`
	// TakenBack says that the run was taken back: what it holds is what others had
	// changed before that.
	TakenBack bool `json:"taken_back,omitempty"`
	// Unfinished says that the run is to be gone on with or taken back first.
	Unfinished bool `json:"unfinished,omitempty"`
}

// Holds names the components of which a run still has what it set aside, so that
// it can be taken back or removed; of one that was taken back, those of which it has
// kept what others had changed.
func Holds(run *runbook.Run) []string {
	if run.Kind != Kind {
		return nil
	}
	if run.State == runbook.StateRolledBack {
		return slices.Sorted(maps.Keys(Found(run)))
	}
	if step := run.Step(DiscardStep); step != nil && step.State == runbook.StepStateFinished {
		return nil
	}
	if text, err := os.ReadFile(filepath.Join(run.Dir, discardedName)); err == nil && string(text) == discardedAll {
		return nil
	}
	var names []string
	dirs, err := os.ReadDir(filepath.Join(run.Dir, "components"))
	if err != nil {
		return nil // nothing was restored
	}
	for _, dir := range dirs {
		// A kind that sets nothing aside keeps nothing there either.
		if kept, err := os.ReadDir(filepath.Join(run.Dir, "components", dir.Name())); err == nil && len(kept) > 0 {
			names = append(names, dir.Name())
		}
	}
	return names
}

// HoldingRuns lists the runs of a system that hold something, oldest first.
func HoldingRuns(runs []*runbook.Run, system string) []Holding {
	var held []Holding
	for _, run := range runs {
		if run.System != system {
			continue
		}
		if names := Holds(run); len(names) > 0 {
			held = append(held, Holding{Run: run.ID, Components: names, TakenBack: run.State == runbook.StateRolledBack, Unfinished: run.State == runbook.StateRunning || run.Resumable() && run.State != runbook.StateWarnings})
		}
	}
	return held
}

// HeldOf is what a run has set aside of one component.
type HeldOf struct {
	Component string `json:"component"`
	component.Held
}

// Held tells where a run has set aside what was there before, and how large it is.
func (r *Recovery) Held(ctx context.Context, run *runbook.Run) ([]HeldOf, error) {
	var all []HeldOf
	for _, spec := range r.Profile.Components {
		if !slices.Contains(Holds(run), spec.Name) {
			continue
		}
		c, err := r.make(ctx, run.ID, run.Dir, spec)
		if err != nil {
			return nil, err
		}
		h, ok := c.(component.Holder)
		if !ok {
			continue
		}
		held, err := h.Held(ctx)
		if err != nil {
			return nil, err
		}
		for _, one := range held {
			all = append(all, HeldOf{spec.Name, one})
		}
	}
	return all, nil
}

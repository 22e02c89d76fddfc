package recovery

import (
	"os"
	"path/filepath"

	"lifeboat/internal/runbook"
)

// Holding is a run that still has what it set aside.
type Holding struct {
	Run        string   `json:"run"`
	Components []string `json:"components"`
}

// Holds names the components of which a run still has what it set aside, so that
// it can be taken back or removed.
func Holds(run *runbook.Run) []string {
	if run.Kind != Kind || run.State == runbook.StateRolledBack {
		return nil
	}
	if step := run.Step(discardStep); step != nil && step.State == runbook.StepStateFinished {
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
			held = append(held, Holding{Run: run.ID, Components: names})
		}
	}
	return held
}

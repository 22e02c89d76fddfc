package recovery

import (
	"fmt"
	"slices"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// warned is a task that keeps what it is warned of.
type warned struct {
	runbook.Task
	all []string
}

func (w *warned) Warnf(format string, args ...any) {
	w.all = append(w.all, fmt.Sprintf(format, args...))
}

// What an import could not take over is told again by the recovery of its point, as
// far as it is recovered; of other points only what concerns the whole.
func TestNotices(t *testing.T) {
	m := vault.Manifest{
		Warnings:   []string{"no depot"},
		Components: []component.Record{{Name: "database", Warnings: []string{"HOST: 1 left out"}}, {Name: "files", Warnings: []string{"changed"}}},
	}
	p := &profile.Profile{Components: []profile.Component{{Name: "files"}, {Name: "database"}}}
	for trigger, want := range map[vault.Trigger][]string{
		vault.Manual:   {"noted at backup: no depot"},
		vault.Imported: {"noted at import: no depot", "noted at import: database: HOST: 1 left out"},
	} {
		m.Trigger = trigger
		r := &Recovery{Options: Options{Manifest: &m, Profile: p, Without: []string{"files"}}}
		task := &warned{}
		if err := r.noticeStep().Run(t.Context(), task); err != nil || !slices.Equal(task.all, want) {
			t.Errorf("%s: %q, %v", trigger, task.all, err)
		}
	}
}

package recovery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
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
	lost, err := r.untold(ctx, run)
	if err != nil {
		return nil, err
	}
	if len(lost) > 0 {
		return nil, runbook.Refuse("", "the end of the journal of run %s is lost: it does not tell of the restore of %s, which has set aside what was there. Go on with the run first (lifeboat recover %s --resume), which sees what is restored already; then it can be taken back", run.ID, strings.Join(lost, ", "), run.System)
	}
	parts, err := r.putBack(ctx, run)
	if err != nil {
		return nil, err
	}
	var changes []Change
	for _, spec := range r.Profile.Components {
		c, there := parts[spec.Name]
		if !there {
			continue
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
	renamed, err := r.renamedSince(ctx, run)
	return append(changes, renamed...), err
}

// untold names components that the run has restored, though its journal does not tell.
// That there is a directory of theirs is no sign: looking at a database uses one, too.
func (r *Recovery) untold(ctx context.Context, run *runbook.Run) (names []string, err error) {
	told := map[string]bool{}
	for _, step := range run.Begun() {
		told[r.restores[step.ID]] = true
	}
	held := Holds(run)
	for _, name := range slices.Sorted(maps.Values(r.restores)) {
		if told[name] || !slices.Contains(held, name) {
			continue
		}
		spec, err := r.spec(name)
		if err != nil {
			return nil, err
		}
		c, err := r.make(ctx, run.ID, run.Dir, spec)
		if err != nil {
			return nil, err
		}
		var put int
		switch c := c.(type) {
		case component.Replacer:
			places, err := c.Put()
			if err != nil {
				return nil, err
			}
			put = len(places)
		case component.Holder:
			held, err := c.Held(ctx)
			if err != nil {
				return nil, err
			}
			put = len(held)
		}
		if put > 0 {
			names = append(names, name)
		}
	}
	return names, nil
}

// putBack makes the components that a run has restored, by name, and finds which
// places inside of one belong to another that came later.
func (r *Recovery) putBack(ctx context.Context, run *runbook.Run) (map[string]component.Component, error) {
	var later []string // places, of what was restored after the one that is looked at
	parts := map[string]component.Component{}
	r.theirs = map[string][]string{}
	for _, step := range slices.Backward(run.Begun()) {
		name, ok := r.restores[step.ID]
		if !ok {
			continue
		}
		state := filepath.Join(run.Dir, "components", name)
		if _, err := os.Stat(state); err != nil {
			continue
		}
		r.theirs[name] = slices.Clone(later)
		spec, err := r.spec(name)
		if err != nil {
			return nil, err
		}
		if parts[name], err = r.make(ctx, run.ID, run.Dir, spec); err != nil {
			return nil, err
		}
		if c, ok := parts[name].(component.Replacer); ok {
			places, err := c.Put()
			if err != nil {
				return nil, err
			}
			later = append(later, places...)
		}
	}
	return parts, nil
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

// tellKept names what the rollback of a component has left of others' changes.
func tellKept(ctx context.Context, task runbook.Task, c component.Component, name string) error {
	w, ok := c.(component.Watcher)
	if !ok {
		return nil
	}
	kept, err := w.Kept(ctx)
	if err != nil {
		return fmt.Errorf("component %s was taken back; see what was kept of it: %w", name, err)
	}
	if len(kept) == 0 {
		return nil
	}
	task.Warnf("component %s was changed after the restore; as it was then it is kept as %s", name, strings.Join(kept, ", "))
	return noteFound(task, name, kept)
}

// keyFound is the kept value with what a rollback has left of others' changes, by
// component.
const keyFound = "found"

func noteFound(task runbook.Task, name string, places []string) error {
	found := map[string][]string{}
	if _, err := task.Kept(keyFound, &found); err != nil {
		return err
	}
	found[name] = slices.Compact(slices.Sorted(slices.Values(slices.Concat(found[name], places))))
	return task.Keep(keyFound, found)
}

// Found tells what a run that was taken back has kept of what others had changed, by
// component, until it is removed.
func Found(run *runbook.Run) map[string][]string {
	found := map[string][]string{}
	if text, err := os.ReadFile(filepath.Join(run.Dir, discardedName)); err == nil && string(text) == discardedAll {
		return found
	}
	if _, err := run.Value(keyFound, &found); err != nil || run.State != runbook.StateRolledBack {
		return map[string][]string{}
	}
	for name, places := range found {
		// A person may have moved it away; a database cannot be looked at here.
		found[name] = slices.DeleteFunc(places, func(p string) bool {
			_, err := os.Lstat(p)
			return filepath.IsAbs(p) && errors.Is(err, fs.ErrNotExist)
		})
		if len(found[name]) == 0 {
			delete(found, name)
		}
	}
	return found
}

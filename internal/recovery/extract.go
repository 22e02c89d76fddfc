package recovery

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"lifeboat/internal/component"
	"lifeboat/internal/component/aside"
	"lifeboat/internal/runbook"
	"lifeboat/internal/scratch"
)

// Extract writes a component's content below a directory; the machine is not
// touched otherwise.
func (r *Recovery) Extract(ctx context.Context, name, dir string) error {
	spec, err := r.spec(name)
	if err != nil {
		return err
	}
	if _, err := r.record(name); err != nil {
		return err
	}
	place, err := scratch.Make("")
	if err != nil {
		return err
	}
	defer place.Remove()
	state := place.Path()
	c, err := component.Make(r.Catalog.Kinds, component.Env{Host: r.Host, Settings: r.Scope(ctx).Settings, Run: "extract", State: state}, spec)
	if err != nil {
		return err
	}
	e, ok := c.(component.Extractor)
	if !ok {
		return fmt.Errorf("component %s of kind %s cannot be restored into a directory", name, spec.Kind)
	}
	return e.Extract(ctx, r.Point, dir)
}

// LookAhead asks every component that can tell what its restore would change.
// Runbook shows the answers as effects of the steps.
func (r *Recovery) LookAhead(ctx context.Context) error {
	place, err := scratch.Make("")
	if err != nil {
		return err
	}
	defer place.Remove()
	state := place.Path()
	if err := r.lookAtRename(ctx); err != nil {
		return err
	}
	r.planned = map[string][]string{}
	settings := r.Scope(ctx).Settings
	for _, spec := range r.Profile.Components {
		record, err := r.record(spec.Name)
		if err != nil || !r.wanted(spec.Name) {
			continue
		}
		c, err := component.Make(r.Catalog.Kinds, component.Env{Host: r.Host, Settings: settings, Run: "plan", State: filepath.Join(state, spec.Name)}, spec)
		if err != nil {
			r.planned[spec.Name] = []string{"cannot be told yet: " + err.Error()}
			continue
		}
		p, ok := c.(component.Planner)
		if !ok {
			continue
		}
		lines, err := p.Plan(ctx, r.Point, record)
		if err != nil {
			// What the product's installation brings may not be there yet.
			lines = []string{"cannot be told yet: " + err.Error()}
		}
		r.planned[spec.Name] = lines
	}
	return ctx.Err()
}

// Discard removes what an earlier run of this recovery has set aside, or, of one that
// was taken back, what that has kept of others' changes.
func (r *Recovery) Discard(ctx context.Context, run *runbook.Run) error {
	found := Found(run)
	if err := os.WriteFile(filepath.Join(run.Dir, discardedName), nil, 0o600); err != nil {
		return err
	}
	for _, spec := range r.Profile.Components {
		state := filepath.Join(run.Dir, "components", spec.Name)
		if _, err := os.Stat(state); err != nil {
			continue
		}
		c, err := component.Make(r.Catalog.Kinds, component.Env{Host: r.Host, Settings: r.Scope(ctx).Settings, Run: run.ID, State: state}, spec)
		if err != nil {
			return err
		}
		if err := c.Discard(ctx); err != nil {
			return fmt.Errorf("remove what was set aside for %s: %w", spec.Name, err)
		}
	}
	for name, places := range found {
		if _, err := r.spec(name); err == nil {
			continue
		}
		for _, place := range places { // of files that the run itself had written
			if err := aside.DropFound(place); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(filepath.Join(run.Dir, discardedName), []byte(discardedAll), 0o600)
}

// discardedName marks in a run's directory that --discard-old has begun.
const discardedName = "discarded"

// discardedAll is what the mark says when it has ended.
const discardedAll = "all\n"

// NoWayBack tells whether what the run had set aside was removed, wholly or
// partly: it can no longer be rolled back.
func NoWayBack(run *runbook.Run) bool {
	if step := run.Step(DiscardStep); step != nil && step.Attempts > 0 {
		return true
	}
	_, err := os.Lstat(filepath.Join(run.Dir, discardedName))
	return err == nil
}

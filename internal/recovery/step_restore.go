package recovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// RestoreOptions names the component that a restore or merge step puts back.
type RestoreOptions struct {
	Component string `yaml:"component" json:"component" short:"true" jsonschema:"required"`
}

// restores is the definition of a step type that puts a component back.
func restores(summary string) profile.Definition {
	return profile.Definition{
		Summary:    summary,
		Options:    func() any { return &RestoreOptions{} },
		Restores:   true,
		Components: func(o any) []string { return []string{o.(*RestoreOptions).Component} },
	}
}

func restoreStep() StepType {
	return StepType{
		Definition: restores("puts a component back, what was there being set aside"),
		Target:     func(o any) string { return o.(*RestoreOptions).Component },
		Compile: func(r *Recovery, o any) (runbook.Step, error) {
			return r.restore(o.(*RestoreOptions).Component, "Restore ")
		},
	}
}

func mergeStep() StepType {
	return StepType{
		Definition: restores("adapts the machine's configuration to the saved one, conflicts being shown"),
		Target:     func(o any) string { return o.(*RestoreOptions).Component },
		Compile: func(r *Recovery, o any) (runbook.Step, error) {
			return r.restore(o.(*RestoreOptions).Component, "Adapt ")
		},
	}
}

func (r *Recovery) restore(name, verb string) (runbook.Step, error) {
	spec, err := r.spec(name)
	if err != nil {
		return runbook.Step{}, err
	}
	title := spec.Title
	if title == "" {
		title = spec.Name
	}
	step := runbook.Step{
		Title:  verb + title,
		Repeat: runbook.RepeatSafe,
		Warn:   spec.Importance != profile.Critical,
		Hand:   r.restoreByHand(name),
		When: func(context.Context) (bool, string, error) {
			switch {
			case !r.wanted(name):
				return false, "not chosen", nil
			}
			_, err := r.record(name)
			if errors.Is(err, vault.ErrNotCaptured) {
				return false, err.Error(), nil
			}
			return err == nil, "", err
		},
		Run: func(ctx context.Context, task runbook.Task) error {
			c, err := r.component(task, name)
			if err != nil {
				return err
			}
			record, err := r.record(name)
			if err != nil {
				return err
			}
			if err := c.Restore(ctx, r.Point, r.restoreOptions(task, record)); err != nil {
				return err
			}
			return r.checkComponent(ctx, task, c, record)
		},
		Undo: func(ctx context.Context, task runbook.Task) error {
			c, err := r.component(task, name)
			if err != nil {
				return err
			}
			return c.Rollback(ctx)
		},
	}
	if record, err := r.record(name); err == nil {
		step.Effects = record.Paths
		if len(record.Streams) > 0 && len(record.Paths) == 0 {
			step.Effects = []string{spec.Kind + " " + name}
		}
	}
	if planned, ok := r.planned[name]; ok {
		step.Effects = planned
	}
	return step, nil
}

func (r *Recovery) restoreOptions(task runbook.Task, record component.Record) component.RestoreOptions {
	return component.RestoreOptions{
		Record:   record,
		Owners:   r.owners,
		Progress: task.Progress,
		Warn:     func(message string) { task.Warnf("%s", message) },
	}
}

// checkComponent records the kind's own comparison with what was captured and
// fails when it does not hold.
func (r *Recovery) checkComponent(ctx context.Context, task runbook.Task, c component.Component, record component.Record) error {
	checks, err := c.Check(ctx, record)
	if err != nil {
		return fmt.Errorf("check %s: %w", record.Name, err)
	}
	return report(task, record.Name, checks)
}

// report records checks and returns an error naming those that failed.
func report(task runbook.Task, what string, checks []runbook.Check) error {
	var failed []string
	for _, check := range checks {
		task.Check(check)
		if !check.OK && !check.Warning {
			failed = append(failed, fmt.Sprintf("%s: expected %s, found %s", check.Name, check.Expected, check.Found))
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%s is not as it was saved: %s", what, strings.Join(failed, "; "))
	}
	return nil
}

// restoreByHand tells how stock tools put a component back.
func (r *Recovery) restoreByHand(name string) string {
	record, err := r.record(name)
	if err != nil {
		return "This component is not in this recovery point (" + string(record.Status) + ")."
	}
	var b strings.Builder
	if len(record.Paths) > 0 {
		b.WriteString("```sh\nrestic -r \"$REPOSITORY\" restore \"$POINT\" --target /")
		for _, p := range record.Paths {
			b.WriteString(" --include " + quote(p))
		}
		b.WriteString("\n```\n")
		b.WriteString(r.ownersByHand(record.Paths))
	}
	if by, ok := r.Catalog.Kinds[record.Kind]; ok && by.ByHand != nil {
		b.WriteString(by.ByHand(record))
	}
	return b.String()
}

// aboveIDs is added to a lost machine's numbers on the way to this machine's, so
// that no number is taken for another one half-way.
const aboveIDs = 4_000_000

// ownersByHand writes out how owners are given back by name: stock tools
// restore them by number.
func (r *Recovery) ownersByHand(paths []string) string {
	var away, home []string
	add := func(test, prefix string, names map[uint32]string) {
		for _, id := range slices.Sorted(maps.Keys(names)) {
			if id == 0 {
				continue
			}
			away = append(away, fmt.Sprintf("find %s -%s %d -exec chown -h %s%d {} +", quoteAll(paths), test, id, prefix, aboveIDs+id))
			home = append(home, fmt.Sprintf("find %s -%s %d -exec chown -h %s%s {} +", quoteAll(paths), test, aboveIDs+id, prefix, quote(names[id])))
		}
	}
	add("uid", "", r.Manifest.Owners.Users)
	add("gid", ":", r.Manifest.Owners.Groups)
	if len(away) == 0 {
		return ""
	}
	return "\nOwners were restored by the lost machine's numbers; give them back by name:\n\n```sh\n" +
		strings.Join(append(away, home...), "\n") + "\n```\n"
}

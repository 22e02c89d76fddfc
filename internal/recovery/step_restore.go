package recovery

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// RestoreOptions names the component that a restore or merge step puts back.
type RestoreOptions struct {
	Component string `yaml:"component" json:"component" short:"true" jsonschema:"required"`
	// Accounts "later" says that owners may not be known yet, and that a later
	// step sets them.
	Accounts string `yaml:"accounts,omitempty" json:"accounts,omitempty" jsonschema:"enum=later"`
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
			return r.restore(o.(*RestoreOptions), "Restore ")
		},
	}
}

// adapt is the verb of a merge step.
const adapt = "Adapt "

func mergeStep() StepType {
	return StepType{
		Definition: restores("adapts the machine's configuration to the saved one, conflicts being shown"),
		Target:     func(o any) string { return o.(*RestoreOptions).Component },
		Compile: func(r *Recovery, o any) (runbook.Step, error) {
			return r.restore(o.(*RestoreOptions), adapt)
		},
	}
}

func (r *Recovery) restore(opts *RestoreOptions, verb string) (runbook.Step, error) {
	name := opts.Component
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
		Hand:   r.restoreByHand(opts, verb == adapt),
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
			c, err := r.component(ctx, task, name)
			if err != nil {
				return err
			}
			record, err := r.record(name)
			if err != nil {
				return err
			}
			if opts.Accounts == "later" {
				task = patient{task}
			}
			if err := c.Restore(ctx, r.Point, r.restoreOptions(task, record)); err != nil {
				return err
			}
			return r.checkComponent(ctx, task, c, record)
		},
		Undo: func(ctx context.Context, task runbook.Task) error {
			c, err := r.component(ctx, task, name)
			if err != nil {
				return err
			}
			if l, ok := c.(component.Lasting); ok && l.Lasts() != "" {
				task.Warnf("component %s: %s", name, l.Lasts())
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

// patient only logs what a later step will put right.
type patient struct{ runbook.Task }

func (p patient) Warnf(format string, args ...any) { p.Logf(format, args...) }

func (p patient) Check(check runbook.Check) {
	if check.Warning && !check.OK {
		p.Logf("%s: expected %s, found %s", check.Name, check.Expected, check.Found)
		return
	}
	p.Task.Check(check)
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
func (r *Recovery) restoreByHand(opts *RestoreOptions, adapted bool) string {
	record, err := r.record(opts.Component)
	if err != nil {
		return "This component is not in this recovery point (" + string(record.Status) + ")."
	}
	var b strings.Builder
	if adapted && len(record.Paths) > 0 {
		b.WriteString("Keep the fresh files, so that you can compare them with yours afterwards:\n\n```sh\n")
		for _, p := range record.Paths {
			fmt.Fprintf(&b, "test ! -e %[1]s || cp -a %[1]s %[2]s\n", quote(p), quote(p+".fresh"))
		}
		b.WriteString("```\n\n")
	}
	if len(record.Paths) > 0 {
		b.WriteString("```sh\nrestic -r \"$REPOSITORY\" restore \"$POINT\" --target /")
		for _, p := range record.Paths {
			b.WriteString(" --include " + quote(p))
		}
		b.WriteString("\n```\n")
		if opts.Accounts != "later" {
			b.WriteString(r.ownersByHand(record))
		}
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
func (r *Recovery) ownersByHand(record component.Record) string {
	var away, home []string
	paths := quoteAll(record.Paths)
	add := func(test, prefix string, ids []uint32, names map[uint32]string) {
		for _, id := range ids {
			name, ok := names[id]
			if id == 0 || !ok {
				continue
			}
			away = append(away, fmt.Sprintf("find %s -%s %d -exec chown -h %s%d {} +", paths, test, id, prefix, aboveIDs+id))
			home = append(home, fmt.Sprintf("find %s -%s %d -exec chown -h %s%s {} +", paths, test, aboveIDs+id, prefix, quote(name)))
		}
	}
	add("uid", "", record.UIDs, r.Manifest.Owners.Users)
	add("gid", ":", record.GIDs, r.Manifest.Owners.Groups)
	if len(away) == 0 {
		return ""
	}
	return "\nOwners were restored by the lost machine's numbers; give them back by name:\n\n```sh\n" +
		strings.Join(append(away, home...), "\n") + "\n```\n"
}

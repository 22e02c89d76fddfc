package recovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"

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
		Warn:   spec.Importance != profile.Critical && len(r.Only) == 0,
		Hand:   r.restoreByHand(opts, verb == adapt),
		When: func(context.Context) (bool, string, error) {
			switch {
			case !r.wanted(name):
				return false, "not chosen", nil
			}
			record, err := r.record(name)
			if errors.Is(err, vault.ErrNotCaptured) {
				why := vault.ErrNotCaptured.Error()
				if record.Reason != "" {
					why += ": " + record.Reason
				}
				return false, why, nil
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
			if err := r.checkComponent(ctx, task, c, record); err != nil {
				return err
			}
			return r.leads(ctx, task, record)
		},
		Undo: func(ctx context.Context, task runbook.Task) error {
			c, err := r.component(ctx, task, name)
			if err != nil {
				return err
			}
			if l, ok := c.(component.Lasting); ok && l.Lasts() != "" {
				task.Warnf("component %s: %s", name, l.Lasts())
			}
			if err := c.Rollback(ctx); err != nil {
				return err
			}
			return tellKept(ctx, task, c, name)
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
	return report(task, record.Name, r.spare(record, checks))
}

// report records checks and returns an error naming those that failed.
func report(task runbook.Task, what string, checks []runbook.Check) error {
	var failed []string
	for _, check := range checks {
		task.Check(check)
		if !check.OK && !check.Warning && !check.Skipped {
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
		return "" // the list of what the point holds says it
	}
	var b strings.Builder
	if !r.restoredOver(opts.Component) && len(record.Paths) > 0 {
		// Stock restic leaves what it finds beside what it restores: an authority
		// that was half the fresh one could issue nothing.
		why, move := "Move what is there aside", "mv"
		if adapted {
			why, move = "Keep the fresh files, so that you can compare them with yours afterwards", "cp -a"
		}
		b.WriteString(why + ":\n\n```sh\n")
		for _, p := range record.Paths {
			fmt.Fprintf(&b, "test ! -e %[1]s || test -e %[2]s || %[3]s %[1]s %[2]s\n", quote(p), quote(asideByHand(p)), move)
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

// restoredOver tells whether a component is written over what is there, because a
// second copy of it would be too large.
func (r *Recovery) restoredOver(name string) bool {
	spec, err := r.spec(name)
	if err != nil {
		return false
	}
	c, err := component.Make(r.Catalog.Kinds, component.Env{Host: r.Host, Settings: r.settings}, spec)
	if err != nil {
		return false
	}
	l, ok := c.(component.Lasting)
	return ok && l.Lasts() != ""
}

// accountName is what useradd(8) takes, so that a name means nothing else in the
// commands that are written out.
var accountName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*[$]?$`)

// aboveIDs is added to a lost machine's numbers on the way to this machine's, so
// that no number is taken for another one half-way.
const aboveIDs = 4_000_000

// ownersByHand writes out how owners are given back by name: stock tools
// restore them by number.
func (r *Recovery) ownersByHand(record component.Record) string {
	var away, home, entries []string
	paths := quoteAll(record.Paths)
	above := r.ownedAbove(record.Paths)
	add := func(test, prefix, tag string, ids []uint32, names map[uint32]string) {
		for _, id := range ids {
			name, ok := names[id]
			if id == 0 || !ok || !accountName.MatchString(name) {
				continue
			}
			away = append(away, fmt.Sprintf("find %s -%s %d -exec chown -h %s%d {} +", paths, test, id, prefix, aboveIDs+id))
			home = append(home, fmt.Sprintf("find %s -%s %d -exec chown -h %s%s {} +", paths, test, aboveIDs+id, prefix, quote(name)))
			if len(above) > 0 {
				away = append(away, fmt.Sprintf("find %s -maxdepth 0 -%s %d -exec chown -h %s%d {} +", quoteAll(above), test, id, prefix, aboveIDs+id))
				home = append(home, fmt.Sprintf("find %s -maxdepth 0 -%s %d -exec chown -h %s%s {} +", quoteAll(above), test, aboveIDs+id, prefix, quote(name)))
			}
			entries = append(entries, fmt.Sprintf(`s/^((default:)?%s:)%d:/\1%s:/`, tag, id, name))
		}
	}
	add("uid", "", "user", record.UIDs, r.Manifest.Owners.Users)
	add("gid", ":", "group", record.GIDs, r.Manifest.Owners.Groups)
	if len(away) == 0 {
		return ""
	}
	acls := fmt.Sprintf("getfacl -RPnp --skip-base %s | sed -E %s | setfacl --restore=-", paths,
		quote("/^# (owner|group|flags)/d; "+strings.Join(entries, "; ")))
	return "\nOwners were restored by the lost machine's numbers; give them back by name, in ACLs too:\n\n```sh\n" +
		strings.Join(append(append(away, home...), acls), "\n") + "\n```\n"
}

// ownedAbove lists the directories above paths that belong to somebody other than
// root where the page is written: restic restores them with the paths.
func (r *Recovery) ownedAbove(paths []string) []string {
	seen := map[string]bool{}
	for _, p := range paths {
		for dir := path.Dir(p); dir != "/" && dir != "." && !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = false
			real, err := r.Host.Entry(dir)
			if err != nil {
				continue
			}
			info, err := os.Lstat(real)
			if err != nil {
				continue
			}
			if st, ok := info.Sys().(*syscall.Stat_t); ok && info.IsDir() && st.Uid+st.Gid > 0 {
				seen[dir] = true
			}
		}
	}
	maps.DeleteFunc(seen, func(_ string, owned bool) bool { return !owned })
	return slices.Sorted(maps.Keys(seen))
}

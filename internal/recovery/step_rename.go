package recovery

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
	"lifeboat/internal/product"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
	"lifeboat/internal/scratch"
	"lifeboat/internal/vault"
)

// RenameOptions give the restored system another name.
type RenameOptions struct {
	Product string `yaml:"product" json:"product" jsonschema:"required"`
	// Part is what of the system is renamed, in the product's own words.
	Part string `yaml:"part" json:"part" jsonschema:"required"`
	From string `yaml:"from" json:"from" jsonschema:"required"`
	To   string `yaml:"to" json:"to" jsonschema:"required"` // "" when the name stays
	// Component is the database that knows the name; "" for none.
	Component string `yaml:"component,omitempty" json:"component,omitempty"`
	// Own says that the part is in files of the machine that no restore replaces.
	Own bool `yaml:"own,omitempty" json:"own,omitempty"`
	// Review asks a person before anything is changed.
	Review bool `yaml:"review,omitempty" json:"review,omitempty"`
}

func renameStep() StepType {
	return StepType{
		Definition: profile.Definition{
			Summary: "gives the restored system another name, in one part of it",
			Options: func() any { return &RenameOptions{} },
		},
		Target: func(o any) string { return o.(*RenameOptions).Part },
		Compile: func(r *Recovery, o any) (runbook.Step, error) {
			opts := o.(*RenameOptions)
			p, err := r.Catalog.Products.Get(opts.Product)
			if err != nil {
				return runbook.Step{}, err
			}
			if p.Rename == nil || !slices.Contains(p.RenameParts, opts.Part) {
				return runbook.Step{}, fmt.Errorf("product %s cannot rename %q; it can rename %v", opts.Product, opts.Part, p.RenameParts)
			}
			if opts.Review && r.Around { // nobody is asked
				return r.lookAtName(p, opts), nil
			}
			title := fmt.Sprintf("Rename %s to %s in the %s", opts.From, opts.To, opts.Part)
			if opts.To == "" {
				title = "Give it its new name in the " + opts.Part
			}
			step := runbook.Step{
				Title:   title,
				Repeat:  runbook.RepeatSafe,
				Effects: r.renamed[opts.Part],
				Hand:    fmt.Sprintf("Replace the name %s in the %s by the new one.\n", opts.From, opts.Part),
				When: func(context.Context) (bool, string, error) {
					return opts.To != "", "the system keeps its name", nil
				},
				Run: func(ctx context.Context, task runbook.Task) error { return r.rename(ctx, task, p, opts) },
			}
			if opts.To != "" {
				step.Done = func(ctx context.Context) (bool, string, error) {
					if r.renamed != nil && !opts.Own { // nothing is restored yet
						return false, "", nil
					}
					plan, err := r.planRename(ctx, p, opts)
					if err != nil || !plan.Empty() {
						return false, "", err
					}
					return true, opts.From + " is nowhere in the " + opts.Part, nil
				}
			}
			step.Undo = func(ctx context.Context, task runbook.Task) error { return r.renameBack(ctx, task, opts) }
			if opts.Review && opts.To != "" {
				step.Confirm = fmt.Sprintf("The %s names %s.\nLook whether %s is to stand there from now on. Once you say so, it is replaced.", opts.Part, opts.From, opts.To)
			}
			return step, nil
		},
	}
}

// ErrNewName says that a system cannot have the name that it is to get.
var ErrNewName = errors.New("the new name")

// renames lists the steps that give the system another name.
func (r *Recovery) renames() ([]*RenameOptions, error) {
	var list []*RenameOptions
	for _, stage := range r.Profile.Recovery.Stages() {
		for _, s := range stage.Steps {
			if _, ok := s.Options.(*RenameOptions); !ok {
				continue
			}
			options, err := profile.ExpandOptions(s.Options, r.settings)
			if err != nil {
				return nil, err
			}
			if opts, ok := options.(*RenameOptions); ok && opts.To != "" {
				list = append(list, opts)
			}
		}
	}
	return list, nil
}

// checkName refuses a name that the product could not have, before anything is
// looked at.
func (r *Recovery) checkName() error {
	if r.Given[NewName] == "" {
		return nil
	}
	renames, err := r.renames()
	if err != nil {
		return err
	}
	for _, opts := range renames {
		p, err := r.Catalog.Products.Get(opts.Product)
		if err != nil {
			return err
		}
		if p.CheckName == nil {
			continue
		}
		if err := p.CheckName(opts.From, opts.To); err != nil {
			return fmt.Errorf("%w: %w", ErrNewName, err)
		}
	}
	return nil
}

// planRename plans on the machine, as it is now.
func (r *Recovery) planRename(ctx context.Context, p *product.Product, opts *RenameOptions) (*product.Rename, error) {
	settings := r.Scope(ctx).Settings
	env := product.RenameEnv{Host: r.Host, Settings: settings, From: opts.From, To: opts.To, Part: opts.Part}
	if opts.Component != "" && r.wanted(opts.Component) {
		_, err := r.record(opts.Component)
		switch {
		case errors.Is(err, vault.ErrNotCaptured):
		case err != nil:
			return nil, err
		default:
			spec, err := r.spec(opts.Component)
			if err != nil {
				return nil, err
			}
			c, err := component.Make(r.Catalog.Kinds, component.Env{Host: r.Host, Settings: settings}, spec)
			if err != nil {
				return nil, err
			}
			var ok bool
			if env.Database, ok = c.(product.Database); !ok {
				return nil, fmt.Errorf("component %s is no database whose rows can be changed", opts.Component)
			}
		}
	}
	return p.Rename(ctx, env)
}

func (r *Recovery) rename(ctx context.Context, task runbook.Task, p *product.Product, opts *RenameOptions) error {
	plan, err := r.planRename(ctx, p, opts)
	if err != nil {
		return err
	}
	for _, line := range plan.Changes {
		task.Logf("%s", line)
	}
	aside := asideOf(task, opts)
	if !plan.Empty() {
		if err := plan.Apply(ctx, aside); err != nil {
			return err
		}
	}
	for _, line := range plan.Removed {
		task.Warnf("removed to make room for the new name, and kept below %s: %s", aside, line)
	}
	for _, line := range plan.Left {
		task.Warnf("look at by hand: %s", line)
	}
	rest, err := r.planRename(ctx, p, opts)
	if err != nil {
		return err
	}
	task.Check(renamedAll(opts, rest))
	return nil
}

// renamedAll says of a part what a second look has found. That nothing is left to
// rename does not say that the old name is nowhere.
func renamedAll(opts *RenameOptions, rest *product.Rename) runbook.Check {
	check := runbook.Check{
		Name: "every place in the " + opts.Part + " that could be told has the new name", OK: rest.Empty(),
		Expected: "no place with the old one", Found: "no place with the old one",
	}
	if !check.OK {
		check.Found = fmt.Sprintf("%d places with the old one", len(rest.Changes)+len(rest.Removed))
	}
	if len(rest.Left) > 0 {
		check.Found += "; what may be one is listed to look at by hand"
	}
	return check
}

// lookAtName tells where a part has the old name, and changes nothing.
func (r *Recovery) lookAtName(p *product.Product, opts *RenameOptions) runbook.Step {
	return runbook.Step{
		Title:  fmt.Sprintf("Look for the old name in the %s", opts.Part),
		Repeat: runbook.RepeatSafe,
		When: func(context.Context) (bool, string, error) {
			return opts.To != "", "the system keeps its name", nil
		},
		Run: func(ctx context.Context, task runbook.Task) error {
			plan, err := r.planRename(ctx, p, opts)
			if err != nil {
				return err
			}
			for _, line := range slices.Concat(plan.Changes, plan.Removed, plan.Left) {
				task.Warnf("look at by hand: %s", line)
			}
			return nil
		},
	}
}

// Begin ends looking ahead: from now on the machine tells what is done.
func (r *Recovery) Begin() { r.renamed = nil }

// lookAtRename tells what the new name would change, by looking at the point's
// content in a directory and its database in a private server.
func (r *Recovery) lookAtRename(ctx context.Context) error {
	r.renamed = map[string][]string{}
	renames, err := r.renames()
	if err != nil {
		return err
	}
	for _, opts := range renames {
		effects, err := r.previewRename(ctx, opts)
		if err != nil {
			return fmt.Errorf("look at what the new name changes in the %s: %w", opts.Part, err)
		}
		r.renamed[opts.Part] = effects
	}
	return nil
}

// staged is a database of the point that can only be looked at.
type staged struct{ component.Staged }

func (staged) Transact(context.Context, []string) error {
	return errors.New("a rehearsal changes nothing")
}

func (r *Recovery) previewDatabase(ctx context.Context, name, dir string) (product.Database, func(), error) {
	spec, err := r.spec(name)
	if err != nil {
		return nil, nil, err
	}
	settings := r.Scope(ctx).Settings
	for name, setting := range r.Profile.Settings {
		if _, known := settings[name]; !known && setting.Secret {
			settings[name] = "" // only this machine's server would want it
		}
	}
	c, err := component.Make(r.Catalog.Kinds, component.Env{Host: r.Host, Settings: settings, Run: "plan", State: dir}, spec)
	if err != nil {
		return nil, nil, err
	}
	s, ok := c.(component.Stager)
	if !ok {
		return nil, nil, fmt.Errorf("component %s of kind %s cannot be looked at in a recovery point", name, spec.Kind)
	}
	db, err := s.Stage(ctx, r.Point, dir)
	if err != nil {
		return nil, nil, err
	}
	return staged{db}, func() { _ = db.Close(context.WithoutCancel(ctx)) }, nil
}

func (r *Recovery) previewRename(ctx context.Context, opts *RenameOptions) ([]string, error) {
	p, err := r.Catalog.Products.Get(opts.Product)
	if err != nil {
		return nil, err
	}
	place, err := scratch.Make("")
	if err != nil {
		return nil, err
	}
	defer place.Remove()
	dir := place.Path()
	env := product.RenameEnv{Settings: r.settings, From: opts.From, To: opts.To, Part: opts.Part}
	if opts.Component != "" {
		if _, err := r.record(opts.Component); err == nil {
			db, done, err := r.previewDatabase(ctx, opts.Component, dir)
			if err != nil {
				return nil, err
			}
			defer done()
			env.Database = db
		}
	}
	if opts.Own {
		env.Host = r.Host
		return lines(p.Rename(ctx, env))
	}
	root := filepath.Join(dir, "root")
	for _, record := range r.Manifest.Components {
		spec, err := r.spec(record.Name)
		// What is large is live; names are in what is captured stopped.
		if err != nil || record.Status != component.StatusCaptured || len(record.Paths) == 0 || spec.Capture == profile.Live {
			continue
		}
		if err := r.Extract(ctx, record.Name, root); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, err
	}
	if env.Host, err = host.At(root); err != nil {
		return nil, err
	}
	return lines(p.Rename(ctx, env))
}

// lines is what a plan would do, for people.
func lines(plan *product.Rename, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	var all []string
	for _, line := range plan.Removed {
		all = append(all, "removes, and keeps aside: "+line)
	}
	for _, line := range plan.Left { // what is shown first without -v
		all = append(all, "look at by hand: "+line)
	}
	return append(all, plan.Changes...), nil
}

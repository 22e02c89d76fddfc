package recovery

import (
	"context"
	"fmt"

	"lifeboat/internal/component"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
)

// AccessOptions lets the application's own account into its database.
type AccessOptions struct {
	Component string `yaml:"component" json:"component" short:"true" jsonschema:"required"`
	// Configuration is the component that has the password. When it alone comes
	// back, the database that stays is to take that password.
	Configuration string `yaml:"configuration,omitempty" json:"configuration,omitempty"`
	Hint          string `yaml:"hint,omitempty" json:"hint,omitempty"`
}

func (o *AccessOptions) components() []string {
	if o.Configuration == "" {
		return []string{o.Component}
	}
	return []string{o.Component, o.Configuration}
}

func accessStep() StepType {
	return StepType{
		Definition: profile.Definition{
			Summary:    "gives the application's database account the restored password, where it does not get in",
			Options:    func() any { return &AccessOptions{} },
			Components: func(o any) []string { return o.(*AccessOptions).components() },
		},
		Target: func(o any) string { return o.(*AccessOptions).Component },
		Compile: func(r *Recovery, o any) (runbook.Step, error) {
			opts := o.(*AccessOptions)
			step := runbook.Step{
				Title:   "Let the configured account into " + opts.Component,
				Repeat:  runbook.RepeatSafe,
				Hand:    opts.Hint,
				Effects: []string{"where the login fails: password of the configured account, and its rights on the database if it has none"},
				When: func(ctx context.Context) (bool, string, error) {
					return r.admits(ctx, opts)
				},
				Run: func(ctx context.Context, task runbook.Task) error {
					a, err := r.admitter(ctx, task, opts.Component)
					if err != nil {
						return err
					}
					done, err := a.Admit(ctx)
					switch {
					case err != nil && opts.Hint != "":
						return fmt.Errorf("%w. %s", err, opts.Hint)
					case err != nil:
						return err
					case done == "":
						done = "the configured account gets in"
					}
					task.Logf("%s", done)
					return nil
				},
				Undo: func(ctx context.Context, task runbook.Task) error {
					a, err := r.admitter(ctx, task, opts.Component)
					if err != nil {
						return err
					}
					return a.Withdraw(ctx)
				},
			}
			return step, nil
		},
	}
}

// admits tells whether the account is to be let in: what has or wants its
// password came back.
func (r *Recovery) admits(ctx context.Context, opts *AccessOptions) (bool, string, error) {
	back := func(name string) bool {
		if name == "" || !r.wanted(name) {
			return false
		}
		record, err := r.record(name)
		return err == nil && record.Status == component.StatusCaptured
	}
	if back(opts.Component) {
		return true, "", nil
	}
	skipped := opts.Component + " was not restored"
	if !back(opts.Configuration) {
		return false, skipped, nil
	}
	spec, err := r.spec(opts.Component)
	if err != nil {
		return false, "", err
	}
	scope := r.Scope(ctx)
	if spec.When != "" {
		if used, err := profile.Expr(spec.When, scope); err != nil || !used {
			return false, skipped, err
		}
	}
	c, err := component.Make(r.Catalog.Kinds, component.Env{Host: r.Host, Settings: scope.Settings}, spec)
	if err != nil {
		return false, "", err
	}
	db, ok := c.(component.Querier)
	a, can := c.(component.Admitter)
	if !ok || !can {
		return false, skipped, nil
	}
	if err := db.Login(ctx); err == nil || !a.Refused(err) {
		return false, skipped, nil
	}
	return true, "", nil
}

func (r *Recovery) admitter(ctx context.Context, task runbook.Task, name string) (component.Admitter, error) {
	c, err := r.component(ctx, task, name)
	if err != nil {
		return nil, err
	}
	a, ok := c.(component.Admitter)
	if !ok {
		return nil, fmt.Errorf("component %s has no accounts that a recovery can let in", name)
	}
	return a, nil
}

package recovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
)

// Rehearsal says what the place offers where a recovery is tried out. There is no
// network, nobody answers a question, and nothing restarts.
type Rehearsal struct {
	// Services tells that the commands which stop and start services work.
	Services bool
}

// Replaced is a step of a recovery that a rehearsal does in another way, or leaves out.
type Replaced struct {
	Step  string `json:"step"`
	Title string `json:"title"`
	By    string `json:"by,omitempty"` // what is done in its place; "" for nothing
	Why   string `json:"why"`
}

const withoutServices = "the services of this machine are not run in the sandbox"

// Replaced lists what a rehearsal does not do as the recovery would, known once the
// runbook is compiled. A step that does not apply to the machine is listed all the same.
func (r *Recovery) Replaced() []Replaced {
	list := slices.Clone(r.replaced)
	if r.Rehearsal == nil {
		return nil
	}
	identity := r.Profile.Identity
	if slices.Contains(slices.Concat(identity.MustMatch, identity.Warn), "addresses") {
		list = slices.Insert(list, 0, Replaced{Step: "preflight/identity", Title: "Compare the addresses", Why: "a sandbox has the loopback as its only network"})
	}
	return list
}

// Restores names, for each step that puts a component back, the component. It is
// known once the runbook is compiled.
func (r *Recovery) Restores() map[string]string { return maps.Clone(r.restores) }

// rehearse puts in the place of a step what a rehearsal can do. The id stays, and
// so does the order.
func (r *Recovery) rehearse(stage string, s profile.Step, step *runbook.Step, options any) (replaced bool, err error) {
	left := func(why string) bool {
		r.replaced = append(r.replaced, Replaced{Step: step.ID, Title: step.Title, Why: why})
		*step = runbook.Step{ID: step.ID, Title: step.Title, When: func(context.Context) (bool, string, error) { return false, "not exercised: " + why, nil }}
		return true
	}
	run, isRun := options.(*RunOptions)
	_, isService := options.(*ServiceOptions)
	switch {
	case !r.Rehearsal.Services && (stage == "start" || isService):
		return left(withoutServices), nil
	case s.Drill != nil:
		if stands, err := r.stands(*s.Drill); err != nil || stands {
			return stands, errors.Join(err, r.standIn(s, step))
		}
	}
	switch {
	case step.Reboot:
		return left("a sandbox does not restart"), nil
	case isRun && run.Background:
		return left("a drill does not wait for a job in the background"), nil
	case step.Confirm != "":
		r.witness(s, step)
		return true, nil
	}
	return false, nil
}

// stands tells whether the step of a drill is wanted: one with a condition of its own
// takes the place of the other only where that holds.
func (r *Recovery) stands(s profile.Step) (bool, error) {
	if s.When == "" {
		return true, nil
	}
	holds, err := profile.Expr(s.When, r.Scope(context.Background()))
	if err != nil {
		return false, fmt.Errorf("drill: %w", err)
	}
	return holds, nil
}

// standIn compiles the step that the profile names for a drill.
func (r *Recovery) standIn(s profile.Step, step *runbook.Step) error {
	t, ok := r.Catalog.Steps[s.Drill.Type]
	if !ok {
		return fmt.Errorf("drill: unknown step type %q", s.Drill.Type)
	}
	options, err := profile.ExpandOptions(s.Drill.Options, r.settings)
	if err != nil {
		return fmt.Errorf("drill: %w", err)
	}
	other, err := t.Compile(r, options)
	if err != nil {
		return fmt.Errorf("drill: %w", err)
	}
	if s.Drill.Title != "" {
		other.Title = s.Drill.Title
	}
	why := "it reaches out of the sandbox"
	switch {
	case step.Reboot:
		why = "a sandbox does not restart"
	case step.Confirm != "":
		why = "a person does it"
	}
	r.replaced = append(r.replaced, Replaced{Step: step.ID, Title: step.Title, By: other.Title, Why: why})
	other.ID = step.ID
	other.Title = step.Title + " (in a drill: " + other.Title + ")"
	other.Warn = step.Warn || other.Warn || s.Drill.Warn
	other.Repeat = runbook.RepeatSafe
	*step = other
	return nil
}

// witness makes of a manual step the look at whether it is needed: what it is to
// bring about may be there already.
func (r *Recovery) witness(s profile.Step, step *runbook.Step) {
	title, done := step.Title, s.Done
	r.replaced = append(r.replaced, Replaced{Step: step.ID, Title: title, By: "a look at whether it is needed", Why: "a person does it"})
	step.Confirm, step.Done = "", nil
	step.Run = func(ctx context.Context, task runbook.Task) error {
		check := runbook.Check{Name: title, Warning: true, Expected: "no person is needed", Found: "a person is needed"}
		if done != nil {
			holds, seen, err := r.Catalog.Profile.Holds(ctx, *done, r.Scope(ctx))
			if err != nil {
				return err
			}
			check.OK, check.Found = holds, seen
			check.Hint = "a recovery waits for a person here"
		}
		task.Check(check)
		return nil
	}
}

package recovery

import (
	"context"
	"fmt"
	"strings"

	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
)

// StepType is one type of step that a profile's recovery may use.
type StepType struct {
	profile.Definition
	// Target names what the step acts on, for its id: restore/database.
	Target func(options any) string
	// Compile fills in title, Run, Undo, Hand and Effects; the keys common to
	// all steps are applied afterwards.
	Compile func(r *Recovery, options any) (runbook.Step, error)
}

// Steps is the table of step types.
func Steps() map[string]StepType {
	return map[string]StepType{
		"restore": restoreStep(),
		"merge":   mergeStep(),
		"run":     runStep(),
		"service": serviceStep(),
		"system":  systemStep(),
		"owner":   ownerStep(),
		"acl":     aclStep(),
		"write":   writeStep(),
		"sql":     sqlStep(),
		"confirm": confirmStep(),
		"check":   checkStep(),
		"reboot":  rebootStep(),
		"rename":  renameStep(),
		"access":  accessStep(),
	}
}

// compile turns a stage's steps into runbook steps. A step without needs waits
// for the end of the one before it: that a recommended part did not come back
// keeps nothing else back. needs: [ID] waits for success, needs: [] for nothing.
func (r *Recovery) compile(stage string, steps []profile.Step, before []runbook.Step) ([]runbook.Step, error) {
	var out []runbook.Step
	previous := ""
	if len(before) > 0 {
		previous = before[len(before)-1].ID
	}
	used := map[string]int{}
	for _, s := range steps {
		step, err := r.step(stage, s, used)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: step %s: %w", r.Profile.Source, s.Line, s.Type, err)
		}
		switch {
		case s.Needs == nil && previous != "":
			step.After = []string{previous}
		case s.Needs != nil:
			for _, n := range s.Needs {
				step.Needs = append(step.Needs, stage+"/"+n)
			}
			if len(before) > 0 {
				step.Needs = append(step.Needs, before[len(before)-1].ID)
			}
			// Of two chosen components one may lie within the other.
			if len(r.Only) > 0 && len(out) > 0 {
				step.After = []string{previous}
			}
		}
		previous = step.ID
		out = append(out, step)
	}
	return out, nil
}

func (r *Recovery) step(stage string, s profile.Step, used map[string]int) (runbook.Step, error) {
	t, ok := r.Catalog.Steps[s.Type]
	if !ok {
		return runbook.Step{}, fmt.Errorf("unknown step type %q", s.Type)
	}
	options, err := profile.ExpandOptions(s.Options, r.settings)
	if err != nil {
		return runbook.Step{}, err
	}
	if run, ok := options.(*RunOptions); ok {
		if run.title = s.Title; run.title == "" {
			run.title = strings.Join(run.lists()[0], " ")
		}
	}
	step, err := t.Compile(r, options)
	if err != nil {
		return runbook.Step{}, err
	}
	step.ID = stage + "/" + stepID(s, t, options, used)
	if s.Title != "" {
		step.Title = s.Title
	}
	if o, ok := options.(*RestoreOptions); ok {
		r.restores[step.ID] = o.Component
	}
	step.Warn = step.Warn || s.Warn
	if r.Rehearsal != nil {
		replaced, err := r.rehearse(stage, s, &step, options)
		if err != nil {
			return runbook.Step{}, err
		}
		if replaced {
			r.condition(&step, s)
			return step, nil
		}
	}
	if s.Repeat == "safe" {
		step.Repeat = runbook.RepeatSafe
	}
	r.condition(&step, s)
	if s.Done != nil {
		done := *s.Done
		if options, err := profile.ExpandOptions(done.Options, r.settings); err == nil && step.Hand != "" {
			if by, ok := options.(interface{ ByHand() []string }); ok && by.ByHand() != nil {
				step.Hand = "Not needed when this says OK:\n\n    " + quoteAll(by.ByHand()) + "\n\n" + step.Hand
			}
		}
		step.Done = func(ctx context.Context) (bool, string, error) {
			return r.Catalog.Profile.Holds(ctx, done, r.Scope(ctx))
		}
	}
	if run, ok := options.(*RunOptions); ok && run.Attempts > 1 && step.Done != nil {
		step.Run = attempts(step, run.Attempts)
	}
	return step, nil
}

// attempts runs a step again until it is seen done: some commands, say a package
// manager that has updated itself, want to be called several times.
func attempts(step runbook.Step, most int) func(context.Context, runbook.Task) error {
	return func(ctx context.Context, task runbook.Task) error {
		for i := range most {
			if err := step.Run(ctx, task); err != nil {
				return err
			}
			done, seen, err := step.Done(ctx)
			if err != nil || done {
				return err
			}
			task.Logf("not done after attempt %d: %s", i+1, seen)
		}
		return nil // the engine asks Done once more and says what is missing
	}
}

// condition joins the step type's own applicability with the profile's when.
func (r *Recovery) condition(step *runbook.Step, s profile.Step) {
	if s.When == "" {
		return
	}
	if step.Hand != "" && !r.Host.IsLocal() {
		step.Hand = "Only where `" + s.When + "` holds.\n\n" + step.Hand
	}
	step.Arrives = false // the condition may be what does not hold
	inner := step.When
	step.When = func(ctx context.Context) (bool, string, error) {
		holds, err := profile.Expr(s.When, r.Scope(ctx))
		if err != nil {
			return false, "", err
		}
		if !holds {
			return false, s.When + " does not hold", nil
		}
		if inner == nil {
			return true, "", nil
		}
		return inner(ctx)
	}
}

// stepID is the profile's id or one made of type and target; a second step
// with the same words gets a number.
func stepID(s profile.Step, t StepType, options any, used map[string]int) string {
	id := s.ID
	if id == "" {
		id = s.Type
		if t.Target != nil {
			if target := t.Target(options); target != "" {
				id += "-" + slug(target)
			}
		}
	}
	used[id]++
	if n := used[id]; n > 1 {
		id = fmt.Sprintf("%s-%d", id, n)
	}
	return id
}

// slug makes a readable id of free text: letters, digits and hyphens.
func slug(s string) string {
	out := make([]rune, 0, len(s))
	for _, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			out = append(out, c)
		case c >= 'A' && c <= 'Z':
			out = append(out, c+'a'-'A')
		case len(out) > 0 && out[len(out)-1] != '-':
			out = append(out, '-')
		}
		if len(out) == 40 {
			break
		}
	}
	for len(out) > 0 && out[len(out)-1] == '-' {
		out = out[:len(out)-1]
	}
	return string(out)
}

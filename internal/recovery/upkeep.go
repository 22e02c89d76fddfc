package recovery

import (
	"context"
	"errors"
	"fmt"

	"lifeboat/internal/component"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
)

// Examine runs the checks that a recovery ends with, on the system as it is: those of
// the stages repair, start and verify that only look. What they found is returned; an
// error says that they did not come to their end. A check that could not be made is one
// that is not OK.
func (r *Recovery) Examine(ctx context.Context, task runbook.Task) ([]runbook.Check, error) {
	var all []runbook.Check
	stages := r.Profile.Recovery
	for _, steps := range [][]profile.Step{stages.Repair, stages.Start, stages.Verify} {
		for _, s := range steps {
			o, ok := s.Options.(*CheckOptions)
			if !ok || o.Component != "" { // that one is for what was just restored
				continue
			}
			checks, err := r.examine(ctx, task, s, o)
			if ctx.Err() != nil {
				return all, ctx.Err()
			}
			if err != nil {
				checks = []runbook.Check{{Name: o.title(), Expected: "can be checked", Found: err.Error()}}
			}
			for _, c := range checks {
				c.Warning = c.Warning || s.Warn
				if c.Hint == "" {
					c.Hint = o.Hint
				}
				all = append(all, c)
			}
		}
	}
	return all, nil
}

func (r *Recovery) examine(ctx context.Context, task runbook.Task, s profile.Step, o *CheckOptions) ([]runbook.Check, error) {
	if s.When != "" {
		if holds, err := profile.Expr(s.When, r.Scope(ctx)); err != nil || !holds {
			return nil, err
		}
	}
	expanded, err := profile.ExpandOptions(o, r.settings)
	if err != nil {
		return nil, err
	}
	return r.check(ctx, task, expanded.(*CheckOptions))
}

// Questions asks the running system what Examine compares: name → rows.
func (r *Recovery) Questions(ctx context.Context, task runbook.Task) (records map[string][][]string, warnings []string) {
	return Records(ctx, r.Host, r.Profile, r.Scope(ctx), func(name string) (component.Querier, error) {
		if _, err := r.record(name); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInapplicable, err)
		}
		return r.database(ctx, task, name)
	})
}

// Hold stops the system, if it runs, and keeps it stopped, across restarts too. It may
// be repeated. ran tells whether it did.
func (r *Recovery) Hold(ctx context.Context, task runbook.Task) (ran bool, err error) {
	if ran, _, err = r.running(ctx); err != nil {
		return false, err
	}
	if ran {
		if err := r.commands(ctx, task, r.Profile.Quiesce.Stop); err != nil {
			return ran, err
		}
	}
	return ran, r.commands(ctx, task, r.Profile.Quiesce.Hold)
}

// Release lets the system start again, and with start set it does.
func (r *Recovery) Release(ctx context.Context, task runbook.Task, start bool) error {
	err := r.commands(ctx, task, r.Profile.Quiesce.Release)
	if err == nil && start {
		err = r.commands(ctx, task, r.Profile.Quiesce.Start)
	}
	return err
}

// Runs tells whether the system runs.
func (r *Recovery) Runs(ctx context.Context) (bool, error) {
	ran, _, err := r.running(ctx)
	return ran, err
}

// Stores are the database servers that keep data of the system on some machine.
func (r *Recovery) Stores(ctx context.Context, task runbook.Task) ([]Store, error) {
	var all []Store
	for _, spec := range r.Profile.Components {
		server := r.Catalog.Kinds[spec.Kind].Server
		if _, err := r.record(spec.Name); server == nil || err != nil {
			continue
		}
		c, err := r.component(ctx, task, spec.Name)
		if err != nil {
			return nil, err
		}
		db, ok := c.(component.Querier)
		reach, reaches := c.(component.Reacher)
		if !ok || !reaches {
			return nil, fmt.Errorf("component %s: kind %s cannot be asked", spec.Name, spec.Kind)
		}
		count, _ := c.(component.Counter)
		all = append(all, Store{Component: spec.Name, Server: *server, db: db, reach: reach, count: count})
	}
	return all, nil
}

// Store is the database server of one component.
type Store struct {
	Component string
	component.Server
	db    component.Querier
	reach component.Reacher
	count component.Counter
}

// Count counts what is in the database; ok is false where its kind cannot.
func (s Store) Count(ctx context.Context) (census component.Census, ok bool, err error) {
	if s.count == nil {
		return census, false, nil
	}
	census, err = s.count.Count(ctx)
	return census, true, err
}

// Files is the directory of its files, on its own machine.
func (s Store) Files(ctx context.Context) (string, error) {
	rows, err := s.db.Query(ctx, s.Directory)
	if err == nil && (len(rows) != 1 || len(rows[0]) != 1) {
		err = errors.New("it does not tell where its files are")
	}
	if err != nil {
		return "", fmt.Errorf("the server of %s: %w", s.Component, err)
	}
	return rows[0][0], nil
}

// Answers tells whether it answers.
func (s Store) Answers(ctx context.Context) bool { return s.reach.Reach(ctx) == nil }

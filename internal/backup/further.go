package backup

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// Further is a repository that gets a copy of every point, once the point is
// sealed and the system runs again.
type Further struct {
	Name      string
	Retention config.Retention // what it would forget again is not copied into it
	// Open opens it for the one step that copies; done closes it.
	Open func(context.Context) (v *vault.Vault, done func(), err error)
}

// copies makes a step for every further repository. A failure is a warning: the
// point is safe in the first one.
func (b *Backup) copies() []runbook.Step {
	var steps []runbook.Step
	for _, f := range b.Further {
		steps = append(steps, runbook.Step{
			ID: "copy/" + f.Name, Title: "Copy to repository " + f.Name, EachTime: true, Warn: true,
			Run: func(ctx context.Context, task runbook.Task) error {
				if err := b.copyTo(ctx, task, f); err != nil {
					return fmt.Errorf("%w; the point is safe in the first repository. To try again: lifeboat copy %s --to %s", err, b.System, f.Name)
				}
				return nil
			},
		})
	}
	return steps
}

// Unreached says why a further repository could not be looked at; nil when it could.
func (b *Backup) Unreached(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.unreached[name]
}

// copyTo copies what one of them lacks. A point that is damaged here keeps no other
// from it.
func (b *Backup) copyTo(ctx context.Context, task runbook.Task, f Further) error {
	to, done, err := f.Open(ctx)
	if err != nil {
		b.mu.Lock()
		b.unreached[f.Name] = err
		b.mu.Unlock()
		return err
	}
	defer done()
	filter := vault.Filter{System: b.System}
	// Damage of single points in either is the affair of verify.
	here, err := b.Vault.Points(ctx, filter)
	if err != nil && !errors.Is(err, repository.ErrDamaged) {
		return err
	}
	there := to.Survey(ctx, filter)
	if there.Unread != nil && !errors.Is(there.Unread, repository.ErrDamaged) {
		return there.Unread
	}
	told(task, there)
	missing := vault.Missing(here, there.Points, f.Retention, time.Now())
	report, err := b.Vault.Copy(ctx, to, missing, func(p repository.CopyProgress) { task.Progress(p.Bytes, 0) })
	for _, s := range report.Snapshots {
		task.Logf("point %s is there as %s", s.ID.Short(), s.Copy.Short())
	}
	for _, p := range vault.UncopiedOf(report, missing) {
		task.Warnf("%v", p.Warning(""))
	}
	return err
}

package backup

import (
	"context"
	"errors"

	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// Within makes a recovery point as a part of another run's step, as a run of its own
// below o.StateDir, which is that step's: the system's lock is the other run's.
func Within(ctx context.Context, task runbook.Task, o Options) (*vault.Point, error) {
	b, err := New(ctx, o)
	if err != nil {
		return nil, err
	}
	tell := runbook.ObserverFunc(func(e runbook.Event) {
		switch e.Type {
		case runbook.StepProgress:
			task.Progress(e.Bytes, e.Total)
		case runbook.StepLog, runbook.StepWarning:
			task.Logf("%s: %s", e.Title, e.Text)
		}
	})
	engine := runbook.New(runbook.Options{Dir: o.StateDir, Observers: []runbook.Observer{tell}})
	engine.Conceal(b.Secrets()...)
	_, err = engine.Start(ctx, b.Runbook(), runbook.Meta{ID: b.RunID()})
	if err := errors.Join(err, b.Close(context.WithoutCancel(ctx))); err != nil {
		return nil, err
	}
	point := b.Point()
	if point == nil {
		return nil, errors.New("the backup made no recovery point")
	}
	return point, nil
}

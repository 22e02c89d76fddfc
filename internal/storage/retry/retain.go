package retry

import (
	"context"
	"time"

	"lifeboat/internal/storage"
)

// retainer is a store that can keep files from being removed, too.
type retainer struct {
	*store
	inner storage.Retainer
}

func (r *retainer) Retaining() time.Duration { return r.inner.Retaining() }

func (r *retainer) Retainable(ctx context.Context) error {
	return r.run(ctx, func(ctx context.Context, _ bool) error { return r.inner.Retainable(ctx) })
}

func (r *retainer) Retention(ctx context.Context, h storage.Handle) (found storage.Retention, err error) {
	err = r.run(ctx, func(ctx context.Context, _ bool) error {
		found, err = r.inner.Retention(ctx, h)
		return err
	})
	return found, err
}

func (r *retainer) Retain(ctx context.Context, h storage.Handle, until time.Time) error {
	return r.run(ctx, func(ctx context.Context, _ bool) error { return r.inner.Retain(ctx, h, until) })
}

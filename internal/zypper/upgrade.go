package zypper

import (
	"context"
	"errors"
)

// Terms are the terms of a distribution upgrade.
type Terms struct {
	// Recommends also installs what packages recommend: new features, not only
	// updates.
	Recommends bool `json:"recommends,omitempty"`
	// Vendor lets packages come from another vendor than those they replace.
	Vendor bool `json:"vendor,omitempty"`
	// Licenses says that licenses were agreed with.
	Licenses bool `json:"licenses,omitempty"`
}

func (t Terms) arguments(more ...string) []string {
	args := []string{"dist-upgrade"}
	if t.Recommends {
		args = append(args, "--recommends")
	} else {
		args = append(args, "--no-recommends")
	}
	if t.Vendor {
		args = append(args, "--allow-vendor-change")
	} else {
		args = append(args, "--no-allow-vendor-change")
	}
	if t.Licenses {
		args = append(args, "--auto-agree-with-licenses")
	}
	return append(args, more...)
}

// The metadata is refreshed once and by itself: each of these calls must see the same.
var unrefreshed = []string{"--no-refresh"}

// Simulate asks the solver what the upgrade would change. It sees only what metadata
// tells: no missing packages, no conflicts of files, no scripts.
func (z *Zypper) Simulate(ctx context.Context, t Terms) (*Result, error) {
	return withTransaction(z.untouched(ctx, unrefreshed, t.arguments("--dry-run")...))
}

// Fetch downloads the packages of the upgrade into the cache and looks through them:
// missing or broken ones, and those whose files are in each other's way, are an error.
// Nothing is changed. --download-only is never combined with --download, since together
// they upgrade.
func (z *Zypper) Fetch(ctx context.Context, t Terms) (*Result, error) {
	return withTransaction(z.untouched(ctx, unrefreshed, t.arguments("--dry-run", "--download-only")...))
}

// Upgrade does it. All packages are there before the first is changed. It goes on to
// its end when ctx ends: a transaction that is broken off leaves half of both releases.
// Repeated after it was killed it comes to the same end. An error that is an *Error and
// Complete by its code comes with all packages in place.
func (z *Zypper) Upgrade(ctx context.Context, t Terms) (*Result, error) {
	if err := z.quiet(ctx); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return withTransaction(z.call(context.WithoutCancel(ctx), unrefreshed, t.arguments("--download", "in-advance")...))
}

// withTransaction lets "nothing to do" be an empty transaction.
func withTransaction(r *Result, err error) (*Result, error) {
	if err == nil && r.Transaction == nil {
		r.Transaction = &Transaction{
			Upgrade: []Change{}, Downgrade: []Change{}, Install: []Change{}, Reinstall: []Change{},
			Remove: []Change{}, ChangeArch: []Change{}, ChangeVendor: []Change{},
		}
	}
	return r, err
}

// Code is the exit code in an error of this package; ok is false for another error.
func Code(err error) (code int, ok bool) {
	var e *Error
	if errors.As(err, &e) {
		return e.Code, true
	}
	return 0, false
}

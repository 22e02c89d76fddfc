package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/config"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
	"lifeboat/internal/scratch"
)

// private is a repository of this machine's own, below the state directory: what
// is taken from or put into a file passes through it as a recovery point. It is
// removed when nothing needs it any more: at the end, or, after a restore, when
// that has been taken back or what it set aside was removed.
type private struct{ *scratch.Dir }

// privateDir is where they lie.
func (a *app) privateDir(conf *config.Config) string {
	return filepath.Join(a.state(conf), "private")
}

func (p *private) url() string { return filepath.Join(p.Path(), "repository") }
func (p *private) key() string { return filepath.Join(p.Path(), "key") }

// openPrivate makes one, with a random password, and has all that follows use it.
func (a *app) openPrivate(ctx context.Context, conf *config.Config) (*private, error) {
	above := a.privateDir(conf)
	if err := os.MkdirAll(above, 0o700); err != nil {
		return nil, err
	}
	dir, err := scratch.In(above)
	if err != nil {
		return nil, fmt.Errorf("make a place for a temporary repository: %w", err)
	}
	p := &private{dir}
	if _, err = writePassword(p.key()); err == nil {
		a.repository, a.password, a.noCache = p.url(), passwordFlags{file: p.key()}, true
		var password []byte
		if password, err = a.passwordOf(ctx, config.Repository{}, a.password); err == nil {
			_, err = a.ensureRepository(ctx, config.Repository{URL: p.url()}, password, nil)
			clear(password)
		}
	}
	if err != nil {
		return nil, errors.Join(err, p.Remove())
	}
	return p, nil
}

// isPrivate tells whether a repository is one of these: what is in it now and gone
// later is nothing to remember.
func (a *app) isPrivate(conf *config.Config, location string) bool {
	return strings.HasPrefix(location, a.privateDir(conf)+"/")
}

// sweep removes what processes that were killed have left. That it cannot is told
// and keeps nobody from what was asked for.
func (a *app) sweep(conf *config.Config) {
	for _, err := range []error{scratch.Sweep(a.state(conf)), a.sweepPrivate(conf)} {
		if err != nil {
			a.notices.warn(err.Error())
		}
	}
}

// sweepPrivate removes those that no run needs: of a process that was killed, of a
// restore that was taken back or whose old data were removed.
func (a *app) sweepPrivate(conf *config.Config) error {
	if entries, err := os.ReadDir(a.privateDir(conf)); err != nil || len(entries) == 0 {
		return nil //nolint:nilerr // none was made
	}
	runs, err := runbook.List(a.state(conf))
	if err != nil {
		return nil //nolint:nilerr // one that cannot be read may need it
	}
	return scratch.SweepIn(a.privateDir(conf), func(path string) bool {
		p := filepath.Join(path, "repository")
		return slices.ContainsFunc(runs, func(r *runbook.Run) bool {
			return r.Kind == recovery.Kind && r.Options["repository"] == p &&
				(r.State == runbook.StateRunning || r.Resumable() || len(recovery.Holds(r)) > 0)
		})
	})
}

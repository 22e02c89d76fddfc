package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"lifeboat/internal/config"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
)

// private is a repository of this machine's own, below the state directory: what
// is taken from or put into a file passes through it as a recovery point. It is
// removed when nothing needs it any more: at the end, or, after a restore, when
// that has been taken back or what it set aside was removed.
type private struct {
	dir  string
	lock *os.File // held while somebody works with it
}

// privateDir is where they lie.
func (a *app) privateDir(conf *config.Config) string {
	return filepath.Join(a.state(conf), "private")
}

func (p *private) url() string { return filepath.Join(p.dir, "repository") }
func (p *private) key() string { return filepath.Join(p.dir, "key") }

// openPrivate makes one, with a random password, and has all that follows use it.
func (a *app) openPrivate(ctx context.Context, conf *config.Config) (*private, error) {
	a.sweepPrivate(conf)
	above := a.privateDir(conf)
	if err := os.MkdirAll(above, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(above, "")
	if err != nil {
		return nil, fmt.Errorf("make a place for a temporary repository: %w", err)
	}
	p := &private{dir: dir}
	if p.lock, err = lockPrivate(dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if _, err = writePassword(p.key()); err == nil {
		a.repository, a.password, a.noCache = p.url(), passwordFlags{file: p.key()}, true
		var password []byte
		if password, err = a.passwordOf(ctx, config.Repository{}, a.password); err == nil {
			_, err = a.ensureRepository(ctx, config.Repository{URL: p.url()}, password, nil)
			clear(password)
		}
	}
	if err != nil {
		return nil, errors.Join(err, p.remove())
	}
	return p, nil
}

// lockPrivate takes the lock of a directory, without waiting. It ends with the
// process.
func lockPrivate(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
	}
	return f, nil
}

func (p *private) remove() error {
	return errors.Join(os.RemoveAll(p.dir), p.lock.Close())
}

// isPrivate tells whether a repository is one of these: what is in it now and gone
// later is nothing to remember.
func (a *app) isPrivate(conf *config.Config, location string) bool {
	return strings.HasPrefix(location, a.privateDir(conf)+"/")
}

// sweepPrivate removes those that no run needs: of a process that was killed, of a
// restore that was taken back or whose old data were removed. What cannot be
// removed is tried again at the next call.
func (a *app) sweepPrivate(conf *config.Config) {
	entries, err := os.ReadDir(a.privateDir(conf))
	if err != nil || len(entries) == 0 {
		return
	}
	runs, err := runbook.List(a.state(conf))
	if err != nil {
		return // one that cannot be read may need it
	}
	for _, e := range entries {
		p := &private{dir: filepath.Join(a.privateDir(conf), e.Name())}
		needed := slices.ContainsFunc(runs, func(r *runbook.Run) bool {
			return r.Kind == recovery.Kind && r.Options["repository"] == p.url() &&
				(r.State == runbook.StateRunning || r.Resumable() || len(recovery.Holds(r)) > 0)
		})
		if needed || !e.IsDir() {
			continue
		}
		if p.lock, err = lockPrivate(p.dir); err == nil {
			_ = p.remove()
		}
	}
}

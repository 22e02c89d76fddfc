package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/upgrade/hook"
	"lifeboat/internal/upgrade/preflight"
	"lifeboat/internal/upgrade/wayback"
	"lifeboat/internal/zypper"
)

func (u *Upgrade) wanted(context.Context) (bool, string, error) {
	return !u.Unrehearsed, "it was asked for without", nil
}

// unchanged keeps a plan from being carried out on another set of packages: days may
// lie between both.
func (u *Upgrade) unchanged(ctx context.Context, task runbook.Task) error {
	if passed, err := u.passed(task); err != nil || passed {
		return err
	}
	z, err := u.zypper(ctx, true)
	if err != nil {
		return err
	}
	before, err := kept[[]string](task, keptBefore)
	if err != nil {
		return err
	}
	list, err := z.Packages(ctx)
	if err != nil {
		return err
	}
	if have := texts(list); !slices.Equal(have, before) {
		return runbook.Refuse("", "packages were changed since the plan was made (%s); begin the upgrade anew", difference(before, have))
	}
	return nil
}

func (u *Upgrade) passed(task runbook.Task) (bool, error) {
	var at time.Time
	return task.Kept(keptNoReturn, &at)
}

// secure makes the way back and keeps where it is before anything depends on it.
func (u *Upgrade) secure(ctx context.Context, task runbook.Task) error {
	means, fit, err := wayback.Choose(ctx, u.Ways, u.WayBack)
	if err != nil {
		return err
	}
	for _, l := range fit.Left {
		task.Logf("%s does not go back: %s", l.Path, l.Why)
	}
	var b wayback.Baseline
	err = u.still(ctx, task, fit, func() (err error) {
		b, err = means.Prepare(ctx, task)
		return err
	})
	if err != nil {
		return err
	}
	task.Logf("the way back is by %s: %d entries, %d bytes", means.Name(), b.Entries, b.Bytes)
	return task.Keep(keptBaseline, b)
}

// way finds the way back that was made; ok is false when there is none.
func (u *Upgrade) way(task runbook.Task) (m wayback.Means, b wayback.Baseline, ok bool, err error) {
	if ok, err = task.Kept(keptBaseline, &b); err != nil || !ok {
		return nil, b, false, err
	}
	if b.Root != "/" && u.Root != "/" {
		b.Root = u.Root // which may be mounted elsewhere now
	}
	m, err = wayback.Of(u.Ways, b)
	return m, b, err == nil, err
}

// release takes the way back away once it was gone, or is not needed.
func (u *Upgrade) release(ctx context.Context, task runbook.Task) error {
	if err := u.abort(ctx, task); err != nil {
		return err
	}
	if err := u.wake(ctx, task); err != nil { // after a kill
		return err
	}
	m, b, ok, err := u.way(task)
	if err != nil || !ok {
		return err
	}
	if err := u.look(ctx, task, m, b); err != nil {
		return err
	}
	return m.Drop(ctx, task, b)
}

// Places that the switch of package repositories changes.
const repositoryDir = "/etc/zypp/repos.d"

// switchOver switches the root's own package repositories: those of the old release are
// off and stay, as the vendor has it.
func (u *Upgrade) switchOver(ctx context.Context, task runbook.Task) error {
	z, err := u.zypper(ctx, false)
	if err != nil {
		return err
	}
	if err := u.keepRepositories(task); err != nil {
		return err
	}
	present, err := z.Repositories()
	if err != nil {
		return err
	}
	var off []string
	for _, p := range present {
		ours := slices.ContainsFunc(u.Repositories, func(r zypper.Repository) bool { return r.Alias == p.Alias })
		if p.Enabled && !ours {
			off = append(off, p.Alias)
		}
	}
	if err := z.DisableRepositories(off...); err != nil {
		return err
	}
	for _, r := range u.Repositories {
		at := slices.IndexFunc(present, func(p zypper.Repository) bool { return p.Alias == r.Alias })
		switch {
		case at < 0:
			err = z.AddRepository(ctx, r)
		case !present[at].Enabled:
			err = z.EnableRepositories(r.Alias)
		}
		if err != nil {
			return err
		}
	}
	task.Logf("off: %s", strings.Join(off, ", "))
	return nil
}

func (u *Upgrade) switchEffects() []string {
	effects := []string{"switches the present package repositories off"}
	for _, r := range u.Repositories {
		effects = append(effects, "adds "+r.Alias)
	}
	return effects
}

// aside is where the .repo files are kept as they were.
func (u *Upgrade) aside(task runbook.Task) string {
	return filepath.Join(task.Dir(), "repositories")
}

func (u *Upgrade) repositoryFiles() (names []string, err error) {
	dir, err := u.host.Path(repositoryDir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look at package repositories: %w", err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, path.Join(repositoryDir, e.Name()))
		}
	}
	return names, nil
}

func (u *Upgrade) keepRepositories(task runbook.Task) error {
	var names []string
	if found, err := task.Kept(stepSwitch, &names); err != nil || found {
		return err
	}
	names, err := u.repositoryFiles()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := u.host.KeepFile(name, filepath.Join(u.aside(task), name)); err != nil {
			return err
		}
	}
	dir, err := u.host.Path(repositoryDir)
	if err != nil {
		return err
	}
	if info, err := os.Stat(dir); err == nil {
		if err := task.Keep(keptDated, info.ModTime()); err != nil {
			return err
		}
	}
	return task.Keep(stepSwitch, append([]string{}, names...))
}

// switchBack brings the files of the package repositories back. Where the whole root
// has gone back it finds nothing to do.
func (u *Upgrade) switchBack(ctx context.Context, task runbook.Task) error {
	if err := u.abort(ctx, task); err != nil {
		return err
	}
	var before []string
	if found, err := task.Kept(stepSwitch, &before); err != nil || !found {
		return err
	}
	var dated time.Time
	if _, err := task.Kept(keptDated, &dated); err != nil {
		return err
	}
	now, err := u.repositoryFiles()
	if err != nil {
		return err
	}
	for _, name := range now {
		if slices.Contains(before, name) {
			continue
		}
		file, err := u.host.Path(name)
		if err == nil {
			err = os.Remove(file)
		}
		if err != nil {
			return fmt.Errorf("bring the package repositories back: %w", err)
		}
	}
	if err := u.host.UnwriteAll(u.aside(task), func(name string) (bool, error) { return u.unwritten(task, name) }); err != nil {
		return err
	}
	dir, err := u.host.Path(repositoryDir)
	if err != nil || dated.IsZero() {
		return err
	}
	return os.Chtimes(dir, time.Time{}, dated)
}

// unwritten tells whether a file is what it was: then it keeps its times.
func (u *Upgrade) unwritten(task runbook.Task, name string) (bool, error) {
	file, err := u.host.Path(name)
	if err != nil {
		return false, err
	}
	now, err := os.ReadFile(file)
	if err != nil {
		return false, nil //nolint:nilerr // it is written then
	}
	was, err := os.ReadFile(filepath.Join(u.aside(task), name))
	return err == nil && string(now) == string(was), nil
}

// pass verifies the way back a last time and writes down that from now on it is needed.
func (u *Upgrade) pass(ctx context.Context, task runbook.Task) error {
	if passed, err := u.passed(task); err != nil || passed {
		return err
	}
	m, b, ok, err := u.way(task)
	if err == nil && !ok {
		err = fmt.Errorf("the way back: %w", errNothing)
	}
	if err != nil {
		return err
	}
	if err := m.Verify(ctx, task, b); err != nil {
		return fmt.Errorf("the way back: %w", err)
	}
	if err := u.roomy(ctx, task); err != nil {
		return err
	}
	return task.Keep(keptNoReturn, time.Now().UTC())
}

// roomy sees that there still is room for the packages: the way back may have taken some,
// and others too.
func (u *Upgrade) roomy(ctx context.Context, task runbook.Task) error {
	method, err := u.by()
	if err != nil || method.By != "zypper" {
		return err
	}
	in := preflight.Input{To: u.To, Method: &method}
	if err := load(task, transactionName, &in.Transaction); err != nil {
		return err
	}
	in.Transaction.Download = 0 // it is there
	if in.Facts, err = facts.Collect(ctx, u.host); err != nil {
		return err
	}
	for _, s := range preflight.Check(in).Space {
		if s.Low() {
			return runbook.Refuse("", "with the way back made, %s has %d MiB free and needs %d MiB for the packages: make room, and begin the upgrade anew", s.Mount, s.Free>>20, s.Need>>20+1)
		}
	}
	return nil
}

// upgrade is the transaction. Repeated after a kill, it waits for what the killed one
// has left running and comes to the same set of packages.
func (u *Upgrade) upgrade(ctx context.Context, task runbook.Task) error {
	z, err := u.zypper(ctx, true)
	if err != nil {
		return err
	}
	r, err := z.Upgrade(ctx, u.Terms)
	if r != nil {
		var names []string
		if _, err := task.Kept(keptBeside, &names); err != nil {
			return err
		}
		if len(r.Configuration) > 0 {
			if err := task.Keep(keptBeside, append(names, r.Configuration...)); err != nil {
				return err
			}
		}
	}
	return u.judgeScripts(task, "the upgrade", r, err)
}

// back takes the root back to what it was, with the hooks of an abort.
func (u *Upgrade) back(ctx context.Context, task runbook.Task) error {
	z, err := u.zypper(ctx, true)
	if err != nil {
		return err
	}
	if err := z.Idle(ctx); err != nil {
		return err
	}
	m, b, ok, err := u.way(task)
	if err == nil && !ok {
		err = fmt.Errorf("the way back: %w", errNothing)
	}
	if err != nil {
		return err
	}
	if err := u.abort(ctx, task); err != nil {
		return err
	}
	if err := u.given(ctx, task, hook.BeforeAbortRollback); err != nil {
		return err
	}
	// What was downloaded is needed no more, and the way back may need its room.
	if err := z.Forget(); err != nil {
		return err
	}
	if err := u.save(ctx, task, m, b); err != nil {
		return err
	}
	if err := m.Back(ctx, task, b); err != nil {
		return err
	}
	if err := task.Keep(keptWent, true); err != nil {
		return err
	}
	return u.given(ctx, task, hook.AfterAbortRollback)
}

// abort runs the hooks of giving up, once.
func (u *Upgrade) abort(ctx context.Context, task runbook.Task) error {
	var done bool
	if found, err := task.Kept(keptAborting, &done); err != nil || found {
		return err
	}
	if err := u.given(ctx, task, hook.BeforeAbort); err != nil {
		return err
	}
	return task.Keep(keptAborting, true)
}

// given runs hooks on the way back, where a failing one must not stop it.
func (u *Upgrade) given(ctx context.Context, task runbook.Task, o hook.Occasion) error {
	err := u.hooks.Run(ctx, task, o)
	if err != nil && ctx.Err() == nil {
		task.Warnf("%v; the way back goes on", err)
		return nil
	}
	return err
}

// tidy removes the download; what is in the run's directory stays.
func (u *Upgrade) tidy(ctx context.Context, _ runbook.Task) error {
	z, err := u.zypper(ctx, true)
	if err != nil {
		return err
	}
	return errors.Join(z.Forget(), os.RemoveAll(u.apart()))
}

package cli

import (
	"context"
	"fmt"
	"maps"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade"
	"lifeboat/internal/upgrade/preflight"
)

func (a *app) upgradeResumeCommand() *cobra.Command {
	var accept checkFlags
	root := screen.Path("/")
	c := &cobra.Command{
		Use: "resume [RUN]", Short: "Go on with an upgrade, in the direction in which it was",
		Long: `Goes on with an upgrade that was interrupted, was killed, waits for the installer, or
failed: what is done is not done again, and what a killed one has left running is waited
for. One that was on its way back goes on back.

On a way of several hops it goes on with the hop that is next. One that was taken back, or
was refused before it changed anything, is begun anew, with facts and checks of now.
--accept and --accept-file add to what was accepted, for this hop and those behind it.`,
		Example: "  lifeboat upgrade resume\n  lifeboat upgrade resume --root /mnt\n  lifeboat upgrade resume --accept packages-removed=929912f7",
		Args:    screen.Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			return a.upgradeResume(c.Context(), root, names, accept)
		},
	}
	c.Flags().Var(&root, "root", "the machine whose root file system is mounted at `DIR`")
	c.Flags().StringArrayVar(&accept.accept, "accept", nil, "accept a finding of the preflight checks, as `ID[=WORD,WORD]`")
	c.Flags().StringVar(&accept.acceptFile, "accept-file", "", "accept the findings that `FILE` lists, one a line")
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask whether a hop that was taken back is to be gone again")
	return c
}

func (a *app) upgradeResume(ctx context.Context, root screen.Path, names []string, f checkFlags) error {
	more, err := f.accepted()
	if err != nil {
		return err
	}
	conf, run, err := a.upgradeRunOf(root, names)
	if err != nil {
		return err
	}
	request, err := a.asked(run)
	if err != nil {
		return err
	}
	if a.mounted != "" && !run.RollingBack {
		return runbook.Refuse("", "upgrade %s was run on the system itself; start that and go on there, or take it back from here: lifeboat upgrade rollback%s", run.ID, a.inRoot(run))
	}
	hops, err := a.hopsOf(conf, run)
	if err != nil {
		return err
	}
	next := upgrade.Hop{Request: request, Run: run}
	if len(hops) > 0 {
		var left bool
		if next, left = upgrade.Next(hops); !left {
			return screen.Usagef("the way to %s is at its end: the host is %s", request.Goal().Name(), upgrade.Where(hops).Name())
		}
	}
	anew := next.Run == nil || upgrade.Untouched(next.Run) && (len(hops) > 0 || len(more) > 0 && next.Run.State != runbook.StateRolledBack)
	defer a.noticed(ctx)()
	if !anew {
		if len(more) > 0 {
			return screen.Usagef("upgrade %s is %s: there is nothing to accept any more", next.Run.ID, upgrade.Standing(next.Run))
		}
		return a.goOn(ctx, conf, next.Run)
	}
	catalogue, err := a.upgradesOf(request.From.Product)
	if err != nil {
		return err
	}
	if next.Run == nil {
		if err := restartFirst(ctx, next.Request); err != nil {
			return err
		}
	} else if next.Run.State == runbook.StateRolledBack {
		if err := screen.Confirm(ctx, fmt.Sprintf("Upgrade %s was taken back. Go %s again, from %s to %s?", next.Run.ID, next.Request.Place(), next.Request.From.Name(), next.Request.To.Name()), a.yes); err != nil {
			return err
		}
	}
	if !a.JSON && next.Request.Way != nil {
		a.Printf("%s\n", screen.PainterFor(a.Out).Bold(hopText(next.Request)))
	}
	return a.along(ctx, conf, run.System, accepting(next.Request, more), catalogue)
}

// accepting adds to what was accepted, for a hop and those that follow it.
func accepting(r upgrade.Request, more preflight.Accepted) upgrade.Request {
	add := func(have preflight.Accepted) preflight.Accepted {
		all := maps.Clone(have)
		if all == nil {
			all = preflight.Accepted{}
		}
		for id, words := range more {
			all[id] = append(append([]string{}, all[id]...), words...)
		}
		return all
	}
	r.Accept = add(r.Accept)
	if r.Way != nil {
		w := *r.Way
		w.Then = append([]upgrade.Request{}, w.Then...)
		for i := range w.Then {
			w.Then[i].Accept = add(w.Then[i].Accept)
		}
		r.Way = &w
	}
	return r
}

// goOn goes on with a run, and with the hops that follow it.
func (a *app) goOn(ctx context.Context, conf *config.Config, run *runbook.Run) error {
	if err := a.with(ctx, conf, run, func(u *upgrade.Upgrade, e *runbook.Engine) (*runbook.Run, error) { return u.Resume(ctx, e, run) }); err != nil {
		return err
	}
	if a.ran.State == runbook.StateRolledBack {
		return nil
	}
	next, more, err := a.nextHop(ctx, conf)
	if err != nil || !more {
		return err
	}
	catalogue, err := a.upgradesOf(next.From.Product)
	if err != nil {
		return err
	}
	return a.along(ctx, conf, run.System, next, catalogue)
}

// with acts on a run with the upgrade that it is of.
func (a *app) with(ctx context.Context, conf *config.Config, run *runbook.Run, act func(*upgrade.Upgrade, *runbook.Engine) (*runbook.Run, error)) error {
	if run.State == runbook.StateRunning {
		return activeError(run)
	}
	request, err := a.asked(run)
	if err != nil {
		return err
	}
	catalogue, err := a.upgradesOf(request.From.Product)
	if err != nil {
		return err
	}
	u, done, err := a.upgradeOf(ctx, conf, run.System, request.System, request, catalogue)
	if err != nil {
		return err
	}
	defer done()
	engine, ended := a.engine(a.state(conf), false)
	defer ended()
	a.ran, err = act(u, engine)
	return a.upgradeEnded(conf, err)
}

func (a *app) upgradeRollbackCommand() *cobra.Command {
	root := screen.Path("/")
	c := &cobra.Command{
		Use: "rollback [RUN]", Short: "Take a host back to what it was before its upgrade",
		Long: `Takes back everything that the upgrade has changed: files, package database and package
repositories are what they were, and that is proved entry by entry. Where the running root
itself has to go back, it does so at the next start: the exit code is 5, and the same
command proves it afterwards. Where it does not start any more, mount it in a rescue system:
--root takes it back from there, with nothing but what lies in it. What was written to the
root since the upgrade is gone.

On a way of several hops one call takes one hop back, the last that was gone. RUN names an
earlier one: those behind it are taken back first, the last of them at the beginning.
lifeboat upgrade status lists them.`,
		Example: "  lifeboat upgrade rollback\n  lifeboat upgrade rollback --root /mnt",
		Args:    screen.Args(cobra.MaximumNArgs(1)),
		RunE:    func(c *cobra.Command, names []string) error { return a.upgradeRollback(c.Context(), root, names) },
	}
	c.Flags().Var(&root, "root", "the machine whose root file system is mounted at `DIR`")
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	return c
}

func (a *app) upgradeRollback(ctx context.Context, root screen.Path, names []string) error {
	conf, run, err := a.upgradeRunOf(root, names)
	if err != nil {
		return err
	}
	list := []*runbook.Run{run}
	hops, err := a.hopsOf(conf, run)
	if err != nil && len(names) == 0 {
		return err
	}
	if len(hops) > 0 {
		if len(names) == 0 {
			run = upgrade.Newest(hops, run)
		}
		list = upgrade.Behind(hops, run)
	}
	request, err := a.asked(list[len(list)-1])
	if err != nil {
		return err
	}
	which := ""
	for _, one := range list {
		if one.State == runbook.StateRunning {
			return activeError(one)
		}
		if which != "" {
			which += ", then "
		}
		which += one.ID
	}
	if err := screen.Confirm(ctx, fmt.Sprintf("Take upgrade %s back? The host becomes %s again, and what was changed since is gone.", which, request.From.Name()), a.yes); err != nil {
		return err
	}
	defer a.noticed(ctx)()
	for _, one := range list {
		if err := a.with(ctx, conf, one, func(u *upgrade.Upgrade, e *runbook.Engine) (*runbook.Run, error) { return u.Rollback(ctx, e, one) }); err != nil {
			return err
		}
		if n, _ := upgrade.Gone(a.ran); n > 0 {
			a.Code = runbook.ExitWarnings
		}
	}
	if !a.JSON {
		if reached := upgrade.Back(a.ran); reached.Compared > 0 && reached.Differ == 0 {
			a.Printf("\nThe host is %s again; %d entries compared equal.\n", request.From.Name(), reached.Compared)
		} else {
			a.Printf("\nThe host is %s; %v.\n", request.From.Name(), reached)
		}
	}
	if len(hops) == 0 || a.JSON {
		return nil
	}
	if hops, err = a.hopsOf(conf, run); err != nil {
		return err
	}
	a.Printf("The host is %s again. lifeboat upgrade status%s lists the hops.\n", upgrade.Where(hops).Name(), a.inRoot(run))
	return nil
}

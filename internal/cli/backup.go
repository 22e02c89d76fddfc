package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/backup"
	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/guard"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
	"lifeboat/internal/recovery"
	"lifeboat/internal/routine"
	"lifeboat/internal/runbook"
	"lifeboat/internal/strict"
	"lifeboat/internal/vault"
)

func (a *app) backupCommand() *cobra.Command {
	var dry, all, noCopy bool
	var with, without []string
	trigger := string(vault.Manual)
	c := &cobra.Command{
		Use:   "backup [SYSTEM]",
		Short: "Make a recovery point",
		Long: `Waits for the system's own jobs, stops it, captures what must be captured at
rest, starts it again whatever happens, captures the rest, and seals the
recovery point. What did not change since the last point is not stored again.
Where the system has further repositories, what they lack is then copied to them;
when one cannot be reached the backup ends with warnings. While a recovery of the
system is unfinished no point is made: it would hold half-restored data.

With --all every system of the configuration is backed up, one after the other;
one that fails does not keep the others from it.`,
		Example: `  lifeboat backup smt
  lifeboat backup --all
  lifeboat backup smt --dry-run
  lifeboat backup smt --no-copy
  lifeboat backup smt --with package-tree
  lifeboat backup smt --compression max --limit-upload 2M`,
		Args: screen.Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			ctx := c.Context()
			conf, err := a.load()
			if err != nil {
				return err
			}
			systems, err := a.systems(conf, names, all)
			if err != nil {
				return err
			}
			if t := vault.Trigger(trigger); t != vault.Manual && t != vault.Scheduled && t != vault.BeforeUpgrade {
				return screen.Usagef("--trigger takes %s, %s or %s", vault.Manual, vault.Scheduled, vault.BeforeUpgrade)
			}
			if err := a.recoverServices(ctx, conf); err != nil {
				return err
			}
			return a.each(c, systems, func(s config.System) error {
				s.Components = choose(s.Components, with, without)
				return a.backUp(ctx, conf, s, vault.Trigger(trigger), dry, noCopy)
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "back up every system of the configuration")
	c.Flags().BoolVarP(&dry, "dry-run", "n", false, "show what would be done")
	c.Flags().StringVar(&trigger, "trigger", trigger, "why the point is made: manual, scheduled or before-upgrade")
	c.Flags().BoolVar(&noCopy, "no-copy", false, "do not copy to the system's further repositories")
	c.Flags().StringSliceVar(&with, "with", nil, "take optional `COMPONENT[,COMPONENT]` in this time")
	c.Flags().StringSliceVar(&without, "without", nil, "leave `COMPONENT[,COMPONENT]` out this time")
	a.compressionFlag(c)
	a.repositoryFlags(c)
	a.patient(c)
	return c
}

// choose is the choice of components with what the flags say of it.
func choose(components map[string]bool, with, without []string) map[string]bool {
	chosen := maps.Clone(components)
	if chosen == nil {
		chosen = map[string]bool{}
	}
	for _, name := range without {
		chosen[name] = false
	}
	for _, name := range with {
		chosen[name] = true
	}
	return chosen
}

// backUp makes a point of one system.
func (a *app) backUp(ctx context.Context, conf *config.Config, s config.System, trigger vault.Trigger, dry, noCopy bool) error {
	if err := a.settled(conf, s.Name, halfRestored); err != nil {
		return err
	}
	started := time.Now()
	v, closeVault, err := a.open(ctx, conf, s.Name)
	if err != nil {
		if !dry {
			a.rememberAttempt(conf, s.Name, started, err)
		}
		return err
	}
	defer closeVault()
	b, err := a.newBackup(ctx, conf, s, v)
	if err != nil {
		return err
	}
	b.Trigger = trigger
	if !noCopy {
		b.Further = a.further(conf, s)
	}
	again := "lifeboat backup " + s.Name
	if trigger != vault.Manual {
		again += " --trigger " + string(trigger)
	}
	if noCopy {
		again += " --no-copy"
	}
	if a.repository != "" {
		again += v.Repository().Flag()
	}
	defer func() { a.rememberPoint(conf, s, b.Point()) }()
	return a.runBackup(ctx, conf, b, dry, again)
}

// rememberAttempt has a backup count that ended before it was a run. A person's mistake
// on the command line is none.
func (a *app) rememberAttempt(conf *config.Config, system string, started time.Time, failure error) {
	code := a.exitCode(failure)
	if code == runbook.ExitUsage || code == runbook.ExitInterrupted {
		return
	}
	attempt := routine.Attempt{Started: started, Finished: time.Now(), Exit: code, Error: screen.FirstLine(failure.Error())}
	if err := routine.NewBook(a.state(conf)).SetAttempt(system, attempt); err != nil {
		a.notices.warn(err.Error()) // the exit code is the failure's
	}
}

// rememberPoint notes the newest point of a repository of the configuration.
func (a *app) rememberPoint(conf *config.Config, s config.System, p *vault.Point) {
	r, err := a.chooseRepository(conf, s.Name)
	if p == nil || err != nil || !slices.ContainsFunc(conf.RepositoriesOf(s), func(of config.Repository) bool { return of.Name == r.Name }) {
		return
	}
	if err := routine.NewBook(a.state(conf)).SetKnown(s.Name, r.Name, routine.Known{Point: p.ID(), Time: p.Time()}); err != nil {
		_ = a.warn(err)
	}
}

// halfRestored is why nothing is captured during a recovery that is unfinished.
const halfRestored = "a recovery point made now would hold what is half restored, and be the newest"

// checkNames refuses what the configuration says of components that the profile does
// not have.
func (a *app) checkNames(s config.System, p *profile.Profile) error {
	names := make([]string, len(p.Components))
	for i, c := range p.Components {
		names[i] = c.Name
	}
	for _, name := range slices.Sorted(maps.Keys(s.Hooks.Components)) {
		if !slices.Contains(names, name) {
			return screen.Usage(strict.Problem{File: a.configFile, Line: s.Hooks.Lines[name], Text: fmt.Sprintf("system %s: hooks: profile %s has no component %q%s", s.Name, p.Name, name, strict.Suggest(name, names))})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Components)) {
		if !slices.Contains(names, name) { // named in the file, or on the command line
			return screen.Usagef("system %s: profile %s has no component %q%s", s.Name, p.Name, name, strict.Suggest(name, names))
		}
	}
	return nil
}

// newBackup looks at the system. The vault may be nil for a review.
func (a *app) newBackup(ctx context.Context, conf *config.Config, s config.System, v *vault.Vault) (*backup.Backup, error) {
	p, err := a.catalogue().Load(s.Profile)
	if err != nil {
		return nil, screen.Usage(err)
	}
	if err := a.checkNames(s, p); err != nil {
		return nil, err
	}
	return backup.New(ctx, backup.Options{
		System: s.Name, Profile: p, Catalog: catalog(), Host: host.Local(), Vault: v,
		Settings: s.Settings, Choose: s.Components, StateDir: a.state(conf), Version: screen.Version,
		Trigger: vault.Manual, Hooks: s.Hooks, SavedElsewhere: s.SavedElsewhere,
	})
}

// runBackup makes the point. again is the command that a person repeats when it fails.
func (a *app) runBackup(ctx context.Context, conf *config.Config, b *backup.Backup, dry bool, again string) (err error) {
	engine, done := a.engine(a.state(conf), false)
	defer done()
	if dry {
		return a.dryRun(ctx, engine, b.Runbook())
	}
	engine.Conceal(b.Secrets()...)
	started := time.Now()
	if err := a.sealPoint(ctx, engine, b, b.Runbook(), again); err != nil {
		return err
	}
	done()
	p := b.Point()
	read, stored := b.Stats()
	a.account.fact(fmt.Sprintf("recovery point %s: %s protected, %s stored anew", p.Short(), size(p.Manifest.Bytes()), size(stored)))
	if a.JSON {
		err := a.Emit(map[string]any{"type": "point", "point": p.ID(), "system": p.System(), "time": p.Time(), "bytes": p.Manifest.Bytes(), "read": read, "stored": stored, "incomplete": p.Manifest.Incomplete})
		if err != nil {
			return err
		}
		return a.showBackupStates(ctx, conf, b)
	}
	a.Printf("\n%s %s sealed in %s: %s protected, %s stored anew.\n", screen.PainterFor(a.Out).Green("Recovery point"), p.Short(),
		firstOf(took(time.Since(started).Seconds()), "a moment"), size(p.Manifest.Bytes()), size(stored))
	a.Printf("Next: lifeboat verify %s --point %s%s\n", p.System(), p.Short(), b.Vault.Repository().Flag())
	return a.showBackupStates(ctx, conf, b)
}

// sealPoint runs a backup to its end. b is closed then.
func (a *app) sealPoint(ctx context.Context, engine *runbook.Engine, b *backup.Backup, book runbook.Runbook, again string) error {
	run, err := engine.Start(ctx, book, runbook.Meta{ID: b.RunID(), Resume: again})
	closeErr := b.Close(context.WithoutCancel(ctx))
	p := b.Point()
	a.ran, a.sealed = run, p
	if err != nil && p != nil && run != nil {
		run.Hint = "" // another backup is not what is missing
		if len(b.Further) > 0 {
			run.Hint = "lifeboat copy " + p.System()
		}
	}
	switch {
	case err != nil && p != nil && run != nil && strings.HasPrefix(failedStep(err), "after/"):
		return fmt.Errorf("recovery point %s was made, but a hook after it failed: %w", p.Short(), err)
	case err != nil && p != nil:
		return fmt.Errorf("recovery point %s was made, but not copied everywhere (lifeboat copy goes on with that): %w", p.Short(), err)
	case err != nil:
		return fmt.Errorf("no recovery point was made: %w", err)
	}
	if closeErr != nil {
		return closeErr
	}
	a.Code = runbook.ExitCode(run, nil)
	return nil
}

// failedStep is the id of the step that an error is of.
func failedStep(err error) string {
	var step *runbook.StepError
	if errors.As(err, &step) {
		return step.Step
	}
	return ""
}

// payHooks runs the hooks after a backup that a dead one has left out.
func (a *app) payHooks(ctx context.Context, conf *config.Config) {
	for _, s := range conf.Systems {
		owed, err := backup.PayHooks(ctx, a.state(conf), s.Name, host.Local(), s.Hooks, func(string, ...any) {})
		if err != nil {
			_ = a.warn(fmt.Errorf("%s: %w", s.Name, err))
		}
		if owed != nil {
			fmt.Fprintf(a.Err, "Backup %s of %s had died before its hooks after it; they were run.\n", owed.Run, s.Name)
		}
	}
}

// recoverServices starts again what a killed backup has left stopped, and then runs
// the hooks that it owes.
func (a *app) recoverServices(ctx context.Context, conf *config.Config) error {
	started, err := guard.Recover(ctx, a.state(conf), func(system string) string {
		if open, _ := runbook.Unfinished(a.state(conf), system, recovery.Kind); len(open) > 0 {
			return "its recovery is not finished"
		}
		return ""
	})
	for _, system := range started {
		fmt.Fprintf(a.Err, "%s was still stopped by an interrupted backup; it was started again.\n", system)
	}
	a.payHooks(ctx, conf)
	return err
}

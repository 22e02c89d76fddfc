package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

type protectFlags struct {
	days   int
	except []string
	dry    bool
}

func (a *app) protectCommand() *cobra.Command {
	var f protectFlags
	c := &cobra.Command{
		Use:   "protect",
		Short: "Lock what recovery points need against removal, again",
		Long: `Object storage with object lock keeps what was written from being removed for
the days that object_lock of the repository says, even by those who have this
machine's keys. A point made today needs data that was written long ago, though,
whose lock ends sooner. This verb makes the locks of everything that points
still need last for those days again. What no point needs is left alone, and so
are the points that the retention of the configuration does not keep: forget and
prune remove them when their locks have ended.

Run it regularly, so often that no lock ends between: weekly for 30 days. A call
that was interrupted goes on where it was when it is repeated.`,
		Example: `  lifeboat repository protect --dry-run
  lifeboat repository protect
  lifeboat repository protect --repository offsite --days 90`,
		Args: screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return a.protect(c.Context(), f) },
	}
	c.Flags().IntVar(&f.days, "days", 0, "lock for so many `DAYS` from now on (default those of object_lock)")
	c.Flags().StringSliceVar(&f.except, "except", nil, "let the locks of these points run out, by `ID`")
	c.Flags().BoolVarP(&f.dry, "dry-run", "n", false, "show what would be done")
	a.repositoryFlags(c)
	return c
}

func (a *app) protect(ctx context.Context, f protectFlags) error {
	if f.days < 0 {
		return screen.Usagef("--days %d: a lock lasts a day at least", f.days)
	}
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	all, err := a.targets(conf, "")
	if err != nil {
		return err
	}
	var list []config.Repository
	days := map[string]int{}
	for _, r := range all {
		store, err := a.storeOf(r.URL, r.Store)
		if err != nil {
			return err
		}
		if store.ObjectLock != (config.ObjectLock{}) {
			list = append(list, r)
			days[r.URL] = store.ObjectLock.Days
		}
	}
	switch {
	case len(list) == 0:
		return screen.Usagef("nothing is locked: write object_lock: {mode: governance, days: 30} to the repository in %s, or give -o object_lock.mode=governance -o object_lock.days=30", a.configFile)
	case len(list) > 1 && len(f.except) > 0:
		return screen.Usagef("--except names points of one repository: say which with --repository")
	}
	return a.onEach(ctx, list, func(r config.Repository, repo *repository.Repository) error {
		period := days[r.URL]
		if f.days > 0 {
			period = f.days
		}
		leaving, err := a.leaving(ctx, conf, r, repo, f.except)
		if err != nil {
			return err
		}
		report, err := repo.Protect(ctx, repository.ProtectOptions{Period: time.Duration(period) * 24 * time.Hour, Without: leaving, DryRun: f.dry})
		if report == nil {
			return err
		}
		return errors.Join(err, a.showProtection(r, report, len(leaving), err == nil))
	})
}

// leaving are the points that the retention does not keep, and those that are
// named: if their locks were made longer, they could never be forgotten.
func (a *app) leaving(ctx context.Context, conf *config.Config, r config.Repository, repo *repository.Repository, except []string) ([]repository.ID, error) {
	v := a.vaultOf(conf, repo)
	points, err := v.Points(ctx, vault.Filter{})
	if err != nil && !errors.Is(err, repository.ErrDamaged) {
		return nil, err
	}
	verdicts, err := judge(points, forgetFlags{}.rulesFor(conf, r, ""))
	if err != nil {
		return nil, err
	}
	var ids []repository.ID
	for _, p := range going(verdicts) {
		ids = append(ids, p.Snapshot.ID)
	}
	for _, reference := range except {
		p, err := v.Find(ctx, reference, vault.Filter{})
		if err != nil {
			return nil, err
		}
		ids = append(ids, p.Snapshot.ID)
	}
	return ids, nil
}

// protectionView is a protection as --json shows it.
type protectionView struct {
	Type       string `json:"type"`
	Repository string `json:"repository"`
	Leaving    int    `json:"leaving"` // points whose locks may run out
	*repository.ProtectReport
}

// showProtection prints what was locked. done is false when the rest failed.
func (a *app) showProtection(of config.Repository, r *repository.ProtectReport, leaving int, done bool) error {
	if !r.OK() && done {
		a.Code = runbook.ExitFailed
	}
	if a.JSON {
		return a.Emit(protectionView{"protection", called(of), leaving, r})
	}
	paint := screen.PainterFor(a.Out)
	verb := "locked until " + screen.When(r.Until)
	if r.DryRun {
		verb = "would be " + verb
	}
	a.Printf("%s %s that recovery points need: %d %s, %d are locked almost as long already.\n", paint.Bold("Repository "+called(of)+":"), screen.Count(r.Files, "file", "files"), r.Extended, verb, r.Unchanged)
	if r.Unlocked > 0 {
		a.Printf("%s %s had no lock any more, or never had one.\n", paint.Yellow("warning"), screen.Count(r.Unlocked, "file", "files"))
	}
	if !r.Earliest.IsZero() && r.Extended > 0 {
		a.Printf("The first of their locks would have ended %s.\n", screen.When(r.Earliest))
	}
	if leaving > 0 {
		a.Printf("%s that the retention does not keep, or that --except names: their locks run out.\n", screen.Count(leaving, "recovery point", "recovery points"))
	}
	if r.Unneeded > 0 {
		a.Printf("Left alone, as no point needs them: %s; a prune removes them when their locks have ended.\n", screen.Count(r.Unneeded, "file", "files"))
	}
	for _, text := range r.Problems {
		a.Printf("%s %s\n", paint.Red("DAMAGED"), screen.Printable(text))
	}
	for _, name := range r.Missing {
		a.Printf("%s %s is gone\n", paint.Red("MISSING"), name)
	}
	for _, text := range r.Malformed {
		a.Printf("%s %s\n", paint.Red("DAMAGED"), text)
	}
	if !r.OK() {
		a.Printf("Everything that is there was locked. Look at it with lifeboat verify%s, and in the store for older versions of these files.\n", a.flagFor(of))
	}
	return nil
}

package cli

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/config"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
)

func (a *app) protectCommand() *cobra.Command {
	var days int
	var dry bool
	c := &cobra.Command{
		Use:   "protect",
		Short: "Lock what recovery points need against removal, again",
		Long: `Object storage with object lock keeps what was written from being removed for
the days that object_lock of the repository says, even by those who have this
machine's keys. A point made today needs data that was written long ago, though,
whose lock ends sooner. This verb makes the locks of everything that points
still need last for those days again. What no point needs is left alone, so that
prune can remove it when its lock has ended.

Run it regularly, so often that no lock ends between: weekly for 30 days. A call
that was interrupted goes on where it was when it is repeated.`,
		Example: `  lifeboat repository protect --dry-run
  lifeboat repository protect
  lifeboat repository protect --repository offsite --days 90`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx := c.Context()
			conf, err := a.loadOrEmpty()
			if err != nil {
				return err
			}
			r, err := a.chooseRepository(conf, "")
			if err != nil {
				return err
			}
			store, err := a.storeOf(r.URL, r.Store)
			if err != nil {
				return err
			}
			switch {
			case days < 0:
				return usagef("--days %d: a lock lasts a day at least", days)
			case store.ObjectLock == (config.ObjectLock{}):
				return usagef("nothing is locked in this repository: write object_lock: {mode: governance, days: 30} to it in %s, or give -o object_lock.mode=governance -o object_lock.days=30", a.configFile)
			case days == 0:
				days = store.ObjectLock.Days
			}
			repo, err := a.openRepository(ctx, conf, "")
			if err != nil {
				return err
			}
			report, err := repo.Protect(ctx, repository.ProtectOptions{Period: time.Duration(days) * 24 * time.Hour, DryRun: dry})
			if report != nil {
				err = errors.Join(err, a.showProtection(report, err == nil))
			}
			return errors.Join(err, repo.Close())
		},
	}
	c.Flags().IntVar(&days, "days", 0, "lock for so many `DAYS` from now on (default those of object_lock)")
	c.Flags().BoolVarP(&dry, "dry-run", "n", false, "show what would be done")
	a.repositoryFlags(c)
	return c
}

// showProtection prints what was locked. done is false when the rest failed.
func (a *app) showProtection(r *repository.ProtectReport, done bool) error {
	if !r.OK() && done {
		a.code = runbook.ExitFailed
	}
	if a.json {
		return a.emit(struct {
			Type string `json:"type"`
			*repository.ProtectReport
		}{"protection", r})
	}
	paint := painterFor(a.out)
	verb := "locked until " + when(r.Until)
	if r.DryRun {
		verb = "would be " + verb
	}
	a.printf("%s that recovery points need: %d %s, %d are locked almost as long already.\n", count(r.Files, "file", "files"), r.Extended, verb, r.Unchanged)
	if r.Unlocked > 0 {
		a.printf("%s %s had no lock any more, or never had one.\n", paint.yellow("warning"), count(r.Unlocked, "file", "files"))
	}
	if !r.Earliest.IsZero() && r.Extended > 0 {
		a.printf("The first of their locks would have ended %s.\n", when(r.Earliest))
	}
	if r.Unneeded > 0 {
		a.printf("Left alone, as no point needs them: %s; a prune removes them when their locks have ended.\n", count(r.Unneeded, "file", "files"))
	}
	for _, text := range r.Problems {
		a.printf("%s %s\n", paint.red("DAMAGED"), printable(text))
	}
	for _, name := range r.Missing {
		a.printf("%s %s is gone\n", paint.red("MISSING"), name)
	}
	for _, text := range r.Malformed {
		a.printf("%s %s\n", paint.red("DAMAGED"), text)
	}
	if !r.OK() {
		a.printf("Everything that is there was locked. Look at it with lifeboat verify, and in the store for older versions of these files.\n")
	}
	return nil
}

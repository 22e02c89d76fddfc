package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/repository"
	"lifeboat/internal/vault"
)

type forgetFlags struct {
	rules  config.Retention
	points []string
	free   bool
	pruneFlags
}

func (a *app) forgetCommand() *cobra.Command {
	var f forgetFlags
	c := &cobra.Command{
		Use:   "forget [SYSTEM]",
		Short: "Remove the recovery points that the retention does not keep",
		Long: `Applies the retention of the configuration, or the rules that --keep-… give, to
the scheduled points of each system, in each of its repositories. Manual,
imported and pinned points, those made before an upgrade, the newest complete
one and the newest that can be restored always stay. With --point exactly the
points that are named go, whatever they are, unless they are pinned. A point whose
pin vanished without this machine's doing stays, with a warning, until it is pinned
again, unpinned, or taken as right with 'lifeboat verify --accept'.

What a removed point alone needed stays in the repository until a prune.`,
		Example: `  lifeboat forget --dry-run
  lifeboat forget smt --keep-daily 14 --keep-weekly 8 --keep-monthly 12 --prune
  lifeboat forget --point 1a2b3c4d`,
		Args: screen.Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			for _, rule := range []string{"last", "hourly", "daily", "weekly", "monthly", "yearly"} {
				if n, _ := c.Flags().GetInt("keep-" + rule); n < 1 && c.Flags().Changed("keep-"+rule) {
					return screen.Usagef("--keep-%s %d keeps nothing; give at least 1, or leave it out", rule, n)
				}
			}
			return a.forget(c.Context(), f, names)
		},
	}
	flags := c.Flags()
	for _, rule := range []struct {
		n    *int
		name string
		what string
	}{
		{&f.rules.Last, "last", "newest points"},
		{&f.rules.Hourly, "hourly", "hours that have a point: the newest of each"},
		{&f.rules.Daily, "daily", "days, likewise"},
		{&f.rules.Weekly, "weekly", "weeks, likewise"},
		{&f.rules.Monthly, "monthly", "months, likewise"},
		{&f.rules.Yearly, "yearly", "years, likewise"},
	} {
		flags.IntVar(rule.n, "keep-"+rule.name, 0, "keep the last `N` "+rule.what)
	}
	flags.Var(&f.rules.Within, "keep-within", "keep what is at most a `SPAN` older than the newest point: 14d, 8w, 1y6mo")
	flags.StringArrayVar(&f.rules.Tags, "keep-tag", nil, "keep points with this `TAG`")
	flags.StringSliceVar(&f.points, "point", nil, "forget exactly these points, by `ID`")
	flags.BoolVarP(&f.dry, "dry-run", "n", false, "show what would go, and how many bytes that frees")
	flags.BoolVar(&f.free, "prune", false, "free the space at once")
	flags.BoolVarP(&a.yes, "yes", "y", false, "do not ask before points that are named go")
	f.register(c)
	a.repositoryFlags(c)
	return c
}

func (a *app) forget(ctx context.Context, f forgetFlags, names []string) error {
	opts, err := f.options()
	if err != nil {
		return err
	}
	if err := f.rules.Validate(); err != nil && !f.rules.IsZero() {
		return screen.Usage(err)
	}
	if len(f.points) > 0 && (!f.rules.IsZero() || len(names) > 0) {
		return screen.Usagef("--point names the points that go; a system and --keep-… say nothing then")
	}
	if err := removable(f.points...); err != nil {
		return err
	}
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	do := &forgetting{app: a, forgetFlags: f, conf: conf, opts: opts}
	if len(f.points) > 0 {
		r, err := a.chooseRepository(conf, "")
		if err != nil {
			return err
		}
		return a.onEach(ctx, []config.Repository{r}, func(r config.Repository, repo *repository.Repository) error {
			return do.byName(ctx, r, repo)
		})
	}
	system := ""
	if len(names) > 0 {
		system = names[0]
	}
	list, err := a.targets(conf, system)
	if err != nil {
		return err
	}
	// All rules are looked for before anything goes.
	rules := map[string]map[string]config.Retention{}
	var chosen []config.Repository
	for _, r := range list {
		if rules[r.URL] = f.rulesFor(conf, r, system); len(rules[r.URL]) > 0 {
			chosen = append(chosen, r)
		}
	}
	if len(chosen) == 0 {
		return screen.Usage(fmt.Errorf("%w; give retention: to %s in %s, or --keep-daily and its like with a system's name",
			vault.ErrNoRules, firstOf(system, "a system"), a.configFile))
	}
	return a.onEach(ctx, chosen, func(r config.Repository, repo *repository.Repository) error {
		return do.byRules(ctx, r, repo, rules[r.URL])
	})
}

// rulesFor gives the rules of the systems that are to be judged in a repository.
func (f forgetFlags) rulesFor(c *config.Config, r config.Repository, system string) map[string]config.Retention {
	rules := map[string]config.Retention{}
	add := func(name string, own config.Retention) {
		if !f.rules.IsZero() {
			own = f.rules
		}
		if !own.IsZero() {
			rules[name] = own
		}
	}
	for _, s := range c.Systems {
		uses := slices.ContainsFunc(c.RepositoriesOf(s), func(own config.Repository) bool { return own.Name == r.Name })
		if (system == "" || system == s.Name) && (uses || system == s.Name) {
			add(s.Name, c.Retention(s, r.Name))
		}
	}
	if _, known := c.System(system); system != "" && !known {
		add(system, config.Retention{})
	}
	return rules
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

type copyFlags struct {
	to       string
	password passwordFlags // of the destination
	options  []string      // of the source's store
	points   []string
	dry      bool
}

func (a *app) copyCommand() *cobra.Command {
	var f copyFlags
	c := &cobra.Command{
		Use:   "copy [SYSTEM]",
		Short: "Copy recovery points to a second repository",
		Long: `Copies the recovery points that the other repository lacks, with their pins.
What its retention would not keep is left out, unless it is named with --point.
Nothing is read from the protected system, and no data is compressed again. A
copy that is broken off goes on where it was when it is started again. A point that
is damaged is left out, with a warning that names it.`,
		Example: `  lifeboat copy smt --to second
  lifeboat copy smt --from second --to main
  lifeboat copy --point 1a2b3c4d --to sftp:backup@vault.example.com:/lifeboat --to-password-file /root/vault.key`,
		Args: screen.Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			if len(names) > 0 && len(f.points) > 0 {
				return screen.Usagef("either a system or --point says what is copied")
			}
			return a.copy(c.Context(), f, names)
		},
	}
	c.Flags().StringVar(&f.to, "to", "", "`NAME` or URL of the repository that gets the copies")
	c.Flags().StringSliceVar(&f.points, "point", nil, "copy exactly these points, by `ID`")
	c.Flags().BoolVarP(&f.dry, "dry-run", "n", false, "show what would be copied, and how many bytes that stores")
	f.password.register(c, "to-", "the password of the repository that gets the copies")
	a.repositoryFlags(c)
	a.patient(c)
	c.Flags().StringVar(&a.repository, "from", "", "`NAME` or URL of the repository that has the points (default the system's first)")
	c.Flags().StringArrayVar(&f.options, "from-option", nil, "option of the store of --from as `KEY=VALUE`")
	c.Flags().Lookup("repository").Hidden = true
	c.Flags().Lookup("option").Usage = "option of the store of --to as `KEY=VALUE`, such as s3.region=eu-central-1 (docs/stores.md lists them)"
	return c
}

func (a *app) copy(ctx context.Context, f copyFlags, names []string) error {
	if f.to == "" {
		return screen.Usagef("where to? --to names the repository that gets the copies")
	}
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	system := ""
	if len(names) > 0 {
		system = names[0]
	}
	from, err := a.chooseRepository(conf, system)
	if err != nil {
		return err
	}
	to, known := conf.Repository(f.to)
	if !known {
		to = config.Repository{URL: f.to}
	}
	if called(from) == called(to) {
		return screen.Usagef("%s is where the points are copied from; --from names another one", called(to))
	}
	if to.Store, err = a.storeOf(to.URL, to.Store); err != nil {
		return err
	}
	if from.Store, err = storeWith(from.URL, from.Store, append(f.options, a.limitsGiven()...)); err != nil {
		return err
	}
	src, closeSource, err := a.vaultWith(ctx, conf, from, a.password)
	if err != nil {
		return err
	}
	defer closeSource()
	dst, closeTarget, err := a.vaultWith(ctx, conf, to, f.password)
	if err != nil {
		return err
	}
	defer closeTarget()
	points, damaged, err := a.toCopy(ctx, conf, src, dst, to, f.points, system)
	if err != nil {
		return err
	}
	if f.dry {
		plan, err := src.PlanCopy(ctx, dst, points)
		if err != nil {
			return err
		}
		return errors.Join(a.showCopied(plan, points, from, to, true, false, damaged), a.uncopied(conf, plan, points, from, f))
	}
	m := a.meter()
	report, err := src.Copy(ctx, dst, points, func(p repository.CopyProgress) {
		m.show("Point %d of %d: %s stored", min(p.Done+1, p.Snapshots), p.Snapshots, size(p.Bytes))
	})
	m.clear()
	if showErr := a.showCopied(report, points, from, to, false, err != nil, damaged); showErr != nil {
		return errors.Join(err, showErr)
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w; the same command goes on where it was: %w", runbook.ErrInterrupted, err)
	}
	return errors.Join(err, a.uncopied(conf, report, points, from, f))
}

// uncopied warns of points that are damaged and so were left out. One that was asked
// for by its id is a failure.
func (a *app) uncopied(conf *config.Config, report repository.CopyReport, points []*vault.Point, from config.Repository, f copyFlags) error {
	option := ""
	if len(conf.Repositories) == 0 || called(from) != called(conf.Repositories[0]) {
		option = " -r " + called(from)
	}
	list := vault.UncopiedOf(report, points)
	for _, p := range list {
		if err := a.warn(p.Warning(option)); err != nil {
			return err
		}
	}
	if len(list) > 0 && len(f.points) > 0 {
		return fmt.Errorf("%s of those that were named cannot be copied", screen.Count(len(list), "point", "points"))
	}
	return nil
}

// toCopy finds what is copied: the points that are named, else what the
// destination lacks and would keep. It tells how many were left out as damaged, too.
func (a *app) toCopy(ctx context.Context, conf *config.Config, src, dst *vault.Vault, to config.Repository, references []string, system string) (points []*vault.Point, damaged int, err error) {
	there := dst.Survey(ctx, vault.Filter{System: system})
	if there.Unread != nil && !errors.Is(there.Unread, repository.ErrDamaged) {
		return nil, 0, there.Unread
	}
	if err := a.showSurvey(there); err != nil {
		return nil, 0, err
	}
	if len(references) > 0 {
		for _, reference := range references {
			p, err := src.Find(ctx, reference, vault.Filter{})
			if err != nil {
				return nil, 0, err
			}
			points = append(points, p)
		}
		return points, 0, nil
	}
	here, err := src.Points(ctx, vault.Filter{System: system})
	if err != nil && !errors.Is(err, repository.ErrDamaged) {
		return nil, 0, err
	}
	if err != nil {
		if err := a.warn(err); err != nil {
			return nil, 0, err
		}
	}
	if len(here) == 0 && system != "" {
		return nil, 0, fmt.Errorf("%w of %s in repository %s", vault.ErrNoPoint, system, src.Repository().Location())
	}
	systems := map[string][]*vault.Point{}
	for _, p := range here {
		systems[p.System()] = append(systems[p.System()], p)
		if p.Damage != nil {
			damaged++
			if err := a.warn(fmt.Errorf("point %s is damaged and is not copied: %w", p.Short(), p.Damage)); err != nil {
				return nil, 0, err
			}
		}
	}
	for _, name := range sorted(systems) {
		var rules config.Retention
		if s, ok := conf.System(name); ok {
			rules = conf.Retention(s, to.Name)
		}
		own := slices.DeleteFunc(slices.Clone(there.Points), func(p *vault.Point) bool { return p.System() != name })
		points = append(points, vault.Missing(systems[name], own, rules, time.Now())...)
	}
	return points, damaged, nil
}

// copyView is what a copy does with one point, as --json shows it.
type copyView struct {
	Type    string    `json:"type"`
	DryRun  bool      `json:"dry_run,omitempty"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	Point   string    `json:"point"`
	Copy    string    `json:"copy,omitempty"` // its id there
	Present bool      `json:"present"`        // it was there already
	System  string    `json:"system"`
	Time    time.Time `json:"time"`
	Damage  string    `json:"damage,omitempty"` // why it is not copied
	Stored  int64     `json:"stored"`
}

func (a *app) showCopied(report repository.CopyReport, points []*vault.Point, from, to config.Repository, dry, failed bool, damaged int) error {
	byID := map[repository.ID]*vault.Point{}
	for _, p := range points {
		byID[p.Snapshot.ID] = p
	}
	var rows [][]string
	for _, s := range report.Snapshots {
		p := byID[s.ID]
		view := copyView{Type: "copy", DryRun: dry, From: called(from), To: called(to), Point: p.ID(), Present: s.Present, System: p.System(), Time: p.Time(), Stored: s.Bytes}
		if !s.Copy.IsZero() {
			view.Copy = s.Copy.String()
		}
		if a.JSON {
			if err := a.Emit(view); err != nil {
				return err
			}
			continue
		}
		word := "copied"
		switch {
		case s.Present:
			word = "is there"
		case dry:
			word = "would be copied"
		}
		rows = append(rows, []string{p.Short(), p.System(), screen.When(p.Time()), string(p.Trigger()), word, view.Copy[:min(8, len(view.Copy))], size(s.Bytes)})
	}
	for _, p := range vault.UncopiedOf(report, points) {
		if a.JSON {
			view := copyView{Type: "copy", DryRun: dry, From: called(from), To: called(to), Point: p.ID(), System: p.System(), Time: p.Time(), Damage: p.Err.Error()}
			if err := a.Emit(view); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{p.Short(), p.System(), screen.When(p.Time()), string(p.Trigger()), screen.PainterFor(a.Out).Red("DAMAGED"), "", ""})
	}
	if !dry {
		a.account.fact(fmt.Sprintf("%s copied to repository %s, %s stored", screen.Count(report.Copied, "recovery point", "recovery points"), called(to), size(report.Bytes)))
	}
	if a.JSON {
		return a.Emit(map[string]any{"type": "copied", "dry_run": dry, "from": called(from), "to": called(to), "copied": report.Copied, "present": report.Present, "damaged": damaged + len(report.Damaged), "stored": report.Bytes})
	}
	if len(rows) > 0 {
		a.Table([]string{"point", "system", "time", "trigger", "", "there as", "stored"}, rows, "stored")
	}
	if damaged += len(report.Damaged); damaged > 0 {
		a.Printf("%s not copied.\n", screen.Count(damaged, "damaged point is", "damaged points are"))
	}
	switch {
	case report.Copied == 0 && (failed || damaged > 0):
	case report.Copied == 0:
		a.Printf("Repository %s lacks nothing that it would keep.\n", called(to))
	case dry:
		a.Printf("%s would be copied from %s to %s, %s stored.\n", screen.Count(report.Copied, "recovery point", "recovery points"), called(from), called(to), size(report.Bytes))
	default:
		a.Printf("%s copied to repository %s, %s stored.\n", screen.Count(report.Copied, "recovery point", "recovery points"), called(to), size(report.Bytes))
	}
	return nil
}

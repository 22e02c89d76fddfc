package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/config"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

type copyFlags struct {
	to       string
	password passwordFlags // of the destination
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
copy that is broken off goes on where it was when it is started again.`,
		Example: `  lifeboat copy smt --to second
  lifeboat copy smt --from second --to main
  lifeboat copy --point 1a2b3c4d --to sftp:backup@vault.example.com:/lifeboat --to-password-file /root/vault.key`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			if len(names) > 0 && len(f.points) > 0 {
				return usagef("either a system or --point says what is copied")
			}
			return a.copy(c.Context(), f, names)
		},
	}
	c.Flags().StringVar(&f.to, "to", "", "`NAME` or URL of the repository that gets the copies")
	c.Flags().StringSliceVar(&f.points, "point", nil, "copy exactly these points, by `ID`")
	c.Flags().BoolVarP(&f.dry, "dry-run", "n", false, "show what would be copied")
	f.password.register(c, "to-", "the password of the repository that gets the copies")
	a.repositoryFlags(c)
	c.Flags().StringVar(&a.repository, "from", "", "`NAME` or URL of the repository that has the points (default the system's first)")
	c.Flags().Lookup("repository").Hidden = true
	return c
}

func (a *app) copy(ctx context.Context, f copyFlags, names []string) error {
	if f.to == "" {
		return usagef("where to? --to names the repository that gets the copies")
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
		return usagef("%s is where the points are copied from; --from names another one", called(to))
	}
	if to.Store, err = a.storeOf(to.URL, to.Store); err != nil {
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
	points, err := a.toCopy(ctx, conf, src, dst, to, f.points, system)
	if err != nil {
		return err
	}
	if f.dry {
		return a.showCopyPlan(points, from, to)
	}
	report, err := src.Copy(ctx, dst, points, nil)
	if showErr := a.showCopied(report, points, from, to); showErr != nil {
		return errors.Join(err, showErr)
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w; the same command goes on where it was: %w", runbook.ErrInterrupted, err)
	}
	return err
}

// toCopy finds what is copied: the points that are named, else what the
// destination lacks and would keep.
func (a *app) toCopy(ctx context.Context, conf *config.Config, src, dst *vault.Vault, to config.Repository, references []string, system string) ([]*vault.Point, error) {
	if len(references) > 0 {
		var points []*vault.Point
		for _, reference := range references {
			p, err := src.Find(ctx, reference, vault.Filter{})
			if err != nil {
				return nil, err
			}
			points = append(points, p)
		}
		return points, nil
	}
	here, err := src.Points(ctx, vault.Filter{System: system})
	if err != nil && !errors.Is(err, repository.ErrDamaged) {
		return nil, err
	}
	if err != nil {
		if err := a.warn(err); err != nil {
			return nil, err
		}
	}
	there, err := dst.Points(ctx, vault.Filter{System: system})
	if err != nil && !errors.Is(err, repository.ErrDamaged) {
		return nil, err
	}
	if len(here) == 0 && system != "" {
		return nil, fmt.Errorf("%w of %s in repository %s", vault.ErrNoPoint, system, src.Repository().Location())
	}
	systems := map[string][]*vault.Point{}
	for _, p := range here {
		systems[p.System()] = append(systems[p.System()], p)
		if p.Damage != nil {
			if err := a.warn(fmt.Errorf("point %s is damaged and is not copied: %w", p.Short(), p.Damage)); err != nil {
				return nil, err
			}
		}
	}
	var points []*vault.Point
	for _, name := range sorted(systems) {
		var rules config.Retention
		if s, ok := conf.System(name); ok {
			rules = conf.Retention(s, to.Name)
		}
		own := slices.DeleteFunc(slices.Clone(there), func(p *vault.Point) bool { return p.System() != name })
		points = append(points, vault.Missing(systems[name], own, rules, time.Now())...)
	}
	return points, nil
}

func (a *app) showCopyPlan(points []*vault.Point, from, to config.Repository) error {
	var rows [][]string
	var total int64
	for _, p := range points {
		total += p.Manifest.Bytes()
		if a.json {
			if err := a.emit(map[string]any{"type": "copy", "dry_run": true, "from": called(from), "to": called(to), "point": p.ID(), "system": p.System(), "time": p.Time(), "bytes": p.Manifest.Bytes()}); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{p.Short(), p.System(), when(p.Time()), string(p.Trigger()), size(p.Manifest.Bytes())})
	}
	if a.json {
		return nil
	}
	if len(rows) > 0 {
		a.table([]string{"point", "system", "time", "trigger", "size"}, rows, "size")
	}
	a.printf("%s would be copied from %s to %s: at most %s, less what is there already.\n", count(len(points), "recovery point", "recovery points"), called(from), called(to), size(total))
	return nil
}

func (a *app) showCopied(report repository.CopyReport, points []*vault.Point, from, to config.Repository) error {
	byID := map[repository.ID]*vault.Point{}
	for _, p := range points {
		byID[p.Snapshot.ID] = p
	}
	for _, s := range report.Snapshots {
		p := byID[s.ID]
		if a.json {
			if err := a.emit(map[string]any{"type": "copy", "from": called(from), "to": called(to), "point": s.ID.String(), "copy": s.Copy.String(), "present": s.Present, "system": p.System(), "time": p.Time(), "stored": s.Bytes}); err != nil {
				return err
			}
			continue
		}
		word := "copied as"
		if s.Present {
			word = "is there as"
		}
		a.printf("%s  %s  %s  %s %s  %s stored\n", p.Short(), p.System(), when(p.Time()), word, s.Copy.String()[:8], size(s.Bytes))
	}
	if a.json {
		return a.emit(map[string]any{"type": "copied", "from": called(from), "to": called(to), "copied": report.Copied, "present": report.Present, "stored": report.Bytes})
	}
	if report.Copied == 0 {
		a.printf("Repository %s lacks nothing that it would keep.\n", called(to))
		return nil
	}
	a.printf("%s copied to repository %s, %s stored.\n", strings.TrimSpace(count(report.Copied, "recovery point", "recovery points")), called(to), size(report.Bytes))
	return nil
}

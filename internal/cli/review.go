package cli

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/backup"
	"lifeboat/internal/cli/screen"
	"lifeboat/internal/component"
	"lifeboat/internal/config"
	"lifeboat/internal/profile"
)

func (a *app) reviewCommand() *cobra.Command {
	var mbit float64
	var gaps, all, packages bool
	c := &cobra.Command{
		Use:   "review [SYSTEM]",
		Short: "Show what a backup would hold, and what is lost without each part",
		Long: `Looks at the system, or at every one of the configuration, and changes nothing.

With --gaps it tells what the recovery points would not hold: critical components that
are left out or not there, files that a package ships and somebody has changed, and
files that no package knows in /etc, /usr/local, /opt, /srv, /root and /var/spool/cron;
the most likely ones first. What the system makes anew by itself is not counted. With
--packages all files of all packages are compared, not only configuration. Status shows
how many there were.`,
		Example: `  lifeboat review
  lifeboat review smt --bandwidth 50
  lifeboat review --gaps
  lifeboat review --gaps --packages --all
  lifeboat review smt --gaps --json`,
		Args: screen.Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			conf, err := a.load()
			if err != nil {
				return err
			}
			if mbit <= 0 {
				return screen.Usagef("--bandwidth takes megabits per second, more than 0")
			}
			systems, err := a.systems(conf, names, len(names) == 0)
			if err != nil {
				return err
			}
			if all && !gaps {
				return screen.Usagef("--all goes with --gaps")
			}
			if packages && !gaps {
				return screen.Usagef("--packages goes with --gaps")
			}
			if gaps {
				return a.reviewGaps(c.Context(), conf, systems, all, packages)
			}
			return a.each(c, systems, func(s config.System) error { return a.reviewSystem(c.Context(), conf, s, mbit) })
		},
	}
	c.Flags().Float64Var(&mbit, "bandwidth", 100, "`MBIT` per second from the vendor, to weigh optional parts")
	c.Flags().BoolVar(&gaps, "gaps", false, "tell what no recovery point would hold of what somebody has made of this machine")
	c.Flags().BoolVar(&all, "all", false, "with --gaps, show all of them")
	c.Flags().BoolVar(&packages, "packages", false, "with --gaps, have dpkg or rpm compare all files of all packages (minutes of work for the disk)")
	return c
}

func (a *app) reviewSystem(ctx context.Context, conf *config.Config, s config.System, mbit float64) error {
	b, err := a.newBackup(ctx, conf, s, nil)
	if err != nil {
		return err
	}
	notices, err := b.Notices(ctx, false)
	if err != nil {
		return err
	}
	elsewhere, err := b.Elsewhere(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.reviewJSON(b, notices, elsewhere)
	}
	a.review(b, notices, elsewhere, mbit)
	return nil
}

func (a *app) reviewJSON(b *backup.Backup, notices []string, elsewhere map[string][]component.Link) error {
	for _, p := range b.Parts() {
		if err := a.Emit(map[string]any{
			"type": "component", "system": b.System, "name": p.Spec.Name, "kind": p.Spec.Kind, "importance": p.Spec.Importance, "chosen": p.Chosen, "reason": p.Reason,
			"present": p.Inspection.Present, "bytes": p.Inspection.Bytes, "items": p.Inspection.Items, "paths": p.Inspection.Paths,
			"loss": p.Spec.Loss, "regain": p.Spec.Regain, "detail": p.Inspection.Detail, "warnings": p.Inspection.Warnings, "elsewhere": elsewhere[p.Spec.Name],
		}); err != nil {
			return err
		}
	}
	for _, n := range notices {
		if err := a.Emit(map[string]any{"type": "notice", "system": b.System, "text": n}); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) review(b *backup.Backup, notices []string, elsewhere map[string][]component.Link, mbit float64) {
	paint := screen.PainterFor(a.Out)
	a.Printf("%s\n", paint.Bold(b.System+": "+b.Profile.Title))
	identity := b.Identity()
	for _, name := range sorted(identity) {
		if identity[name] != "" {
			a.Printf("  %-12s %s\n", name, identity[name])
		}
	}
	for _, importance := range []profile.Importance{profile.Critical, profile.Recommended, profile.Optional} {
		a.Printf("\n%s\n", paint.Bold(heading(importance)))
		for _, p := range b.Parts() {
			if p.Spec.Importance == importance {
				a.reviewPart(p, mbit)
				a.reviewElsewhere(elsewhere[p.Spec.Name])
			}
		}
	}
	if len(notices) > 0 {
		a.Printf("\n%s\n", paint.Bold("Worth knowing"))
		for _, n := range notices {
			a.Printf("  %s %s\n", paint.Yellow("!"), indentBy(wrap(n, 92), 4))
		}
	}
	a.Printf("\nNext: lifeboat backup %s\n", b.System)
}

func heading(i profile.Importance) string {
	switch i {
	case profile.Critical:
		return "Critical: no recovery without it"
	case profile.Recommended:
		return "Recommended: a recovery without it costs work"
	}
	return "Optional: your choice"
}

func (a *app) reviewPart(p backup.Part, mbit float64) {
	paint := screen.PainterFor(a.Out)
	state := paint.Green("included")
	switch {
	case !p.Inspection.Present && p.Chosen:
		state = paint.Faint("not on this machine")
	case !p.Chosen:
		state = paint.Yellow("not included") + " (" + p.Reason + ")"
	}
	a.Printf("  %-24s %10s %8s  %s\n", p.Spec.Name, size(p.Inspection.Bytes), screen.Count(int(p.Inspection.Items), "item", "items"), state)
	if paths := p.Inspection.Paths; len(paths) > 0 {
		shown := strings.Join(paths[:min(4, len(paths))], " ")
		if len(paths) > 4 {
			shown += " and " + strconv.Itoa(len(paths)-4) + " more"
		}
		a.Printf("      %s\n", paint.Faint(shown))
	}
	a.Printf("      without it: %s\n", indentBy(wrap(p.Spec.Loss, 86), 6))
	for _, key := range sorted(p.Inspection.Detail) {
		a.Printf("      %s: %s\n", key, p.Inspection.Detail[key])
	}
	if p.Spec.Importance == profile.Optional && p.Spec.Regain != "" && p.Inspection.Present {
		again := time.Duration(float64(p.Inspection.Bytes) * 8 / (mbit * 1e6) * float64(time.Second))
		a.Printf("      the trade: %s to store, or %s to fetch again at %g Mbit/s (--bandwidth).\n", size(p.Inspection.Bytes), again.Round(time.Second), mbit)
		a.Printf("      otherwise: %s\n", indentBy(wrap(p.Spec.Regain, 86), 6))
		if !p.Chosen {
			a.Printf("      to include it, write under the system in %s:  components: {%s: true}\n", a.configFile, p.Spec.Name)
		}
	}
	for _, w := range p.Inspection.Warnings {
		a.Printf("      %s %s\n", paint.Yellow("warning"), w)
	}
}

// maxElsewhere bounds how many links of a component a review shows.
const maxElsewhere = 10

// reviewElsewhere shows links to what the configuration calls saved elsewhere.
func (a *app) reviewElsewhere(links []component.Link) {
	for i, link := range links {
		if i == maxElsewhere {
			a.Printf("      and %d more links to what is saved elsewhere\n", len(links)-i)
			break
		}
		a.Printf("      saved elsewhere: %s, which leads to %s\n", screen.Clean(link.Path), screen.Clean(link.Target))
	}
}

func indentBy(s string, n int) string {
	return strings.ReplaceAll(s, "\n", "\n"+strings.Repeat(" ", n))
}

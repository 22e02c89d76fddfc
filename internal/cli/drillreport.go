package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/drill"
	"lifeboat/internal/vault"
	"lifeboat/internal/vault/head"
)

// showDrill prints the end of a drill.
func (a *app) showDrill(r *drill.Report) error {
	took := "it did not come to its end"
	if r.RTO > 0 {
		took = "it took " + age(r.RTO)
	}
	a.account.fact(fmt.Sprintf("drill %s, a recovery tried out, %s: %s%s; the data that it restored were %s old%s", r.ID, r.State, took, objective(r.RTO, r.TargetRTO), age(r.RPO), objective(r.RPO, r.TargetRPO)))
	a.account.problems = append(a.account.problems, slices.Concat(r.Findings, r.Warnings)...)
	if r.Error != "" {
		a.account.problem(r.Error)
	}
	a.account.todo("lifeboat drill history " + r.System)
	if a.JSON {
		return a.Emit(r)
	}
	paint := screen.PainterFor(a.Out)
	a.Printf("\n%s\n", paint.Bold("Report of drill "+r.ID))
	a.Printf("  state   %s\n", a.drillState(r.State))
	for _, f := range r.Findings {
		a.Printf("  %s %s\n", paint.Red("FOUND  "), screen.Clean(f))
	}
	if r.Error != "" {
		a.Printf("  %s\n", paint.Red(screen.Clean(r.Error)))
	}
	var rows [][]string
	for _, s := range r.Steps {
		if s.State == "skipped" && !a.verbose {
			continue
		}
		rows = append(rows, []string{"  " + short(screen.Clean(s.Title), 56), s.State, s.Took.Round(10 * time.Millisecond).String()})
	}
	a.Table([]string{"  step", "state", "took"}, rows, "took")
	a.Printf("\n")
	a.printChecks(r.Checks)
	for _, w := range r.Warnings {
		a.Printf("  %s %s\n", paint.Yellow("warning"), screen.Clean(w))
	}
	if len(r.NotExercised) > 0 {
		a.Printf("\n%s\n", paint.Bold("Not exercised"))
		for _, n := range r.NotExercised {
			by := ""
			if n.By != "" {
				by = ", instead: " + n.By
			}
			a.Printf("  %s %s\n", screen.Clean(n.What), paint.Faint("("+screen.Clean(n.Why)+by+")"))
		}
	}
	a.Printf("\n  RTO  %s%s\n", unknown(r.RTO), objective(r.RTO, r.TargetRTO))
	a.Printf("  RPO  %s%s\n", age(r.RPO), objective(r.RPO, r.TargetRPO))
	if r.Newest != r.Point {
		a.Printf("       the recovery point that was rehearsed is %s old\n", age(r.Age))
	}
	a.Printf("  size %s in %s\n", humanize.IBytes(uint64(max(r.Bytes, 0))), screen.Count(len(r.Components), "component", "components"))
	return nil
}

func (a *app) drillState(s drill.State) string {
	paint := screen.PainterFor(a.Out)
	switch s {
	case drill.Passed:
		return paint.Green(string(s))
	case drill.Warnings:
		return paint.Yellow(string(s))
	}
	return paint.Red(string(s))
}

func unknown(d time.Duration) string {
	if d == 0 {
		return "the recovery did not come to its end"
	}
	return age(d)
}

func age(d time.Duration) string {
	if d < time.Minute {
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func objective(is, target time.Duration) string {
	switch {
	case target == 0:
		return ""
	case is == 0 || is > target:
		return fmt.Sprintf(", which misses the objective of %s", target)
	}
	return fmt.Sprintf(", within the objective of %s", target)
}

func (a *app) drillHistoryCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "history [SYSTEM]", Short: "Show the drills whose reports the repository has, and their trend", Args: screen.Args(cobra.MaximumNArgs(1)),
		Long: `Shows the drills whose reports are in the repository, oldest first. A report is signed
by the machine that made it; "another machine" is said of one that is genuine by the
key which stands in it, and which this machine cannot vouch for.`,
		Example: `  lifeboat drill history
  lifeboat drill history smt --json
  lifeboat drill history smt --repository /media/disk/lifeboat`,
		RunE: func(c *cobra.Command, names []string) error { return a.drillHistory(c.Context(), names) },
	}
	a.readFlags(c)
	return c
}

func (a *app) drillHistory(ctx context.Context, names []string) error {
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	system := ""
	if len(names) > 0 {
		system = names[0]
	}
	v, done, err := a.open(ctx, conf, system)
	if err != nil {
		return err
	}
	defer done()
	list, err := v.Reports(ctx, drill.Kind, system)
	if err != nil && vault.Unread(err) == nil {
		return err
	}
	if err != nil {
		if err := a.warn(err); err != nil {
			return err
		}
	}
	if len(list) == 0 && !a.JSON {
		a.Printf("No drill is recorded in this repository.\n")
		return nil
	}
	return a.listDrills(ctx, conf, v, list)
}

func (a *app) listDrills(ctx context.Context, conf *config.Config, v *vault.Vault, list []*vault.Report) error {
	var rows [][]string
	var found, elsewhere []string
	type series struct {
		system string
		depth  drill.Depth
	}
	before := map[series]time.Duration{} // drills of one depth can be compared
	for _, stored := range list {
		k, err := drill.Load(ctx, v, head.New(a.state(conf)), stored)
		if err != nil {
			if err := a.warn(err); err != nil {
				return err
			}
			continue
		}
		if a.JSON {
			if err := a.Emit(map[string]any{"type": "drill", "id": k.ID, "signed_by": k.Signature, "report": k.Report}); err != nil {
				return err
			}
			continue
		}
		trend := ""
		of := series{k.System, k.Depth}
		if last := before[of]; last > 0 && k.RTO > 0 {
			trend = fmt.Sprintf("%+.0f%%", 100*(float64(k.RTO)/float64(last)-1))
		}
		if k.RTO > 0 {
			before[of] = k.RTO
		}
		for _, finding := range k.Findings[:min(1, len(k.Findings))] {
			found = append(found, minute(k.Started)+": "+screen.Clean(screen.FirstLine(finding)))
		}
		if k.Signature != drill.SignedHere {
			elsewhere = append(elsewhere, minute(k.Started)+": "+string(k.Signature))
		}
		rows = append(rows, []string{
			screen.Printable(k.System), minute(k.Started), screen.Printable(string(k.State)), string(k.Depth), shortID(k.Point), unknownAge(k.RTO), trend, age(k.RPO),
		})
	}
	if a.JSON {
		return nil
	}
	a.Table([]string{"system", "drill", "state", "depth", "point", "RTO", "trend", "RPO"}, rows, "RTO", "trend", "RPO")
	for _, part := range []struct {
		title string
		lines []string
	}{{"What they found first", found}, {"Not signed by this machine, but by", elsewhere}} {
		if len(part.lines) > 0 {
			a.Printf("\n%s\n", screen.PainterFor(a.Out).Bold(part.title))
		}
		for _, line := range part.lines {
			a.Printf("  %s\n", a.paragraph(line, 4))
		}
	}
	return nil
}

func unknownAge(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return age(d)
}

func shortID(id string) string { return screen.Printable(id[:min(8, len(id))]) }

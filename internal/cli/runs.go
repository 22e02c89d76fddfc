package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
)

func (a *app) runsCommand() *cobra.Command {
	c := &cobra.Command{Args: screen.Args(cobra.NoArgs), RunE: func(c *cobra.Command, _ []string) error { return c.Help() }, Use: "runs", Short: "Show what was run on this machine", Example: "  lifeboat runs list\n  lifeboat runs show"}
	c.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List runs, oldest first", Example: "  lifeboat runs list", Args: screen.Args(cobra.NoArgs),
			RunE: func(*cobra.Command, []string) error { return a.listRuns() },
		},
		&cobra.Command{
			Use: "show [RUN]", Short: "Show a run: steps, checks, durations; the last one without RUN",
			Example: "  lifeboat runs show\n  lifeboat runs show 20261121-074500-smt-recover-ab12", Args: screen.Args(cobra.MaximumNArgs(1)),
			RunE: func(_ *cobra.Command, names []string) error { return a.showRun(names) },
		},
	)
	return c
}

func (a *app) listRuns() error {
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	runs, err := runbook.List(a.state(conf))
	var rows [][]string
	for _, r := range runs {
		entry := a.entry(r)
		if a.JSON {
			if err := a.Emit(entry); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{r.ID, r.Kind, r.System, entry.Summary, screen.When(r.Started), time.Duration(r.Seconds * float64(time.Second)).Round(time.Second / 10).String(), holds(entry.Holds), entry.Next})
	}
	if !a.JSON {
		if len(rows) == 0 {
			a.Printf("Nothing was run yet.\n")
		} else {
			a.Table([]string{"run", "kind", "system", "state", "started", "took", "set aside", "next"}, rows, "took")
		}
	}
	return err
}

// runEntry is a run as the list shows it.
type runEntry struct {
	*runbook.Run
	Summary string `json:"summary"` // its state, with what became of its background jobs
	Next    string `json:"next,omitempty"`
	// Holds are the components of which the run still has what it set aside.
	Holds []string `json:"holds,omitempty"`
}

// holds is short enough for a table.
func holds(names []string) string {
	if len(names) > 3 {
		return screen.Count(len(names), "component", "components")
	}
	return strings.Join(names, ", ")
}

func (a *app) entry(r *runbook.Run) runEntry {
	e := runEntry{Run: r, Summary: string(r.State), Next: r.Hint, Holds: recovery.Holds(r)}
	report, err := recovery.NewReport(r)
	if err != nil {
		return e // the run itself can be told
	}
	e.Summary = report.State
	if len(report.Undone) > 0 {
		e.Next = firstOf(e.Next, r.Resume)
	}
	return e
}

func (a *app) showRun(names []string) error {
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	var run *runbook.Run
	if len(names) > 0 {
		if run, err = runbook.Load(a.state(conf), names[0]); err != nil {
			return err
		}
	} else {
		runs, err := runbook.List(a.state(conf))
		if len(runs) == 0 {
			if err != nil {
				return err
			}
			return screen.Usagef("nothing was run yet")
		}
		run = runs[len(runs)-1]
	}
	report, err := recovery.NewReport(run)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(report)
	}
	a.printReport(report)
	if run.Error != "" {
		a.Printf("\n  %s %s\n", screen.PainterFor(a.Out).Red("failed"), run.Error)
	}
	if run.Hint != "" {
		a.Printf("  next: %s\n", run.Hint)
	}
	return nil
}

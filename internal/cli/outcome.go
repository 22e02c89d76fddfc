package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// reportRecovery prints the end of a recovery: checks, durations, RTO and RPO.
func (a *app) reportRecovery(ctx context.Context, run *runbook.Run, point *vault.Point, f recoverFlags) error {
	report, err := recovery.NewReport(run)
	if err != nil {
		return err
	}
	if f.wait {
		if err := report.Wait(ctx); err != nil {
			return err
		}
	}
	if a.JSON {
		return a.Emit(report)
	}
	a.printReport(report)
	return nil
}

func (a *app) printReport(r *recovery.Report) {
	a.printOutcome(r)
	if len(r.Undone) == 0 || r.Kind != recovery.Kind {
		return
	}
	first := "Look at the warnings above"
	if r.Full {
		first = "There was no room for all of it: make room"
	}
	a.Printf("\n%s %s\n%s and go on: lifeboat recover %s --resume\n", screen.PainterFor(a.Out).Yellow("Not done:"), strings.Join(r.Undone, "; "), first, r.System)
}

func (a *app) printOutcome(r *recovery.Report) {
	paint := screen.PainterFor(a.Out)
	a.Printf("\n%s\n", paint.Bold("Report of run "+r.Run))
	a.Printf("  state   %s\n", r.State)
	var rows [][]string
	for _, s := range r.Steps {
		if s.State == runbook.StepStateSkipped && !a.verbose {
			continue
		}
		rows = append(rows, []string{"  " + short(s.Title, 56), string(s.State), time.Duration(s.Seconds * float64(time.Second)).Round(10 * time.Millisecond).String()})
	}
	a.Table([]string{"  step", "state", "took"}, rows, "took")
	a.Printf("\n")
	a.printChecks(slices.DeleteFunc(slices.Clone(r.Checks), func(c runbook.Check) bool {
		return c.Warning && slices.Contains(r.Warnings, c.Text()) // it is told once, with its hint
	}))
	for _, w := range r.Warnings {
		a.Printf("  %s %s\n", paint.Yellow("warning"), w)
	}
	if r.RPO > 0 && r.Whole {
		a.Printf("\n  RPO  %s of data were lost (since %s)\n", r.RPO.Round(time.Second), screen.When(r.Moment))
	}
	if r.Kind != recovery.Kind || !r.Whole {
		a.Printf("\n  took %s\n", r.Active.Round(time.Second/10))
		return
	}
	if r.RTO > 0 {
		a.Printf("  RTO  %s from the beginning to now, %s of it this program ran\n", r.RTO.Round(time.Second), r.Active.Round(time.Second))
	}
	for _, j := range r.Jobs {
		switch {
		case j.Finished == nil:
			a.Printf("  %s %s since %s; log %s\n", paint.Yellow("pending"), j.Title, screen.When(j.Started), j.Log)
		case j.Failure != "":
			a.Printf("  %s %s: %s; log %s\n", paint.Red("failed"), j.Title, j.Failure, j.Log)
		case r.RTOWithJobs == 0: // the recovery itself is unfinished, or another job
			a.Printf("  %s %s\n", paint.Green("done"), j.Title)
		default:
			a.Printf("  %s %s, RTO with it %s\n", paint.Green("done"), j.Title, r.RTOWithJobs.Round(time.Second))
		}
	}
}

func (a *app) printChecks(checks []runbook.Check) {
	paint := screen.PainterFor(a.Out)
	seen := map[runbook.Check]bool{}
	for _, c := range checks {
		if seen[c] {
			continue
		}
		seen[c] = true
		word := paint.Green("ok     ")
		switch {
		case c.OK && c.Found == recovery.NotKnownYet:
			word = paint.Faint("later  ")
		case c.OK:
		case c.Skipped:
			word = paint.Yellow("skipped")
		case c.Warning:
			word = paint.Yellow("warning")
		default:
			word = paint.Red("NOT OK ")
		}
		detail := c.Found
		if !c.OK && !c.Skipped {
			detail = fmt.Sprintf("expected %s, found %s", firstOf(c.Expected, "nothing"), firstOf(c.Found, "nothing"))
		}
		a.Printf("  %s %s  %s\n", word, c.Name, paint.Faint(screen.FirstLine(detail)))
	}
}

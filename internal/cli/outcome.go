package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

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
	if a.json {
		return a.emit(report)
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
	a.printf("\n%s %s\n%s and go on: lifeboat recover %s --resume\n", painterFor(a.out).yellow("Not done:"), strings.Join(r.Undone, "; "), first, r.System)
}

func (a *app) printOutcome(r *recovery.Report) {
	paint := painterFor(a.out)
	a.printf("\n%s\n", paint.bold("Report of run "+r.Run))
	a.printf("  state   %s\n", r.State)
	var rows [][]string
	for _, s := range r.Steps {
		if s.State == runbook.StepStateSkipped && !a.verbose {
			continue
		}
		rows = append(rows, []string{"  " + short(s.Title, 56), string(s.State), time.Duration(s.Seconds * float64(time.Second)).Round(10 * time.Millisecond).String()})
	}
	a.table([]string{"  step", "state", "took"}, rows, "took")
	a.printf("\n")
	a.printChecks(slices.DeleteFunc(slices.Clone(r.Checks), func(c runbook.Check) bool {
		return c.Warning && slices.Contains(r.Warnings, c.Text()) // it is told once, with its hint
	}))
	for _, w := range r.Warnings {
		a.printf("  %s %s\n", paint.yellow("warning"), w)
	}
	if r.RPO > 0 && r.Whole {
		a.printf("\n  RPO  %s of data were lost (since %s)\n", r.RPO.Round(time.Second), when(r.Moment))
	}
	if r.Kind != recovery.Kind || !r.Whole {
		a.printf("\n  took %s\n", r.Active.Round(time.Second/10))
		return
	}
	if r.RTO > 0 {
		a.printf("  RTO  %s from the beginning to now, %s of it this program ran\n", r.RTO.Round(time.Second), r.Active.Round(time.Second))
	}
	for _, j := range r.Jobs {
		switch {
		case j.Finished == nil:
			a.printf("  %s %s since %s; log %s\n", paint.yellow("pending"), j.Title, when(j.Started), j.Log)
		case j.Failure != "":
			a.printf("  %s %s: %s; log %s\n", paint.red("failed"), j.Title, j.Failure, j.Log)
		case r.RTOWithJobs == 0: // the recovery itself is unfinished, or another job
			a.printf("  %s %s\n", paint.green("done"), j.Title)
		default:
			a.printf("  %s %s, RTO with it %s\n", paint.green("done"), j.Title, r.RTOWithJobs.Round(time.Second))
		}
	}
}

func (a *app) printChecks(checks []runbook.Check) {
	paint := painterFor(a.out)
	seen := map[runbook.Check]bool{}
	for _, c := range checks {
		if seen[c] {
			continue
		}
		seen[c] = true
		word := paint.green("ok     ")
		switch {
		case c.OK && c.Found == recovery.NotKnownYet:
			word = paint.faint("later  ")
		case c.OK:
		case c.Skipped:
			word = paint.yellow("skipped")
		case c.Warning:
			word = paint.yellow("warning")
		default:
			word = paint.red("NOT OK ")
		}
		detail := c.Found
		if !c.OK && !c.Skipped {
			detail = fmt.Sprintf("expected %s, found %s", firstOf(c.Expected, "nothing"), firstOf(c.Found, "nothing"))
		}
		a.printf("  %s %s  %s\n", word, c.Name, paint.faint(firstLine(detail)))
	}
}

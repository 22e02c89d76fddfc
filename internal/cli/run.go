package cli

import (
	"context"
	"fmt"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/runbook"
)

// engine makes the engine of a run whose events go to the terminal, or to
// standard output as JSON. Close must follow.
func (a *app) engine(stateDir string, accept bool) (*runbook.Engine, func()) {
	opts := runbook.Options{Dir: stateDir, Hard: a.hard, AcceptChange: accept}
	done := func() {}
	if a.JSON {
		opts.Observers = []runbook.Observer{runbook.NewJSONWriter(a.Out)}
	} else {
		t := newTerminal(a.Out, a.verbose)
		a.terminal = t
		opts.Observers = []runbook.Observer{t}
		if p := runPrompter(); p != nil {
			t.prompter, opts.Prompter = p, t
		}
		quiet := a.showOn(t)
		done = func() { quiet(); t.Close() }
	}
	if a.logged != nil {
		opts.Observers = append(opts.Observers, a.logged)
	}
	if live, end := a.live(); live != nil {
		opts.Observers = append(opts.Observers, live)
		shown := done
		done = func() { shown(); end() }
	}
	return runbook.New(opts), done
}

// maxEffects bounds what a plan shows of one step without -v.
const maxEffects = 6

// dryRun shows a runbook without running anything of it.
func (a *app) dryRun(ctx context.Context, engine *runbook.Engine, book runbook.Runbook) error {
	plan, err := engine.DryRun(ctx, book)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(plan)
	}
	return a.printPlan(plan)
}

func (a *app) printPlan(plan *runbook.Plan) error {
	paint := screen.PainterFor(a.Out)
	for _, stage := range plan.Stages {
		a.Printf("\n%s\n", paint.Bold(firstOf(stage.Title, stage.Name)))
		for _, s := range stage.Steps {
			line := fmt.Sprintf("  %-8s %s", outlook(s.Outlook), s.Title)
			if s.Text != "" {
				line += "  " + paint.Faint("("+screen.FirstLine(s.Text)+")")
			}
			a.Printf("%s\n", line)
			shown := s.Effects
			if s.Outlook == runbook.WouldSkip {
				shown = nil // it has none
			}
			if !a.verbose && len(shown) > maxEffects {
				shown = shown[:maxEffects]
			}
			for _, e := range shown {
				a.Printf("            %s\n", paint.Faint(screen.Clean(e)))
			}
			if more := len(s.Effects) - len(shown); more > 0 && s.Outlook != runbook.WouldSkip {
				a.Printf("            %s\n", paint.Faint(fmt.Sprintf("and %d more (-v shows them)", more)))
			}
		}
	}
	return nil
}

// outlook is one short word for what would become of a step.
func outlook(o runbook.Outlook) string {
	switch o {
	case runbook.WasDone:
		return "already"
	case runbook.Unclear:
		return "later"
	}
	return string(o)
}

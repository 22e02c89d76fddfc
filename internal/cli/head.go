package cli

import (
	"context"
	"errors"
	"slices"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/vault"
	"lifeboat/internal/vault/head"
)

// shownProblems bounds how many changes of one kind are listed.
const shownProblems = 20

// showSurvey tells what a look at the repository has shown besides the points, to
// whoever asked for something else.
func (a *app) showSurvey(s *vault.Survey) error {
	for _, text := range s.Remarks() {
		if !a.JSON {
			a.Printf("%s\n", screen.Printable(text))
		}
	}
	for _, text := range s.Warnings() {
		if err := a.warn(errors.New(screen.Printable(text))); err != nil {
			return err
		}
	}
	return nil
}

// showHead tells what changed in the repository without this machine.
func (a *app) showHead(r *vault.Verification) {
	paint := screen.PainterFor(a.Out)
	switch {
	case r.HeadError != "":
		a.Printf("%s whether points vanished cannot be told: %s\n", paint.Yellow("warning"), r.HeadError)
	case r.Head == nil || r.Head.Accepted:
	case r.Head.First:
		a.Printf("This machine had no record of the repository. From now on it remembers %s.\n", screen.Count(r.Head.Points, "recovery point", "recovery points"))
	default:
		a.showChanges(r.Head)
	}
}

func (a *app) showChanges(f *head.Findings) {
	paint := screen.PainterFor(a.Out)
	for _, text := range f.Remarks() {
		a.Printf("%s\n", screen.Printable(text))
	}
	if len(f.Problems) == 0 {
		if f.New > 0 {
			a.Printf("%s since this machine last looked.\n", screen.Count(f.New, "new recovery point", "new recovery points"))
		}
		return
	}
	a.Printf("\n%s\n", paint.Red(since(f)))
	var kinds []head.Kind
	for _, p := range f.Problems {
		if !slices.Contains(kinds, p.Kind) {
			kinds = append(kinds, p.Kind)
		}
	}
	for _, kind := range kinds {
		listed, advice := 0, ""
		for _, p := range f.Problems {
			if p.Kind != kind {
				continue
			}
			advice = p.Advice
			if listed++; listed > shownProblems {
				continue
			}
			about := ""
			if p.Point != nil {
				about = p.Point.ID[:8] + "  " + screen.Printable(p.Point.System) + "  " + screen.When(p.Point.Time) + "  "
			}
			a.Printf("%s %s%s\n", paint.Red(string(kind)), about, screen.Printable(p.Text))
		}
		if more := listed - shownProblems; more > 0 {
			a.Printf("… and %d more\n", more)
		}
		a.Printf("%s\n", wrap(advice, 100))
	}
}

func since(f *head.Findings) string {
	own := func(p head.Problem) bool { return p.Kind == head.Lost || p.Kind == head.Tampered }
	switch {
	case !slices.ContainsFunc(f.Problems, func(p head.Problem) bool { return !own(p) }):
		return "This machine's record of the repository was changed, and not by this machine:"
	case f.Since.IsZero():
		return "The repository was changed, and not by this machine:"
	}
	return "The repository was changed since " + screen.When(f.Since) + ", and not by this machine:"
}

// acceptHead shows what changed, asks, and remembers the present state.
func (a *app) acceptHead(ctx context.Context, v *vault.Vault, r *vault.Verification) error {
	if !a.JSON {
		a.showChanges(r.Head)
	}
	if err := screen.Confirm(ctx, "Remember the repository as it is now?", a.yes); err != nil {
		return err
	}
	if err := v.Accept(ctx); err != nil {
		return err
	}
	r.Head.Accepted = true
	if !a.JSON {
		a.Printf("Accepted: this machine remembers %s of the repository now.\n\n", screen.Count(r.Head.Points, "recovery point", "recovery points"))
	}
	return nil
}

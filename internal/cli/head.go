package cli

import (
	"context"
	"errors"
	"slices"

	"lifeboat/internal/vault"
	"lifeboat/internal/vault/head"
)

// shownProblems bounds how many changes of one kind are listed.
const shownProblems = 20

// showSurvey tells what a look at the repository has shown besides the points, to
// whoever asked for something else.
func (a *app) showSurvey(s *vault.Survey) error {
	for _, text := range s.Remarks() {
		if !a.json {
			a.printf("%s\n", printable(text))
		}
	}
	for _, text := range s.Warnings() {
		if err := a.warn(errors.New(printable(text))); err != nil {
			return err
		}
	}
	return nil
}

// showHead tells what changed in the repository without this machine.
func (a *app) showHead(r *vault.Verification) {
	paint := painterFor(a.out)
	switch {
	case r.HeadError != "":
		a.printf("%s whether points vanished cannot be told: %s\n", paint.yellow("warning"), r.HeadError)
	case r.Head == nil || r.Head.Accepted:
	case r.Head.First:
		a.printf("This machine had no record of the repository. From now on it remembers %s.\n", count(r.Head.Points, "recovery point", "recovery points"))
	default:
		a.showChanges(r.Head)
	}
}

func (a *app) showChanges(f *head.Findings) {
	paint := painterFor(a.out)
	for _, text := range f.Remarks() {
		a.printf("%s\n", printable(text))
	}
	if len(f.Problems) == 0 {
		if f.New > 0 {
			a.printf("%s since this machine last looked.\n", count(f.New, "new recovery point", "new recovery points"))
		}
		return
	}
	a.printf("\n%s\n", paint.red(since(f)))
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
				about = p.Point.ID[:8] + "  " + printable(p.Point.System) + "  " + when(p.Point.Time) + "  "
			}
			a.printf("%s %s%s\n", paint.red(string(kind)), about, printable(p.Text))
		}
		if more := listed - shownProblems; more > 0 {
			a.printf("… and %d more\n", more)
		}
		a.printf("%s\n", wrap(advice, 100))
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
	return "The repository was changed since " + when(f.Since) + ", and not by this machine:"
}

// acceptHead shows what changed, asks, and remembers the present state.
func (a *app) acceptHead(ctx context.Context, v *vault.Vault, r *vault.Verification) error {
	if !a.json {
		a.showChanges(r.Head)
	}
	if err := confirm(ctx, "Remember the repository as it is now?", a.yes); err != nil {
		return err
	}
	if err := v.Accept(ctx); err != nil {
		return err
	}
	r.Head.Accepted = true
	if !a.json {
		a.printf("Accepted: this machine remembers %s of the repository now.\n\n", count(r.Head.Points, "recovery point", "recovery points"))
	}
	return nil
}

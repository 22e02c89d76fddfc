package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// forgetting is one call of the verb.
type forgetting struct {
	*app
	forgetFlags
	conf *config.Config
	opts repository.PruneOptions
}

// judge applies each system's rules to its points.
func judge(points []*vault.Point, rules map[string]config.Retention) ([]vault.Verdict, error) {
	now := time.Now()
	var verdicts []vault.Verdict
	for _, system := range sorted(rules) {
		own := slices.DeleteFunc(slices.Clone(points), func(p *vault.Point) bool { return p.System() != system })
		judged, err := vault.Retain(own, rules[system], now)
		if err != nil {
			return nil, err
		}
		verdicts = append(verdicts, judged...)
	}
	return verdicts, nil
}

func going(verdicts []vault.Verdict) []*vault.Point {
	var points []*vault.Point
	for _, v := range verdicts {
		if !v.Keep {
			points = append(points, v.Point)
		}
	}
	return points
}

func (f *forgetting) byRules(ctx context.Context, r config.Repository, repo *repository.Repository, rules map[string]config.Retention) error {
	v := f.vaultOf(f.conf, repo)
	var verdicts []vault.Verdict
	choose := func(points []*vault.Point) (_ []*vault.Point, err error) {
		verdicts, err = judge(points, rules)
		return going(verdicts), err
	}
	if f.dry {
		points, err := v.Points(ctx, vault.Filter{})
		if err != nil {
			return err
		}
		if _, err := choose(points); err != nil {
			return err
		}
	} else if err := v.Forget(ctx, choose); err != nil {
		return err
	}
	if err := f.showVerdicts(r, verdicts, rules); err != nil {
		return err
	}
	return f.after(ctx, r, repo, going(verdicts), len(verdicts))
}

// verdictView is what becomes of a point, as --json shows it.
type verdictView struct {
	Type       string        `json:"type"`
	Repository string        `json:"repository"`
	Point      string        `json:"point"`
	System     string        `json:"system"`
	Time       time.Time     `json:"time"`
	Trigger    vault.Trigger `json:"trigger"`
	Keep       bool          `json:"keep"`
	Reasons    []string      `json:"reasons,omitempty"`
}

func (f *forgetting) showVerdicts(r config.Repository, verdicts []vault.Verdict, rules map[string]config.Retention) error {
	word := map[bool]string{true: "would go", false: "gone"}[f.dry]
	var rows [][]string
	for _, v := range verdicts {
		p := v.Point
		if f.json {
			if err := f.emit(verdictView{Type: "verdict", Repository: called(r), Point: p.ID(), System: p.System(), Time: p.Time(), Trigger: p.Trigger(), Keep: v.Keep, Reasons: v.Reasons}); err != nil {
				return err
			}
			continue
		}
		why := strings.Join(v.Reasons, ", ")
		if !v.Keep {
			why = painterFor(f.out).yellow(word)
		} else {
			why = "stays: " + why
		}
		rows = append(rows, []string{p.Short(), p.System(), when(p.Time()), string(p.Trigger()), why})
	}
	if f.json {
		return nil
	}
	f.printf("%s\n", painterFor(f.out).bold("Repository "+called(r)))
	for _, system := range sorted(rules) {
		f.printf("%s keeps: %s\n", system, rules[system])
	}
	if len(rows) > 0 {
		f.table([]string{"point", "system", "time", "trigger", ""}, rows)
	}
	return nil
}

// after tells what went, and frees the space or says what that would.
func (f *forgetting) after(ctx context.Context, r config.Repository, repo *repository.Repository, gone []*vault.Point, judged int) error {
	view := map[string]any{"type": "forgotten", "repository": called(r), "dry_run": f.dry, "removed": len(gone), "kept": judged - len(gone)}
	if !f.dry {
		if f.json {
			if err := f.emit(view); err != nil {
				return err
			}
		} else {
			f.printf("%s removed, %d stay.\n", count(len(gone), "recovery point", "recovery points"), judged-len(gone))
		}
		if f.free {
			_, err := f.app.prune(ctx, r, repo, f.opts)
			return err
		}
		if len(gone) > 0 && !f.json {
			f.printf("To free the space they took: lifeboat prune\n")
		}
		return nil
	}
	// What they alone need is what a prune would free more.
	before, err := repo.Prune(ctx, f.opts)
	if err != nil {
		return err
	}
	opts := f.opts
	for _, p := range gone {
		opts.Without = append(opts.Without, p.Snapshot.ID)
	}
	after, err := repo.Prune(ctx, opts)
	if err != nil {
		return err
	}
	alone := max(before.Used.Bytes-after.Used.Bytes, 0)
	if f.json {
		view["alone_bytes"], view["freed_bytes"] = alone, after.Freed
		return f.emit(view)
	}
	f.printf("%s would be removed, %d stay. They alone need %s; a prune would then free %s.\n",
		count(len(gone), "recovery point", "recovery points"), judged-len(gone), size(alone), size(max(after.Freed, 0)))
	return nil
}

// forgetNamed removes the points that a person names.
func (f *forgetting) byName(ctx context.Context, r config.Repository, repo *repository.Repository) error {
	v := f.vaultOf(f.conf, repo)
	points, err := v.Points(ctx, vault.Filter{})
	if err != nil {
		return err
	}
	chosen, err := named(points, f.points)
	if err != nil {
		return err
	}
	var verdicts []vault.Verdict
	for _, p := range chosen {
		verdicts = append(verdicts, vault.Verdict{Point: p})
	}
	if f.dry {
		if err := f.showVerdicts(r, verdicts, nil); err != nil {
			return err
		}
		return f.after(ctx, r, repo, chosen, len(points))
	}
	if err := confirm(ctx, question(chosen, r), f.yes); err != nil {
		return err
	}
	err = v.Forget(ctx, func(now []*vault.Point) ([]*vault.Point, error) { return named(now, f.points) })
	if err != nil {
		return err
	}
	if err := f.showVerdicts(r, verdicts, nil); err != nil {
		return err
	}
	return f.after(ctx, r, repo, chosen, len(points))
}

// named finds the points whose ids begin as given, each once; none of them may
// be pinned.
func named(points []*vault.Point, references []string) ([]*vault.Point, error) {
	var chosen []*vault.Point
	for _, reference := range references {
		var found []*vault.Point
		for _, p := range points {
			if reference != "" && strings.HasPrefix(p.ID(), strings.ToLower(reference)) {
				found = append(found, p)
			}
		}
		switch {
		case len(found) == 0:
			return nil, fmt.Errorf("%w: %s (lifeboat list shows what there is)", vault.ErrNoPoint, reference)
		case len(found) > 1:
			return nil, fmt.Errorf("%w: %s; give more of the id", vault.ErrAmbiguous, reference)
		case found[0].Pin != nil:
			return nil, runbook.Refuse("", "point %s is pinned; if it is to go all the same: lifeboat unpin %s", found[0].Short(), found[0].Short())
		case !slices.Contains(chosen, found[0]):
			chosen = append(chosen, found[0])
		}
	}
	return chosen, nil
}

// question asks whether points are to go, by what they are.
func question(points []*vault.Point, r config.Repository) string {
	var lines []string
	for _, p := range points {
		lines = append(lines, fmt.Sprintf("  %s  %s  %s  %s", p.Short(), p.System(), when(p.Time()), p.Trigger()))
	}
	return fmt.Sprintf("These go from repository %s for good:\n%s\nForget them?", called(r), strings.Join(lines, "\n"))
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/cli/screen"
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
	var unread []*vault.Point
	choose := func(points []*vault.Point) (_ []*vault.Point, err error) {
		unread = slices.DeleteFunc(slices.Clone(points), func(p *vault.Point) bool { return !p.Unread() })
		verdicts, err = judgeWhole(ctx, v, points, rules)
		return going(verdicts), err
	}
	stay, err := f.kept(ctx, repo, f.remove(ctx, r, repo, choose), func() []*vault.Point { return going(verdicts) })
	if err != nil {
		return err
	}
	verdicts = stay.among(verdicts)
	if err := f.showVerdicts(r, verdicts, rules); err != nil {
		return err
	}
	if err := f.warnUnread(unread, repo.Flag()); err != nil {
		return err
	}
	if err := f.warnDamaged(verdicts, repo.Flag()); err != nil {
		return err
	}
	// What the store was asked to keep is no failure of the retention: it comes again.
	if text := stay.remark(); text != "" && !f.dry {
		f.account.fact("repository " + called(r) + ": " + text)
		if !f.JSON {
			f.Printf("%s.\n", text)
		}
	}
	return errors.Join(stay.failure(), f.after(ctx, r, repo, going(verdicts), len(verdicts)))
}

// judgeWhole is judge, and where a point would go it looks first which points are
// whole: one that lacks something takes no other's place.
func judgeWhole(ctx context.Context, v *vault.Vault, points []*vault.Point, rules map[string]config.Retention) ([]vault.Verdict, error) {
	verdicts, err := judge(points, rules)
	if err != nil || len(going(verdicts)) == 0 {
		return verdicts, err
	}
	own := slices.DeleteFunc(slices.Clone(points), func(p *vault.Point) bool { return rules[p.System()].IsZero() })
	if err := v.Examine(ctx, own); err != nil {
		return nil, err
	}
	return judge(points, rules)
}

// warnDamaged warns of points that are damaged.
func (f *forgetting) warnDamaged(verdicts []vault.Verdict, flag string) error {
	for _, v := range verdicts {
		p := v.Point
		if p.Damage == nil || p.Unread() {
			continue
		}
		err := fmt.Errorf("point %s of %s, %s, is damaged: %w; it stays, and whole points stay in its place; lifeboat verify%s tells what is damaged, and what to do", p.Short(), p.System(), screen.When(p.Time()), p.Damage, flag)
		if err := f.warn(err); err != nil {
			return err
		}
	}
	return nil
}

// chooser picks the points that go out of all there are.
type chooser = func([]*vault.Point) ([]*vault.Point, error)

// remove has the points removed that choose returns, and shows what was found then.
func (f *forgetting) remove(ctx context.Context, r config.Repository, repo *repository.Repository, choose chooser) error {
	if err := f.mayPrune(ctx, r, repo, choose); err != nil {
		return err
	}
	survey, err := f.survey(ctx, f.vaultOf(f.conf, repo), choose)
	if survey != nil {
		err = errors.Join(err, f.showSurvey(survey))
	}
	return err
}

// mayPrune refuses before anything goes where the prune that is to follow would be
// refused: points would be gone, and no byte free.
func (f *forgetting) mayPrune(ctx context.Context, r config.Repository, repo *repository.Repository, choose chooser) error {
	if f.dry || !f.free {
		return nil
	}
	points, err := allPoints(ctx, f.vaultOf(f.conf, repo))
	if err != nil {
		return err
	}
	chosen, err := choose(points)
	if err != nil {
		return err
	}
	opts := f.opts
	opts.DryRun = true
	for _, p := range chosen {
		opts.Without = append(opts.Without, p.Snapshot.ID)
	}
	_, err = repo.Prune(ctx, opts)
	if errors.Is(err, repository.ErrDamaged) {
		return runbook.Refuse("", "repository %s: nothing was removed, because the prune would be refused: %v", called(r), err)
	}
	return err
}

// allPoints are all points that there are, and behind them what cannot be read.
func allPoints(ctx context.Context, v *vault.Vault) ([]*vault.Point, error) {
	points, err := v.Points(ctx, vault.Filter{})
	unread := vault.Unread(err)
	if err != nil && unread == nil {
		return nil, err
	}
	return append(points, unread...), nil
}

// warnUnread warns of snapshots that cannot be read, and tells what to do. The flag
// names their repository to a verb.
func (a *app) warnUnread(unread []*vault.Point, flag string) error {
	for _, p := range unread {
		err := fmt.Errorf("%w; it stays, and whether it is a recovery point or a pin nobody can tell; copy its file back from a copy of the repository, or give it up: lifeboat forget%s --point %s", p.Damage, flag, p.Short())
		if err := a.warn(err); err != nil {
			return err
		}
	}
	return nil
}

// survey has the points removed that choose returns, in a dry run none, and returns
// what was found when they were chosen, with an error too.
func (f *forgetting) survey(ctx context.Context, v *vault.Vault, choose chooser) (found *vault.Survey, err error) {
	if f.dry {
		found = v.Survey(ctx, vault.Filter{})
		all, err := found.All()
		if err == nil {
			_, err = choose(all)
		}
		return found, err
	}
	err = v.Forget(ctx, func(now *vault.Survey) ([]*vault.Point, error) {
		found = now
		all, err := now.All()
		if err != nil {
			return nil, err
		}
		return choose(all)
	})
	return found, err
}

// verdictView is what becomes of a point, as --json shows it.
type verdictView struct {
	Type       string        `json:"type"`
	Repository string        `json:"repository"`
	Point      string        `json:"point"`
	System     string        `json:"system"`
	Time       time.Time     `json:"time,omitzero"`
	Trigger    vault.Trigger `json:"trigger"`
	Unread     bool          `json:"unread,omitempty"` // its snapshot cannot be read
	Keep       bool          `json:"keep"`
	Reasons    []string      `json:"reasons,omitempty"`
}

func (f *forgetting) showVerdicts(r config.Repository, verdicts []vault.Verdict, rules map[string]config.Retention) error {
	word := map[bool]string{true: "would go", false: "gone"}[f.dry]
	var rows [][]string
	for _, v := range verdicts {
		p := v.Point
		if f.JSON {
			if err := f.Emit(verdictView{Type: "verdict", Repository: called(r), Point: p.ID(), System: p.System(), Time: p.Time(), Trigger: p.Trigger(), Unread: p.Unread(), Keep: v.Keep, Reasons: v.Reasons}); err != nil {
				return err
			}
			continue
		}
		why := strings.Join(v.Reasons, ", ")
		if !v.Keep {
			why = screen.PainterFor(f.Out).Yellow(word)
		} else {
			why = "stays: " + why
		}
		if p.Unread() {
			rows = append(rows, []string{p.Short(), "?", "cannot be read", "", why})
			continue
		}
		rows = append(rows, []string{p.Short(), p.System(), screen.When(p.Time()), string(p.Trigger()), why})
	}
	if f.JSON {
		return nil
	}
	f.Printf("%s\n", screen.PainterFor(f.Out).Bold("Repository "+called(r)))
	for _, system := range sorted(rules) {
		f.Printf("%s keeps: %s\n", system, rules[system])
	}
	if len(rows) > 0 {
		f.Table([]string{"point", "system", "time", "trigger", ""}, rows)
	}
	return nil
}

// after tells what went, and frees the space or says what that would.
func (f *forgetting) after(ctx context.Context, r config.Repository, repo *repository.Repository, gone []*vault.Point, judged int) error {
	view := map[string]any{"type": "forgotten", "repository": called(r), "dry_run": f.dry, "removed": len(gone), "kept": judged - len(gone)}
	if !f.dry {
		if f.JSON {
			if err := f.Emit(view); err != nil {
				return err
			}
		} else {
			f.Printf("%s removed, %d stay.\n", screen.Count(len(gone), "recovery point", "recovery points"), judged-len(gone))
		}
		if f.free {
			_, err := f.app.prune(ctx, r, repo, f.opts)
			return err
		}
		if len(gone) > 0 && !f.JSON {
			f.Printf("To free the space they took: lifeboat prune%s\n", repo.Flag())
		}
		return nil
	}
	opts := f.opts
	for _, p := range gone {
		opts.Without = append(opts.Without, p.Snapshot.ID)
	}
	after, err := repo.Prune(ctx, opts)
	if errors.Is(err, repository.ErrDamaged) {
		if f.JSON {
			if err := f.Emit(view); err != nil {
				return err
			}
		} else {
			f.Printf("%s would be removed, %d stay.\n", screen.Count(len(gone), "recovery point", "recovery points"), judged-len(gone))
		}
		return f.warn(fmt.Errorf("how many bytes that would free cannot be told: %w", err))
	}
	if err != nil {
		return err
	}
	view["freed_bytes"], view["room_bytes"] = after.Freed, after.Written
	text := fmt.Sprintf("%s would be removed, %d stay.", screen.Count(len(gone), "recovery point", "recovery points"), judged-len(gone))
	// What they alone need is what a prune frees more; of what cannot be read nobody knows.
	if !slices.ContainsFunc(gone, (*vault.Point).Unread) {
		before, err := repo.Prune(ctx, f.opts)
		if err != nil {
			return err
		}
		alone := max(before.Used.Bytes-after.Used.Bytes, 0)
		view["alone_bytes"] = alone
		text += fmt.Sprintf(" They alone need %s;", size(alone))
	}
	if f.JSON {
		return f.Emit(view)
	}
	room := ""
	if after.Written > 0 {
		room = fmt.Sprintf(", and needs %s of room meanwhile", size(after.Written))
	}
	f.Printf("%s a prune would then free %s%s.\n", text, size(max(after.Freed, 0)), room)
	return nil
}

// byName removes the points that a person names.
func (f *forgetting) byName(ctx context.Context, r config.Repository, repo *repository.Repository) error {
	found, err := allPoints(ctx, f.vaultOf(f.conf, repo))
	if err != nil {
		return err
	}
	chosen, err := named(found, f.points, repo.Flag())
	if err != nil {
		return err
	}
	if !f.dry {
		if err := screen.Confirm(ctx, question(chosen, r), f.yes); err != nil {
			return err
		}
	}
	choose := func(now []*vault.Point) ([]*vault.Point, error) { return named(now, f.points, repo.Flag()) }
	stay, err := f.kept(ctx, repo, f.remove(ctx, r, repo, choose), func() []*vault.Point { return chosen })
	if err != nil {
		return err
	}
	var verdicts []vault.Verdict
	for _, p := range chosen {
		verdicts = append(verdicts, vault.Verdict{Point: p})
	}
	verdicts = stay.among(verdicts)
	if err := f.showVerdicts(r, verdicts, nil); err != nil {
		return err
	}
	return errors.Join(stay.err, f.after(ctx, r, repo, going(verdicts), len(found)))
}

// named finds the points whose ids begin as given, each once; none of them may
// be pinned, or have lost its pin.
func named(points []*vault.Point, references []string, flag string) ([]*vault.Point, error) {
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
			return nil, fmt.Errorf("%w: %s (lifeboat list%s shows what there is)", vault.ErrNoPoint, reference, flag)
		case len(found) > 1:
			return nil, fmt.Errorf("%w: %s; give more of the id", vault.ErrAmbiguous, reference)
		case found[0].Pin != nil:
			return nil, runbook.Refuse("", "point %s is pinned; if it is to go all the same: lifeboat unpin%s %s", found[0].Short(), flag, found[0].Short())
		case found[0].LostPin != nil && !found[0].Unread():
			return nil, runbook.Refuse("", "point %[1]s was pinned, and its pin vanished without this machine's doing; if it is to go all the same: lifeboat unpin%[2]s %[1]s, else pin it again: lifeboat pin%[2]s %[1]s",
				found[0].Short(), flag)
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
		if p.Unread() {
			lines = append(lines, fmt.Sprintf("  %s  could not be read: it may be a recovery point or a pin of any system (%v)", p.Short(), p.Damage))
			continue
		}
		lines = append(lines, fmt.Sprintf("  %s  %s  %s  %s", p.Short(), p.System(), screen.When(p.Time()), p.Trigger()))
	}
	return fmt.Sprintf("These go from repository %s for good:\n%s\nForget them?", called(r), strings.Join(lines, "\n"))
}

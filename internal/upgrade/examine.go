package upgrade

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/upgrade/hook"
	"lifeboat/internal/upgrade/path"
)

// examine is what every upgrade begins with: nothing is changed by it but what the
// site's own hooks change.
func (u *Upgrade) examine() runbook.Stage {
	return runbook.Stage{Name: "examine", Title: "Look at the host", Steps: []runbook.Step{
		u.hooked("hooks/init", "Run the hooks of the beginning", hook.BeforeInit),
		{
			ID: "facts", Title: "Gather the facts of the host", Repeat: runbook.RepeatSafe, Run: u.gather,
			Undo: func(ctx context.Context, task runbook.Task) error {
				return errors.Join(u.given(ctx, task, hook.BeforeExit), u.tidy(ctx, task))
			},
		},
		{ID: "path", Title: "Judge the way to " + u.To.Name(), Repeat: runbook.RepeatSafe, Run: u.judge},
		u.hooked("hooks/check", "Run the hooks before the plan", hook.BeforeWelcome, hook.AfterWelcome, hook.BeforeRegistrationCheck, hook.AfterRegistrationCheck,
			hook.BeforeSelfUpdate, hook.AfterSelfUpdate, hook.BeforeInstallingMigrationProducts, hook.AfterInstallingMigrationProducts),
	}}
}

// hooked is a step that runs hooks. When the upgrade is taken back they are not.
func (u *Upgrade) hooked(id, title string, occasions ...hook.Occasion) runbook.Step {
	return u.hooks.Step(id, title, occasions...)
}

// factsName is the file of a run's directory with the facts.
const factsName = "facts.json"

func (u *Upgrade) gather(ctx context.Context, task runbook.Task) error {
	f, err := facts.Collect(ctx, u.host)
	if err != nil {
		return err
	}
	if err := save(task, factsName, f); err != nil {
		return err
	}
	r, err := u.Catalogue.Find(f.Release.ID, f.Release.Version, f.Release.SP, f.Arch)
	if err != nil {
		return runbook.Refuse("", "this host: %v", err)
	}
	task.Logf("the host is %s, its root is on %s", r, f.Root.Device)
	return task.Keep(keptRelease, r)
}

// judge asks the vendor's rules again at the time of the upgrade: a plan may be old.
func (u *Upgrade) judge(_ context.Context, task runbook.Task) error {
	_, _, err := u.verdict(task)
	return err
}

func (u *Upgrade) verdict(task runbook.Task) (path.Verdict, path.Chosen, error) {
	from, err := kept[path.Release](task, keptRelease)
	if err != nil {
		return path.Verdict{}, path.Chosen{}, err
	}
	v := u.Catalogue.By(u.Catalogue.Judge(from, u.To), u.Method)
	method, err := u.by()
	switch {
	case err != nil:
		return v, method, err
	case v.Outcome == path.Supported:
		chosen, ok := v.Hops[0].Method(u.Method)
		if !ok {
			return v, method, runbook.Refuse("", "%s is not supported from %s to %s", u.Method, from.Name(), u.To.Name())
		}
		return v, chosen, nil
	case v.Outcome == path.Current:
		return v, method, runbook.Refuse("", "the host is %s already", u.To.Name())
	}
	return v, method, runbook.Refuse("", "%s", Refusal(v))
}

// Refusal says in one line why a way is refused, and what else can be done.
func Refusal(v path.Verdict) string {
	var lines []string
	for _, r := range slices.Concat(v.Reasons, v.Advice) {
		lines = append(lines, r.Text)
	}
	if len(v.Hops) > 1 {
		names := []string{v.From.Name()}
		for _, h := range v.Hops {
			names = append(names, h.To.Name())
		}
		lines = append(lines, "one after the other: "+strings.Join(names, " → "))
	}
	return fmt.Sprintf("%s to %s: %s", v.From, v.To.Name(), strings.Join(lines, "; "))
}

// save keeps something for people and programs in the run's directory.
func save(task runbook.Task, name string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(task.Dir(), name), append(raw, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep %s: %w", name, err)
	}
	return nil
}

package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
)

// What a hook finds in LIFEBOAT_RESULT.
const (
	resultDone       = "done"
	resultIncomplete = "incomplete" // there is a point, and it lacks something
	resultFailed     = "failed"
)

// hookStages puts the hooks of the system around the stages of a backup. Those
// after it come when the point is made: to copy it touches the system no more.
func (b *Backup) hookStages(stages []runbook.Stage) []runbook.Stage {
	if b.Still {
		return stages
	}
	hooks := b.Hooks.Hooks
	if b.hasHooks() {
		stages = slices.Insert(stages, 0, runbook.Stage{Name: "before", Title: "Hooks before the backup", Steps: []runbook.Step{b.hooksBefore()}})
	}
	if len(hooks.After) > 0 {
		at := slices.IndexFunc(stages, func(s runbook.Stage) bool { return s.Name == "copy" })
		stages = slices.Insert(stages, at, runbook.Stage{Name: "after", Title: "Hooks after the backup", Always: true, Steps: []runbook.Step{b.hooksAfter()}})
	}
	return stages
}

func (b *Backup) hooksBefore() runbook.Step {
	title := "Run the hooks before the backup"
	if len(b.Hooks.Before) == 0 {
		title = "Look at the programs of the hooks"
	}
	return runbook.Step{
		ID: "before/hooks", Title: title, EachTime: true, Effects: effectsOf(b.Hooks.Before),
		Run: func(ctx context.Context, task runbook.Task) error {
			if err := b.checkPrograms(ctx); err != nil || len(b.Hooks.Before) == 0 {
				return err
			}
			if len(b.Hooks.After) > 0 {
				if err := owe(b.StateDir, b.System, b.runID); err != nil {
					return err
				}
			}
			b.mu.Lock()
			b.hooked = true
			b.mu.Unlock()
			if err := b.runHooks(ctx, task, "before", "", b.Hooks.Before, ""); err != nil {
				if ctx.Err() != nil {
					return err
				}
				return runbook.Refuse("", "%v; nothing was stopped (on_failure: warn goes on in spite of it)", err)
			}
			// What a hook has made, or mounted, belongs to what is saved.
			return b.inspect(ctx)
		},
	}
}

func (b *Backup) hooksAfter() runbook.Step {
	return runbook.Step{
		ID: "after/hooks", Title: "Run the hooks after the backup", EachTime: true, Effects: effectsOf(b.Hooks.After),
		Run: func(ctx context.Context, task runbook.Task) error {
			b.mu.Lock()
			due := b.hooked || len(b.Hooks.Before) == 0
			b.mu.Unlock()
			if !due {
				task.Logf("the hooks before the backup did not run, so these do not")
				return nil
			}
			err := b.runHooks(ctx, task, "after", "", b.Hooks.After, b.result())
			return errors.Join(err, settleHooks(b.StateDir, b.System))
		},
	}
}

// result is how the backup stands, for the hooks after it.
func (b *Backup) result() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.point == nil:
		return resultFailed
	case b.point.Manifest.Incomplete:
		return resultIncomplete
	}
	return resultDone
}

// around runs the hooks of a component around its capture. Those after it run
// whatever happened, also when the backup is interrupted.
func (b *Backup) around(ctx context.Context, task runbook.Task, component string, capture func() error) (err error) {
	hooks := b.Hooks.Components[component]
	if b.Still || hooks.IsZero() {
		return capture()
	}
	defer func() {
		result := resultDone
		if err != nil {
			result = resultFailed
		}
		err = errors.Join(err, b.runHooks(context.WithoutCancel(ctx), task, "after", component, hooks.After, result))
	}()
	if err := b.runHooks(ctx, task, "before", component, hooks.Before, ""); err != nil {
		return err
	}
	return capture()
}

// runHooks runs hooks in their order. Before something, the first failure that stops
// keeps the others from running; after it each has its turn.
func (b *Backup) runHooks(ctx context.Context, task runbook.Task, when, component string, hooks config.HookList, result string) error {
	var failures []error
	for _, h := range hooks {
		env := []string{"LIFEBOAT_HOOK=" + when, "LIFEBOAT_SYSTEM=" + b.System, "LIFEBOAT_RUN=" + b.runID, "LIFEBOAT_TRIGGER=" + string(b.Trigger)}
		if component != "" {
			env = append(env, "LIFEBOAT_COMPONENT="+component)
		}
		if result != "" {
			env = append(env, "LIFEBOAT_RESULT="+result)
		}
		if p := b.Point(); p != nil && when == "after" {
			env = append(env, "LIFEBOAT_POINT="+p.ID())
		}
		err := runHook(ctx, b.Host, h, env, task.Logf)
		if err == nil {
			continue
		}
		err = fmt.Errorf("hook %s %s: %w", when, firstWord(component, "the backup"), err)
		if ctx.Err() != nil {
			return err
		}
		stops := h.OnFailure == config.HookStop || h.OnFailure == "" && when == "before"
		switch {
		case !stops && !errors.Is(err, host.ErrUnsafe):
			task.Warnf("%v", err)
		case when == "before":
			return err
		default:
			failures = append(failures, err)
		}
	}
	return errors.Join(failures...)
}

func firstWord(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

func effectsOf(hooks config.HookList) []string {
	var effects []string
	for _, h := range hooks {
		effects = append(effects, "run "+strings.Join(h.Command, " "))
	}
	return effects
}

// runHook runs one hook and logs what it prints.
func runHook(ctx context.Context, h *host.Host, hook config.Hook, env []string, logf func(string, ...any)) error {
	err := h.RunHook(ctx, host.Hook{Command: hook.Command, User: hook.User, Env: env, Limit: hook.Limit(), Lock: runbook.LockFile(ctx), Logf: logf})
	if late := new(host.LateError); errors.As(err, &late) {
		return fmt.Errorf("%w (timeout says how long it may)", err)
	}
	return err
}

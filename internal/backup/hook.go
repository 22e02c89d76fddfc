package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

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

// heldCommand runs a command and waits for it with descriptor 3 open, which the
// command itself does not get: the lock of the run lasts as long as the command,
// also when this program is killed, and no longer, also when the command starts a
// daemon.
const heldCommand = `"$@" 3>&-; exit $?`

// cannotRun is the exit code of a shell for what it finds and may not run.
const cannotRun = 126

var errHookTime = errors.New("its time is up")

// runHook runs one hook and logs what it prints. It has no terminal, and of the
// environment what is given here and little else: no secrets.
func runHook(ctx context.Context, h *host.Host, hook config.Hook, env []string, logf func(string, ...any)) error {
	name := hook.Command[0]
	program, err := h.Program(ctx, name, hook.User)
	if err != nil {
		return err
	}
	args := append([]string{program}, hook.Command[1:]...)
	logf("run %s", strings.Join(hook.Command, " "))
	limited, cancel := context.WithTimeoutCause(ctx, hook.Limit(), errHookTime)
	defer cancel()
	out := &hookOutput{logf: logf}
	command := host.Command{Args: args, Env: env, Stdout: out, Stderr: out, User: hook.User, Offspring: true}
	if lock := runbook.LockFile(ctx); lock != nil {
		command.Args = append([]string{"/bin/sh", "-c", heldCommand, "hook"}, args...)
		command.Files = []*os.File{lock}
	}
	if hook.User != "" {
		u, err := h.User(hook.User)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		command.Env = append(command.Env, "HOME="+u.Home, "USER="+u.Name, "LOGNAME="+u.Name)
	}
	err = h.Run(limited, command)
	left := new(host.LeftError)
	out.end()
	var exit *host.ExitError
	switch {
	case err == nil:
		return nil
	case context.Cause(limited) == errHookTime:
		late := fmt.Errorf("%s was ended, as it took longer than %s (timeout says how long it may)", name, hook.Limit())
		if errors.As(err, &left) {
			late = fmt.Errorf("%w; %w", late, left)
		}
		return late
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", name, ctx.Err())
	case errors.Is(err, host.ErrOutputHeld):
		logf("%s has ended, and something that it started still holds its output", name)
		return nil
	case errors.As(err, &exit):
		exit.Args = hook.Command
		if exit.Code == cannotRun {
			return fmt.Errorf("%w (it could not be run: see that the user may run it, and that its file system is not mounted noexec)", exit)
		}
		return exit
	}
	return err
}

// Bounds of what is kept of a hook's output.
const (
	hookLines    = 200
	hookLineSize = 1000 // bytes
)

// hookOutput logs whole lines as they come, up to a bound, and counts the rest.
type hookOutput struct {
	logf func(string, ...any)

	mu      sync.Mutex
	line    []byte
	lines   int
	skipped int64
}

func (o *hookOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		if o.lines >= hookLines {
			o.skipped += int64(len(p))
			break
		}
		part, rest, whole := bytes.Cut(p, []byte("\n"))
		room := max(0, hookLineSize-len(o.line))
		o.skipped += int64(max(0, len(part)-room))
		o.line = append(o.line, part[:min(room, len(part))]...)
		if whole {
			o.flush()
		}
		p = rest
	}
	return n, nil
}

func (o *hookOutput) flush() {
	if len(o.line) > 0 {
		o.logf("%s", strings.ToValidUTF8(string(o.line), "\uFFFD"))
		o.lines++
	}
	o.line = o.line[:0]
}

// end logs what is left.
func (o *hookOutput) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flush()
	if o.skipped > 0 {
		o.logf("%d bytes more were printed and are left out", o.skipped)
	}
}

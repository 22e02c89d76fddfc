package backup

import (
	"context"
	"errors"

	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
)

// checkPrograms refuses hooks that others could have changed, and those of components
// that cannot run although their failure would count, before anything is stopped.
// Each is looked at again right before it runs: a hook may mount what is to run later.
func (b *Backup) checkPrograms(ctx context.Context) error {
	look := func(what string, hooks config.HookList, needed bool) error {
		for _, h := range hooks {
			_, err := b.Host.Program(ctx, h.Command[0], h.User)
			later := errors.Is(err, host.ErrNoProgram) || !needed || h.OnFailure == config.HookWarn
			if err != nil && (errors.Is(err, host.ErrUnsafe) || !later) {
				return runbook.Refuse("", "hook %s: %v; nothing was stopped", what, err)
			}
		}
		return nil
	}
	errs := []error{look("before the backup", b.Hooks.Before, false), look("after the backup", b.Hooks.After, false)}
	for _, p := range b.parts {
		if hooks := b.Hooks.Components[p.spec.Name]; p.chosen {
			errs = append(errs, look("before "+p.spec.Name, hooks.Before, true), look("after "+p.spec.Name, hooks.After, false))
		}
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// hasHooks tells whether any hook belongs to the backup.
func (b *Backup) hasHooks() bool {
	for _, h := range b.Hooks.Components {
		if !h.IsZero() {
			return true
		}
	}
	return !b.Hooks.Hooks.IsZero()
}

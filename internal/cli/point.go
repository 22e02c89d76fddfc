package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// openFor opens the repository for a verb that is called with [SYSTEM], and
// returns the system, "" for any. A configuration is not needed.
func (a *app) openFor(ctx context.Context, names []string) (v *vault.Vault, system string, done func(), err error) {
	conf, err := a.loadOrEmpty()
	if err != nil {
		return nil, "", nil, err
	}
	if len(names) > 0 {
		system = names[0]
	}
	v, done, err = a.open(ctx, conf, system)
	return v, system, done, err
}

// point opens the repository and finds the point that [SYSTEM] [POINT] name; the
// newest without POINT. A single word that is no configured system may be a point.
func (a *app) point(ctx context.Context, names []string) (*vault.Point, func(), error) {
	reference := ""
	if len(names) > 1 {
		reference = names[1]
	}
	v, system, closeVault, err := a.openFor(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	p, err := a.find(ctx, v, reference, vault.Filter{System: system})
	if err != nil && len(names) == 1 {
		if byID, idErr := v.Find(ctx, system, vault.Filter{}); idErr == nil {
			p, err = byID, nil
		}
	}
	if err != nil {
		closeVault()
		return nil, nil, err
	}
	return p, closeVault, nil
}

// find is the point that a reference names. What speaks against the newest point is
// a warning: it may be older than a person thinks, or another machine's.
func (a *app) find(ctx context.Context, v *vault.Vault, reference string, filter vault.Filter) (*vault.Point, error) {
	p, doubt, err := a.newest(ctx, v, reference, filter)
	if err == nil && doubt != nil {
		err = a.warn(fmt.Errorf("%w; %s of %s is used", doubt, p.Short(), screen.When(p.Time())))
	}
	return p, err
}

// findSurely is find for what changes the machine: a doubt is a refusal, unless the
// point was named or the check "latest" is forced.
func (a *app) findSurely(ctx context.Context, v *vault.Vault, reference string, filter vault.Filter, force []string) (*vault.Point, error) {
	if slices.Contains(force, recovery.CheckLatest) {
		return a.find(ctx, v, reference, filter)
	}
	p, doubt, err := a.newest(ctx, v, reference, filter)
	if err == nil && doubt != nil {
		return nil, runbook.Refuse(recovery.CheckLatest, "%v; the newest that can be used is %s of %s: name it with --from %s", doubt, p.Short(), screen.When(p.Time()), p.Short())
	}
	return p, err
}

// newest is the point that a reference names, and for the newest one what speaks
// against it.
func (a *app) newest(ctx context.Context, v *vault.Vault, reference string, filter vault.Filter) (p *vault.Point, doubt, err error) {
	if !vault.IsLatest(reference) {
		p, err = v.Find(ctx, reference, filter)
		return p, nil, err
	}
	facts, err := host.Local().Facts(ctx)
	if err != nil {
		return nil, nil, err
	}
	l, err := v.Latest(ctx, filter, facts)
	var machines *vault.MachinesError
	if errors.As(err, &machines) {
		return nil, nil, runbook.Refuse("", "%v; say which point is meant by its id", err)
	}
	if err != nil {
		return nil, nil, err
	}
	if len(l.Others) > 0 && !a.JSON {
		other := l.Others[len(l.Others)-1]
		fmt.Fprintf(a.Err, "hint: %s has a newer point, %s, which is not this machine's\n", screen.Printable(other.Hostname()), other.Short())
	}
	return l.Point, l.Doubt(), nil
}

// systems are those that a verb acts on: the one that is named, the only one, or
// with all every one of the configuration.
func (a *app) systems(conf *config.Config, names []string, all bool) ([]config.System, error) {
	switch {
	case all && len(names) > 0:
		return nil, screen.Usagef("--all and a system exclude each other")
	case all && len(conf.Systems) > 0:
		return conf.Systems, nil
	case len(names) == 0 && len(conf.Systems) > 1:
		return nil, screen.Usagef("which system? %s has %v; --all takes every one", a.configFile, conf.SystemNames())
	}
	s, err := a.system(conf, names)
	return []config.System{s}, err
}

// each does something for every system. Of several one that fails is told, and
// does not keep the others from it, unless the whole was interrupted; the exit
// code is the first failure's.
func (a *app) each(c *cobra.Command, systems []config.System, do func(config.System) error) error {
	if len(systems) == 1 {
		return do(systems[0])
	}
	worst := 0
	for i, s := range systems {
		if i > 0 && !a.JSON {
			a.Printf("\n")
		}
		a.ran, a.sealed, a.Code = nil, nil, runbook.ExitDone
		err := do(s)
		if err != nil {
			err = fmt.Errorf("%s: %w", s.Name, err)
			a.Code = a.fail(c, err)
		}
		a.end(err)
		if worst == runbook.ExitDone || worst == runbook.ExitWarnings && a.Code != runbook.ExitDone {
			worst = a.Code
		}
		if c.Context().Err() != nil {
			break
		}
	}
	a.Code = worst
	return nil
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

package cli

import (
	"cmp"
	"context"
	"maps"
	"slices"

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
	p, err := v.Find(ctx, reference, vault.Filter{System: system})
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

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

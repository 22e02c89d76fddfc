package cli

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"lifeboat/internal/vault"
)

// point opens the repository and finds the point that [SYSTEM] [POINT] name; the
// newest without POINT. A single word that is no configured system may be a point.
func (a *app) point(ctx context.Context, names []string) (*vault.Point, func(), error) {
	conf, err := a.loadOrEmpty()
	if err != nil {
		return nil, nil, err
	}
	system, reference := "", ""
	if len(names) > 0 {
		system = names[0]
	}
	if len(names) > 1 {
		reference = names[1]
	}
	v, closeVault, err := a.open(ctx, conf, system)
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

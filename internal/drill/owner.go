package drill

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"lifeboat/internal/component"
	"lifeboat/internal/profile"
	"lifeboat/internal/repository"
	"lifeboat/internal/vault"
)

// Steps of a recovery may set owners right, and a drill then sees nothing of it: that
// the live system has them wrong is seen by comparing points.

// Bounds of the comparison of owners.
const (
	maxOwned   = 200_000 // entries of a component that are compared
	maxForeign = 3       // that are named
)

// foreign lists what of the critical components belongs to others than in the point
// before.
func foreign(ctx context.Context, before, now *vault.Point) ([]string, error) {
	if before == nil || before.Manifest == nil {
		return nil, nil
	}
	var list []string
	for _, record := range now.Manifest.Components {
		then, err := before.Manifest.Component(record.Name)
		if err != nil || record.Status != component.StatusCaptured || record.Importance != profile.Critical || max(record.Items, then.Items) > maxOwned {
			continue
		}
		was, err := owned(ctx, before, then)
		if err != nil {
			return nil, err
		}
		is, err := owned(ctx, now, record)
		if err != nil {
			return nil, err
		}
		list = append(list, otherOwners(record.Name, since(before), was, is)...)
	}
	return list, nil
}

// owned gives the owner and group of each entry of a component, by name where the
// machine knew one.
func owned(ctx context.Context, p *vault.Point, record component.Record) (map[string]string, error) {
	named := func(names map[uint32]string, id uint32) string {
		if name, ok := names[id]; ok {
			return name
		}
		return strconv.FormatUint(uint64(id), 10)
	}
	entries := map[string]string{}
	for _, path := range record.Paths {
		err := p.Walk(ctx, path, func(at string, node *repository.Node) error {
			entries[at] = named(p.Manifest.Owners.Users, node.UID) + ":" + named(p.Manifest.Owners.Groups, node.GID)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("owners in recovery point %s: %w", p.Short(), err)
		}
	}
	return entries, nil
}

func otherOwners(name, since string, was, is map[string]string) []string {
	var list []string
	more := 0
	for _, at := range slices.Sorted(maps.Keys(is)) {
		then, there := was[at]
		switch {
		case !there || then == is[at]:
		case len(list) == maxForeign:
			more++
		default:
			list = append(list, fmt.Sprintf("%s of component %s belongs to %s and belonged to %s %s", at, name, is[at], then, since))
		}
	}
	if more > 0 {
		list = append(list, fmt.Sprintf("component %s has more that belongs to others than %s: %d", name, since, more))
	}
	return list
}

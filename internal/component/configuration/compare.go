package configuration

import (
	"context"
	"slices"

	"lifeboat/internal/component"
	"lifeboat/internal/component/files"
	"lifeboat/internal/repository"
)

// Compare compares the files, and names the settings that differ in those that
// are understood. Values are not told: they may be secrets.
func (c *Component) Compare(ctx context.Context, source component.Source, opts component.CompareOptions) (component.Comparison, error) {
	return c.CompareFiles(ctx, source, opts, func(_ string, was, now []byte) []repository.Field {
		before, ok := parseINI(was)
		after, okNow := parseINI(now)
		if !ok || !okNow {
			return nil
		}
		names := differing(before, after)
		if len(names) == 0 {
			return []repository.Field{{Name: "settings", Now: "none differs, only comments and order"}}
		}
		return []repository.Field{{Name: "settings", Now: enumerated("", names, maxKeys)}}
	})
}

// differing names the settings that two files do not have in common.
func differing(before, after *ini) []string {
	was, now := before.settings(), after.settings()
	var names []string
	for _, key := range append(before.keys(), after.keys()...) {
		before, had := was[key]
		if after, has := now[key]; had != has || before != after {
			names = append(names, files.Shown(key.String()))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

var _ component.Comparer = (*Component)(nil)

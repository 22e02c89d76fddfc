package network

import (
	"context"
	"slices"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/component/files"
	"lifeboat/internal/repository"
)

// Compare compares this machine's identity with the recorded one, in both
// directions, and the configuration files as kind files does. What is in force
// has no times; a difference in it is no reason for suspicion.
func (c *Component) Compare(ctx context.Context, source component.Source, opts component.CompareOptions) (component.Comparison, error) {
	was, err := c.recorded(opts.Record)
	if err != nil {
		return component.Comparison{}, err
	}
	now, err := c.identity(ctx)
	if err != nil {
		return component.Comparison{}, err
	}
	result, err := c.plain.CompareFiles(ctx, source, opts, nil)
	if err != nil {
		return result, err
	}
	result.What = append(result.What, "in force: names, addresses, routes, name servers, hardware addresses, hosts file")
	for _, side := range sides(was, now, c.env.Host.IsLocal()) {
		result.Items++
		if slices.Equal(sortedSet(side.was), sortedSet(side.now)) {
			continue
		}
		opts.Report(component.Difference{Path: side.name, Kind: repository.Changed, Fields: []repository.Field{{
			Name: "in force", Was: shown(side.was), Now: shown(side.now),
		}}})
	}
	return result, nil
}

func sortedSet(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

func shown(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return files.Shown(strings.Join(list, ", "))
}

var _ component.Comparer = (*Component)(nil)

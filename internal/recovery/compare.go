package recovery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"lifeboat/internal/component"
	"lifeboat/internal/profile"
	"lifeboat/internal/repository"
	"lifeboat/internal/scratch"
	"lifeboat/internal/vault"
)

// CompareOptions says how a point is compared with the live system.
type CompareOptions struct {
	Quick bool
	// Limit is how many differences of one group and component are kept; all are
	// counted.
	Limit int
	// Progress is told how many bytes of a component were read, of about how many;
	// from several goroutines at once.
	Progress func(component string, done, total int64)
}

// Against is what the comparison of one component with the live system has shown.
type Against struct {
	Component  string             `json:"component"`
	Kind       string             `json:"kind"`
	Importance profile.Importance `json:"importance"`
	component.Comparison
	// Skipped says why there was nothing to compare.
	Skipped string `json:"skipped,omitempty"`
	// Failed says why the comparison did not come to its end.
	Failed     string `json:"failed,omitempty"`
	Changed    Group  `json:"changed"`    // since the point: a live system does
	Suspicious Group  `json:"suspicious"` // and nothing explains it
	Unreadable Group  `json:"unreadable"` // could not be compared
}

// Group is a bounded list of differences, with all of them counted.
type Group struct {
	Count int64                               `json:"count"`
	Kinds map[repository.DifferenceKind]int64 `json:"kinds,omitempty"`
	List  []component.Difference              `json:"list,omitempty"` // by path
	limit int
}

// add keeps the first of the group by path, so that what is shown does not
// depend on who was faster.
func (g *Group) add(d component.Difference) {
	n := 1 + d.Below
	g.Count += n
	if g.Kinds == nil {
		g.Kinds = map[repository.DifferenceKind]int64{}
	}
	g.Kinds[d.Kind] += n
	at, _ := slices.BinarySearchFunc(g.List, d, func(a, b component.Difference) int { return strings.Compare(a.Path, b.Path) })
	if at >= g.limit {
		return
	}
	g.List = slices.Insert(g.List, at, d)
	g.List = g.List[:min(len(g.List), g.limit)]
}

// Compare compares the point with the live system, one component after the
// other, and changes nothing. A component that cannot be compared does not keep
// the others from it; only the end of ctx is an error.
func (r *Recovery) Compare(ctx context.Context, opts CompareOptions) ([]*Against, error) {
	place, err := scratch.Make("")
	if err != nil {
		return nil, err
	}
	defer place.Remove()
	settings := r.Scope(ctx).Settings
	var all []*Against
	for _, spec := range r.Profile.Components {
		if !r.wanted(spec.Name) {
			continue
		}
		against := &Against{Component: spec.Name, Kind: spec.Kind, Importance: spec.Importance}
		for _, g := range []*Group{&against.Changed, &against.Suspicious, &against.Unreadable} {
			g.limit = opts.Limit
		}
		all = append(all, against)
		c, err := component.Make(r.Catalog.Kinds, component.Env{Host: r.Host, Settings: settings, Run: "compare", State: filepath.Join(place.Path(), spec.Name)}, spec)
		if err == nil {
			err = r.against(ctx, c, spec, opts, against)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			against.Failed = err.Error()
		}
	}
	for _, record := range r.Manifest.Components {
		if record.Status == component.StatusCaptured && r.wanted(record.Name) && !slices.ContainsFunc(all, func(a *Against) bool { return a.Component == record.Name }) {
			all = append(all, &Against{
				Component: record.Name, Kind: record.Kind, Importance: record.Importance,
				Failed: "the profile that is installed here has no such component",
			})
		}
	}
	return all, nil
}

func (r *Recovery) against(ctx context.Context, c component.Component, spec profile.Component, opts CompareOptions, against *Against) error {
	report := func(d component.Difference) {
		switch {
		case d.Kind == repository.Unreadable:
			against.Unreadable.add(d)
		case d.Suspicious:
			against.Suspicious.add(d)
		default:
			against.Changed.add(d)
		}
	}
	record, err := r.record(spec.Name)
	switch {
	case errors.Is(err, vault.ErrNotCaptured) && record.Status == component.StatusAbsent:
		against.Skipped = "it was not on the machine"
		in, err := c.Inspect(ctx)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !in.Present {
			return nil
		}
		if err != nil {
			return err
		}
		against.Skipped += ", and is now"
		report(component.Difference{Path: strings.Join(in.Paths, ", "), Kind: repository.New, Below: max(in.Items-1, 0), Note: "the whole component came since"})
		return nil
	case errors.Is(err, vault.ErrNotCaptured):
		against.Skipped = "not in the recovery point"
		if record.Status != "" {
			against.Skipped = fmt.Sprintf("%s in the recovery point: %s", record.Status, record.Reason)
		}
		return nil
	case err != nil:
		return err
	}
	comparer, ok := c.(component.Comparer)
	if !ok {
		return fmt.Errorf("components of kind %s cannot be compared", spec.Kind)
	}
	var done atomic.Int64
	against.Comparison, err = comparer.Compare(ctx, r.Point, component.CompareOptions{
		Record: record, Owners: r.owners, Copied: r.Manifest.Trigger == vault.Imported, Quick: opts.Quick, Report: report,
		Progress: func(n int64) {
			if opts.Progress != nil {
				opts.Progress(spec.Name, done.Add(n), record.Bytes)
			}
		},
	})
	return err
}

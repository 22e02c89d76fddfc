package drill

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"lifeboat/internal/component"
	"lifeboat/internal/component/files"
	"lifeboat/internal/profile"
)

// always are places of any machine that hold what changes, and Lifeboat's own. /run,
// /tmp and /dev are a sandbox's own anyway.
var always = []string{"/var/tmp", "/var/lib/lifeboat", "/var/cache/lifeboat", "/etc/lifeboat"}

// empty lists what must not be seen of the live system: a file that shone through would
// make a drill pass which must fail. The settings at backup and those of now may lead
// to different places; both are empty.
func (d *drill) empty(ctx context.Context, j job) ([]string, error) {
	paths := append(slices.Clone(always), d.State)
	paths = append(paths, d.Without...)
	for _, s := range j.Servers {
		paths = append(paths, s.Data)
	}
	for _, record := range d.Point.Manifest.Components {
		paths = append(paths, record.Paths...)
	}
	paths = append(paths, elsewhere(d.Point.Manifest.Components)...)
	now, err := d.settings(ctx)
	if err != nil {
		return nil, err
	}
	then := maps.Clone(now)
	maps.Copy(then, d.Point.Manifest.Settings)
	for _, settings := range []map[string]string{now, then} {
		for _, spec := range d.Profile.Components {
			patterns, err := d.places(spec, settings)
			if err != nil {
				return nil, err
			}
			found, _, err := files.Expand(d.host, patterns)
			if err != nil {
				return nil, fmt.Errorf("drill: component %s: %w", spec.Name, err)
			}
			paths = append(paths, found...)
		}
	}
	for i, p := range paths {
		if paths[i] = filepath.Clean(p); slices.Contains(needed, paths[i]) || !filepath.IsAbs(p) {
			return nil, fmt.Errorf("drill: %q cannot start empty", p)
		}
	}
	slices.Sort(paths)
	return outermost(slices.Compact(paths)), nil
}

// needed are places without whose content no program of the machine works.
var needed = []string{"/", "/etc", "/var"}

// elsewhere are the places that links of the components lead to and that are saved by
// other means: the point does not hold what is there, so a drill must not live on it.
// What cannot be looked at, a server that is gone say, is not seen inside either.
func elsewhere(records []component.Record) []string {
	var paths []string
	for _, record := range records {
		for _, link := range record.Elsewhere {
			if _, err := os.Lstat(link.Target); err == nil {
				paths = append(paths, link.Target)
			}
		}
	}
	return paths
}

// outermost drops what lies below another path of the sorted list: it is empty with it.
// What a symbolic link leads to is emptied by the sandbox, so links below stay.
func outermost(sorted []string) []string {
	var out []string
	for _, p := range sorted {
		if info, err := os.Lstat(p); err == nil && info.Mode()&os.ModeSymlink != 0 {
			out = append(out, p)
			continue
		}
		if !slices.ContainsFunc(out, func(above string) bool { return below(p, above) }) {
			out = append(out, p)
		}
	}
	return out
}

func below(path, above string) bool {
	return len(path) > len(above) && path[:len(above)] == above && path[len(above)] == '/'
}

// settings are those of the live system, as far as they can be read.
func (d *drill) settings(ctx context.Context) (map[string]string, error) {
	settings, err := d.Catalog.Profile.Resolve(ctx, d.Profile, profile.Scope{Host: d.host}, d.Settings)
	var unresolved *profile.UnresolvedError
	if err != nil && !errors.As(err, &unresolved) {
		return nil, fmt.Errorf("drill: %w", err)
	}
	all := maps.Clone(d.Settings)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, settings)
	return all, nil
}

// places are the paths that a component's files may stand at.
func (d *drill) places(spec profile.Component, settings map[string]string) ([]string, error) {
	c, err := component.Make(d.Catalog.Kinds, component.Env{Host: d.host, Settings: settings}, spec)
	if err != nil {
		return nil, nil //nolint:nilerr // a setting that does not exist here leads nowhere
	}
	if placed, ok := c.(component.Placed); ok {
		return slices.DeleteFunc(placed.Places(), func(p string) bool { return p == "" }), nil
	}
	return nil, nil
}

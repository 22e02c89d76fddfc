package configuration

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/component/files"
)

// Check compares every saved file with what is there: after a restore of this
// run with what that made of it, else with what was saved.
func (c *Component) Check(ctx context.Context, record component.Record) ([]component.Check, error) {
	detail, err := readDetail(record)
	if err != nil {
		return nil, fmt.Errorf("component %s: %w", c.spec.Name, err)
	}
	adapted, err := c.Adapted()
	if err != nil {
		return nil, fmt.Errorf("component %s: %w", c.spec.Name, err)
	}
	want, conflicts := map[string]string{}, 0
	for _, f := range detail.Saved {
		want[string(f.Path)] = f.SHA256
	}
	for _, change := range adapted {
		if change.Sum != "" {
			want[string(change.Path)] = change.Sum
		}
		conflicts += len(change.Conflicts())
	}
	var missing, differing []string
	for path, sum := range want {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("component %s: %w", c.spec.Name, err)
		}
		real, err := c.Behind(path)
		if err != nil {
			return nil, fmt.Errorf("component %s: %w", c.spec.Name, err)
		}
		found, err := sumFile(real)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, files.Shown(path))
		case err != nil:
			return nil, fmt.Errorf("component %s: %w", c.spec.Name, err)
		case found != sum:
			differing = append(differing, files.Shown(path))
		}
	}
	checks := []component.Check{{
		Name: c.spec.Name + ": files", OK: len(missing) == 0,
		Expected: fmt.Sprintf("%d files", len(want)), Found: fmt.Sprintf("%d files", len(want)-len(missing)),
		Hint: listed("missing: ", missing),
	}, {
		Name: c.spec.Name + ": content", OK: len(differing) == 0, Warning: len(differing) > 0,
		Expected: "as saved and adapted", Found: fmt.Sprintf("%d changed", len(differing)),
		Hint: listed("compare by hand: ", differing),
	}}
	if conflicts > 0 {
		checks = append(checks, component.Check{
			Name: c.spec.Name + ": conflicts", Warning: true, Expected: "none",
			Found: fmt.Sprintf("%d settings were changed on both sides", conflicts),
			Hint:  "compare the files with those kept beside them as *" + FreshSuffix,
		})
	}
	for _, change := range adapted {
		if change.Action != Merge && change.Action != Saved {
			continue
		}
		checks = append(checks, component.Check{Name: c.spec.Name + ": " + files.Shown(string(change.Path)), OK: true, Found: change.decided()})
	}
	return checks, nil
}

// decided tells in one line which side's settings a file has, without values.
func (c Change) decided() string {
	sides := map[string][]string{}
	for _, k := range c.Keys {
		sides[k.Taken] = append(sides[k.Taken], k.Key)
	}
	var parts []string
	for _, taken := range []string{"saved", "fresh", "removed"} {
		if keys := sides[taken]; len(keys) > 0 {
			parts = append(parts, enumerated(taken+": ", keys, maxKeys))
		}
	}
	if len(parts) == 0 {
		parts = []string{string(c.Action)}
	}
	if c.KeptFresh != "" {
		parts = append(parts, "the fresh file is kept as "+files.Shown(string(c.KeptFresh)))
	}
	return strings.Join(parts, "; ")
}

func listed(what string, paths []string) string { return enumerated(what, paths, 5) }

// maxKeys bounds how many settings of a file are named.
const maxKeys = 30

func enumerated(what string, words []string, most int) string {
	if len(words) == 0 {
		return ""
	}
	slices.Sort(words)
	more := ""
	if n := len(words) - most; n > 0 {
		words, more = words[:most], fmt.Sprintf(" and %d more", n)
	}
	return what + strings.Join(words, ", ") + more
}

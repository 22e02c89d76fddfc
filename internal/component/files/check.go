package files

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"

	"lifeboat/internal/component"
	"lifeboat/internal/profile"
	"lifeboat/internal/repository"
)

// Check compares what is on the machine with what was captured: existence,
// types, sizes, times, and owners by name, and the content of small trees.
func (c *Component) Check(ctx context.Context, record component.Record) ([]component.Check, error) {
	var detail Detail
	if len(record.Detail) > 0 {
		if err := json.Unmarshal(record.Detail, &detail); err != nil {
			return nil, fmt.Errorf("component %s: read its record: %w", c.spec.Name, err)
		}
	}
	if len(detail.Trees) == 0 {
		return c.present(ctx, record)
	}
	f := c.Filter(detail)
	var checks []component.Check
	for _, want := range detail.Trees {
		path := want.Path
		if strings.HasPrefix(path, `"`) {
			plain, err := strconv.Unquote(path)
			if err != nil {
				return nil, fmt.Errorf("component %s: path %s in its record: %w", c.spec.Name, path, err)
			}
			path = plain
		}
		found, err := c.tree(ctx, path, f)
		if errors.Is(err, fs.ErrNotExist) {
			checks = append(checks, component.Check{
				Name: c.spec.Name + ": " + want.Path, Expected: want.summary(), Found: "not there",
				Hint: "restore the component " + c.spec.Name,
			})
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("component %s: check %s: %w", c.spec.Name, want.Path, err)
		}
		if _, linked := detail.Links[path]; !linked && want.Entries != found.Entries {
			// A link of this machine stays where the point has a directory or a file.
			if at := cmp.Or(c.leadsTo(path, repository.Dir), c.leadsTo(path, repository.File)); at != "" {
				if found, err = c.treeAt(ctx, at, path, f); err != nil {
					return nil, fmt.Errorf("component %s: check %s: %w", c.spec.Name, want.Path, err)
				}
			}
		}
		checks = append(checks, c.compare(record, want, found)...)
	}
	return checks, nil
}

// present checks paths of a record that describes none of them, as an imported
// one may be.
func (c *Component) present(ctx context.Context, record component.Record) ([]component.Check, error) {
	var checks []component.Check
	for _, path := range record.Paths {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("component %s: %w", c.spec.Name, err)
		}
		real, err := c.env.Host.Entry(path)
		if err != nil {
			return nil, fmt.Errorf("component %s: %w", c.spec.Name, err)
		}
		check := component.Check{Name: c.spec.Name + ": " + Shown(path), OK: true, Expected: "there", Found: "there"}
		if _, err := os.Lstat(real); err != nil {
			check.OK, check.Found, check.Hint = false, err.Error(), "restore the component "+c.spec.Name
		}
		checks = append(checks, check)
	}
	return checks, nil
}

func (c *Component) compare(record component.Record, want, found Tree) []component.Check {
	content := component.Check{Name: c.spec.Name + ": " + want.Path, OK: true, Expected: want.summary(), Found: found.summary()}
	switch {
	case want.Entries != found.Entries:
		content.OK = false
		content.Hint = "entries differ" + differing(want, found)
	case want.Content != "" && found.Content != "" && want.Content != found.Content:
		content.OK = false
		content.Hint = "the content of a file differs"
	case want.Times != found.Times:
		content.OK, content.Warning = false, true
		content.Hint = "files were modified at other times; their names and sizes are as recorded"
	}
	if !content.OK && record.Capture == profile.Live {
		content.Warning = true
		content.Hint += "; it was captured while the system ran, so it may have changed meanwhile"
	}
	if !content.OK && c.options.InPlace && found.Items >= want.Items {
		content.Warning = true
		content.Hint += "; it was restored over what was there, which may have had more files"
	}
	owners := component.Check{Name: c.spec.Name + ": owners and permissions of " + want.Path, OK: true}
	if want.Entries == found.Entries && want.Owners != found.Owners {
		owners.OK, owners.Warning = false, true
		owners.Expected, owners.Found = "as recorded, by name", "different"
		owners.Hint = "compare the accounts of this machine with those of the recovery point"
	}
	return []component.Check{content, owners}
}

func (t Tree) summary() string {
	return fmt.Sprintf("%s entries, %s", humanize.Comma(t.Items), humanize.IBytes(uint64(t.Bytes)))
}

// differing names the children that differ, as far as that is known.
func differing(want, found Tree) string {
	if want.Children == nil || found.Children == nil {
		return ""
	}
	var at []string
	for name, sum := range want.Children {
		switch have, ok := found.Children[name]; {
		case !ok:
			at = append(at, name+" (missing)")
		case have != sum:
			at = append(at, name)
		}
	}
	for name := range found.Children {
		if _, ok := want.Children[name]; !ok {
			at = append(at, name+" (new)")
		}
	}
	slices.Sort(at)
	if len(at) == 0 {
		return ""
	}
	if len(at) > maxListed {
		at = append(at[:maxListed], fmt.Sprintf("and %d more", len(at)-maxListed))
	}
	return " in " + strings.Join(at, ", ")
}

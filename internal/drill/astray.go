package drill

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/component/files"
	"lifeboat/internal/host"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
)

// maxAstray is how many links of a component a check names.
const maxAstray = 10

// strays finds symbolic links of restored components that lead to what the point does
// not hold. In the sandbox the live file is seen there, and the system works by its help.
func (r *rehearsal) strays(records []component.Record) runbook.Step {
	return runbook.Step{
		ID: proofStage + "/links", Title: "See that symbolic links lead to what the recovery point holds", Repeat: runbook.RepeatSafe,
		Run: func(ctx context.Context, task runbook.Task) error {
			held := slices.Clone(r.Empty) // what is there now, the recovery has made
			for _, c := range r.point.Manifest.Components {
				held = append(held, c.Paths...)
			}
			for _, record := range records {
				links, err := r.links(ctx, record)
				if err != nil {
					return err
				}
				astray, err := files.Astray(ctx, host.Local(), links, held)
				if err != nil {
					return err
				}
				if check, ok := strayed(record, astray); ok {
					task.Check(check)
				}
			}
			return nil
		},
	}
}

// links are those that the point has of a component.
func (r *rehearsal) links(ctx context.Context, record component.Record) ([]string, error) {
	var links []string
	for _, path := range record.Paths {
		err := r.point.Walk(ctx, path, func(at string, node *repository.Node) error {
			if node.Type == repository.Symlink && len(links) < files.MaxLinks {
				links = append(links, at)
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // its recovery has told that
			return nil, fmt.Errorf("look for symbolic links below %s: %w", path, err)
		}
	}
	return links, nil
}

// leads are the links of a component whose targets the point leaves to others.
func leads(record component.Record) []Unexercised {
	var list []Unexercised
	for i, link := range record.Elsewhere {
		if i == maxAstray {
			return append(list, Unexercised{What: fmt.Sprintf("%d more symbolic links of %s", len(record.Elsewhere)-i, record.Name), Why: "what they lead to is saved elsewhere"})
		}
		list = append(list, Unexercised{What: "The symbolic link " + link.Path, Why: "what it leads to, " + link.Target + ", is saved elsewhere"})
	}
	return list
}

// strayed judges links that lead astray here, and those that did when the point was
// made: on another machine their targets are not there.
func strayed(record component.Record, here []component.Link) (runbook.Check, bool) {
	check := runbook.Check{
		Name:     record.Name + ": symbolic links lead to what the recovery point holds",
		Expected: "targets in the recovery point or of packages",
		Hint:     "move what it leads to into the component, or name its place in a profile of the site; what is saved by other means is named under saved_elsewhere before the next backup",
	}
	var found []string
	here = slices.DeleteFunc(slices.Clone(here), func(l component.Link) bool { return slices.Contains(record.Elsewhere, l) })
	for _, link := range here {
		found = append(found, fmt.Sprintf("%s leads to %s, which the point does not hold: the live file helped", link.Path, link.Target))
	}
	for _, link := range record.Astray {
		if !slices.ContainsFunc(here, func(l component.Link) bool { return l.Path == link.Path }) {
			found = append(found, fmt.Sprintf("%s led to %s when the point was made, which the point does not hold", link.Path, link.Target))
		}
	}
	if more := len(found) - maxAstray; more > 0 {
		found = append(found[:maxAstray], fmt.Sprintf("and %d more", more))
	}
	check.Found = strings.Join(found, "; ")
	return check, len(found) > 0
}

package backup

import (
	"context"
	"fmt"
	"slices"

	"lifeboat/internal/component/aside"
	"lifeboat/internal/component/files"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
)

// Of links that lead astray so many are named, and so many of a component are kept in
// the manifest.
const (
	maxNamed = 10
	maxKept  = 1000
)

// strays warns of symbolic links whose targets no component captures: the link comes
// back with a recovery, and what it leads to does not.
func (b *Backup) strays() runbook.Step {
	return runbook.Step{
		ID: "preflight/links", Title: "Symbolic links lead to what is captured", EachTime: true,
		Run: func(ctx context.Context, task runbook.Task) error {
			var held []string
			for _, p := range b.parts {
				if p.chosen && p.inspection.Present {
					held = append(held, p.inspection.Paths...)
				}
			}
			told, more := 0, 0
			for _, p := range b.parts {
				if !p.chosen || p.spec.Importance == profile.Optional {
					continue
				}
				others := b.others(p)
				links := slices.DeleteFunc(slices.Clone(p.inspection.Links), func(link string) bool {
					return slices.ContainsFunc(others, func(path string) bool { return aside.Below(link, path) })
				})
				slices.Sort(links)
				astray, err := files.Astray(ctx, b.Host, links, held)
				if err != nil {
					return err
				}
				p.astray = astray[:min(len(astray), maxKept)]
				for _, link := range astray {
					if told++; told > maxNamed {
						more++
						continue
					}
					text := fmt.Sprintf("%s: the symbolic link %s leads to %s, which no component captures and no package brings: a recovery brings the link alone", p.spec.Name, link.Path, link.Target)
					task.Warnf("%s", text)
					b.warn(text)
				}
			}
			if more > 0 {
				text := fmt.Sprintf("%d more symbolic links lead to what no component captures", more)
				task.Warnf("%s", text)
				b.warn(text)
			}
			return nil
		},
	}
}

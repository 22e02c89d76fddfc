package backup

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/component"
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
// back with a recovery, and what it leads to does not. What the configuration or the
// profile calls saved elsewhere is only noted.
func (b *Backup) strays() runbook.Step {
	return runbook.Step{
		ID: "preflight/links", Title: "Symbolic links lead to what is captured", EachTime: true,
		Run: func(ctx context.Context, task runbook.Task) error {
			told, more := 0, 0
			for _, p := range b.parts {
				if !p.chosen {
					continue
				}
				var err error
				if p.astray, p.elsewhere, err = b.lead(ctx, p); err != nil {
					return err
				}
				if n := len(p.elsewhere); n > 0 {
					task.Logf("%s: %d symbolic links lead to what is saved elsewhere", p.spec.Name, n)
				}
				for _, link := range p.astray {
					if told++; told > maxNamed {
						more++
						continue
					}
					text := fmt.Sprintf("%s: the symbolic link %s leads to %s, which no component captures and no package brings: a recovery brings the link alone (saved_elsewhere says that this is meant)", p.spec.Name, link.Path, link.Target)
					task.Warnf("%s", text)
					b.warn(text)
				}
				p.astray = p.astray[:min(len(p.astray), maxKept)]
				p.elsewhere = p.elsewhere[:min(len(p.elsewhere), maxKept)]
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

// lead are the links of a component that lead out of all components: astray, which
// optional components are not asked for, and to what is saved elsewhere.
func (b *Backup) lead(ctx context.Context, p *part) (astray, elsewhere []component.Link, err error) {
	saved, err := b.savedElsewhere(p.spec)
	if err != nil {
		return nil, nil, err
	}
	optional := p.spec.Importance == profile.Optional
	if optional && len(saved) == 0 {
		return nil, nil, nil
	}
	var held []string
	for _, other := range b.parts {
		if other.chosen && other.inspection.Present {
			held = append(held, other.inspection.Paths...)
		}
	}
	others := b.others(p)
	links := slices.DeleteFunc(slices.Clone(p.inspection.Links), func(link string) bool {
		return slices.ContainsFunc(others, func(path string) bool { return aside.Below(link, path) })
	})
	slices.Sort(links)
	if astray, err = files.Astray(ctx, b.Host, links, held); err != nil || len(astray) == 0 || len(saved) == 0 {
		return astray, nil, err
	}
	// Each place on the way of a link counts, so those are meant that do not lead
	// astray once what is saved elsewhere is there, too.
	all := astray
	if astray, err = files.Astray(ctx, b.Host, links, append(held, saved...)); err != nil {
		return nil, nil, err
	}
	elsewhere = slices.DeleteFunc(all, func(l component.Link) bool {
		return slices.ContainsFunc(astray, func(a component.Link) bool { return a.Path == l.Path })
	})
	if optional {
		astray = nil
	}
	return astray, elsewhere, nil
}

// savedElsewhere are the places of which the site or the profile says that what they
// hold is saved elsewhere.
func (b *Backup) savedElsewhere(spec profile.Component) ([]string, error) {
	paths := slices.Clone(b.SavedElsewhere)
	for _, text := range spec.SavedElsewhere {
		path, err := profile.Expand(text, b.scope.Settings)
		if err != nil {
			return nil, fmt.Errorf("component %s: saved_elsewhere: %w", spec.Name, err)
		}
		if path == "" {
			continue // a setting that this machine has not
		}
		if !filepath.IsAbs(path) || slices.Contains(strings.Split(path, "/"), "..") || filepath.Clean(path) == "/" {
			return nil, fmt.Errorf("component %s: saved_elsewhere: %q is no absolute path below /", spec.Name, path)
		}
		paths = append(paths, filepath.Clean(path))
	}
	return paths, nil
}

// Elsewhere are the links of the chosen components that lead to what is saved
// elsewhere, by component.
func (b *Backup) Elsewhere(ctx context.Context) (map[string][]component.Link, error) {
	all := map[string][]component.Link{}
	for _, p := range b.parts {
		if !p.chosen {
			continue
		}
		_, elsewhere, err := b.lead(ctx, p)
		if err != nil {
			return nil, err
		}
		if len(elsewhere) > 0 {
			all[p.spec.Name] = elsewhere
		}
	}
	return all, nil
}

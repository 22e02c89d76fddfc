package cli

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/backup"
	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
	"lifeboat/internal/routine"
	"lifeboat/internal/routine/gaps"
)

// Without --all only so many gaps are shown, and of JSON never more than mostGaps.
const (
	shownGaps = 40
	mostGaps  = 5000
)

// bare is a critical component that no recovery point has.
type bare struct {
	Type      string `json:"type"`
	System    string `json:"system"`
	Component string `json:"component"`
	Reason    string `json:"reason"`
	Loss      string `json:"loss"`
}

// gapsOf is what no recovery point holds of a machine.
type gapsOf struct {
	systems []string
	found   *gaps.Found
	bare    []bare
}

// likely counts what is most likely missed, for a system.
func (g gapsOf) likely(system string) int {
	n := 0
	for _, gap := range g.found.Gaps {
		if gap.Rank == gaps.Likely {
			n++
		}
	}
	for _, b := range g.bare {
		if b.System == system {
			n++
		}
	}
	return n
}

// reviewGaps shows what of this machine's configuration no recovery point of the
// systems that were named would hold. What another system of the configuration covers
// is covered.
func (a *app) reviewGaps(ctx context.Context, conf *config.Config, named []config.System, all, packages bool) error {
	o := gaps.Options{Host: host.Local(), LeftOut: map[string]string{}, Packages: packages}
	for _, r := range conf.Repositories { // no point holds one, nor shall
		if isPath(r.URL) {
			o.Covered = append(o.Covered, r.URL)
		}
	}
	var g gapsOf
	for _, s := range conf.Systems {
		b, err := a.newBackup(ctx, conf, s, nil)
		if err != nil {
			return err
		}
		cover(b, &o)
		if slices.ContainsFunc(named, func(n config.System) bool { return n.Name == s.Name }) {
			g.systems = append(g.systems, s.Name)
			g.bare = append(g.bare, bareOf(b)...)
		}
	}
	var err error
	if g.found, err = gaps.Find(ctx, o); err != nil {
		return err
	}
	book := routine.NewBook(a.state(conf))
	for _, system := range g.systems {
		seen := routine.Gaps{Time: time.Now(), Likely: g.likely(system), All: len(g.found.Gaps)}
		if err := book.SetGaps(system, seen); err != nil {
			if err := a.warn(err); err != nil {
				return err
			}
		}
	}
	if a.JSON {
		return a.gapsJSON(g)
	}
	a.showGaps(g, all, packages)
	return nil
}

// cover adds what the points of a system hold, and what they leave out.
func cover(b *backup.Backup, o *gaps.Options) {
	for _, p := range b.Parts() {
		if p.Needless {
			continue
		}
		if p.Chosen {
			o.Covered = append(o.Covered, p.Inspection.Paths...)
			continue
		}
		for _, place := range p.Inspection.Paths {
			o.LeftOut[place] = p.Spec.Name
		}
	}
}

func bareOf(b *backup.Backup) []bare {
	var list []bare
	for _, p := range b.Parts() {
		reason := p.Reason
		switch {
		case p.Spec.Importance != profile.Critical || p.Needless:
			continue
		case !p.Chosen:
		case !p.Inspection.Present:
			reason = "not on this machine"
		default:
			continue
		}
		list = append(list, bare{Type: "gap.component", System: b.System, Component: p.Spec.Name, Reason: reason, Loss: p.Spec.Loss})
	}
	return list
}

func (a *app) gapsJSON(g gapsOf) error {
	for _, b := range g.bare {
		if err := a.Emit(b); err != nil {
			return err
		}
	}
	list := g.found.Gaps[:min(len(g.found.Gaps), mostGaps)]
	for _, gap := range list {
		if err := a.Emit(struct {
			Type string `json:"type"`
			gaps.Gap
		}{"gap", gap}); err != nil {
			return err
		}
	}
	return a.Emit(map[string]any{
		"type": "gaps", "systems": g.systems, "files": len(g.found.Gaps), "shown": len(list), "components": len(g.bare), "managers": g.found.Managers, "places": g.found.Places, "cut": g.found.Cut,
	})
}

var gapHeadings = map[gaps.Rank]string{
	gaps.Likely:  "Likely missed after a recovery",
	gaps.Perhaps: "Made or changed by somebody",
	gaps.Hardly:  "Known to no package, in /etc",
}

func (a *app) showGaps(g gapsOf, all, packages bool) {
	paint := screen.PainterFor(a.Out)
	a.Printf("%s\n", paint.Bold("What no recovery point of "+strings.Join(g.systems, ", ")+" would hold"))
	a.Printf("Looked for in %s, and among the configuration of packages.\n", strings.Join(g.found.Places, ", "))
	if packages {
		a.Printf("All other files of packages were compared, too. Nothing else was looked at.\n")
	} else {
		a.Printf("Nothing else was looked at; --packages compares all files of packages, too.\n")
	}
	if len(g.bare) > 0 {
		a.Printf("\n%s\n", paint.Bold("Critical components"))
	}
	for _, b := range g.bare {
		a.Printf("  %s %s of %s (%s)\n      without it: %s\n", paint.Red("missing"), b.Component, b.System, screen.Clean(b.Reason), indentBy(wrap(b.Loss, 86), 6))
	}
	shown := g.found.Gaps
	if !all {
		shown = shown[:min(len(shown), shownGaps)]
	}
	for _, rank := range slices.Sorted(maps.Keys(gapHeadings)) {
		var rows [][]string
		for _, gap := range shown {
			if gap.Rank == rank {
				rows = append(rows, []string{"  " + gapName(gap), size(gap.Bytes), string(gap.Kind), gap.Why})
			}
		}
		if len(rows) > 0 {
			a.Printf("\n%s\n", paint.Bold(gapHeadings[rank]))
			a.Table([]string{"  path", "size", "", "why"}, rows, "size")
		}
	}
	switch rest := len(g.found.Gaps) - len(shown); {
	case len(g.found.Gaps)+len(g.bare) == 0:
		a.Printf("\nNothing was found.\n")
	case rest > 0:
		a.Printf("\nand %d more, which --all shows.\n", rest)
	}
	for _, place := range g.found.Cut {
		a.Printf("%s %s has more entries than were looked through.\n", paint.Yellow("warning"), place)
	}
	if len(g.found.Gaps) > 0 {
		a.Printf("\nNext: name what matters in a profile of your own (docs/profiles.md); the rest is not missed.\n")
	}
}

func gapName(g gaps.Gap) string {
	name := screen.Printable(g.Path)
	if g.Files > 1 {
		name += "/ (" + screen.Count(g.Files, "file", "files") + ")"
	}
	return name
}

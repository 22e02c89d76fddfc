package vault

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/profile"
	"lifeboat/internal/repository"
)

// ComponentDamage is what damage of the repository means for one component of
// one point.
type ComponentDamage struct {
	Name       string             `json:"component"`
	Importance profile.Importance `json:"importance"`
	Loss       string             `json:"loss,omitempty"` // what is gone without it
	Paths      []string           `json:"paths"`          // that are affected, the first few
	More       int                `json:"more,omitempty"` // affected paths beyond those
}

// maxDamaged bounds the paths named of one component.
const maxDamaged = 5

// damaged tells which components of the point findings affect, in the
// manifest's order, and which they do not.
func (p *Point) damaged(ctx context.Context, findings []*repository.Finding) (lost []ComponentDamage, whole []string) {
	hit := map[string][]string{}
	for _, f := range findings {
		for _, path := range f.Paths {
			// A finding collects the paths of all points.
			if _, err := p.Find(ctx, path); errors.Is(err, fs.ErrNotExist) {
				continue
			}
			for _, name := range p.owners(path) {
				if !slices.Contains(hit[name], path) {
					hit[name] = append(hit[name], path)
				}
			}
		}
	}
	for _, r := range p.Manifest.Components {
		paths := hit[r.Name]
		switch {
		case r.Status != component.StatusCaptured:
		case len(paths) == 0:
			whole = append(whole, r.Name)
		default:
			shown := min(len(paths), maxDamaged)
			lost = append(lost, ComponentDamage{Name: r.Name, Importance: r.Importance, Loss: r.Loss, Paths: paths[:shown], More: len(paths) - shown})
		}
	}
	return lost, whole
}

// owners names the components that a path of the point belongs to, several for a
// directory above them. Where trees lie within each other it is the innermost.
func (p *Point) owners(path string) []string {
	var above, below []string
	longest := 0
	for _, r := range p.Manifest.Components {
		if r.Status != component.StatusCaptured {
			continue
		}
		places := slices.Clone(r.Paths)
		for _, s := range r.Streams {
			places = append(places, Dir+"/"+s)
		}
		for _, place := range places {
			switch {
			case within(path, place) && len(place) > longest:
				above, longest = []string{r.Name}, len(place)
			case within(path, place) && len(place) == longest:
				above = append(above, r.Name)
			case within(place, path):
				below = append(below, r.Name)
			}
		}
	}
	if len(below) > 0 { // the tree that leads to them
		return slices.Compact(append(above, below...))
	}
	return above
}

// within tells whether path is place or lies in it.
func within(path, place string) bool {
	return path == place || strings.HasPrefix(path, strings.TrimRight(place, "/")+"/")
}

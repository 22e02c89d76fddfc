package backup

import (
	"slices"
	"strings"
)

// others lists the paths of other components, which are not captured twice.
// What another one only reaches through a symbolic link stays with the component
// that has it in its own tree: the link may be gone once the system has stopped. Of two
// that have the same path it is that of the one that names it, not only by a pattern.
func (b *Backup) others(own *part) []string {
	mine := func(path string) bool {
		return slices.ContainsFunc(own.inspection.Paths, func(p string) bool { return strings.HasPrefix(path, strings.TrimRight(p, "/")+"/") })
	}
	var paths []string
	for _, p := range b.parts {
		if p == own {
			continue
		}
		for _, path := range p.inspection.Paths {
			followed := slices.Contains(p.inspection.Followed, path)
			if slices.Contains(own.inspection.Paths, path) && !(p.named(path) && !own.named(path)) || followed && mine(path) {
				continue
			}
			paths = append(paths, path)
		}
	}
	return paths
}

// named tells whether the profile names a path of the component itself.
func (p *part) named(path string) bool { return slices.Contains(p.places, path) }

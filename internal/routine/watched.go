package routine

import (
	"slices"
	"time"

	"lifeboat/internal/component/certificates"
	"lifeboat/internal/kit"
)

// Kit is the recovery kit that would be used for a system.
type Kit struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Problem string    `json:"problem,omitempty"` // why it leads to no recovery point
}

// Place is where a repository was found that a kit may lead to.
type Place struct{ ID, Location string }

// KitOf chooses among the kits of a machine the newest that leads to a repository of
// the system; where none does, the newest, with the reason; nil when the system has
// none. Places are its repositories as they were found, and all says that none is
// missing among them.
func KitOf(kits []kit.Status, system string, places []Place, all bool) *Kit {
	kits = slices.Clone(kits)
	slices.SortStableFunc(kits, func(a, b kit.Status) int { return b.Created.Compare(a.Created) })
	var useless *Kit
	for _, k := range kits {
		i := slices.IndexFunc(places, func(p Place) bool { return p.ID == k.RepositoryID })
		if !slices.Contains(k.Systems, system) && (k.Recorded || i < 0) {
			continue
		}
		found := &Kit{ID: k.ID, Created: k.Created}
		switch {
		case k.State == kit.Revoked:
			found.Problem = "was revoked"
		case k.State == kit.KeyRemoved:
			found.Problem = "opens nothing any more, as its key was removed from the repository"
		case i < 0 && all:
			found.Problem = "is of a repository that is none of this system's any more, " + k.Location
		case i >= 0 && k.Recorded && k.Location != places[i].Location:
			found.Problem = "leads to " + k.Location + ", and the repository is now " + places[i].Location
		default:
			return found
		}
		if useless == nil {
			useless = found
		}
	}
	return useless
}

// Certificate is one whose end is watched.
type Certificate struct {
	certificates.Held
	Here  bool `json:"on_this_machine,omitempty"`
	Point bool `json:"in_newest_point,omitempty"`
	// Renewed says that this machine has another one at that path.
	Renewed bool `json:"renewed,omitempty"`
}

// Watched puts together the certificates of this machine and those of its newest
// recovery point.
func Watched(here, point []certificates.Held) []Certificate {
	var list []Certificate
	find := func(h certificates.Held) int {
		return slices.IndexFunc(list, func(c Certificate) bool { return c.Path == h.Path && c.Print == h.Print })
	}
	for _, h := range here {
		if find(h) < 0 {
			list = append(list, Certificate{Held: h, Here: true})
		}
	}
	for _, h := range point {
		if i := find(h); i >= 0 {
			list[i].Point = true
			continue
		}
		renewed := slices.ContainsFunc(here, func(c certificates.Held) bool { return c.Path == h.Path })
		list = append(list, Certificate{Held: h, Point: true, Renewed: renewed})
	}
	return list
}

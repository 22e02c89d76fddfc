package configuration

import (
	"slices"
	"strings"
)

// KeyChange is one setting that is not the same everywhere. Values of secrets
// are masked.
type KeyChange struct {
	Key      string `json:"key"`
	Saved    string `json:"saved,omitempty"`
	Fresh    string `json:"fresh,omitempty"`
	Taken    string `json:"taken"` // saved, fresh, or removed
	Conflict bool   `json:"conflict,omitempty"`
	Why      string `json:"why"`
}

// merge puts the saved settings into the fresh file. Shipped is what the
// package had when the point was made, nil when that is not known. PreferFresh
// lists keys that stay as they are in the fresh file.
func merge(saved, fresh, shipped *ini, preferFresh []string) (merged []byte, changes []KeyChange) {
	s, f, b := saved.settings(), fresh.settings(), shipped.settings()
	out := &ini{lines: slices.Clone(fresh.lines)}
	ids := fresh.keys()
	for _, id := range saved.keys() {
		if _, there := f[id]; !there {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		sv, inSaved := s[id]
		fv, inFresh := f[id]
		bv, inShipped := b[id]
		if inSaved == inFresh && sv == fv {
			continue
		}
		c := KeyChange{Key: id.String(), Saved: maskValue(id.key, sv), Fresh: maskValue(id.key, fv)}
		unchanged := shipped != nil && inSaved == inShipped && sv == bv   // by the administrator
		undisturbed := shipped != nil && inFresh == inShipped && fv == bv // by the newer package
		preferred := prefers(preferFresh, id)
		switch {
		case preferred:
			c.Taken, c.Why = "fresh", "the profile keeps the value of the target"
		case shipped != nil && unchanged:
			c.Taken, c.Why = "fresh", "it was not changed on the saved system"
		case !inSaved && shipped == nil:
			c.Taken, c.Why = "fresh", "the saved file does not have it"
		case !inSaved && !inShipped:
			c.Taken, c.Why = "fresh", "a new setting of the package"
		case !inSaved:
			c.Taken, c.Why = "removed", "it was removed on the saved system"
			c.Conflict = !undisturbed
		case !inFresh && inShipped:
			c.Taken, c.Why, c.Conflict = "saved", "changed on the saved system, and no longer in the fresh file", true
		case !inFresh:
			c.Taken, c.Why = "saved", "the fresh file does not have it"
		case shipped == nil || undisturbed:
			c.Taken, c.Why = "saved", "the saved setting is kept"
		default:
			c.Taken, c.Why, c.Conflict = "saved", "changed on the saved system and in the fresh file", true
		}
		switch c.Taken {
		case "saved":
			out.set(id, saved.line(id))
		case "removed":
			out.remove(id)
		}
		if !inSaved && c.Taken == "fresh" && !preferred {
			continue // plainly new: nothing to look at
		}
		changes = append(changes, c)
	}
	return out.bytes(), changes
}

func prefers(list []string, id settingKey) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		return entry == id.key || entry == id.section+"."+id.key || strings.EqualFold(entry, id.String())
	})
}

package path

import (
	"slices"
	"strings"
)

// Alias is a piece of repositories' names that means the same as another. Capitals do
// not count.
type Alias struct {
	Say  string `yaml:"say" jsonschema:"required"`
	Mean string `yaml:"mean" jsonschema:"required"` // {product} stands for the product's name
}

// Aliases are applied one after the other.
type Aliases []Alias

// Kind is what a repository is to a release.
type Kind string

// The kinds.
const (
	Required    Kind = "required"
	Optional    Kind = "optional"
	Module      Kind = "module"
	Superfluous Kind = "superfluous" // of another release
	Foreign     Kind = "foreign"     // known to no release
)

// Present is a repository that a machine has.
type Present struct {
	Alias   string   `json:"alias"`
	Name    string   `json:"name,omitempty"`
	URLs    []string `json:"urls,omitempty"` // with their variables, such as $RCE
	Enabled bool     `json:"enabled"`
}

// Entry is one repository, there or not.
type Entry struct {
	Kind    Kind     `json:"kind"`
	Name    string   `json:"name"`              // of the release's list; the machine's where it is on none
	Of      string   `json:"of,omitempty"`      // the release whose it is, where it is superfluous
	Present *Present `json:"present,omitempty"` // nil when the machine lacks it
	Missing bool     `json:"missing"`           // required, and not there or disabled
}

// Inventory is a machine's repositories against those of a release.
type Inventory struct {
	Release Release `json:"release"`
	Entries []Entry `json:"entries"`
	Source  Source  `json:"source"`
}

// Of lists the entries of some kinds.
func (i Inventory) Of(kinds ...Kind) []Entry {
	var out []Entry
	for _, e := range i.Entries {
		if slices.Contains(kinds, e.Kind) {
			out = append(out, e)
		}
	}
	return out
}

// Missing lists the required ones that are not there, or disabled.
func (i Inventory) Missing() []Entry {
	return slices.DeleteFunc(slices.Clone(i.Entries), func(e Entry) bool { return !e.Missing })
}

// Inventory compares a machine's repositories with those of a release; ok is false
// where these are not known. Names differ between documents and machines, see Aliases.
func (c *Catalogue) Inventory(r Release, present []Present) (i Inventory, ok bool) {
	layout, ok := c.layouts[r.bare()]
	if !ok {
		return Inventory{}, false
	}
	i = Inventory{Release: r, Entries: []Entry{}, Source: c.source(layout.Source)}
	left := slices.Clone(present)
	take := func(is func(Present) bool) *Present {
		at := slices.IndexFunc(left, is)
		if at < 0 {
			return nil
		}
		p := left[at]
		left = slices.Delete(left, at, at+1)
		return &p
	}
	for _, name := range layout.Required {
		e := Entry{Kind: Required, Name: expand(name, r.Product)}
		e.Present = take(func(p Present) bool { return c.is(p, e.Name, r.Product) })
		e.Missing = e.Present == nil || !e.Present.Enabled
		i.Entries = append(i.Entries, e)
	}
	for _, name := range layout.Optional {
		e := Entry{Kind: Optional, Name: expand(name, r.Product)}
		e.Present = take(func(p Present) bool { return c.is(p, e.Name, r.Product) })
		i.Entries = append(i.Entries, e)
	}
	for _, name := range layout.Modules {
		found := false
		for p := take(func(p Present) bool { return c.isModule(p, name, r) }); p != nil; p = take(func(p Present) bool { return c.isModule(p, name, r) }) {
			i.Entries = append(i.Entries, Entry{Kind: Module, Name: name, Present: p})
			found = true
		}
		if !found {
			i.Entries = append(i.Entries, Entry{Kind: Module, Name: name})
		}
	}
	for _, p := range left {
		e := Entry{Kind: Foreign, Name: p.Alias, Present: &p}
		if of, ok := c.owner(p); ok {
			e.Kind, e.Of = Superfluous, of.Name()
		}
		i.Entries = append(i.Entries, e)
	}
	slices.SortStableFunc(i.Entries, func(a, b Entry) int { return rank(a.Kind) - rank(b.Kind) })
	return i, true
}

func rank(k Kind) int {
	return slices.Index([]Kind{Required, Optional, Module, Superfluous, Foreign}, k)
}

// Has tells whether a repository is on the lists of a release.
func (c *Catalogue) Has(r Release, p Present) bool {
	layout, ok := c.layouts[r.bare()]
	if !ok {
		return false
	}
	for _, name := range slices.Concat(layout.Required, layout.Optional) {
		if c.is(p, expand(name, r.Product), r.Product) {
			return true
		}
	}
	return slices.ContainsFunc(layout.Modules, func(name string) bool { return c.isModule(p, name, r) })
}

// owner finds the newest release that has a repository on its lists.
func (c *Catalogue) owner(p Present) (Release, bool) {
	for _, product := range c.productNames() {
		for _, r := range slices.Backward(c.order[product]) {
			if c.Has(r, p) {
				return r, true
			}
		}
	}
	return Release{}, false
}

func expand(name, product string) string { return strings.ReplaceAll(name, "{product}", product) }

// is compares a machine's repository, by alias or name, with a name of the lists.
func (c *Catalogue) is(p Present, name, product string) bool {
	want := c.plain(name, product)
	return c.plain(p.Alias, product) == want || p.Name != "" && c.plain(p.Name, product) == want
}

// isModule tells the parts of a module: its pool, updates and so on.
func (c *Catalogue) isModule(p Present, name string, r Release) bool {
	want := c.plain(name, r.Product)
	for _, text := range []string{p.Alias, p.Name} {
		rest, ok := strings.CutPrefix(c.plain(text, r.Product), want)
		if !ok {
			continue
		}
		if rest = strings.TrimPrefix(rest, r.Version); rest == "" || rest[0] == '-' {
			return true
		}
	}
	return false
}

// plain takes away what machines add to a repository's name: the service before a
// colon, the architecture behind it, capitals.
func (c *Catalogue) plain(name, product string) string {
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		name = name[i+1:]
	}
	name = strings.ToLower(strings.TrimSpace(name))
	for word := range c.archs {
		name = strings.TrimSuffix(strings.TrimSuffix(name, " for "+word), "-"+word)
	}
	for _, a := range c.Aliases {
		name = strings.ReplaceAll(name, strings.ToLower(a.Say), strings.ToLower(expand(a.Mean, product)))
	}
	return name
}

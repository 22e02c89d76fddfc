package preflight

import (
	"slices"
	"strings"

	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/zypper"
)

// Ending is the release that a transaction makes of a machine, by what it leaves
// installed: the product of the package management, and the package that carries the
// release. Both are asked: which of them a package manager sees differs by its build.
type Ending struct {
	Releases []string `json:"releases"` // by their names; more than one where they contradict each other
	Told     []string `json:"told"`     // by what: product SLES 12.1
}

// Ends finds out where a transaction ends; nil where the catalogue does not say by which
// packages a release is known.
func Ends(c *path.Catalogue, f *facts.Facts, t *zypper.Transaction, to path.Release) *Ending {
	p, ok := c.Product(to.Product)
	if t == nil || !ok || len(p.Packages) == 0 {
		return nil
	}
	products, packages := map[string]string{}, map[string]string{}
	for _, have := range f.Products {
		if c.Knows(have.Name) {
			products[have.Name] = have.Version
		}
	}
	carries := func(name string) bool {
		return slices.ContainsFunc(c.Products, func(p path.Product) bool { return slices.Contains(p.Packages, name) })
	}
	for _, have := range f.Packages {
		if carries(have.Name) {
			packages[have.Name] = have.Version
		}
	}
	of := func(change zypper.Change) map[string]string {
		switch {
		case isProduct(change) && c.Knows(change.Name):
			return products
		case !isProduct(change) && carries(change.Name):
			return packages
		}
		return nil
	}
	for _, change := range t.Remove {
		if set := of(change); set != nil {
			delete(set, change.Name)
		}
	}
	for _, change := range comes(t) {
		if set := of(change); set != nil {
			set[change.Name] = upstream(change.Edition)
		}
	}
	e := &Ending{Releases: []string{}, Told: []string{}}
	for name, version := range products {
		e.add(c, "product "+name, name, version)
	}
	for name, version := range packages {
		for _, p := range c.Products {
			if slices.Contains(p.Packages, name) {
				e.add(c, "package "+name, p.Name, version)
			}
		}
	}
	slices.Sort(e.Releases)
	slices.Sort(e.Told)
	e.Releases = slices.Compact(e.Releases)
	return e
}

// comes are the changes that leave something installed.
func comes(t *zypper.Transaction) []zypper.Change {
	return slices.Concat(t.Upgrade, t.Downgrade, t.Reinstall, t.ChangeArch, t.ChangeVendor, t.Install)
}

// upstream is the version in an edition, without epoch and release.
func upstream(edition string) string {
	if _, rest, ok := strings.Cut(edition, ":"); ok {
		edition = rest
	}
	version, _, _ := strings.Cut(edition, "-")
	return version
}

func (e *Ending) add(c *path.Catalogue, what, product, version string) {
	e.Told = append(e.Told, what+" "+version)
	r, ok := c.Known(product, version)
	if !ok { // a point release is none of the catalogue: Debian's 12.4 is its 12
		major, _, _ := strings.Cut(version, ".")
		r, ok = c.Known(product, major)
		ok = ok && !slices.ContainsFunc(c.All(r.Product), func(other path.Release) bool { return other.SP > 0 })
	}
	if !ok {
		e.Releases = append(e.Releases, product+" "+version)
		return
	}
	e.Releases = append(e.Releases, r.Name())
}

// otherRelease: zypper takes what the package repositories have. With those of another
// release it crosses into that one, whether the vendor supports it or not.
func otherRelease(in *Input) *seen {
	if in.Ends == nil || in.Verdict != nil && in.Verdict.Outcome != path.Supported || slices.Equal(in.Ends.Releases, []string{in.To.Name()}) {
		return nil
	}
	s := &seen{
		detail: "Nothing would be left that says which release it is.",
		items:  in.Ends.Told,
		remedy: "Name the package repositories of " + in.To.Name() + " and no others: its own with its product, and no later release's.",
	}
	switch list := in.Ends.Releases; {
	case len(list) == 1 && list[0] == in.from(), in.Verdict != nil && len(list) == 1 && list[0] == in.Verdict.From.Name():
		s.detail = "It would stay " + list[0] + "."
	case len(list) == 1:
		s.detail = "It would be " + list[0] + ", and " + in.To.Name() + " is wanted."
	case len(list) > 1:
		s.detail = "It would be of several at once: " + strings.Join(list, ", ") + "; " + in.To.Name() + " is wanted."
	}
	return s
}

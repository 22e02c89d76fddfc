// Package path knows which release of a product may follow which, by which means,
// how long each is supported, and which package repositories belong to it. It is data
// of a profile (section upgrade) and pure logic: no machine is looked at here, and
// nothing is changed.
package path

import (
	"slices"

	"lifeboat/internal/profile"
)

// Catalogue is what a profile says about the upgrades of a product. It is read-only
// once loaded, and then safe for concurrent use.
type Catalogue struct {
	// Sources are where facts were published, by a short name that the facts give.
	Sources       map[string]Source       `yaml:"sources" jsonschema:"required"`
	Products      []Product               `yaml:"products" jsonschema:"required"`
	Architectures map[string]Architecture `yaml:"architectures" jsonschema:"required"`
	Releases      []Edition               `yaml:"releases" jsonschema:"required"`
	Methods       map[string]Method       `yaml:"methods" jsonschema:"required"`
	Edges         []Edge                  `yaml:"edges" jsonschema:"required"`
	// Refusals are what is said where an upgrade is refused, by the id of the reason.
	Refusals map[string]Rule `yaml:"refusals" jsonschema:"required"`
	// Barriers are versions between which there is no way, whatever edges there are.
	Barriers []Barrier `yaml:"barriers,omitempty"`
	// Advice is what is said besides, by id.
	Advice       map[string]Rule `yaml:"advice,omitempty"`
	Repositories []Layout        `yaml:"repositories,omitempty"`
	Aliases      Aliases         `yaml:"aliases,omitempty"`
	Support      Support         `yaml:"support,omitempty"`

	releases map[Release]*Edition // without architecture
	edges    map[Release][]way    // by where they begin, without architecture
	layouts  map[Release]*Layout  // without architecture
	archs    map[string]string    // every word for an architecture: its name here
	names    map[string]*Product  // every word for a product, in lower case
	order    map[string][]Release // the releases of a product, oldest first
}

// way is an edge of one product.
type way struct {
	to   Release
	edge *Edge
}

// Definition is what the registry of profiles needs to read the section upgrade.
func Definition() profile.Definition {
	return profile.Definition{
		Summary: "Which release may follow which, by what means, and how long each is supported",
		Options: func() any { return new(Catalogue) },
	}
}

// Of is the catalogue of a profile; ok is false where it has none.
func Of(p *profile.Profile) (c *Catalogue, ok bool) {
	if p.Upgrade == nil {
		return nil, false
	}
	c, ok = p.Upgrade.Options.(*Catalogue)
	return c, ok
}

// Source is a publication.
type Source struct {
	Title string `yaml:"title" json:"title" jsonschema:"required"`
	URL   string `yaml:"url" json:"url" jsonschema:"required"`
}

// Product is one of the products that a catalogue is about.
type Product struct {
	Name  string   `yaml:"name" jsonschema:"required"`
	Title string   `yaml:"title" jsonschema:"required"`
	IDs   []string `yaml:"ids" jsonschema:"required"` // of os-release(5), and of the vendor's own product files
	// Packages are those whose version is the release's.
	Packages []string `yaml:"packages,omitempty"`
	Cycle    *Cycle   `yaml:"cycle,omitempty"`
}

// Cycle is how long a major version is supported, in years.
type Cycle struct {
	General  int    `yaml:"general" json:"general" jsonschema:"required"`
	Extended int    `yaml:"extended" json:"extended" jsonschema:"required"`
	Text     string `yaml:"text" json:"text" jsonschema:"required"`
	Source   string `yaml:"source" json:"-" jsonschema:"required"`
}

// Architecture is what decides whether an installed system can be upgraded on a
// machine at all.
type Architecture struct {
	Bits   int      `yaml:"bits" jsonschema:"required"`
	Order  string   `yaml:"order" jsonschema:"required,enum=little,enum=big"` // of the bytes
	Family string   `yaml:"family" jsonschema:"required"`                     // of machines
	Also   []string `yaml:"also,omitempty"`                                   // other words of uname(2), rpm and dpkg for it
}

// Edition is a release of one or more products. A date that nobody has published is
// empty.
type Edition struct {
	Release       string   `yaml:"release" jsonschema:"required"`  // 11 SP3
	Products      []string `yaml:"products" jsonschema:"required"` // that have it
	Architectures []string `yaml:"architectures" jsonschema:"required"`
	Codename      string   `yaml:"codename,omitempty"`
	Published     Date     `yaml:"published,omitempty"`
	General       Date     `yaml:"general,omitempty"`  // last day of general support
	Extended      Date     `yaml:"extended,omitempty"` // last day of long-term support
	Source        string   `yaml:"source" jsonschema:"required"`
}

// Method is a way from one release to the next.
type Method struct {
	Title string   `yaml:"title" jsonschema:"required"`
	By    string   `yaml:"by" jsonschema:"required,enum=zypper,enum=apt,enum=installer,enum=image,enum=manager,enum=person"`
	Needs []string `yaml:"needs,omitempty"`
}

// Edge is the supported ways to one release from others of the same product.
type Edge struct {
	To       string   `yaml:"to" jsonschema:"required"`
	From     []string `yaml:"from" jsonschema:"required"`
	Products []string `yaml:"products,omitempty"` // default: all that have both
	Methods  []string `yaml:"methods" jsonschema:"required"`
	Needs    []string `yaml:"needs,omitempty"` // without which it is not supported
	Source   string   `yaml:"source" jsonschema:"required"`
}

// Rule is a sentence with where it was published. {from}, {to}, {arch} and {target}
// stand for the two releases and the two architectures.
type Rule struct {
	Text   string `yaml:"text" jsonschema:"required"`
	Source string `yaml:"source" jsonschema:"required"`
}

// Barrier is between major versions.
type Barrier struct {
	From   string   `yaml:"from" jsonschema:"required"`
	To     []string `yaml:"to" jsonschema:"required"`
	Reason string   `yaml:"reason" jsonschema:"required"` // id of a refusal
}

// Layout is the package repositories of a release. {product} in a name stands for the
// product's.
type Layout struct {
	Release  string   `yaml:"release" jsonschema:"required"`
	Products []string `yaml:"products" jsonschema:"required"`
	Required []string `yaml:"required" jsonschema:"required"`
	Optional []string `yaml:"optional,omitempty"`
	Modules  []string `yaml:"modules,omitempty"` // without the suffix of their parts
	Source   string   `yaml:"source" jsonschema:"required"`
}

// Support is what the vendor does for a release at which time of its life.
type Support struct {
	Columns []Column `yaml:"columns,omitempty" json:"columns"`
	Levels  []Level  `yaml:"levels,omitempty" json:"levels"`
	Source  string   `yaml:"source,omitempty" json:"-"`
}

// Column is a time of a release's life, in years after its major version.
type Column struct {
	ID    string `yaml:"id" json:"id" jsonschema:"required"`
	Title string `yaml:"title" json:"title" jsonschema:"required"`
	Stage Stage  `yaml:"stage" json:"stage" jsonschema:"required,enum=recent,enum=previous,enum=extended"`
	From  int    `yaml:"from" json:"from" jsonschema:"required"`
	To    int    `yaml:"to" json:"to" jsonschema:"required"`
}

// Level is a service, and what of it there is in each column.
type Level struct {
	Service string   `yaml:"service" json:"service" jsonschema:"required"`
	Given   []string `yaml:"given" json:"given" jsonschema:"required"`
}

// Source finds a publication by its short name.
func (c *Catalogue) source(name string) Source { return c.Sources[name] }

// Product finds a product by its name.
func (c *Catalogue) Product(name string) (Product, bool) {
	for _, p := range c.Products {
		if p.Name == name {
			return p, true
		}
	}
	return Product{}, false
}

// All lists the releases of a product, oldest first.
func (c *Catalogue) All(product string) []Release { return slices.Clone(c.order[product]) }

// Edition finds what is known of a release.
func (c *Catalogue) Edition(r Release) (Edition, bool) {
	r.Arch = ""
	e, ok := c.releases[r]
	if !ok {
		return Edition{}, false
	}
	return *e, true
}

// Package path knows which release of a product may follow which, by which means,
// and how long each is supported. It is data of a profile (section upgrade) and
// pure logic: no machine is looked at here, and nothing is changed.
package path

import "lifeboat/internal/profile"

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

	releases map[Release]*Edition // without architecture
}

// Definition is what the registry of profiles needs to read the section upgrade.
func Definition() profile.Definition {
	return profile.Definition{
		Summary: "Which release may follow which, and by what means",
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
}

// Architecture is what decides whether an installed system can be upgraded on a
// machine at all.
type Architecture struct {
	Bits  int      `yaml:"bits" jsonschema:"required"`
	Order string   `yaml:"order" jsonschema:"required,enum=little,enum=big"` // of the bytes
	Also  []string `yaml:"also,omitempty"`                                   // other words of uname(2) for it
}

// Edition is a release of one or more products.
type Edition struct {
	Release       string   `yaml:"release" jsonschema:"required"`  // 11 SP3
	Products      []string `yaml:"products" jsonschema:"required"` // that have it
	Architectures []string `yaml:"architectures" jsonschema:"required"`
	Source        string   `yaml:"source" jsonschema:"required"`
}

// Method is a way from one release to the next.
type Method struct {
	Title string   `yaml:"title" jsonschema:"required"`
	By    string   `yaml:"by" jsonschema:"required,enum=zypper,enum=apt,enum=installer,enum=manager"` // what does the work
	Needs []string `yaml:"needs,omitempty"`
}

// Edge is the supported ways to one release from others of the same product.
type Edge struct {
	To       string   `yaml:"to" jsonschema:"required"`
	From     []string `yaml:"from" jsonschema:"required"`
	Products []string `yaml:"products,omitempty"` // default: all that have both
	Methods  []string `yaml:"methods" jsonschema:"required"`
	Source   string   `yaml:"source" jsonschema:"required"`
}

package path

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lifeboat/internal/strict"
)

// Release is one release of a product on one architecture.
type Release struct {
	Product string `json:"product"`        // as the catalogue names it: SLES
	Version string `json:"version"`        // 11, 12
	SP      int    `json:"service_pack"`   // 0 is the first edition
	Arch    string `json:"arch,omitempty"` // as the catalogue names it; "" where it does not matter
}

// String is the release for people: SLES 11 SP3 (x86_64).
func (r Release) String() string {
	text := r.Name()
	if r.Arch != "" {
		text += " (" + r.Arch + ")"
	}
	return text
}

// Name is the release without its architecture: SLES 11 SP3.
func (r Release) Name() string { return r.Product + " " + r.Edition() }

// Edition is version and service pack alone: 11 SP3.
func (r Release) Edition() string {
	if r.SP == 0 {
		return r.Version
	}
	return fmt.Sprintf("%s SP%d", r.Version, r.SP)
}

// bare is the release on any machine.
func (r Release) bare() Release {
	r.Arch = ""
	return r
}

// compare orders releases by age.
func (r Release) compare(other Release) int {
	mine, _ := strconv.Atoi(r.Version)
	others, _ := strconv.Atoi(other.Version)
	return cmp.Or(cmp.Compare(mine, others), cmp.Compare(r.SP, other.SP))
}

// After tells whether the release came later than another.
func (r Release) After(other Release) bool { return r.compare(other) > 0 }

// maxText bounds what is read as the name of a release, in bytes.
const maxText = 200

var number = regexp.MustCompile(`^[1-9][0-9]{0,3}$`)

// edition is a version with its service pack in the ways that people and machines
// write it: 12, 12 GA, 12 SP1, 12-SP1, 12.1, 12sp1.
var edition = regexp.MustCompile(`(?i)^([1-9][0-9]{0,3})(?:\.([0-9]{1,2})|[ ._-]*SP ?([0-9]{1,2})|[ ._-]*GA)?$`)

// ParseEdition reads version and service pack. The product and architecture of
// what it returns are empty.
func ParseEdition(text string) (Release, error) {
	m := edition.FindStringSubmatch(strings.TrimSpace(text))
	if len(text) > maxText || m == nil {
		return Release{}, fmt.Errorf("%q is no version; write one like 12 or 12 SP1", shorten(text))
	}
	r := Release{Version: m[1]}
	if pack := m[2] + m[3]; pack != "" {
		r.SP, _ = strconv.Atoi(pack) // two digits at most
	}
	return r, nil
}

// named is a product's name, where there is one, an edition, and an architecture in
// parentheses.
var named = regexp.MustCompile(`^([^0-9(]*?)[ _-]*([0-9][^(]*?) *(?:\(([^()]*)\))?$`)

// Parse reads a release as people write it: SLES 12, sles-11-sp3, SUSE Linux Enterprise
// Server 12 SP1 (x86_64). What is not said is that of near.
func (c *Catalogue) Parse(text string, near Release) (Release, error) {
	m := named.FindStringSubmatch(strings.TrimSpace(text))
	if len(text) > maxText || m == nil {
		return Release{}, fmt.Errorf("%q names no release; write one like %s", shorten(text), c.example(near))
	}
	r, err := ParseEdition(m[2])
	if err != nil {
		return Release{}, err
	}
	r.Product, r.Arch = near.Product, near.Arch
	if word := strings.TrimSpace(m[1]); word != "" {
		p, ok := c.names[strings.ToLower(word)]
		if !ok {
			return Release{}, fmt.Errorf("product %q is not known%s", shorten(word), strict.Suggest(word, c.productNames()))
		}
		r.Product = p.Name
	}
	if m[3] != "" {
		if r.Arch, err = c.arch(m[3]); err != nil {
			return Release{}, err
		}
	}
	return r, c.must(r)
}

// Find names the release that a machine says it is: ID of os-release(5) or of a
// product's file, version, service pack, architecture. One that is older than all that
// are known is no error: nothing leads on from it, and Judge says so.
func (c *Catalogue) Find(id, version string, sp int, arch string) (Release, error) {
	p, ok := c.names[strings.ToLower(id)]
	if !ok {
		return Release{}, fmt.Errorf("%q is none of the products %s", shorten(id), strings.Join(c.productNames(), ", "))
	}
	name := ""
	if arch != "" {
		var err error
		if name, err = c.arch(arch); err != nil {
			return Release{}, err
		}
	}
	r := Release{Product: p.Name, Version: version, SP: sp, Arch: name}
	if order := c.order[r.Product]; len(order) > 0 && number.MatchString(version) && r.compare(order[0]) < 0 {
		return r, nil
	}
	return r, c.must(r)
}

// Known names the release of a product and version as package management and media
// write them; ok is false for what the catalogue does not know.
func (c *Catalogue) Known(product, version string) (r Release, ok bool) {
	p, ok := c.Named(product)
	if !ok {
		return r, false
	}
	r, err := ParseEdition(version)
	if err != nil {
		return r, false
	}
	r.Product = p.Name
	return r, c.must(r) == nil
}

// Knows tells whether a machine's id is one of the catalogue's products.
func (c *Catalogue) Knows(id string) bool {
	_, ok := c.Named(id)
	return ok
}

// Named finds a product by any word for it.
func (c *Catalogue) Named(word string) (Product, bool) {
	p, ok := c.names[strings.ToLower(strings.TrimSpace(word))]
	if !ok {
		return Product{}, false
	}
	return *p, true
}

func (c *Catalogue) arch(word string) (string, error) {
	if name, ok := c.archs[word]; ok {
		return name, nil
	}
	return "", fmt.Errorf("architecture %q is not known%s", shorten(word), strict.Suggest(word, slices.Collect(maps.Keys(c.archs))))
}

// must finds out whether there is such a release.
func (c *Catalogue) must(r Release) error {
	if _, ok := c.releases[r.bare()]; ok {
		return nil
	}
	if r.Product == "" {
		return fmt.Errorf("which product? %s is a version; known are %s", r.Edition(), strings.Join(c.productNames(), ", "))
	}
	var known []string
	for _, other := range c.order[r.Product] {
		known = append(known, other.Edition())
	}
	return fmt.Errorf("there is no %s; known are %s", shorten(r.Name()), strings.Join(known, ", "))
}

func (c *Catalogue) example(near Release) string {
	for _, p := range c.Products {
		if list := c.order[p.Name]; len(list) > 0 && (near.Product == "" || p.Name == near.Product) {
			return list[len(list)-1].Name()
		}
	}
	return "SLES 12"
}

func shorten(text string) string {
	if len(text) > 60 {
		return text[:60] + "…"
	}
	return text
}

package path

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"lifeboat/internal/strict"
)

// Validate finds what is wrong in the whole, and makes the catalogue ready for use.
func (c *Catalogue) Validate() error {
	k := checker{Catalogue: c}
	c.releases = map[Release]*Edition{}
	for i := range c.Releases {
		e := &c.Releases[i]
		what := "release " + e.Release
		k.source(what, e.Source)
		for _, arch := range e.Architectures {
			k.known(what+": architecture", arch, slices.Collect(maps.Keys(c.Architectures)))
		}
		for _, r := range k.each(what, e.Release, e.Products) {
			if _, twice := c.releases[r]; twice {
				k.problem("release %s is there twice", r.Name())
			}
			c.releases[r] = e
		}
	}
	for _, e := range c.Edges {
		what := "edge to " + e.To
		k.source(what, e.Source)
		if len(e.From) == 0 || len(e.Methods) == 0 {
			k.problem("%s: from or methods is empty", what)
		}
		for _, m := range e.Methods {
			k.known(what+": method", m, slices.Collect(maps.Keys(c.Methods)))
		}
		for _, text := range append([]string{e.To}, e.From...) {
			for _, r := range k.each(what, text, e.Products) {
				if _, ok := c.releases[r]; !ok {
					k.problem("%s: there is no release %s", what, r.Name())
				}
			}
			k.has(what, text)
		}
	}
	return errors.Join(k.problems...)
}

// checker collects the problems of a catalogue.
type checker struct {
	*Catalogue
	problems []error
}

func (k *checker) problem(format string, args ...any) {
	k.problems = append(k.problems, fmt.Errorf(format, args...))
}

func (k *checker) known(what, word string, words []string) {
	if !slices.Contains(words, word) {
		k.problem("%s %s is unknown%s", what, word, strict.Suggest(word, words))
	}
}

func (k *checker) source(what, name string) {
	k.known(what+": source", name, slices.Collect(maps.Keys(k.Sources)))
}

// each reads an edition once for every product.
func (k *checker) each(what, text string, products []string) []Release {
	r, err := ParseEdition(text)
	if err != nil {
		k.problem("%s: %w", what, err)
		return nil
	}
	var out []Release
	for _, name := range products {
		k.known(what+": product", name, k.productNames())
		r.Product = name
		out = append(out, r)
	}
	return out
}

// has looks for an edition that some product has.
func (k *checker) has(what, text string) {
	r, err := ParseEdition(text)
	if err != nil {
		return // told already
	}
	for known := range k.releases {
		if r.Product = known.Product; r == known {
			return
		}
	}
	k.problem("%s: there is no release %s", what, text)
}

func (c *Catalogue) productNames() []string {
	names := make([]string, len(c.Products))
	for i, p := range c.Products {
		names[i] = p.Name
	}
	return names
}

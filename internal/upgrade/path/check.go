package path

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeboat/internal/strict"
)

// Validate finds what is wrong in the whole, and makes the catalogue ready for use.
func (c *Catalogue) Validate() error {
	k := checker{Catalogue: c}
	c.releases, c.edges, c.layouts = map[Release]*Edition{}, map[Release][]way{}, map[Release]*Layout{}
	c.archs, c.names, c.order = map[string]string{}, map[string]*Product{}, map[string][]Release{}
	k.words()
	k.editions()
	k.ways()
	k.sentences()
	k.supported()
	for i := range c.Repositories {
		l := &c.Repositories[i]
		what := "repositories of " + l.Release
		k.source(what, l.Source)
		for _, r := range k.each(what, l.Release, l.Products) {
			k.exists(what, r)
			c.layouts[r] = l
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

// words collects every word for an architecture and for a product.
func (k *checker) words() {
	for _, name := range slices.Sorted(maps.Keys(k.Architectures)) {
		for _, word := range append([]string{name}, k.Architectures[name].Also...) {
			if first, twice := k.archs[word]; twice {
				k.problem("%s is a word for two architectures, %s and %s", word, first, name)
			}
			k.archs[word] = name
		}
	}
	for i := range k.Products {
		p := &k.Products[i]
		for _, word := range append([]string{p.Name, p.Title}, p.IDs...) {
			word = strings.ToLower(word)
			if first, twice := k.names[word]; twice && first != p {
				k.problem("%s is a word for two products, %s and %s", word, first.Name, p.Name)
			}
			k.names[word] = p
		}
		if p.Cycle != nil {
			k.source("cycle of "+p.Name, p.Cycle.Source)
		}
	}
}

func (k *checker) editions() {
	for i := range k.Releases {
		e := &k.Releases[i]
		what := "release " + e.Release
		k.source(what, e.Source)
		for _, arch := range e.Architectures {
			k.known(what+": architecture", arch, slices.Collect(maps.Keys(k.Architectures)))
		}
		if !e.General.IsZero() && e.General.Before(e.Published.Time) || !e.Extended.IsZero() && e.Extended.Before(e.General.Time) {
			k.problem("%s: the days are not in their order", what)
		}
		for _, r := range k.each(what, e.Release, e.Products) {
			if _, twice := k.releases[r]; twice {
				k.problem("release %s is there twice", r.Name())
			}
			k.releases[r] = e
			k.order[r.Product] = append(k.order[r.Product], r)
		}
	}
	for _, list := range k.order {
		slices.SortFunc(list, Release.compare)
	}
}

func (k *checker) ways() {
	for i := range k.Edges {
		e := &k.Edges[i]
		what := "edge to " + e.To
		k.source(what, e.Source)
		if len(e.From) == 0 || len(e.Methods) == 0 {
			k.problem("%s: from or methods is empty", what)
		}
		for _, m := range e.Methods {
			k.known(what+": method", m, slices.Collect(maps.Keys(k.Methods)))
		}
		products := e.Products
		if len(products) == 0 {
			products = k.productNames()
		}
		to := k.each(what, e.To, products)
		for _, text := range e.From {
			any := false
			for j, from := range k.each(what, text, products) {
				_, begins := k.releases[from]
				if len(to) <= j {
					break // told already
				}
				_, ends := k.releases[to[j]]
				switch {
				case begins && ends && from.compare(to[j]) >= 0:
					k.problem("%s does not lead on from %s", what, from.Name())
				case begins && ends:
					any = true
					k.edges[from] = append(k.edges[from], way{to[j], e})
				case len(e.Products) > 0:
					k.problem("%s from %s: one of the two releases is unknown", what, from.Name())
				}
			}
			if !any {
				k.problem("%s from %s: no product has both", what, text)
			}
		}
	}
}

// reasons are what Judge may refuse an upgrade for; each needs its sentence.
var reasons = []string{NoPath, SkipsReleases, OtherArchitecture, WordSize, ByteOrder, NotBuiltFor, OlderRelease, OtherProduct, OtherMethod}

func (k *checker) sentences() {
	for _, id := range reasons {
		if _, ok := k.Refusals[id]; !ok {
			k.problem("refusals: %s is missing", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(k.Refusals)) {
		k.source("refusal "+id, k.Refusals[id].Source)
	}
	for _, id := range slices.Sorted(maps.Keys(k.Advice)) {
		k.source("advice "+id, k.Advice[id].Source)
	}
	for _, b := range k.Barriers {
		k.known("barrier: reason", b.Reason, slices.Collect(maps.Keys(k.Refusals)))
	}
}

func (k *checker) supported() {
	s := k.Support
	if len(s.Columns) == 0 && len(s.Levels) == 0 {
		return
	}
	k.source("support", s.Source)
	for _, l := range s.Levels {
		if len(l.Given) != len(s.Columns) {
			k.problem("support: %s has %d values for %d columns", l.Service, len(l.Given), len(s.Columns))
		}
	}
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

func (k *checker) exists(what string, r Release) {
	if _, ok := k.releases[r]; !ok {
		k.problem("%s: there is no release %s", what, r.Name())
	}
}

func (c *Catalogue) productNames() []string {
	names := make([]string, len(c.Products))
	for i, p := range c.Products {
		names[i] = p.Name
	}
	return names
}

package path

import (
	"cmp"
	"slices"
	"strings"
)

// Outcome is the short answer to whether one release may follow another.
type Outcome string

// The outcomes.
const (
	Current   Outcome = "current"   // it is there already
	Supported Outcome = "supported" // in one step
	Refused   Outcome = "refused"   // not in one step, or not at all; hops say which
)

// Ids of the reasons for which an upgrade is refused. They are stable.
const (
	NoPath            = "no-path"
	SkipsReleases     = "skips-releases"
	OtherArchitecture = "other-architecture"
	WordSize          = "word-size"
	ByteOrder         = "byte-order"
	NotBuiltFor       = "not-built-for"
	OlderRelease      = "older-release"
	OtherProduct      = "other-product"
	OtherMethod       = "other-method"
)

// FreshInstallation is the id of the advice to install anew.
const FreshInstallation = "fresh-installation"

// Reason is a sentence with where it was published.
type Reason struct {
	ID     string `json:"id"`
	Text   string `json:"text"`
	Source Source `json:"source"`
}

// Verdict is whether a release may follow another, and how.
type Verdict struct {
	Outcome Outcome  `json:"outcome"`
	From    Release  `json:"from"`
	To      Release  `json:"to"`
	Reasons []Reason `json:"reasons"`
	// Hops are the steps on a supported way, each an upgrade of its own. One that is
	// refused may have several: then nothing but skipping them is wrong.
	Hops   []Hop    `json:"hops"`
	Advice []Reason `json:"advice"`
}

// Hop is one step of a way.
type Hop struct {
	From    Release  `json:"from"`
	To      Release  `json:"to"`
	Methods []Chosen `json:"methods"`
	Needs   []string `json:"needs"` // without which it is not supported
	Source  Source   `json:"source"`
}

// Chosen is a method of a hop.
type Chosen struct {
	ID    string   `json:"id"`
	Title string   `json:"title"`
	By    string   `json:"by"` // zypper, apt, installer, image, manager or person
	Needs []string `json:"needs"`
}

// Method finds one of the hop's methods.
func (h Hop) Method(id string) (Chosen, bool) {
	i := slices.IndexFunc(h.Methods, func(m Chosen) bool { return m.ID == id })
	if i < 0 {
		return Chosen{}, false
	}
	return h.Methods[i], true
}

// Live says whether the running system can be upgraded by its own package manager.
func (h Hop) Live() bool {
	return slices.ContainsFunc(h.Methods, func(m Chosen) bool { return m.By == "zypper" || m.By == "apt" })
}

// Judge says whether to may follow from. Both are releases that Find or Parse gave.
func (c *Catalogue) Judge(from, to Release) Verdict {
	if to.Arch = cmp.Or(to.Arch, from.Arch); from.Arch == "" {
		to.Arch = "" // there is nothing to compare it with
	}
	v := Verdict{Outcome: Refused, From: from, To: to, Reasons: []Reason{}, Hops: []Hop{}, Advice: []Reason{}}
	switch {
	case from == to:
		v.Outcome = Current
		return v
	case from.Product != to.Product:
		return c.refuse(v, OtherProduct)
	}
	if id := c.machine(from, to); id != "" {
		return c.refuse(v, id)
	}
	if from.compare(to) > 0 {
		v.Reasons = append(v.Reasons, c.refusal(OlderRelease, v))
		return v
	}
	for _, b := range c.Barriers {
		if b.From == from.Version && slices.Contains(b.To, to.Version) {
			return c.refuse(v, b.Reason)
		}
	}
	v.Hops = c.hops(from, to)
	switch len(v.Hops) {
	case 0:
		v.Hops = []Hop{}
		return c.refuse(v, NoPath)
	case 1:
		v.Outcome = Supported
		return v
	}
	return c.refuse(v, SkipsReleases)
}

// Next lists the releases that may follow one in one step, oldest first.
func (c *Catalogue) Next(from Release) []Hop {
	hops := []Hop{}
	for _, w := range c.edges[from.bare()] {
		if !c.built(w.to, from.Arch) {
			continue
		}
		w.to.Arch = from.Arch
		i := slices.IndexFunc(hops, func(h Hop) bool { return h.To == w.to })
		if i < 0 {
			hops = append(hops, c.hop(from, w))
			continue
		}
		// Another publication knows further methods.
		for _, m := range c.hop(from, w).Methods {
			if _, known := hops[i].Method(m.ID); !known {
				hops[i].Methods = append(hops[i].Methods, m)
			}
		}
	}
	slices.SortStableFunc(hops, func(a, b Hop) int { return a.To.compare(b.To) })
	return hops
}

// By refuses a supported hop where it is to be gone by a method that the vendor does
// not support for it.
func (c *Catalogue) By(v Verdict, method string) Verdict {
	if v.Outcome != Supported {
		return v
	}
	chosen, ok := v.Hops[0].Method(method)
	if !ok {
		v.Outcome = Refused
		v.Reasons = append(v.Reasons, c.refusal(OtherMethod, v))
		return v
	}
	v.Hops = slices.Clone(v.Hops)
	v.Hops[0].Methods = []Chosen{chosen}
	return v
}

// machine compares the architectures. An installed system stays on its own.
func (c *Catalogue) machine(from, to Release) string {
	if from.Arch == "" || from.Arch == to.Arch && c.built(to, to.Arch) {
		return ""
	}
	mine := c.Architectures[from.Arch]
	if from.Arch != to.Arch {
		return differs(mine, []Architecture{c.Architectures[to.Arch]}, OtherArchitecture)
	}
	// It is not built for this machine. Why is told by those for which it is.
	var family, all []Architecture
	if e, ok := c.releases[to.bare()]; ok {
		for _, name := range e.Architectures {
			all = append(all, c.Architectures[name])
			if c.Architectures[name].Family == mine.Family {
				family = append(family, c.Architectures[name])
			}
		}
	}
	if len(family) > 0 {
		return differs(mine, family, NotBuiltFor)
	}
	return differs(mine, all, NotBuiltFor)
}

// differs names what none of the others has in common with mine.
func differs(mine Architecture, others []Architecture, otherwise string) string {
	switch {
	case len(others) == 0:
		return otherwise
	case !slices.ContainsFunc(others, func(a Architecture) bool { return a.Bits == mine.Bits }):
		return WordSize
	case !slices.ContainsFunc(others, func(a Architecture) bool { return a.Order == mine.Order }):
		return ByteOrder
	}
	return otherwise
}

func (c *Catalogue) built(r Release, arch string) bool {
	e, ok := c.releases[r.bare()]
	return ok && (arch == "" || slices.Contains(e.Architectures, arch))
}

// refuse adds a reason, and the advice that goes with it.
func (c *Catalogue) refuse(v Verdict, id string) Verdict {
	v.Reasons = append(v.Reasons, c.refusal(id, v))
	if _, ok := c.Advice[FreshInstallation]; ok {
		v.Advice = append(v.Advice, c.reason(c.Advice, FreshInstallation, v))
	}
	return v
}

func (c *Catalogue) reason(rules map[string]Rule, id string, v Verdict) Reason {
	rule := rules[id]
	text := strings.NewReplacer("{from}", v.From.Name(), "{to}", v.To.Name(), "{arch}", v.From.Arch, "{target}", v.To.Arch,
		"{methods}", methods(v)).Replace(rule.Text)
	return Reason{ID: id, Text: text, Source: c.source(rule.Source)}
}

// refusal is a reason whose source is the publication that says what may become the
// target, where there is one: what it does not name is not supported.
func (c *Catalogue) refusal(id string, v Verdict) Reason {
	r := c.reason(c.Refusals, id, v)
	for i := range c.Edges {
		e := &c.Edges[i]
		if to, err := ParseEdition(e.To); err == nil && to.Edition() == v.To.Edition() && (len(e.Products) == 0 || slices.Contains(e.Products, v.To.Product)) {
			r.Source = c.source(e.Source)
			break
		}
	}
	return r
}

func methods(v Verdict) string {
	var names []string
	for _, h := range v.Hops {
		for _, m := range h.Methods {
			if !slices.Contains(names, m.ID) {
				names = append(names, m.ID)
			}
		}
	}
	return strings.Join(names, ", ")
}

func (c *Catalogue) hop(from Release, w way) Hop {
	h := Hop{From: from, To: w.to, Methods: []Chosen{}, Needs: append([]string{}, w.edge.Needs...), Source: c.source(w.edge.Source)}
	for _, id := range w.edge.Methods {
		m := c.Methods[id]
		h.Methods = append(h.Methods, Chosen{ID: id, Title: m.Title, By: m.By, Needs: append([]string{}, m.Needs...)})
	}
	return h
}

// hops finds the way with the fewest steps; of several the one that needs the least,
// and then the one whose steps are the oldest. Nil when there is none.
func (c *Catalogue) hops(from, to Release) []Hop {
	type reached struct {
		hops []Hop
		cost int
	}
	const step = 1000 // more than all needs of a way
	best := map[Release]reached{from: {}}
	// Edges lead to later releases only, so one pass over them in their order is enough.
	for _, r := range c.order[from.Product] {
		r.Arch = from.Arch
		here, ok := best[r]
		if !ok {
			continue
		}
		for _, h := range c.Next(r) {
			cost := here.cost + step + len(h.Needs)
			if known, ok := best[h.To]; !ok || cost < known.cost {
				best[h.To] = reached{append(slices.Clone(here.hops), h), cost}
			}
		}
	}
	return best[to].hops
}

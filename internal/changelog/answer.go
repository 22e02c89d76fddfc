package changelog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/zypper"
)

// Kind says where a fault is named.
type Kind string

// The places, by how much they say.
const (
	ByChangelog Kind = "changelog"
	ByPatch     Kind = "patch" // of a source package
	ByNotice    Kind = "notice"
	ByReadme    Kind = "readme"
)

// Verdict says whether a fault was mended.
type Verdict string

// The verdicts.
const (
	Fixed        Verdict = "fixed"        // its maker says so
	Needed       Verdict = "needed"       // an update that mends it is there and not installed
	Doubtful     Verdict = "doubtful"     // its maker names it, and may say that it was not mended
	Contradicted Verdict = "contradicted" // its maker says that it was, and a test found it open
	Unknown      Verdict = "unknown"      // nobody says either
	Absent       Verdict = "absent"       // the package is not installed
)

// Evidence is one place where a fault is named.
type Evidence struct {
	Kind  Kind   `json:"kind"`
	Place string `json:"place"` // date of the entry, name of the patch or notice
	Text  string `json:"text"`  // the line
	// Doubt says that the line may speak of something else than a mending.
	Doubt bool `json:"doubt,omitempty"`
}

// Answer is what is known about one fault in one package.
type Answer struct {
	Package string     `json:"package"`
	Edition string     `json:"edition,omitempty"`
	Fault   Identifier `json:"fault"`
	// Advisory is what a report calls the fault where it names no CVE.
	Advisory string     `json:"advisory,omitempty"`
	Verdict  Verdict    `json:"verdict"`
	Evidence []Evidence `json:"evidence,omitempty"`
	// Update is what to install, where one is needed.
	Update string `json:"update,omitempty"`
	Why    string `json:"why"`
}

// Judge answers for one fault. The notices are those of the machine's package
// repositories about it; those about other packages do not count.
func (p *Package) Judge(fault Identifier, notices []zypper.Notice) Answer {
	a := Answer{Package: p.Name, Edition: p.Edition, Fault: fault, Verdict: Unknown}
	a.Evidence = append(a.Evidence, p.named[fault]...)
	told := slices.ContainsFunc(a.Evidence, func(e Evidence) bool { return e.Kind != ByReadme })
	for _, n := range notices {
		i := slices.IndexFunc(n.Packages, func(u zypper.Update) bool { return u.Name == p.Name })
		if !p.Installed || i < 0 || !about(n, fault) {
			continue
		}
		a.Evidence = append(a.Evidence, Evidence{Kind: ByNotice, Place: n.Name, Text: n.Summary})
		switch n.Status {
		case "needed":
			a.Update = p.Name + "-" + n.Packages[i].Edition
		case "applied":
			told = true
		}
	}
	switch {
	case a.Update != "" && !told:
		a.Verdict = Needed
		a.Why = "the update to " + a.Update + " mends it and is not installed"
	case a.Update != "":
		a.Verdict = Needed
		a.Why = "it was mended once, and the update to " + a.Update + " is about it again and is not installed"
	case doubt(a.Evidence):
		a.Verdict = Doubtful
		a.Why = "what its maker says may mean that it was not mended, or only in part: read the lines below"
	case told:
		a.Verdict = Fixed
		a.Why = fmt.Sprintf("the maker of %s says so; that its version is still %s says nothing, as fixes are put into the version that a release began with", p.Name, version(p.Edition))
	case len(a.Evidence) > 0:
		a.Why = "only a README names it: read there whether it was mended"
	default:
		a.Why = "neither the changelog nor an update notice names it: the version number alone does not tell. Look it up at https://www.suse.com/security/cve/ and with the maker of the package"
	}
	return a
}

// doubt tells whether the newest entry of the changelog, or a patch, speaks of something
// else than a mending. A changelog has its newest entry first.
func doubt(list []Evidence) bool {
	newest := slices.IndexFunc(list, func(e Evidence) bool { return e.Kind == ByChangelog })
	return newest >= 0 && list[newest].Doubt ||
		slices.ContainsFunc(list, func(e Evidence) bool { return e.Kind == ByPatch && e.Doubt })
}

// Name is what people call the fault.
func (a Answer) Name() string {
	if a.Advisory != "" {
		return a.Advisory
	}
	return a.Fault.String()
}

func version(edition string) string {
	v, _, _ := strings.Cut(edition, "-")
	if _, rest, ok := strings.Cut(v, ":"); ok {
		return rest
	}
	return v
}

func about(n zypper.Notice, fault Identifier) bool {
	return slices.ContainsFunc(n.Issues, func(i zypper.Issue) bool {
		if fault.CVE != "" {
			id, err := ParseCVE(i.ID)
			return err == nil && id == fault
		}
		return i.Type == "bugzilla" && i.ID == fault.Bug
	})
}

// Named lists all faults that the package names, as Judge answers without notices.
func (p *Package) Named() []Answer {
	var ids []Identifier
	for id := range p.named {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b Identifier) int { return cmp.Or(cmp.Compare(b.CVE, a.CVE), cmp.Compare(b.Bug, a.Bug)) })
	answers := []Answer{}
	for _, id := range ids {
		answers = append(answers, p.Judge(id, nil))
	}
	return answers
}

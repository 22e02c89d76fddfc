// Package preflight judges what is known of a machine before it is upgraded, and says
// what stands in the way, what a person has to know, and what to do about each. Its
// findings have stable names, by which they are accepted. It decides on what it is
// given: no machine is looked at here, nothing is asked and nothing changed.
package preflight

import (
	"cmp"
	"slices"
	"time"

	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/zypper"
)

// Severity is how much a finding matters.
type Severity string

// The severities, the worst first.
const (
	Inhibitor Severity = "inhibitor" // the upgrade is refused
	High      Severity = "high"      // something will most likely break or be lost
	Medium    Severity = "medium"    // a person should know before
	Info      Severity = "info"      // for the record
)

// Severities lists them, the worst first.
func Severities() []Severity { return []Severity{Inhibitor, High, Medium, Info} }

// Finding is one answer of a check.
type Finding struct {
	ID       string   `json:"id"` // stable, in kebab-case
	Severity Severity `json:"severity"`
	Title    string   `json:"title"`
	Detail   string   `json:"detail,omitempty"`
	Items    []string `json:"items,omitempty"` // what it is about: packages, guests, file systems
	Remedy   string   `json:"remedy"`          // what to do

	Acceptable bool `json:"acceptable"` // by the accept-list
	// Words have to be given when it is accepted: the acceptance is for these only.
	Words    []string `json:"words,omitempty"`
	Accepted bool     `json:"accepted"`
}

// Blocks tells whether the finding refuses the upgrade.
func (f Finding) Blocks() bool { return f.Severity == Inhibitor && !f.Accepted }

// Point is what is known of recovery points of the machine.
type Point struct {
	System     string    `json:"system,omitempty"`     // "" when none is configured that covers the machine
	Repository string    `json:"repository,omitempty"` // "" when there is none
	ID         string    `json:"id,omitempty"`         // of the newest complete point, "" when there is none
	Time       time.Time `json:"time,omitzero"`        // of its data
	Verified   time.Time `json:"verified,omitzero"`    // when all its data was read, zero if never since it was made
	Missing    []string  `json:"missing,omitempty"`    // what must be saved and is not
	Shared     []string  `json:"shared,omitempty"`     // disks that the repository and the root have in common
	// DiskUnknown is why it is not known on which disk it lies, "" where that is known.
	DiskUnknown string `json:"disk_unknown,omitempty"`
	// Planned says that the upgrade makes a point itself and verifies it before the
	// point of no return. Repository, Missing and Shared then are about that one.
	Planned bool   `json:"planned"`
	Error   string `json:"error,omitempty"` // why not more is known
}

// Server is a configured system on the machine that is not the machine itself.
type Server struct {
	System string   `json:"system"`
	Title  string   `json:"title"`
	Failed []string `json:"failed,omitempty"` // names of its checks
	Found  []string `json:"found,omitempty"`  // what they found
	Passed int      `json:"passed"`
	Stays  []string `json:"stays,omitempty"` // why its data would not go back with the machine
}

// Source is what an upgrade would come from, as that says itself.
type Source struct {
	Address string   `json:"address"`
	Has     []string `json:"has,omitempty"` // releases, by their names; empty where it says none
	// Other says that what it has is not the release that is wanted.
	Other bool `json:"other,omitempty"`
	// Doubt is why nobody who is trusted vouches for an installation medium, and Refuted
	// that it is not what it claims to be.
	Doubt   []string `json:"doubt,omitempty"`
	Refuted bool     `json:"refuted,omitempty"`
}

// Need is space that something beside the packages takes.
type Need struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
	What  string `json:"what"`
}

// Input is what is judged. Facts and To are needed.
type Input struct {
	Facts *facts.Facts
	// Verdict is whether the target may follow, nil where no profile can tell.
	Verdict *path.Verdict
	To      path.Release
	// Method is how it is done, nil where none is chosen or there is none.
	Method *path.Chosen
	// Transaction is what the packages will do, nil where it was not asked; Untold says
	// why not.
	Transaction *zypper.Transaction
	Untold      string
	Conflicts   []string // to which the package manager finds no answer by itself
	// Offered are the package repositories of the target that were named, nil where none
	// were or where it is not known which it needs; Distrusted those whose signatures do
	// not hold, and Unchecked those whose signatures nobody is to check.
	Offered               *path.Inventory
	Distrusted, Unchecked []string
	// Ends is where the transaction ends, nil where that was not asked.
	Ends *Ending
	// Repositories are those of the present release, nil where they are not known.
	Repositories *path.Inventory
	// Source is what the packages or the installer come from, nil where none was looked at.
	Source  *Source
	Point   Point
	Servers []Server
	Needs   []Need // what the upgrade needs beside packages
	Accept  Accepted
	Now     time.Time
}

// Format is the number of the form that a Report has as JSON.
const Format = 1

// Report is what the checks found.
type Report struct {
	Format    int       `json:"format"`
	Time      time.Time `json:"time"`
	Host      string    `json:"host"`
	From      string    `json:"from"` // SLES 11 SP3 (x86_64)
	To        string    `json:"to"`
	Method    string    `json:"method,omitempty"`
	Collected time.Time `json:"collected"`
	Root      string    `json:"root_device"`
	Inhibited bool      `json:"inhibited"`
	Findings  []Finding `json:"findings"`
	Space     []Space   `json:"space"`
	Changes   *Changes  `json:"changes,omitempty"`
	Point     Point     `json:"recovery_point"`
	// Unused are acceptances that nothing was found for.
	Unused []string `json:"unused,omitempty"`
}

// Changes counts what the packages will do.
type Changes struct {
	Upgrade   int   `json:"upgrade"`
	Install   int   `json:"install"`
	Remove    int   `json:"remove"`
	Downgrade int   `json:"downgrade"`
	Download  int64 `json:"download"` // bytes
	Space     int64 `json:"space"`    // bytes more afterwards
}

// Check runs every check. Findings come with the worst first, those that are not
// accepted before the others, and else in the order of Rules.
func Check(in Input) *Report {
	if in.Now.IsZero() {
		in.Now = time.Now()
	}
	f := in.Facts
	r := &Report{
		Format: Format, Time: in.Now.UTC().Truncate(time.Second), Host: f.Hostname, From: in.from(), To: in.To.String(),
		Collected: f.Collected, Root: rootText(f.Root), Findings: []Finding{}, Space: in.space(), Point: in.Point,
	}
	if in.Method != nil {
		r.Method = in.Method.ID
	}
	if t := in.Transaction; t != nil {
		r.Changes = &Changes{len(t.Upgrade), len(t.Install), len(t.Remove), len(t.Downgrade), t.Download, t.Space}
	}
	for _, rule := range rules {
		s := rule.look(&in)
		if s == nil {
			continue
		}
		finding := Finding{
			ID: rule.id, Severity: cmp.Or(s.severity, rule.severity), Title: rule.title, Detail: s.detail, Items: s.items, Remedy: s.remedy,
		}
		switch cmp.Or(s.accept, rule.accept) {
		case plainly:
			finding.Acceptable = true
		case byItem:
			finding.Acceptable, finding.Words = true, words(s.items)
		case byWord:
			finding.Acceptable, finding.Words = true, []string{s.word}
		}
		if finding.Severity == Info {
			finding.Acceptable, finding.Words = false, nil // there is nothing to accept
		}
		finding.Accepted = finding.Acceptable && in.Accept.covers(finding)
		r.Findings = append(r.Findings, finding)
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(rank(a)-rank(b), 0)
	})
	r.Inhibited = slices.ContainsFunc(r.Findings, Finding.Blocks)
	r.Unused = in.Accept.unused(r.Findings)
	return r
}

func rank(f Finding) int {
	n := slices.Index(Severities(), f.Severity)
	if f.Accepted {
		n += len(Severities())
	}
	return n
}

// Of lists the findings of a severity that are not accepted.
func (r *Report) Of(s Severity) []Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.Severity != s || f.Accepted })
}

// Find is the finding with an id.
func (r *Report) Find(id string) (Finding, bool) {
	for _, f := range r.Findings {
		if f.ID == id {
			return f, true
		}
	}
	return Finding{}, false
}

// Open tells whether something is left that a person should look at: an upgrade that
// goes on then does so with warnings.
func (r *Report) Open() bool { return len(r.Of(High))+len(r.Of(Medium)) > 0 }

func (in *Input) from() string {
	if in.Verdict != nil {
		return in.Verdict.From.String()
	}
	return cmp.Or(in.Facts.Release.Name, in.Facts.Release.ID, "an unknown release")
}

// live tells whether the running system's own package manager does the upgrade.
func (in *Input) live() bool {
	return in.Method != nil && (in.Method.By == "zypper" || in.Method.By == "apt")
}

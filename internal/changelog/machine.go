package changelog

import (
	"context"
	"fmt"
	"slices"

	"lifeboat/internal/host"
	"lifeboat/internal/zypper"
)

// Machine is a machine whose packages are asked about. It remembers what it has read,
// and is not safe for concurrent use.
type Machine struct {
	Host   *host.Host
	Zypper *zypper.Zypper

	read     map[string]*Package
	packages []zypper.Package // that are installed; nil before they were asked for
}

func (m *Machine) installed(ctx context.Context) (err error) {
	if m.packages == nil {
		m.packages, err = m.Zypper.Packages(ctx)
	}
	return err
}

// Package is an installed package. ErrNotInstalled: there is none of that name.
func (m *Machine) Package(ctx context.Context, name string) (*Package, error) {
	if p := m.read[name]; p != nil {
		return p, nil
	}
	if err := m.installed(ctx); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(m.packages, func(p zypper.Package) bool { return p.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("%s: %w", name, ErrNotInstalled)
	}
	p, err := installed(ctx, m.Host, m.Zypper, m.packages[i])
	if err != nil {
		return nil, err
	}
	if m.read == nil {
		m.read = map[string]*Package{}
	}
	m.read[name] = p
	return p, nil
}

// Notices are the update notices about faults that the machine's package repositories
// have. A machine without any has none.
func (m *Machine) Notices(ctx context.Context, faults []Identifier) ([]zypper.Notice, error) {
	repositories, err := m.Zypper.Repositories()
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(repositories, func(r zypper.Repository) bool { return r.Enabled }) {
		return nil, nil
	}
	var cves, bugs []string
	for _, f := range faults {
		if f.CVE != "" {
			cves = append(cves, f.CVE)
		} else {
			bugs = append(bugs, f.Bug)
		}
	}
	const together = 200 // of them fit an argument
	var all []zypper.Notice
	for len(cves)+len(bugs) > 0 {
		c, b := min(together, len(cves)), min(together, len(bugs))
		list, err := m.Zypper.Notices(ctx, cves[:c], bugs[:b])
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
		cves, bugs = cves[c:], bugs[b:]
	}
	return all, nil
}

// Survey judges what a scanner has found. A finding without a package is looked for in
// all that are installed, and answered for each that names it. progress, when not nil,
// is told how many of how many findings are judged.
func (m *Machine) Survey(ctx context.Context, findings []Finding, progress func(done, all int)) ([]Answer, error) {
	var faults []Identifier
	for _, f := range findings {
		if f.Advisory == "" && !slices.Contains(faults, f.Fault) {
			faults = append(faults, f.Fault)
		}
	}
	notices, err := m.Notices(ctx, faults)
	if err != nil {
		return nil, err
	}
	if err := m.installed(ctx); err != nil {
		return nil, err
	}
	var answers []Answer
	for i, f := range findings {
		if progress != nil {
			progress(i, len(findings))
		}
		list, err := m.judge(ctx, f, notices)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Fault, err)
		}
		for i, a := range list {
			if f.Tested && a.Verdict == Fixed {
				list[i].Verdict = Contradicted
				list[i].Why = "the maker of " + a.Package + " says that it was mended, but the scanner has tried it out and found it open: a program that was not restarted since the update may run, another program may answer there, or the mending is not enough"
			}
		}
		answers = append(answers, list...)
	}
	return answers, nil
}

func (m *Machine) judge(ctx context.Context, f Finding, notices []zypper.Notice) ([]Answer, error) {
	if f.Advisory != "" {
		return []Answer{{Package: f.Package, Advisory: f.Advisory, Verdict: Unknown, Why: "the report names no CVE for it, so nothing can be looked up: read there what it is about"}}, nil
	}
	if f.Package != "" {
		name, ok := m.named(f.Package)
		if !ok {
			return []Answer{{Package: f.Package, Fault: f.Fault, Verdict: Absent, Why: "no package of this name is installed: what the scanner has seen is something else"}}, nil
		}
		p, err := m.Package(ctx, name)
		if err != nil {
			return nil, err
		}
		return []Answer{p.Judge(f.Fault, notices)}, nil
	}
	var answers []Answer
	for _, installed := range m.packages {
		p, err := m.Package(ctx, installed.Name)
		if err != nil {
			return nil, err
		}
		if a := p.Judge(f.Fault, notices); a.Verdict != Unknown {
			answers = append(answers, a)
		}
	}
	if len(answers) == 0 {
		answers = []Answer{{Fault: f.Fault, Verdict: Unknown, Why: "no installed package and no update notice names it: look it up at https://www.suse.com/security/cve/"}}
	}
	return answers, nil
}

// named is the installed package that a report means.
func (m *Machine) named(text string) (string, bool) {
	for _, name := range []string{text, behindName.ReplaceAllString(text, "")} {
		if name != "" && slices.ContainsFunc(m.packages, func(p zypper.Package) bool { return p.Name == name }) {
			return name, true
		}
	}
	return "", false
}

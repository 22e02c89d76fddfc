package preflight

import (
	"slices"
	"strings"

	"lifeboat/internal/upgrade/path"
)

// aboutMachine are the reasons that no other way helps against.
var aboutMachine = []string{path.OtherArchitecture, path.WordSize, path.ByteOrder, path.NotBuiltFor}

func pathUnknown(in *Input) *seen {
	if in.Verdict != nil {
		return nil
	}
	return &seen{
		detail: "Whether " + in.To.String() + " may follow " + in.from() + " is told by no profile.",
		remedy: "See lifeboat profile list; a profile with the section upgrade has to detect the machine.",
	}
}

func pathCurrent(in *Input) *seen {
	if in.Verdict == nil || in.Verdict.Outcome != path.Current {
		return nil
	}
	return &seen{remedy: "Nothing has to be done, or choose a later release with --to."}
}

func pathRefused(in *Input) *seen {
	return refused(in, func(id string) bool { return !slices.Contains(aboutMachine, id) })
}

func architecture(in *Input) *seen {
	return refused(in, func(id string) bool { return slices.Contains(aboutMachine, id) })
}

// refused tells the reasons that are wanted, and what to do instead.
func refused(in *Input, wanted func(id string) bool) *seen {
	if in.Verdict == nil || in.Verdict.Outcome != path.Refused {
		return nil
	}
	s := &seen{}
	for _, r := range in.Verdict.Reasons {
		if wanted(r.ID) {
			s.items = append(s.items, r.Text)
		}
	}
	if len(s.items) == 0 {
		return nil
	}
	var remedy []string
	if steps := in.Verdict.Hops; len(steps) > 1 {
		way := steps[0].From.Name()
		for _, h := range steps {
			way += ", then " + h.To.Name()
		}
		remedy = append(remedy, "Go step by step: "+way+".")
	}
	for _, a := range in.Verdict.Advice {
		remedy = append(remedy, a.Text)
	}
	if s.remedy = strings.Join(remedy, " "); s.remedy == "" {
		s.remedy = "Choose a release that may follow; lifeboat upgrade plan names it."
	}
	return s
}

func pathNeeds(in *Input) *seen {
	if in.Verdict == nil || in.Verdict.Outcome != path.Supported {
		return nil
	}
	var items []string
	for _, h := range in.Verdict.Hops {
		items = append(items, h.Needs...)
	}
	if in.Method != nil {
		items = append(items, in.Method.Needs...)
	}
	if len(items) == 0 {
		return nil
	}
	return &seen{items: items, remedy: "See to it that each is so, and accept this then."}
}

// releaseNotes are acknowledged for one release: what was accepted for another is not
// taken for this one.
func releaseNotes(in *Input) *seen {
	if in.Verdict != nil && in.Verdict.Outcome == path.Current {
		return nil
	}
	return &seen{
		detail: "They say which hardware and software is special, what was dropped, and what has to be done before.",
		remedy: "Read the release notes of " + in.To.Name() + notesAt(in.Facts.Release.ID) + ", then accept this.",
		word:   ReleaseWord(in.To),
	}
}

func notesAt(id string) string {
	switch id {
	case "sles", "sled":
		return " (https://www.suse.com/releasenotes/)"
	case "debian":
		return " (https://www.debian.org/releases/)"
	}
	return ""
}

// ReleaseWord is a release as the accept-list names it: SLES-12-SP1.
func ReleaseWord(r path.Release) string { return strings.ReplaceAll(r.Name(), " ", "-") }

func repositoriesMissing(in *Input) *seen {
	if in.Repositories == nil {
		return nil
	}
	s := &seen{
		detail: "Without them the machine has not got the updates of " + in.Repositories.Release.Name() + ", from which the upgrade is supported.",
		remedy: "Register the machine again, or add them; lifeboat upgrade repositories shows what is there.",
	}
	for _, e := range in.Repositories.Missing() {
		state := "not there"
		if e.Present != nil {
			state = "disabled"
		}
		s.items = append(s.items, e.Name+" ("+state+")")
	}
	if len(s.items) == 0 {
		return nil
	}
	return s
}

func targetsMissing(in *Input) *seen {
	if in.Offered == nil {
		return nil
	}
	s := &seen{
		detail: "Without them the machine would be " + in.Offered.Release.Name() + " without its updates, or without a part of it.",
		remedy: "Name them, too (--target ALIAS=URL); under another name, accept this.",
	}
	for _, e := range in.Offered.Missing() {
		s.items = append(s.items, e.Name)
	}
	if len(s.items) == 0 {
		return nil
	}
	return s
}

func targetsDistrusted(in *Input) *seen {
	if len(in.Distrusted) == 0 {
		return nil
	}
	return &seen{
		detail: "The signature is wrong, or there is none, or it is by a key that the machine does not know. Whoever made it could put programs on the machine that run as root.",
		items:  in.Distrusted,
		remedy: "Compare with the vendor's repository. A key of the vendor's that is new is imported with rpm --import FILE; what is not signed by it must not be used.",
	}
}

func repositoriesUnsigned(in *Input) *seen {
	s := &seen{
		detail: "Whoever can change what they serve, or is on the way there, can put programs on this machine that run as root.",
		remedy: "Have signatures checked (zypper modifyrepo --gpgcheck ALIAS), disable the repository for the upgrade, or accept it by its alias.",
	}
	for _, r := range in.Facts.Repositories {
		if r.Enabled && r.Check != nil && !*r.Check {
			s.items = append(s.items, r.Alias)
		}
	}
	for _, alias := range in.Unchecked {
		if !slices.Contains(s.items, alias) {
			s.items = append(s.items, alias)
		}
	}
	if len(s.items) == 0 {
		return nil
	}
	return s
}

package archive

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Problem is a sort of finding.
type Problem string

// What Verify finds.
const (
	Wrong    Problem = "wrong sum"        // content is not what its sum says
	Absent   Problem = "missing member"   // named in the sums, not in the archive
	Unlisted Problem = "member unlisted"  // in the archive, not named in the sums
	Cut      Problem = "list cut off"     // by the fault of opsi-backup with names outside ASCII
	Clash    Problem = "contradiction"    // members that cannot stand beside each other
	Dump     Problem = "dump incomplete"  // the archive is whole; what it was made of was not
	Mended   Problem = "known fault"      // of opsi-backup, and what was made of it
	Owner    Problem = "owner"            // or permissions
	System   Problem = "unknown machine"  // sysinfo lacks something
	Stray    Problem = "unexpected entry" // left out
)

// Finding is one thing found in an archive.
type Finding struct {
	Problem Problem
	// Damage says that the archive must not be restored; else it is a remark.
	Damage bool
	Member string // "" for the archive
	Text   string
}

func (f Finding) String() string {
	if f.Member == "" {
		return f.Text
	}
	return quote(f.Member) + ": " + f.Text
}

// maxRemarks bounds the findings of one sort.
const maxRemarks = 100

// findings collects, of each sort the first.
type findings struct{ list []Finding }

// Findings is what Verify returns, damage first.
type Findings []Finding

func (f *findings) add(x Finding) {
	n := 0
	for _, y := range f.list {
		if y.Problem == x.Problem && y.Damage == x.Damage {
			if y == x {
				return
			}
			n++
		}
	}
	if n < maxRemarks {
		f.list = append(f.list, x)
	} else if n == maxRemarks {
		f.list = append(f.list, Finding{Problem: x.Problem, Damage: x.Damage, Text: "and more of that sort: " + string(x.Problem)})
	}
}

func (f *findings) remark(p Problem, member, text string) {
	f.add(Finding{Problem: p, Member: member, Text: text})
}

func (f *findings) damage(p Problem, member, text string) {
	f.add(Finding{Problem: p, Damage: true, Member: member, Text: text})
}

// Err is nil when nothing is damaged, and wraps ErrDamaged.
func (f Findings) Err() error {
	var first []error
	n := 0
	for _, x := range f {
		if !x.Damage {
			continue
		}
		if n++; n <= 5 {
			first = append(first, errors.New(x.String()))
		}
	}
	switch {
	case n == 0:
		return nil
	case n > 5:
		first = append(first, fmt.Errorf("and %d more", n-5))
	}
	return fmt.Errorf("%w: %w", ErrDamaged, errors.Join(first...))
}

// Remarks are the findings that are no damage, for people.
func (f Findings) Remarks() []string {
	var list []string
	for _, x := range f {
		if !x.Damage {
			list = append(list, x.String())
		}
	}
	return list
}

// Verify compares what Open read with what the archive says of itself.
func (a *Archive) Verify() Findings {
	f := findings{list: slices.Clone(a.findings.list)}
	a.verifySums(&f)
	for _, m := range a.Members {
		if m.Part == Database {
			verifyDump(&f, m)
		}
	}
	if len(a.Members) == 0 {
		f.damage(Absent, "", "nothing is in the archive")
	}
	slices.SortStableFunc(f.list, func(x, y Finding) int {
		switch {
		case x.Damage == y.Damage:
			return 0
		case x.Damage:
			return -1
		}
		return 1
	})
	return f.list
}

func (a *Archive) verifySums(f *findings) {
	there := make(map[string]bool, len(a.entries))
	for _, name := range a.sums.order {
		there[name] = false
	}
	matched := map[string]bool{}
	for _, m := range a.Members {
		if m.Part == HostKeys && a.sums.sums[m.raw] == m.sum {
			matched[m.raw] = true
		}
	}
	var unlisted []*Member
	for _, m := range a.Members {
		want, listed := a.sums.sums[m.raw]
		if listed {
			there[m.raw] = true
		}
		if m.Type != Regular && m.Type != Hardlink {
			continue // the sum of a symbolic link is that of what it leads to
		}
		switch {
		case !listed:
			unlisted = append(unlisted, m)
		case want != m.sum && matched[m.raw]: // one line stands for several members
			f.remark(Unlisted, m.Name, "the list of checksums has only the sum of another member of its name; its content cannot be compared")
		case want != m.sum:
			f.damage(Wrong, m.Name, fmt.Sprintf("its content is not what its checksum says (%s, not %s)", m.sum, want))
		}
	}
	for _, name := range a.sums.order {
		if !there[name] && !a.out[name] {
			f.damage(Absent, name, "the list of checksums names it and it is not in the archive")
		}
	}
	if a.sums.odd > 0 {
		f.remark(Stray, sumsName, fmt.Sprintf("%d of its lines cannot be read", a.sums.odd))
	}
	a.verifyUnlisted(f, unlisted)
}

// verifyUnlisted tells a list that opsi-backup itself has cut from one that lacks
// something: cut are the last names, and at most as many bytes as names outside
// ASCII have more of than characters.
func (a *Archive) verifyUnlisted(f *findings, unlisted []*Member) {
	if len(unlisted) == 0 {
		if a.sums.cut {
			f.damage(Absent, sumsName, "its last line is cut off and fits no member")
		}
		return
	}
	extra, missing, lastListed := 0, -len(a.sums.rest), -1
	for _, name := range a.sums.order {
		extra += lost(name)
	}
	for _, m := range a.Members {
		if _, ok := a.sums.sums[m.raw]; ok {
			lastListed = max(lastListed, m.index)
		}
	}
	tail := true
	for _, m := range unlisted {
		extra += lost(m.raw)
		missing += sumLength(m.raw)
		tail = tail && m.index > lastListed
	}
	fits, proven := a.sums.rest == "", false
	if !fits {
		fits, proven = a.sums.begins(unlisted[0].raw, unlisted[0].sum)
	}
	n := len(unlisted)
	if proven {
		n--
	}
	if n == 0 && missing == 1 { // only the last line's end is missing
		return
	}
	if tail && fits && missing <= extra {
		text := "opsi-backup has cut it off, as it does with names outside ASCII; "
		if n == 0 {
			text += "what is left fits all members"
		} else {
			text += fmt.Sprintf("it holds no whole checksum of the last %d of %d members, whose content cannot be compared", n, len(a.Members))
		}
		f.remark(Cut, sumsName, text)
		return
	}
	if a.sums.rest != "" {
		f.damage(Wrong, sumsName, "its last line is cut off and does not fit the archive")
	}
	for _, m := range unlisted {
		f.remark(Unlisted, m.Name, "the list of checksums does not name it; its content cannot be compared")
	}
}

// dumpEnd is how the last line of mysqldump begins.
var dumpEnd = []byte("\n-- Dump completed")

// verifyDump looks for what opsi-backup takes as success: a dump that failed at
// once, or half-way.
func verifyDump(f *findings, m *Member) {
	switch {
	case m.Size == 0:
		f.damage(Dump, m.Name, "the dump is empty: mysqldump had failed, and opsi-backup did not notice")
	case !bytes.Contains(m.tail, dumpEnd):
		f.damage(Dump, m.Name, "the dump is cut off: its last line is not “-- Dump completed”; mysqldump had failed half-way, and opsi-backup did not notice")
	}
}

// Loadable lists the names of backends whose dump is whole.
func (a *Archive) Loadable() []string {
	var names []string
	for _, m := range a.Members {
		f := findings{}
		if m.Part == Database {
			if verifyDump(&f, m); len(f.list) == 0 {
				names = append(names, m.Backend)
			}
		}
	}
	return names
}

// Has lists what the archive holds in the words of opsi-backup's own list.
func (a *Archive) Has() []string {
	var has []string
	add := func(word string, there bool) {
		if there {
			has = append(has, word)
		}
	}
	part := func(p Part) bool {
		return slices.ContainsFunc(a.Backends, func(b Backend) bool { return b.Part == p })
	}
	add("configuration", a.Configuration)
	add("dhcp", part(DHCP))
	add("file", part(Files))
	add("mysql", part(Database))
	return has
}

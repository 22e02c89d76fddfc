package preflight

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/zypper"
)

// digest names a list in eight characters: who accepts it has seen this list.
func digest(items []string) string {
	sum := sha256.Sum256([]byte(strings.Join(items, "\n")))
	return hex.EncodeToString(sum[:4])
}

func inconsistent(in *Input) *seen {
	items := in.Facts.Inconsistent
	if len(items) == 0 {
		return nil
	}
	return &seen{
		detail: "Packages lack what they need. A solver that starts from there removes what it cannot keep.",
		items:  items, word: digest(items),
		remedy: "zypper verify (or apt-get --fix-broken install) corrects it. What cannot be corrected is accepted by the word.",
	}
}

func locked(in *Input) *seen {
	var items []string
	for _, l := range in.Facts.Locks {
		if !slices.Contains(items, l.Name) {
			items = append(items, l.Name)
		}
	}
	if len(items) == 0 {
		return nil
	}
	return &seen{
		detail: "They stay as they are, and hold back whatever depends on them.",
		items:  items,
		remedy: "zypper removelock NAME (apt-mark unhold NAME), or accept each by its name.",
	}
}

func conflict(in *Input) *seen {
	if len(in.Conflicts) == 0 {
		return nil
	}
	return &seen{
		detail: "The package manager asks for a decision that nobody can take for you.",
		items:  in.Conflicts,
		remedy: "Remove the package first, get the vendor's for " + in.To.Name() + ", or add the package repository that has what is missing.",
	}
}

func transactionUnknown(in *Input) *seen {
	if in.Transaction != nil || len(in.Conflicts) > 0 || len(in.Distrusted) > 0 {
		return nil
	}
	s := &seen{
		detail: cmp.Or(in.Untold, "Nobody asked the package manager."),
		remedy: "Let zypper be asked, on the host or on its mounted root, with the package repositories of the target (lifeboat upgrade check --target).",
	}
	if !in.live() {
		s.severity = Info
		s.remedy = "The installer shows it before it begins; look at the packages that it removes."
	}
	return s
}

// removed lists what is removed, of one kind.
func (in *Input) removed(wanted func(zypper.Change) bool) []zypper.Change {
	if in.Transaction == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(in.Transaction.Remove), func(c zypper.Change) bool { return !wanted(c) })
}

func isProduct(c zypper.Change) bool { return c.Kind == "product" }

// productsRemoved leaves out a product that comes again under the same name.
func productsRemoved(in *Input) *seen {
	var items []string
	for _, c := range in.removed(isProduct) {
		again := func(o zypper.Change) bool { return isProduct(o) && o.Name == c.Name }
		if !slices.ContainsFunc(in.Transaction.Install, again) && !slices.ContainsFunc(in.Transaction.Upgrade, again) {
			items = append(items, c.Name)
		}
	}
	if len(items) == 0 {
		return nil
	}
	detail := "Most often the package repositories of the target's product are missing."
	if slices.ContainsFunc(in.Transaction.Install, isProduct) {
		detail += " Under its new name a product comes again."
	}
	return &seen{
		detail: detail,
		items:  items,
		remedy: "Compare with lifeboat upgrade repositories, and accept each that shall go by its name.",
	}
}

func (in *Input) foreignRemoved() []string {
	var items []string
	for _, c := range in.removed(func(c zypper.Change) bool { return !isProduct(c) }) {
		if p, ok := in.Facts.Package(c.Name); ok && in.isForeign(p) && !slices.Contains(items, c.Name) {
			items = append(items, c.Name)
		}
	}
	slices.Sort(items)
	return items
}

func foreignRemoved(in *Input) *seen {
	items := in.foreignRemoved()
	if len(items) == 0 {
		return nil
	}
	var vendors []string
	for _, name := range items {
		p, _ := in.Facts.Package(name)
		if text := name + " (" + p.Vendor + ")"; !slices.Contains(vendors, text) {
			vendors = append(vendors, text)
		}
	}
	return &seen{
		detail: "No update brings them back: " + strings.Join(vendors, ", ") + ".",
		items:  items,
		remedy: "Get packages for " + in.To.Name() + " from their vendors and add their repositories first, or accept each by its name.",
	}
}

// packagesRemoved: what needs a library that goes is removed by zypper without asking,
// with exit code 0, when nobody can be asked (measured, zypper 1.14.42).
func packagesRemoved(in *Input) *seen {
	foreign := in.foreignRemoved()
	var items []string
	for _, c := range in.removed(func(c zypper.Change) bool { return !isProduct(c) && !slices.Contains(foreign, c.Name) }) {
		items = append(items, strings.TrimSuffix(c.Name+"-"+c.Edition, "-"))
	}
	if len(items) == 0 {
		return nil
	}
	slices.Sort(items)
	items = slices.Compact(items)
	return &seen{
		detail: "Where nobody can be asked a package manager removes what it finds no place for. Successors under other names are among those installed.",
		items:  items, word: digest(items),
		remedy: "Look for what you use. The word accepts exactly this list; with any other list it is asked again.",
	}
}

func vendorChanged(in *Input) *seen {
	if in.Transaction == nil {
		return nil
	}
	return changes(in.Transaction.ChangeVendor, "Whoever supports the package now will not support the other vendor's.",
		"Give the right package repository priority (zypper modifyrepo --priority 90 ALIAS), or accept this.")
}

func downgraded(in *Input) *seen {
	if in.Transaction == nil {
		return nil
	}
	return changes(in.Transaction.Downgrade, "The target's package repositories have older editions than are installed; often an update repository of the target is missing.",
		"Compare with lifeboat upgrade repositories. Data that a newer edition has written may not be read by an older one.")
}

func changes(list []zypper.Change, detail, remedy string) *seen {
	if len(list) == 0 {
		return nil
	}
	s := &seen{detail: detail, remedy: remedy}
	for _, c := range list {
		s.items = append(s.items, fmt.Sprintf("%s %s → %s", c.Name, c.EditionOld, c.Edition))
	}
	return s
}

// foreign lists the packages of other vendors, but those that are removed.
func (in *Input) foreign() []string {
	removed := in.foreignRemoved()
	var items []string
	for _, p := range in.Facts.Packages {
		if in.isForeign(p) && !slices.Contains(removed, p.Name) {
			items = append(items, p.Name+" ("+p.Vendor+")")
		}
	}
	return slices.Compact(items)
}

// foreignUnknown: where nobody was asked, nobody can say that they stay.
func foreignUnknown(in *Input) *seen {
	items := in.foreign()
	if in.Transaction != nil || len(items) == 0 || in.Verdict != nil && in.Verdict.Outcome != path.Supported {
		return nil
	}
	s := &seen{
		detail: "They may be removed: they were built for another release.", items: items,
		remedy: "Let zypper be asked with the package repositories of the target (--target), or accept this.",
	}
	if !in.live() {
		s.remedy = "Look at what the installer would remove before it begins, ask their vendors whether they work on " + in.To.Name() + ", and accept this then."
	}
	return s
}

func foreignKept(in *Input) *seen {
	items := in.foreign()
	if in.Transaction == nil || len(items) == 0 {
		return nil
	}
	return &seen{
		detail: "They were built for another release.",
		items:  items,
		remedy: "Ask their vendors whether they work on " + in.To.Name() + ".",
	}
}

// isForeign tells a package of another vendor than the release's. A package without a
// vendor was built by somebody here; where no package has one, as with dpkg, it cannot
// be told.
func (in *Input) isForeign(p facts.Package) bool {
	own := in.vendor()
	return own != "" && firstWord(p.Vendor) != own
}

// vendor is the first word of the vendor of the release, in the way of libzypp, which
// takes SUSE, openSUSE and Novell for one.
func (in *Input) vendor() string {
	count := map[string]int{}
	best := ""
	for _, p := range in.Facts.Packages {
		word := firstWord(p.Vendor)
		if word == "" {
			continue
		}
		if count[word]++; best == "" || count[word] > count[best] || count[word] == count[best] && word < best {
			best = word
		}
		if strings.HasSuffix(p.Name, "-release") && strings.HasPrefix(p.Name, in.Facts.Release.ID) {
			return word
		}
	}
	return best
}

func firstWord(vendor string) string {
	word, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(vendor)), " ")
	switch word = strings.TrimRight(word, ",.;"); word {
	case "opensuse", "novell", "suse":
		return "suse"
	}
	return word
}

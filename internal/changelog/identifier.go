package changelog

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Identifier names a fault: a CVE, or a bug of SUSE's tracker. Two that are the same
// fault are equal.
type Identifier struct {
	CVE string `json:"cve,omitempty"` // CVE-2013-1862
	Bug string `json:"bug,omitempty"` // 829056
}

// String is the identifier as people write it.
func (i Identifier) String() string {
	if i.CVE != "" {
		return i.CVE
	}
	return "bug " + i.Bug
}

// Candidates of the list were called CAN until 2005 (cve.mitre.org, "CVE List
// changes"): the number stayed.
var (
	cveText = regexp.MustCompile(`(?i)(?:CVE|CAN)[-_](\d{4})[-_](\d{4,19})`)
	// SUSE's changelogs write bnc#1, bsc#1, boo#1, bugzilla#1, and in old times [#1]
	// (https://en.opensuse.org/openSUSE:Packaging_Patches_guidelines has the list).
	bugText = regexp.MustCompile(`(?i)(?:\b(?:bnc|bsc|boo|bug|bugzilla|novell|suse)\s*[#:]?\s*#?|(?:^|[^\w&])#)(\d{3,9})\b`)
)

// Identifiers finds all that a text names, sorted and once each.
func Identifiers(text string) []Identifier {
	var list []Identifier
	for _, m := range cveText.FindAllStringSubmatchIndex(text, -1) {
		if !inWord(text, m[0], m[1]) {
			list = append(list, Identifier{CVE: "CVE-" + text[m[2]:m[3]] + "-" + text[m[4]:m[5]]})
		}
	}
	for _, m := range bugText.FindAllStringSubmatch(text, -1) {
		list = append(list, Identifier{Bug: strings.TrimLeft(m[1], "0")})
	}
	slices.SortFunc(list, func(a, b Identifier) int { return cmp.Or(cmp.Compare(a.CVE, b.CVE), cmp.Compare(a.Bug, b.Bug)) })
	return slices.Compact(list)
}

// inWord tells whether letters or digits go on at either end; an underscore, which file
// names have there, is none.
func inWord(text string, from, to int) bool {
	letter := func(i int) bool {
		return i >= 0 && i < len(text) && (text[i] >= '0' && text[i] <= '9' || text[i]|0x20 >= 'a' && text[i]|0x20 <= 'z')
	}
	return letter(from-1) || letter(to)
}

// ParseCVE reads one CVE or CAN number.
func ParseCVE(text string) (Identifier, error) {
	text = strings.TrimSpace(text)
	m := cveText.FindStringSubmatch(text)
	if m == nil || len(m[0]) != len(text) {
		return Identifier{}, fmt.Errorf("%q is no CVE number; one looks like CVE-2013-1862", text)
	}
	return Identifier{CVE: "CVE-" + m[1] + "-" + m[2]}, nil
}

var number = regexp.MustCompile(`^\d{3,9}$`)

// ParseBug reads one bug, as in bnc#829056, or its bare number.
func ParseBug(text string) (Identifier, error) {
	text = strings.TrimSpace(text)
	if number.MatchString(text) {
		return Identifier{Bug: strings.TrimLeft(text, "0")}, nil
	}
	if m := bugText.FindStringSubmatch(text); m != nil && len(m[0]) == len(text) {
		return Identifier{Bug: strings.TrimLeft(m[1], "0")}, nil
	}
	return Identifier{}, fmt.Errorf("%q is no bug; one looks like bnc#829056", text)
}

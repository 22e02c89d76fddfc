package apt

import (
	"regexp"
	"strconv"
	"strings"

	"lifeboat/internal/zypper"
)

// Lines of apt-get --simulate, apt-get(8): what is installed or upgraded, in brackets the
// present version, in parentheses the new one with its release and architecture; and
// what is removed.
var (
	instLine = regexp.MustCompile(`^Inst ([^\s:]+)(?::(\S+))? (?:\[([^\]]+)\] )?\((\S+)(?: [^\[)]*)?(?:\[([^\]]*)\])?\)`)
	remvLine = regexp.MustCompile(`^Remv ([^\s:]+)(?::(\S+))? \[([^\]]+)\]`)
	sizeLine = regexp.MustCompile(`^'.*' \S+ (\d+) ?`)
	diskLine = regexp.MustCompile(`^After this operation, ([0-9.,]+) (B|kB|MB|GB|TB) (of additional disk space will be used|disk space will be freed)\.`)
)

// Headlines of lists that apt prints, each with names below it.
const (
	keptList       = "The following packages have been kept back:"
	downgradedList = "The following packages will be DOWNGRADED:"
	essentialList  = "WARNING: The following essential packages will be removed."
	unmetList      = "The following packages have unmet dependencies:"
)

// read makes an answer of what apt printed. What it does not know is passed over.
func read(out []byte) *Answer {
	t := &zypper.Transaction{
		Upgrade: []zypper.Change{}, Downgrade: []zypper.Change{}, Install: []zypper.Change{}, Remove: []zypper.Change{},
	}
	a := &Answer{Transaction: t, Conflicts: []string{}, Kept: []string{}, Left: []string{}}
	list, older := "", map[string]bool{}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, " \r\n")
		if names, ok := strings.CutPrefix(line, " "); ok {
			switch list {
			case keptList:
				a.Kept = append(a.Kept, strings.Fields(names)...)
			case downgradedList:
				for _, name := range strings.Fields(names) {
					older[name] = true
				}
			case essentialList:
				for _, name := range strings.Fields(names) {
					if !strings.HasPrefix(name, "(") && !strings.HasSuffix(name, ")") {
						a.Conflicts = append(a.Conflicts, name+" would be removed, and is essential")
					}
				}
			case unmetList:
				a.Conflicts = append(a.Conflicts, strings.Join(strings.Fields(names), " "))
			}
			continue
		}
		// A warning has a second line before its names.
		if list != essentialList || !strings.HasPrefix(line, "This should NOT be done") {
			list = line
		}
		if m := instLine.FindStringSubmatch(line); m != nil {
			c := zypper.Change{Kind: "package", Name: m[1], Edition: m[4], Arch: m[5], EditionOld: m[3]}
			switch {
			case m[3] == "":
				t.Install = append(t.Install, c)
			case older[m[1]]:
				t.Downgrade = append(t.Downgrade, c)
			default:
				t.Upgrade = append(t.Upgrade, c)
			}
		}
		if m := remvLine.FindStringSubmatch(line); m != nil {
			t.Remove = append(t.Remove, zypper.Change{Kind: "package", Name: m[1], Arch: m[2], Edition: m[3], EditionOld: m[3]})
		}
	}
	t.Packages = len(t.Upgrade) + len(t.Downgrade) + len(t.Install) + len(t.Remove)
	return a
}

// sizes adds how much there is to download, and how much more will be taken on disk,
// which apt rounds.
func (a *Answer) sizes(out []byte) {
	for line := range strings.Lines(string(out)) {
		if m := sizeLine.FindStringSubmatch(line); m != nil {
			if n, err := strconv.ParseInt(m[1], 10, 50); err == nil {
				a.Transaction.Download += n
			}
		}
		if m := diskLine.FindStringSubmatch(line); m != nil {
			n, err := strconv.ParseFloat(strings.ReplaceAll(m[1], ",", ""), 64)
			if err != nil || n > 1e6 {
				continue
			}
			// apt counts in powers of ten.
			a.Transaction.Space = int64(n * map[string]float64{"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[m[2]])
			if strings.HasPrefix(m[3], "disk") {
				a.Transaction.Space = -a.Transaction.Space
			}
		}
	}
}

// said is the end of what a program printed, for a message.
func said(out []byte) string {
	var errs []string
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "E:") || strings.HasPrefix(line, "W:") {
			errs = append(errs, line)
		}
	}
	if len(errs) == 0 {
		return ""
	}
	return ": " + strings.Join(errs[max(0, len(errs)-5):], "; ")
}

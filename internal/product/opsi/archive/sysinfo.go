package archive

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Info is what CONTROL/sysinfo tells of the machine. A value that is missing, as
// in archives of older versions, is empty.
type Info struct {
	Hostname       string // short
	FQDN           string
	Domain         string
	Distribution   string // Debian GNU/Linux
	SysVersion     string // a tuple in Python's notation: (12,) or (22, 4)
	DistributionID string // bookworm
	OpsiVersion    string // of the library python-opsi: 4.3.0.28
}

// maxInfo bounds CONTROL/sysinfo, in bytes.
const maxInfo = 64 << 10

// keys are the names in the order that opsi-backup writes them.
func (i *Info) keys() []struct {
	name  string
	value *string
} {
	return []struct {
		name  string
		value *string
	}{
		{"hostname", &i.Hostname},
		{"fqdn", &i.FQDN},
		{"domainname", &i.Domain},
		{"distribution", &i.Distribution},
		{"sysVersion", &i.SysVersion},
		{"distributionId", &i.DistributionID},
		{"opsiVersion", &i.OpsiVersion},
	}
}

// parseInfo reads foreign bytes. What it cannot take is left empty and remarked.
func parseInfo(data []byte) (Info, []string) {
	var info Info
	var remarks []string
	known := map[string]*string{}
	for _, k := range info.keys() {
		known[k.name] = k.value
	}
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		text := strings.TrimSpace(string(line))
		if text == "" {
			continue
		}
		key, value, ok := strings.Cut(text, ":")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		target := known[key]
		switch {
		case !ok || len(text) > 1024 || !printable(text):
			remarks = append(remarks, "a line of sysinfo cannot be read")
		case target == nil:
			remarks = append(remarks, fmt.Sprintf("sysinfo has a key %q, which is not known", key))
		case *target != "" && *target != value:
			remarks = append(remarks, fmt.Sprintf("sysinfo has %s twice; the first is taken", key))
		default:
			*target = value
		}
		if len(remarks) > maxRemarks {
			break
		}
	}
	for _, k := range info.keys() {
		if *k.value == "" {
			remarks = append(remarks, "sysinfo does not tell "+k.name)
		}
	}
	return info, remarks
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// format writes what parseInfo and opsi-backup read. The latter splits at each
// colon, so a value with one is left out, as is one that is not known.
func (i Info) format() []byte {
	var b bytes.Buffer
	for _, k := range i.keys() {
		v := strings.TrimSpace(*k.value)
		if v != "" && !strings.Contains(v, ":") && printable(v) {
			fmt.Fprintf(&b, "%s: %s\n", k.name, v)
		}
	}
	return b.Bytes()
}

var tuple = regexp.MustCompile(`^\((\d{1,6})(?:, *(\d{1,6}))?(?:, *\d{1,6})*,?\)$`)

// Version is the version of the operating system as os-release(5) has it, "" when
// it cannot be told. The tuple (22, 4) is Ubuntu's 22.04.
func (i Info) Version() string {
	m := tuple.FindStringSubmatch(i.SysVersion)
	switch {
	case m == nil:
		return ""
	case m[2] == "":
		return m[1]
	case strings.EqualFold(i.Distribution, "ubuntu") && len(m[2]) == 1:
		return m[1] + ".0" + m[2]
	}
	return m[1] + "." + m[2]
}

// SysVersion is the reverse of Info.Version: (22, 4) for 22.04, "" for what is no
// number.
func SysVersion(version string) string {
	var parts []string
	for p := range strings.SplitSeq(version, ".") {
		n, err := strconv.ParseUint(p, 10, 31)
		if err != nil {
			return ""
		}
		parts = append(parts, strconv.FormatUint(n, 10))
	}
	if len(parts) == 1 {
		return "(" + parts[0] + ",)"
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

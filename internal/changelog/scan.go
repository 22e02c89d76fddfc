package changelog

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Finding is one line of a scanner's report: a fault that it has against a package.
type Finding struct {
	Fault   Identifier `json:"fault"`
	Package string     `json:"package,omitempty"` // "" when the report does not name one
	Line    string     `json:"line,omitempty"`    // what the report says
}

// Bounds on a report.
const (
	maxReport   = 64 << 20 // bytes
	maxFindings = 50_000
)

// ErrNoFindings says that a report names no CVE at all.
var ErrNoFindings = errors.New("it names no CVE")

// ReadReport reads a scanner's report: Trivy's and Grype's JSON (trivy.dev, "JSON
// report"; anchore/grype, "-o json"), a table of CSV with a heading as Greenbone and
// Nessus export it, or any text with CVE numbers in its lines. Each fault is given
// once for each package.
func ReadReport(r io.Reader) ([]Finding, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxReport+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxReport {
		return nil, fmt.Errorf("it is larger than %d MiB", maxReport>>20)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) {
		data = bytes.ToValidUTF8(data, []byte("?"))
	}
	var found []Finding
	switch first := bytes.TrimSpace(data); {
	case len(first) > 0 && (first[0] == '{' || first[0] == '['):
		if found, err = readJSON(first); err != nil {
			return nil, err
		}
	default:
		if found = readTable(data); found == nil {
			found = readLines(data)
		}
	}
	found = once(found)
	if len(found) == 0 {
		return nil, ErrNoFindings
	}
	if len(found) > maxFindings {
		return nil, fmt.Errorf("it has more than %d findings", maxFindings)
	}
	return found, nil
}

func once(list []Finding) []Finding {
	type key struct {
		fault Identifier
		name  string
	}
	seen := map[key]bool{}
	return slices.DeleteFunc(list, func(f Finding) bool {
		k := key{f.Fault, f.Package}
		again := seen[k]
		seen[k] = true
		return again
	})
}

// readJSON looks for objects that name a fault and a package, however deep.
func readJSON(data []byte) ([]Finding, error) {
	var trivy struct {
		Results []struct {
			Vulnerabilities []struct {
				VulnerabilityID, PkgName, Title string
			}
		}
	}
	var grype struct {
		Matches []struct {
			Vulnerability struct {
				ID string `json:"id"`
			} `json:"vulnerability"`
			Related []struct {
				ID string `json:"id"`
			} `json:"relatedVulnerabilities"`
			Artifact struct {
				Name string `json:"name"`
			} `json:"artifact"`
		} `json:"matches"`
	}
	if !json.Valid(data) {
		return nil, errors.New("it is JSON that is cut off or damaged")
	}
	// A report of another program has other types at these places; that is no fault.
	_ = json.Unmarshal(data, &trivy)
	_ = json.Unmarshal(data, &grype)
	var found []Finding
	add := func(id, name, line string) {
		if fault, err := ParseCVE(id); err == nil {
			found = append(found, Finding{Fault: fault, Package: packageName(name), Line: line})
		}
	}
	for _, r := range trivy.Results {
		for _, v := range r.Vulnerabilities {
			add(v.VulnerabilityID, v.PkgName, v.Title)
		}
	}
	for _, m := range grype.Matches {
		add(m.Vulnerability.ID, m.Artifact.Name, "")
		for _, r := range m.Related {
			add(r.ID, m.Artifact.Name, "")
		}
	}
	if len(found) == 0 {
		return readLines(bytes.ReplaceAll(data, []byte(","), []byte(",\n"))), nil
	}
	return found, nil
}

var (
	faultColumn   = regexp.MustCompile(`(?i)^(?:cves?|cve ids?|vulnerability(?: ?id)?|references)$`)
	packageColumn = regexp.MustCompile(`(?i)^(?:package(?: name)?|pkg(?:name)?|component|artifact|software)$`)
	// What a scanner that looks from outside calls its finding.
	titleColumn = regexp.MustCompile(`(?i)^(?:name|nvt name|plugin name|title|synopsis|summary)$`)
)

// readTable reads CSV with a heading that has a column of faults; nil when it is none.
func readTable(data []byte) []Finding {
	heading, _, _ := bytes.Cut(data, []byte("\n"))
	comma, most := ',', 0
	for _, c := range []rune{',', ';', '\t'} {
		if n := bytes.Count(heading, []byte(string(c))); n > most {
			comma, most = c, n
		}
	}
	if most == 0 {
		return nil
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.Comma, r.FieldsPerRecord, r.LazyQuotes = comma, -1, true
	head, err := r.Read()
	if err != nil {
		return nil
	}
	column := func(name *regexp.Regexp) int {
		return slices.IndexFunc(head, func(h string) bool { return name.MatchString(strings.TrimSpace(h)) })
	}
	faults, packages, titles := column(faultColumn), column(packageColumn), column(titleColumn)
	if faults < 0 {
		return nil
	}
	field := func(row []string, i int) string {
		if i < 0 || i >= len(row) {
			return ""
		}
		return strings.TrimSpace(row[i])
	}
	found := []Finding{}
	for len(found) <= maxFindings {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			continue // the next line may be whole
		}
		for _, id := range Identifiers(field(row, faults)) {
			if id.CVE != "" {
				found = append(found, Finding{Fault: id, Package: packageName(field(row, packages)), Line: field(row, titles)})
			}
		}
	}
	return found
}

// behindName is what some put behind a name: an edition, an architecture.
var behindName = regexp.MustCompile(`[- :]v?\d[^-]*(?:-[^-]*)?$`)

func packageName(text string) string {
	text = strings.TrimSpace(text)
	if text == "" || strings.ContainsAny(text, "\r\n\x00") || len(text) > 200 {
		return ""
	}
	return text
}

func readLines(data []byte) []Finding {
	var found []Finding
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(make([]byte, 64<<10), 4<<20)
	for lines.Scan() && len(found) <= maxFindings {
		line := strings.TrimSpace(lines.Text())
		for _, id := range Identifiers(line) {
			if id.CVE != "" {
				found = append(found, Finding{Fault: id, Line: line})
			}
		}
	}
	return found
}

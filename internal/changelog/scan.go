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

	"lifeboat/internal/excerpt"
)

// Finding is one line of a scanner's report: a fault that it has against a package.
type Finding struct {
	Fault   Identifier `json:"fault"`
	Package string     `json:"package,omitempty"` // "" when the report does not name one
	Line    string     `json:"line,omitempty"`    // what the report says
	// Advisory is what the report calls a fault for which it names no CVE.
	Advisory string `json:"advisory,omitempty"`
	// Tested says that the scanner has tried the fault out, and not compared versions.
	Tested bool `json:"tested,omitempty"`
}

// Bounds on a report.
const (
	maxReport   = 64 << 20 // bytes
	maxFindings = 50_000
)

// colour is what terminals read as orders (ECMA-48), such as the colour of a text.
var colour = regexp.MustCompile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\))")

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
	data = colour.ReplaceAll(data, nil)
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
		fault          Identifier
		name, advisory string
	}
	seen := map[key]int{}
	var kept []Finding
	for _, f := range list {
		k := key{f.Fault, f.Package, f.Advisory}
		at, again := seen[k]
		if !again {
			seen[k] = len(kept)
			kept = append(kept, f)
		} else if f.Tested {
			kept[at] = f
		}
	}
	return kept
}

// cves makes a finding of each CVE that texts name. The first text is what the fault is
// called: the others are read only where that names none.
func (f Finding) cves(texts ...string) []Finding {
	var list []Finding
	for i, text := range texts {
		for _, id := range Identifiers(text) {
			if id.CVE != "" {
				f.Fault = id
				list = append(list, f)
			}
		}
		if i == 0 && len(list) > 0 {
			break
		}
	}
	return list
}

// otherwise makes findings without a CVE of what they are called; of nothing none.
func (f Finding) otherwise(list []Finding, names ...string) []Finding {
	if len(list) > 0 {
		return list
	}
	for _, name := range names {
		if f.Advisory = excerpt.Line(strings.TrimSpace(name), 200); f.Advisory != "" {
			list = append(list, f)
		}
	}
	return list
}

// readJSON looks for objects that name a fault and a package, however deep.
func readJSON(data []byte) ([]Finding, error) {
	var trivy struct {
		Results []struct {
			Vulnerabilities []struct {
				VulnerabilityID, PkgName, Title, PrimaryURL string
				VendorIDs, References                       []string
			}
		}
	}
	type named struct {
		ID   string   `json:"id"`
		URLs []string `json:"urls"`
	}
	var grype struct {
		Matches []struct {
			Vulnerability named   `json:"vulnerability"`
			Related       []named `json:"relatedVulnerabilities"`
			Artifact      struct {
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
	for _, r := range trivy.Results {
		for _, v := range r.Vulnerabilities {
			f := Finding{Package: packageName(v.PkgName), Line: v.Title}
			list := f.cves(slices.Concat([]string{v.VulnerabilityID, v.Title, v.PrimaryURL}, v.VendorIDs, v.References)...)
			found = append(found, f.otherwise(list, v.VulnerabilityID)...)
		}
	}
	for _, m := range grype.Matches {
		f := Finding{Package: packageName(m.Artifact.Name)}
		texts := []string{m.Vulnerability.ID}
		for _, r := range m.Related {
			texts = append(texts, r.ID)
		}
		found = append(found, f.otherwise(f.cves(append(texts, m.Vulnerability.URLs...)...), m.Vulnerability.ID)...)
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
	// How grave it is: a report also tells what is no fault at all.
	graveColumn = regexp.MustCompile(`(?i)^(?:severity|risk|risk factor|threat|cvss|cvss .*)$`)
	notGrave    = regexp.MustCompile(`(?i)^(?:|none|info|informational|log|n/?a|0(?:\.0)?)$`)
	// Greenbone's quality of detection, per cent.
	qualityColumn = regexp.MustCompile(`(?i)^qod$`)
)

// Kinds of test that have tried a fault out, by their quality of detection: an exploit,
// a remote test of the fault, of the application, an active test. 97 and 80 compare what
// packages and banners say their versions are. (docs.greenbone.net, "Quality of Detection")
var tried = []string{"100", "99", "98", "95"}

// active is what scanners call such a test in its name.
var active = regexp.MustCompile(`(?i)\bactive check\b|\bexploit(?:ed|able) (?:successfully|by)\b`)

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
	grave, quality := column(graveColumn), column(qualityColumn)
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
		f := Finding{Package: packageName(field(row, packages)), Line: field(row, titles)}
		f.Tested = active.MatchString(f.Line) || slices.Contains(tried, strings.TrimSuffix(field(row, quality), "%"))
		list := f.otherwise(f.cves(field(row, faults), f.Line), advisory.FindAllString(field(row, faults), -1)...)
		if grave >= 0 && !notGrave.MatchString(field(row, grave)) {
			list = f.otherwise(list, f.Line)
		}
		found = append(found, list...)
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
		f := Finding{Line: line, Tested: active.MatchString(line)}
		found = append(found, f.otherwise(f.cves(line), advisory.FindAllString(line, -1)...)...)
	}
	return found
}

// advisory is how distributions and GitHub name what they publish of a fault.
var advisory = regexp.MustCompile(`(?i)\b(?:(?:open)?SUSE-[A-Z]{2}-\d{4}:\d+(?:-\d+)?|GHSA(?:-[0-9a-z]{4}){3}|(?:RHSA|RLSA|ELSA|ALAS|DSA|DLA|USN)-\d[\d:-]*)`)

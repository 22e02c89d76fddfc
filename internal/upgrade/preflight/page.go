package preflight

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

//go:embed report.html
var pageText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"when":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
	"size":   func(n int64) string { return humanize.IBytes(uint64(max(n, 0))) },
	"growth": growth,
	"list":   func(of []string) string { return strings.Join(of, "; ") },
	"many":   func(items []string) bool { return len(items) > 8 },
	"share":  share,
	"short":  func(id string) string { return id[:min(8, len(id))] },
}).Parse(pageText))

// growth is a difference of sizes with its sign.
func growth(n int64) string {
	if n < 0 {
		return "−" + humanize.IBytes(uint64(-n))
	}
	return "+" + humanize.IBytes(uint64(n))
}

// share is how many percent of a file system its need takes, at most 100.
func share(part, whole int64) int64 {
	if whole <= 0 {
		return 0
	}
	return min(100, max(0, part/max(1, whole/100)))
}

// HTML writes the report as one page that needs nothing else.
func (r *Report) HTML(w io.Writer) error {
	type counted struct {
		Severity Severity
		N        int
	}
	var counts []counted
	for _, s := range Severities() {
		counts = append(counts, counted{s, len(r.Of(s))})
	}
	if err := page.Execute(w, struct {
		*Report
		Counts    []counted
		Inhibitor int
	}{r, counts, counts[0].N}); err != nil {
		return fmt.Errorf("write the report as HTML: %w", err)
	}
	return nil
}

// Command is the check with all that a report can accept, as a person would write it.
func (r *Report) Command() string {
	text := "lifeboat upgrade check"
	for _, f := range r.Findings {
		if f.Acceptable && !f.Accepted {
			text += " --accept " + quote(f.Accept())
		}
	}
	return text
}

// quote makes a word of the shell.
func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_=,.:/+@", r)
	}
	if !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// AcceptWord is what --accept takes for a finding, quoted for a shell.
func (f Finding) AcceptWord() string { return quote(f.Accept()) }

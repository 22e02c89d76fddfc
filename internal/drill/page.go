package drill

import (
	_ "embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/dustin/go-humanize"
)

//go:embed report.html
var pageText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"took":  func(d time.Duration) string { return rounded(d) },
	"when":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"size":  func(n int64) string { return humanize.IBytes(uint64(max(n, 0))) },
	"short": func(id string) string { return id[:min(8, len(id))] },
}).Parse(pageText))

// rounded is a duration as a person reads it.
func rounded(d time.Duration) string {
	switch {
	case d == 0:
		return "–"
	case d < 10*time.Second:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// HTML writes the report as one page that needs nothing else. Key is the public key
// that it is signed with in the repository.
func (r *Report) HTML(w io.Writer, key []byte) error {
	if err := page.Execute(w, struct {
		*Report
		Key string
	}{r, hex.EncodeToString(key)}); err != nil {
		return fmt.Errorf("write the report as HTML: %w", err)
	}
	return nil
}

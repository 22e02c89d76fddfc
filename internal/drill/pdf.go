package drill

import (
	"fmt"
	"io"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"github.com/dustin/go-humanize"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
)

// Measures of a page of A4, in millimetres, and sizes of text, in points.
const (
	margin    = 16.0
	pageWidth = 210 - 2*margin
	lineHigh  = 4.6
	textSize  = 9.0
	bodyFont  = "body"
)

// paper writes a report's pages.
type paper struct{ *fpdf.Fpdf }

// PDF writes the report as pages of A4. It has what the page in HTML has.
func (r *Report) PDF(w io.Writer) error {
	p := paper{fpdf.New("P", "mm", "A4", "")}
	p.AddUTF8FontFromBytes(bodyFont, "", goregular.TTF)
	p.AddUTF8FontFromBytes(bodyFont, "B", gobold.TTF)
	p.SetMargins(margin, margin, margin)
	p.SetAutoPageBreak(true, margin)
	p.SetTitle("Drill of "+r.System+": "+string(r.State), true)
	p.SetFooterFunc(func() {
		p.SetY(-11)
		p.SetFont(bodyFont, "", 7.5)
		p.CellFormat(0, 4, fmt.Sprintf("Drill %s, page %d", r.ID, p.PageNo()), "", 0, "C", false, 0, "")
	})
	p.AddPage()
	p.text("B", 16, "Drill of "+r.System)
	p.text("", textSize, fmt.Sprintf("%s, rehearsed on %s at %s", r.Title, r.Hostname, r.Started.UTC().Format("2006-01-02 15:04:05 UTC")))
	p.text("B", 12, "State: "+string(r.State))
	if r.Error != "" {
		p.text("", textSize, r.Error)
	}
	p.list("Why it did not pass", r.Findings)
	target := func(d time.Duration) string {
		if d == 0 {
			return "none is set"
		}
		return d.String()
	}
	p.table("Times", []float64{.5, .25, .25}, []string{"", "measured", "objective"}, [][]string{
		{"Time to recover (RTO)", rounded(r.RTO), target(r.TargetRTO)},
		{"Age of the newest recovery point (RPO)", rounded(r.RPO), target(r.TargetRPO)},
		{"Age of the recovery point that was rehearsed", rounded(r.Age), ""},
		{"Time to assemble the sandbox", rounded(r.Assembly), ""},
	})
	p.heading("Recovery point")
	p.text("", textSize, fmt.Sprintf("%s of %s, as it was at %s, %s, %s. Depth of the drill: %s.", r.Point, r.Of,
		r.Moment.UTC().Format("2006-01-02 15:04:05 UTC"), humanize.IBytes(uint64(max(r.Bytes, 0))), r.Trigger, r.Depth))
	var rows [][]string
	for _, c := range r.Components {
		rows = append(rows, []string{c.Name, c.Importance, humanize.IBytes(uint64(max(c.Bytes, 0))), c.State})
	}
	p.table("Components", []float64{.4, .2, .15, .25}, []string{"component", "importance", "size", "in the drill"}, rows)
	rows = nil
	for _, n := range r.NotExercised {
		rows = append(rows, []string{n.What, n.By, n.Why})
	}
	p.table("Not exercised", []float64{.36, .28, .36}, []string{"what", "done instead", "why"}, rows)
	p.list("Warnings", r.Warnings)
	rows = nil
	for _, c := range r.Checks {
		word := "NOT OK"
		switch {
		case c.OK:
			word = "ok"
		case c.Skipped:
			word = "skipped"
		case c.Warning:
			word = "warning"
		}
		rows = append(rows, []string{word, c.Name, c.Expected, c.Found})
	}
	p.table("Checks", []float64{.09, .39, .26, .26}, []string{"", "check", "expected", "found"}, rows)
	rows = nil
	for _, s := range r.Steps {
		rows = append(rows, []string{s.Stage, strings.TrimSpace(s.Title + " " + s.Error), s.State, rounded(s.Took)})
	}
	p.table("Steps", []float64{.12, .58, .18, .12}, []string{"stage", "step", "state", "took"}, rows)
	p.heading("Versions")
	p.text("", textSize, fmt.Sprintf("Lifeboat %s; profile %s, %s; %s %s", r.Version, r.Profile, r.Digest, r.OS, r.Kernel))
	if err := p.Output(w); err != nil {
		return fmt.Errorf("write the report as PDF: %w", err)
	}
	return nil
}

// plain leaves out what the font has no picture for and what would break a line.
func plain(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '→':
			return '>'
		case c < ' ' || c == 0x7f:
			return ' '
		case c > 0xffff:
			return '?'
		}
		return c
	}, s)
}

func (p paper) text(style string, size float64, text string) {
	p.SetFont(bodyFont, style, size)
	p.MultiCell(pageWidth, size*lineHigh/textSize, plain(text), "", "L", false)
	p.Ln(1)
}

func (p paper) heading(text string) {
	if p.GetY() > 297-3*margin {
		p.AddPage()
	}
	p.Ln(2)
	p.text("B", 11, text)
}

func (p paper) list(title string, items []string) {
	if len(items) == 0 {
		return
	}
	p.heading(title)
	for _, item := range items {
		p.text("", textSize, "– "+item)
	}
}

// table writes rows whose cells are broken into lines. Widths are shares of the page.
func (p paper) table(title string, widths []float64, header []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	p.heading(title)
	p.row("B", widths, header)
	for _, row := range rows {
		p.row("", widths, row)
	}
}

// maxCell bounds what is shown of one cell, in characters.
const maxCell = 400

func (p paper) row(style string, widths []float64, cells []string) {
	p.SetFont(bodyFont, style, 8)
	const high = 3.9
	lines, most := make([][]string, len(cells)), 1
	for i, cell := range cells {
		text := []rune(plain(cell))
		lines[i] = p.SplitText(string(text[:min(len(text), maxCell)]), widths[i]*pageWidth-2)
		most = max(most, len(lines[i]))
	}
	if p.GetY()+float64(most)*high > 297-margin {
		p.AddPage()
		p.SetFont(bodyFont, style, 8)
	}
	x, y := margin, p.GetY()
	for i, cell := range lines {
		for n, line := range cell {
			p.SetXY(x, y+float64(n)*high)
			p.CellFormat(widths[i]*pageWidth, high, line, "", 0, "L", false, 0, "")
		}
		x += widths[i] * pageWidth
	}
	y += float64(most)*high + .6
	p.SetDrawColor(220, 226, 232)
	p.Line(margin, y, margin+pageWidth, y)
	p.SetXY(margin, y+.6)
}

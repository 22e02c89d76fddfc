package sheet

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
	"rsc.io/qr"

	"lifeboat/internal/kit/typed"
)

// Measures of a page, in millimetres. What stands on it fits A4 and US Letter.
const (
	pageWidth   = 210.0
	pageBottom  = 262.0 // the footer stands below
	margin      = 15.0
	textArea    = pageWidth - 2*margin
	qrSide      = 36.0
	perPoint    = 25.4 / 72
	lineSpacing = 1.25
)

// The fonts are Go's, which have Latin, Greek and Cyrillic letters.
const (
	regular = "regular"
	bold    = "bold"
	mono    = "mono"
)

// PDF is the sheet and behind it the given shares, each on a page of its own.
func (s *Sheet) PDF(shares ...Share) ([]byte, error) {
	p := newPages(s.title(), s.Created)
	s.draw(p)
	for _, share := range shares {
		share.draw(p)
	}
	return p.bytes()
}

// PDF is the page of a share alone.
func (s Share) PDF() ([]byte, error) {
	p := newPages(s.title(), s.Created)
	s.draw(p)
	return p.bytes()
}

// pages draws from top to bottom. Its errors are kept by fpdf until the end.
type pages struct {
	*fpdf.Fpdf
	footer string
	first  int // page on which what the footer names begins
}

func newPages(title string, created time.Time) *pages {
	p := &pages{Fpdf: fpdf.New("P", "mm", "A4", "")}
	p.AddUTF8FontFromBytes(regular, "", goregular.TTF)
	p.AddUTF8FontFromBytes(bold, "", gobold.TTF)
	p.AddUTF8FontFromBytes(mono, "", gomono.TTF)
	p.SetMargins(margin, margin, margin)
	p.SetAutoPageBreak(false, 0)
	p.SetTitle(title, true)
	p.SetCreator("Lifeboat", true)
	p.SetCreationDate(created)
	p.SetModificationDate(created)
	p.SetCatalogSort(true)
	p.SetFooterFunc(func() {
		p.SetFont(regular, "", 8)
		p.SetTextColor(90, 90, 90)
		p.Text(margin, pageBottom+8, p.drawable(fmt.Sprintf("%s, page %d", p.footer, p.PageNo()-p.first+1)))
		p.SetTextColor(0, 0, 0)
	})
	return p
}

// begin starts a page of something new.
func (p *pages) begin(footer string) {
	p.AddPage() // with the footer of what was there before
	p.footer, p.first = footer, p.PageNo()
}

func (p *pages) bytes() ([]byte, error) {
	var out bytes.Buffer
	if err := p.Output(&out); err != nil {
		return nil, fmt.Errorf("make the PDF: %w", err)
	}
	return out.Bytes(), nil
}

func height(size float64) float64 { return size * perPoint * lineSpacing }

// drawable replaces what the fonts have no picture for.
func (p *pages) drawable(text string) string {
	return strings.Map(func(c rune) rune {
		if c < 0x20 || c > 0x4ff && (c < 0x2010 || c > 0x2026) {
			return '?'
		}
		return c
	}, printable(text))
}

// breaks splits a text into lines of a width: between words where that is possible,
// else anywhere. More is added to each line that is not the last of its text and
// ends between words.
func (p *pages) breaks(text string, width float64, more string) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(p.drawable(text)) {
		next := word
		if line != "" {
			next = line + " " + word
		}
		if p.GetStringWidth(next+more) <= width {
			line = next
			continue
		}
		if line != "" {
			lines = append(lines, line+more)
		}
		line = ""
		for _, c := range word {
			if line != "" && p.GetStringWidth(line+string(c)+more) > width {
				lines = append(lines, line)
				line = ""
			}
			line += string(c)
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// lines draws a text from x on and moves down. A page that is full is ended.
func (p *pages) lines(font string, size, x, width float64, text, more string) {
	p.SetFont(font, "", size)
	for _, line := range p.breaks(text, width, more) {
		p.room(height(size))
		p.SetFont(font, "", size)
		p.Text(x, p.GetY()+size*perPoint, line)
		p.SetY(p.GetY() + height(size))
	}
}

// room begins a new page where less than this is left.
func (p *pages) room(needed float64) {
	if p.GetY()+needed > pageBottom {
		p.AddPage()
		p.SetY(margin)
	}
}

func (p *pages) space(mm float64) { p.SetY(p.GetY() + mm) }

func (p *pages) heading(title string) {
	p.space(2.2)
	p.room(14)
	p.lines(bold, 10.5, margin, textArea, title, "")
	p.SetDrawColor(160, 160, 160)
	p.SetLineWidth(0.2)
	p.Line(margin, p.GetY()+0.2, pageWidth-margin, p.GetY()+0.2)
	p.space(1.2)
}

// qr draws a code with its right upper corner there. Text that is too long for one
// has none; it stands on the page in any case.
func (p *pages) qr(text string, right, top, side float64) {
	var code *qr.Code
	var err error
	for _, level := range []qr.Level{qr.M, qr.L} {
		if code, err = qr.Encode(text, level); err == nil {
			break
		}
	}
	if err != nil {
		return
	}
	module := side / float64(code.Size)
	p.SetFillColor(0, 0, 0)
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			from := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			if x > from { // one box for a row of modules, so that no line shows between them
				p.Rect(right-side+float64(from)*module, top+float64(y)*module, float64(x-from)*module, module+0.01, "F")
			}
		}
	}
}

// grid draws groups with their numbers.
func (p *pages) grid(list []string, columns int, size float64) {
	width := textArea / float64(columns)
	for i, g := range list {
		if i%columns == 0 {
			p.room(height(size) + 1)
		}
		x, y := margin+float64(i%columns)*width, p.GetY()+size*perPoint
		p.SetFont(regular, "", 8)
		p.SetTextColor(110, 110, 110)
		p.Text(x, y, fmt.Sprint(i+1))
		p.SetTextColor(0, 0, 0)
		p.SetFont(mono, "", size)
		p.Text(x+6, y, g)
		if i%columns == columns-1 || i == len(list)-1 {
			p.space(height(size) + 1)
		}
	}
}

func (s Share) draw(p *pages) {
	p.begin(s.title())
	p.SetY(margin)
	p.lines(bold, 18, margin, textArea, s.title(), "")
	p.lines(regular, 9, margin, textArea, s.subtitle(), "")
	p.space(4)
	p.lines(regular, 10.5, margin, textArea, s.about(), "")
	p.space(8)
	p.lines(regular, 10.5, margin, textArea, "Holder: "+blank+"    Handed over on: ________________", "")
	p.space(8)
	p.lines(mono, 9, margin, textArea, typed.Mark(s.Kit, s.Number), "")
	p.space(3)
	p.grid(groups(s.Groups), 4, 17)
	p.space(6)
	p.lines(regular, 10.5, margin, textArea, s.help(), "")
	p.space(3)
	p.lines(mono, 9, margin, textArea, s.RecoverWithShares, " \\")
	p.space(8)
	p.qr(typed.Mark(s.Kit, s.Number)+" "+s.Groups, margin+50, p.GetY(), 50)
}

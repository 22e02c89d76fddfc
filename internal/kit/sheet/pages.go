package sheet

import (
	"cmp"
	"fmt"
	"strings"

	"lifeboat/internal/kit/typed"
)

func (s *Sheet) draw(p *pages) {
	p.begin(s.title())
	p.SetY(margin)
	beside := textArea - qrSide - 5
	p.qr(s.Command, pageWidth-margin, margin, qrSide)
	p.lines(bold, 18, margin, beside, s.title(), "")
	p.lines(regular, 9, margin, beside, s.subtitle(), "")
	p.space(2)
	p.lines(regular, 9.5, margin, beside, s.about(), "")
	p.space(1)
	p.lines(regular, 8, margin, beside, "The QR code is the first command below. No secret is in it.", "")
	p.SetY(max(p.GetY(), margin+qrSide+1))
	p.values(repositoryTitle, s.Repository, "")
	p.values(proofsTitle, s.Proofs, noProofs)
	p.heading(s.passwordTitle())
	p.lines(regular, 8.5, margin, textArea, s.passwordHelp(), "")
	if s.Password != "" {
		p.space(2)
		p.grid(groups(s.Password), 4, 15)
		p.lines(mono, 8.5, margin, textArea, typed.Mark(s.Kit, 0)+" "+s.Password, "")
	}
	p.commands(lifeboatTitle, s.Lifeboat)
	p.commands(resticTitle, s.Restic)
	p.lines(regular, 7.5, margin, textArea, continued, "")
	s.elsewhere(p)
	s.outline(p)
}

const nameWidth = 34.0

func (p *pages) values(title string, list []Line, none string) {
	p.heading(title)
	if len(list) == 0 {
		p.lines(regular, 8.5, margin, textArea, none, "")
	}
	for _, l := range list {
		p.SetFont(mono, "", 8.5)
		value := p.breaks(l.Value, textArea-nameWidth, "")
		p.room(height(8.5) * float64(min(len(value), 8)))
		top := p.GetY()
		p.lines(regular, 8.5, margin, nameWidth-2, l.Name, "")
		after := p.GetY()
		p.SetY(top)
		p.lines(mono, 8.5, margin+nameWidth, textArea-nameWidth, l.Value, "")
		p.SetY(max(p.GetY(), after))
	}
}

func (p *pages) commands(title string, list []string) {
	p.heading(title)
	for _, c := range list {
		if comment, ok := strings.CutPrefix(c, "# "); ok {
			p.lines(regular, 8.5, margin, textArea, comment, "")
			continue
		}
		p.lines(mono, 8, margin+3, textArea-3, c, " \\")
	}
}

func (s *Sheet) elsewhere(p *pages) {
	p.heading(elsewhereTitle)
	if len(s.Elsewhere) == 0 {
		p.lines(regular, 8.5, margin, textArea, nothingElse, "")
	}
	const column = textArea / 2
	for _, e := range s.Elsewhere {
		who := e.Who
		if who == "" {
			who = blank
		}
		p.SetFont(regular, "", 8.5)
		p.room(height(8.5) * 3)
		top := p.GetY()
		p.lines(bold, 8.5, margin, column-4, e.What, "")
		after := p.GetY()
		if after > top { // still on the same page
			p.SetY(top)
		}
		p.lines(regular, 8.5, margin+column, column, "held by "+who, "")
		p.SetY(max(p.GetY(), after))
		if e.For != "" {
			p.lines(regular, 8, margin+3, textArea-3, e.For, "")
		}
		p.space(0.8)
	}
}

// piece is a line of the outline.
type piece struct {
	font   string
	indent float64
	text   string
}

// outline draws what the recoveries do in two columns. A sheet has at most two
// pages where its other parts leave that: the letters become smaller, then the
// steps are only counted, and what is still too much is left to RUNBOOK.md.
func (s *Sheet) outline(p *pages) {
	type attempt struct {
		size  float64
		steps bool
	}
	usual := []attempt{{8.5, true}, {7.5, true}}
	small := []attempt{{6.5, true}, {8, false}, {6.5, false}}
	attempts := usual
	if p.PageNo() > p.first { // no further page to go to
		attempts = append(usual, small...)
	}
	for {
		for _, a := range attempts {
			list := s.pieces(p, a.size, a.steps)
			if p.rows(a.size, outlineHead)*2 >= len(list) {
				p.outlineHead()
				p.columns(list, a.size)
				return
			}
		}
		if len(attempts) > len(usual) {
			break
		}
		p.AddPage()
		p.SetY(margin)
		attempts = append(usual, small...)
	}
	const least = 6.5
	list, rows := s.pieces(p, least, false), p.rows(least, outlineHead)
	if rows < 5 { // the rest of the sheet is as long as that
		p.AddPage()
		p.SetY(margin)
		rows = p.rows(least, outlineHead)
	}
	if left := len(list) - 2*rows + 1; left > 1 {
		list = append(list[:2*rows-1:2*rows-1], piece{regular, 0, fmt.Sprintf("\t… %d more lines: see RUNBOOK.md", left)})
	}
	p.outlineHead()
	p.columns(list, least)
}

// outlineHead is the height of what stands above the outline.
const outlineHead = 14.0

func (p *pages) outlineHead() {
	p.heading(outlineTitle)
	p.lines(regular, 8.5, margin, textArea, outlineHelp, "")
	p.space(1)
}

// rows is how many lines fit on the rest of the page below a head.
func (p *pages) rows(size, head float64) int {
	return max(0, int((pageBottom-p.GetY()-head)/height(size)))
}

const columnGap = 6.0

const columnWidth = (textArea - columnGap) / 2

// pieces are the outline's lines at a size of letters.
func (s *Sheet) pieces(p *pages, size float64, steps bool) []piece {
	var all []piece
	add := func(font string, indent float64, number, text string) {
		p.SetFont(font, "", size)
		for i, line := range p.breaks(text, columnWidth-indent, "") {
			if i > 0 {
				number = ""
			}
			all = append(all, piece{font, indent, number + "\t" + line})
		}
	}
	number := size * 0.95
	for i, system := range s.Systems {
		if i > 0 {
			all = append(all, piece{})
		}
		add(bold, 0, "", system.Name+": "+system.Title)
		if system.Note != "" {
			add(regular, 0, "", system.Note)
		}
		for _, stage := range system.Stages {
			title := stage.Title
			if !steps {
				title = fmt.Sprintf("%s (steps: %d)", title, len(stage.Steps))
			}
			add(bold, number, fmt.Sprint(stage.Number), title)
			if !steps {
				continue
			}
			for k, step := range stage.Steps {
				add(regular, number, fmt.Sprintf("%d.%d", stage.Number, k+1), step)
			}
		}
	}
	return all
}

// columns draws pieces side by side.
func (p *pages) columns(list []piece, size float64) {
	top, each := p.GetY(), (len(list)+1)/2
	for i, one := range list {
		x := margin + float64(i/each)*(columnWidth+columnGap)
		y := top + float64(i%each)*height(size) + size*perPoint
		p.SetFont(cmp.Or(one.font, regular), "", size)
		number, text, _ := strings.Cut(one.text, "\t")
		p.Text(x, y, number)
		p.Text(x+one.indent, y, text)
	}
	p.SetY(top + float64(each)*height(size))
}

package screen

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Painter colours text where that is wanted: on a terminal, unless NO_COLOR is
// set.
type Painter struct{ On bool }

// PainterFor is the painter of an output.
func PainterFor(out io.Writer) Painter {
	f, ok := out.(*os.File)
	return Painter{On: ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && colours(f)}
}

func (p Painter) paint(code, s string) string {
	if !p.On {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Bold is for headings.
func (p Painter) Bold(s string) string { return p.paint("1", s) }

// Red is for what is wrong.
func (p Painter) Red(s string) string { return p.paint("31;1", s) }

// Green is for what is well.
func (p Painter) Green(s string) string { return p.paint("32", s) }

// Yellow is for what somebody should look at.
func (p Painter) Yellow(s string) string { return p.paint("33", s) }

// Faint is for what matters less.
func (p Painter) Faint(s string) string { return p.paint("2", s) }

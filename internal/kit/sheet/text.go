package sheet

import (
	"fmt"
	"strings"
	"unicode"

	"lifeboat/internal/kit/typed"
)

// blank is where a person writes by hand.
const blank = "______________________________"

const textWidth = 78

// Text is the sheet as plain text. Commands stand on one line each.
func (s *Sheet) Text() string {
	var b strings.Builder
	heading(&b, s.title(), '=')
	b.WriteString(wrapped(s.subtitle(), "") + "\n\n" + wrapped(s.about(), "") + "\n")
	lines := func(title string, list []Line, none string) {
		heading(&b, title, '-')
		if len(list) == 0 {
			b.WriteString(none + "\n")
		}
		width := 0
		for _, l := range list {
			width = max(width, len([]rune(l.Name)))
		}
		for _, l := range list {
			fmt.Fprintf(&b, "  %s%s  %s\n", printable(l.Name), strings.Repeat(" ", width-len([]rune(l.Name))), printable(l.Value))
		}
	}
	lines(repositoryTitle, s.Repository, "")
	lines(proofsTitle, s.Proofs, noProofs)
	heading(&b, s.passwordTitle(), '-')
	b.WriteString(wrapped(s.passwordHelp(), "") + "\n")
	if s.Password != "" {
		fmt.Fprintf(&b, "\n%s\n\n  %s\n", typed.Mark(s.Kit, 0), s.Password)
	}
	commands := func(title string, list []string) {
		heading(&b, title, '-')
		for _, c := range list {
			b.WriteString("  " + printable(c) + "\n")
		}
	}
	commands(lifeboatTitle, s.Lifeboat)
	commands(resticTitle, s.Restic)
	heading(&b, elsewhereTitle, '-')
	if len(s.Elsewhere) == 0 {
		b.WriteString(wrapped(nothingElse, "") + "\n")
	}
	for _, e := range s.Elsewhere {
		who := printable(e.Who)
		if who == "" {
			who = blank
		}
		fmt.Fprintf(&b, "* %s\n  held by: %s\n", wrapped(e.What, "  "), who)
		if e.For != "" {
			fmt.Fprintf(&b, "  for: %s\n", wrapped(e.For, "  "))
		}
	}
	heading(&b, outlineTitle, '-')
	b.WriteString(wrapped(outlineHelp, "") + "\n")
	for _, system := range s.Systems {
		fmt.Fprintf(&b, "\n%s: %s\n", printable(system.Name), printable(system.Title))
		if system.Note != "" {
			b.WriteString(wrapped(system.Note, "") + "\n")
		}
		for _, stage := range system.Stages {
			fmt.Fprintf(&b, "  %d    %s\n", stage.Number, wrapped(stage.Title, "       "))
			for j, step := range stage.Steps {
				fmt.Fprintf(&b, "  %-4s %s\n", fmt.Sprintf("%d.%d", stage.Number, j+1), wrapped(step, "       "))
			}
		}
	}
	return b.String()
}

// Text is the page of a share as plain text, which kit recover reads.
func (s Share) Text() string {
	var b strings.Builder
	heading(&b, s.title(), '=')
	b.WriteString(wrapped(s.subtitle(), "") + "\n\n" + wrapped(s.about(), "") + "\n\n")
	b.WriteString("Holder: " + blank + "\n\n" + typed.Mark(s.Kit, s.Number) + "\n")
	for i, g := range groups(s.Groups) {
		if i%4 == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "  %4d %s", i+1, g)
	}
	b.WriteString("\n\n" + wrapped(s.help(), "") + "\n\n  " + printable(s.RecoverWithShares) + "\n")
	return b.String()
}

func heading(b *strings.Builder, title string, line rune) {
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	title = printable(title)
	fmt.Fprintf(b, "%s\n%s\n", title, strings.Repeat(string(line), len([]rune(title))))
}

// printable makes one line of a text that somebody else wrote, without what a
// terminal or a printer would obey.
func printable(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c):
			return ' '
		case !unicode.IsPrint(c):
			return '?'
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
	return strings.TrimSpace(s)
}

// wrapped breaks a text into lines, those after the first with an indent.
func wrapped(text, indent string) string {
	var b strings.Builder
	at := len(indent)
	for i, word := range strings.Fields(printable(text)) {
		n := len([]rune(word))
		switch {
		case i == 0:
		case at+1+n > textWidth:
			b.WriteString("\n" + indent)
			at = len(indent)
		default:
			b.WriteString(" ")
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}

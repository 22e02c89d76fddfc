package cli

import (
	"fmt"
	"strings"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/upgrade/choice"
	"lifeboat/internal/upgrade/path"
)

// showWay prints a verdict, the steps, what they need and what would be asked.
func (a *app) showWay(view planView) {
	paint := screen.PainterFor(a.Out)
	v := view.Verdict
	a.Printf("%s %s → %s\n", paint.Bold(firstOf(screen.Printable(view.Host), "This host")+":"), v.From, v.To.Name())
	switch {
	case v.Outcome == path.Current:
		a.Printf("%s It is that release already.\n", paint.Green("current"))
	case v.Outcome == path.Supported:
		a.Printf("%s in one step.\n", paint.Green("supported"))
	}
	for _, r := range v.Reasons {
		a.reason(paint.Red(string(v.Outcome)), r)
	}
	if view.Unknown != "" {
		a.Printf("%s %s\n", paint.Yellow("warning"), a.paragraph(view.Unknown, 2))
	}
	for _, r := range v.Advice {
		a.reason(paint.Yellow("advice"), r)
	}
	if v.Outcome == path.Refused && len(v.Hops) > 1 {
		a.Printf("\nThese steps are supported, one after the other:\n")
	}
	for i, h := range v.Hops {
		a.Printf("\n%s %s → %s  %s\n", paint.Bold(fmt.Sprintf("Step %d", i+1)), h.From.Name(), h.To.Name(), paint.Faint("("+h.Source.Title+")"))
		for _, need := range h.Needs {
			a.Printf("  %s %s\n", paint.Yellow("needs"), a.paragraph(need, 8))
		}
		for _, m := range h.Methods {
			a.Printf("  %-17s%s\n", m.ID, m.Title)
			for _, need := range m.Needs {
				a.Printf("  %-17s  needs %s\n", "", a.paragraph(need, 27))
			}
		}
		if !h.Live() {
			a.Printf("  %s\n", paint.Faint("The running system is not upgraded on this step: no zypper dup."))
		}
	}
	if view.Apt != nil {
		a.showApt(view.Apt)
	}
	a.showOptions(view.Options)
	a.showLife(view.Life)
	if v.Outcome == path.Refused && len(v.Hops) > 1 {
		a.Printf("\nThe first step: lifeboat upgrade plan --to %q\nAll of them:    lifeboat upgrade run --to %q\n", v.Hops[0].To.Name(), v.To.Name())
	}
}

func (a *app) reason(word string, r path.Reason) {
	a.Printf("%s %s %s\n", word, a.paragraph(r.Text, 2), screen.PainterFor(a.Out).Faint("["+r.ID+"]"))
	a.Printf("  %s\n", screen.PainterFor(a.Out).Faint(a.paragraph(r.Source.Title, 2)))
}

func (a *app) showOptions(q choice.Choices) {
	if len(q) == 0 {
		return
	}
	a.Printf("\nWhat the installer asks:\n")
	var rows [][]string
	for _, one := range q {
		answer := firstOf(screen.Printable(one.Answer), "none")
		if one.From == choice.Nobody {
			answer = "open"
		}
		note := one.Note
		if len(one.Answers) > 1 {
			note = strings.Join(one.Answers, " or ") + "; " + note
		}
		rows = append(rows, []string{"  " + one.ID, one.Title, answer, string(one.From), note})
	}
	a.Table([]string{"  question", "", "answer", "by", ""}, rows)
}

func (a *app) showLife(l lifeView) {
	var rows [][]string
	for _, s := range []path.Standing{l.From, l.To} {
		rows = append(rows, []string{"  " + s.Release.Name(), ends(s)})
		if l.From.Release == l.To.Release {
			break
		}
	}
	a.Printf("\n")
	a.Table([]string{"  release", "support"}, rows)
}

// ends says until when a release has which support.
func ends(s path.Standing) string {
	switch s.Stage {
	case path.Unpublished:
		return "not published before " + s.Published.String()
	case path.Recent:
		text := "general support until " + s.General.String()
		if !s.Extended.IsZero() {
			text += ", long-term support until " + s.Extended.String()
		}
		return text
	case path.Previous, path.Extended:
		return "only long-term support, until " + s.Extended.String()
	case path.Ended:
		if s.Extended.IsZero() {
			return "ended " + s.General.String()
		}
		return "ended " + s.Extended.String() + ", without long-term support " + s.General.String()
	}
	return "days not known"
}

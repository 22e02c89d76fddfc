package cli

import (
	"fmt"
	"strings"

	"lifeboat/internal/upgrade/choice"
	"lifeboat/internal/upgrade/path"
)

// showWay prints a verdict, the steps, what they need and what would be asked.
func (a *app) showWay(view planView) {
	paint := painterFor(a.out)
	v := view.Verdict
	a.printf("%s %s → %s\n", paint.bold(firstOf(printable(view.Host), "This host")+":"), v.From, v.To.Name())
	switch {
	case v.Outcome == path.Current:
		a.printf("%s It is that release already.\n", paint.green("current"))
	case v.Outcome == path.Supported:
		a.printf("%s in one step.\n", paint.green("supported"))
	}
	for _, r := range v.Reasons {
		a.reason(paint.red(string(v.Outcome)), r)
	}
	if view.Unknown != "" {
		a.printf("%s %s\n", paint.yellow("warning"), a.paragraph(view.Unknown, 2))
	}
	for _, r := range v.Advice {
		a.reason(paint.yellow("advice"), r)
	}
	if v.Outcome == path.Refused && len(v.Hops) > 1 {
		a.printf("\nThese steps are supported, one after the other:\n")
	}
	for i, h := range v.Hops {
		a.printf("\n%s %s → %s  %s\n", paint.bold(fmt.Sprintf("Step %d", i+1)), h.From.Name(), h.To.Name(), paint.faint("("+h.Source.Title+")"))
		for _, need := range h.Needs {
			a.printf("  %s %s\n", paint.yellow("needs"), a.paragraph(need, 8))
		}
		for _, m := range h.Methods {
			a.printf("  %-17s%s\n", m.ID, m.Title)
			for _, need := range m.Needs {
				a.printf("  %-17s  needs %s\n", "", a.paragraph(need, 27))
			}
		}
		if !h.Live() {
			a.printf("  %s\n", paint.faint("The running system is not upgraded on this step: no zypper dup."))
		}
	}
	if view.Apt != nil {
		a.showApt(view.Apt)
	}
	a.showOptions(view.Options)
	a.showLife(view.Life)
	if v.Outcome == path.Refused && len(v.Hops) > 1 {
		a.printf("\nThe first step: lifeboat upgrade plan --to %q\nAll of them:    lifeboat upgrade run --to %q\n", v.Hops[0].To.Name(), v.To.Name())
	}
}

func (a *app) reason(word string, r path.Reason) {
	a.printf("%s %s %s\n", word, a.paragraph(r.Text, 2), painterFor(a.out).faint("["+r.ID+"]"))
	a.printf("  %s\n", painterFor(a.out).faint(a.paragraph(r.Source.Title, 2)))
}

func (a *app) showOptions(q choice.Choices) {
	if len(q) == 0 {
		return
	}
	a.printf("\nWhat the installer asks:\n")
	var rows [][]string
	for _, one := range q {
		answer := firstOf(printable(one.Answer), "none")
		if one.From == choice.Nobody {
			answer = "open"
		}
		note := one.Note
		if len(one.Answers) > 1 {
			note = strings.Join(one.Answers, " or ") + "; " + note
		}
		rows = append(rows, []string{"  " + one.ID, one.Title, answer, string(one.From), note})
	}
	a.table([]string{"  question", "", "answer", "by", ""}, rows)
}

func (a *app) showLife(l lifeView) {
	var rows [][]string
	for _, s := range []path.Standing{l.From, l.To} {
		rows = append(rows, []string{"  " + s.Release.Name(), ends(s)})
		if l.From.Release == l.To.Release {
			break
		}
	}
	a.printf("\n")
	a.table([]string{"  release", "support"}, rows)
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

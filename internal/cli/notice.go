package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/notice"
	"lifeboat/internal/routine"
	"lifeboat/internal/runbook"
)

func (a *app) noticeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "notice", Short: "Show who is told what became of runs, and try it",
		Long: `Who is told, of what and how stands under notices: in the configuration: by mail, by
a POST of JSON, or by pings to a service that waits for them. docs/notices.md has
the whole of it.`,
		Example: "  lifeboat notice list\n  lifeboat notice test\n  lifeboat notice test admins",
		Args:    screen.Args(cobra.NoArgs),
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		&cobra.Command{
			Use: "list", Short: "Show the notices of the configuration, and which of them arrived last", Example: "  lifeboat notice list\n  lifeboat notice list --json",
			Args: screen.Args(cobra.NoArgs), RunE: func(*cobra.Command, []string) error { return a.listNotices() },
		},
		&cobra.Command{
			Use: "test [NAME]", Short: "Send a trial, to one or all", Example: "  lifeboat notice test\n  lifeboat notice test admins",
			Long: `Sends a message that says that it is a trial. A ping goes to /log below its address:
it is seen there, and counts neither as success nor as failure.`,
			Args: screen.Args(cobra.MaximumNArgs(1)), RunE: a.testNotices,
		},
	)
	return c
}

// noticeView is a notice as --json shows it.
type noticeView struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Way     string   `json:"way"`
	On      string   `json:"on"`
	Systems []string `json:"systems,omitempty"`
	Jobs    []string `json:"jobs,omitempty"`
	ByHand  bool     `json:"by_hand"`
	routine.Told
}

func (a *app) listNotices() error {
	conf, err := a.load()
	if err != nil {
		return err
	}
	book := routine.NewBook(a.state(conf))
	var rows [][]string
	for _, n := range conf.Notices {
		v := noticeView{Type: "notice", Name: n.Name, Way: "webhook", On: firstOf(n.On, config.OnWarning), Systems: n.Systems, Jobs: n.Jobs, ByHand: n.ByHand}
		switch {
		case n.Mail != nil:
			v.Way = "mail to " + strings.Join(n.Mail.To, ", ")
		case n.Ping != nil:
			v.Way, v.On = "ping", firstOf(n.On, config.OnFailure)
		}
		if v.Told, err = book.Told(n.Name); err != nil {
			return err
		}
		if a.JSON {
			if err := a.Emit(v); err != nil {
				return err
			}
			continue
		}
		state := screen.When(v.Sent)
		if !v.Failed.IsZero() {
			state = screen.PainterFor(a.Out).Red("not sent since " + screen.When(v.Failed))
			if v.Partly {
				state = screen.PainterFor(a.Out).Yellow("not to all since " + screen.When(v.Failed))
			}
		}
		rows = append(rows, []string{v.Name, v.Way, v.On, firstOf(strings.Join(v.Systems, ", "), "all"), firstOf(strings.Join(v.Jobs, ", "), "all"), state})
	}
	switch {
	case a.JSON:
	case len(rows) == 0:
		a.Printf("%s has no notices: nobody is told when a run fails (docs/notices.md).\n", a.configFile)
	default:
		a.Table([]string{"notice", "way", "on", "systems", "jobs", "last sent"}, rows)
	}
	return nil
}

func (a *app) testNotices(c *cobra.Command, names []string) error {
	conf, err := a.load()
	if err != nil {
		return err
	}
	if len(conf.Notices) == 0 {
		return screen.Usagef("%s has no notices (docs/notices.md)", a.configFile)
	}
	chosen := *conf
	if len(names) > 0 {
		n, ok := conf.Notice(names[0])
		if !ok {
			return screen.Usagef("no notice %q in %s", names[0], a.configFile)
		}
		chosen.Notices = []config.Notice{n}
	}
	m := a.message("", nil, false, time.Time{})
	m.Type, m.Result, m.State = notice.AboutTrial, notice.Done, "trial"
	failed := 0
	for _, o := range a.tell(c.Context(), &chosen, m) {
		word, text := screen.PainterFor(a.Out).Green("sent  "), o.To
		if o.Err != nil {
			word, text = screen.PainterFor(a.Out).Red("FAILED"), o.Err.Error()
			if o.Partly {
				word, text = screen.PainterFor(a.Out).Yellow("PARTLY"), "reached not all, but the others have it: "+text
			}
			failed++
		}
		if a.JSON {
			view := map[string]any{"type": "notice-test", "name": o.Name, "to": o.To, "sent": o.Err == nil, "attempts": o.Attempts}
			if o.Err != nil {
				view["error"], view["partly"] = o.Err.Error(), o.Partly
			}
			if err := a.Emit(view); err != nil {
				return err
			}
			continue
		}
		a.Printf("%s %s  %s\n", word, o.Name, text)
	}
	if failed > 0 {
		a.Code = runbook.ExitFailed
	}
	return nil
}

// noticeFindings tells which notices about a system do not get through.
func (a *app) noticeFindings(conf *config.Config, book routine.Book, system string) ([]routine.Finding, error) {
	var findings []routine.Finding
	var errs []error
	for _, n := range conf.Notices {
		t, err := book.Told(n.Name)
		if notice.About(n, system) {
			errs = append(errs, err)
		}
		if !t.Failed.IsZero() && notice.About(n, system) {
			how := "does not get through"
			if t.Partly {
				how = "does not reach all"
			}
			findings = append(findings, routine.Finding{
				Level: routine.Warning, Word: routine.Warning.String(),
				Text: fmt.Sprintf("%s: notice %s %s since %s: %s; lifeboat notice test %s tries again", system, n.Name, how, screen.When(t.Failed), t.Error, n.Name),
			})
		}
	}
	return findings, errors.Join(errs...)
}

// tellStatus tells of each system how its protection stands.
func (a *app) tellStatus(c *cobra.Command, conf *config.Config, views []statusView, scheduled bool) {
	for _, v := range views {
		m := a.message(config.JobStatus, []string{v.System}, scheduled, time.Time{})
		worst := routine.OK
		for _, f := range v.Findings {
			m.Problems = append(m.Problems, f.Word+": "+f.Text)
			worst = max(worst, f.Level)
		}
		for _, s := range v.Stores {
			if s.Newest != "" {
				m.Facts = append(m.Facts, fmt.Sprintf("newest point in %s: %s, %s", s.Name, s.Newest[:min(8, len(s.Newest))], screen.When(s.Time)))
			}
		}
		m.Type, m.State, m.Exit = notice.AboutStatus, worst.String(), int(worst)
		m.Result = map[routine.Level]notice.Result{routine.OK: notice.Done, routine.Warning: notice.Warnings}[worst]
		if m.Result == "" {
			m.Result = notice.Failed
		}
		m.Next = []string{"lifeboat status " + v.System}
		a.tell(c.Context(), conf, m)
	}
}

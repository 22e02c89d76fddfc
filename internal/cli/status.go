package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/drill"
	"lifeboat/internal/recovery"
	"lifeboat/internal/routine"
	"lifeboat/internal/runbook"
)

// statusPatience is how long the repositories are waited for: watchers give a plugin
// little more.
const statusPatience = 10 * time.Second

func (a *app) statusCommand() *cobra.Command {
	var check, notify bool
	limit := statusPatience
	c := &cobra.Command{
		Use:   "status [SYSTEM]",
		Short: "Show how protected the systems are, or check it for Nagios and Icinga",
		Long: `Shows for each system its newest recovery point, the copies of it, when they were
last verified and rehearsed, what is done next, and what somebody should look at. A repository
that does not answer within the time limit is named, and the rest is shown.

With --check it is a plugin for Nagios or Icinga: one line with performance data,
and the exit codes of that protocol, which are NOT those of the other verbs:
0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. What is older than the system's objectives
in the configuration (rpo: 26h, verify: 35d, copy: 48h unless said otherwise, and
once there is one drill: 100d and kit: 400d) is a warning, what is twice as old is
critical; so is a drill that failed. Certificates are warned of before they end
(certificate: 30d), and the repository's disk before it is full (disk: 10%).
docs/routine.md has the whole of it.

With --notify those are told whom notices: in the configuration names, and the exit
code is 3 when there is something to be looked at. A job of the schedule that is
called status does that.`,
		Example: "  lifeboat status\n  lifeboat status --json\n  lifeboat status smt --check",
		Args:    screen.Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			if check && notify {
				return screen.Usagef("--check and --notify exclude each other")
			}
			a.noLock = true // this must work at any time
			report, err := a.protection(c.Context(), names, limit)
			if check {
				a.showCheck(report, err)
				return nil
			}
			if err != nil {
				return err
			}
			if err := a.showStatus(report); err != nil || !notify {
				return err
			}
			a.tellStatus(c, a.known(), report, true)
			if slices.ContainsFunc(report, func(v statusView) bool { return len(v.Findings) > 0 }) {
				a.Code = runbook.ExitWarnings
			}
			return nil
		},
	}
	c.Flags().BoolVar(&check, "check", false, "be a plugin for Nagios or Icinga: one line, exit codes 0 to 3")
	c.Flags().BoolVar(&notify, "notify", false, "send what was found to those whom the configuration names")
	durationVar(c.Flags(), &limit, "time-limit", "wait at most `TIME` for the repositories, all together")
	return c
}

// statusView is how a system's protection stands, as --json shows it.
type statusView struct {
	Type string `json:"type"`
	routine.Status
	Jobs     []jobView         `json:"jobs,omitempty"`
	Findings []routine.Finding `json:"findings"`
	// Aside are the runs that still have what they set aside.
	Aside []recovery.Holding `json:"set_aside,omitempty"`

	measures []routine.Measure
}

// isPlugin tells whether a watcher has called, whose protocol knows no exit code for a
// command line that cannot be used. The words are looked at, as it could not be read.
func isPlugin(c *cobra.Command, words []string) bool {
	return c != nil && c.CommandPath() == "lifeboat status" && slices.Contains(words, "--check")
}

// showCheck is what a plugin prints: one line, and data behind a bar.
func (a *app) showCheck(views []statusView, err error) {
	if err != nil {
		a.Code = int(routine.Unknown)
		a.Printf("LIFEBOAT UNKNOWN - %s\n", oneLine(err.Error()))
		return
	}
	worst := routine.OK
	var texts, data []string
	for _, v := range views {
		for _, f := range v.Findings {
			worst = max(worst, f.Level)
		}
		for _, m := range v.measures {
			data = append(data, m.String())
		}
	}
	for level := routine.Critical; level > routine.OK; level-- { // the worst first
		for _, v := range views {
			for _, f := range v.Findings {
				if f.Level == level {
					texts = append(texts, oneLine(f.Text))
				}
			}
		}
	}
	if len(views) == 0 {
		worst, texts = routine.Unknown, []string{"no system is configured; lifeboat init finds those of this machine"}
	}
	if len(texts) == 0 {
		texts = []string{screen.Count(len(views), "system is", "systems are") + " protected"}
	}
	a.Code = int(worst)
	a.Printf("LIFEBOAT %s - %s", worst, strings.Join(texts, "; "))
	if len(data) > 0 {
		a.Printf(" | %s", strings.Join(data, " "))
	}
	a.Printf("\n")
}

// oneLine has no bar either, which would begin the data.
func oneLine(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(screen.Printable(text)), " "), "|", "/")
}

func (a *app) showStatus(views []statusView) error {
	paint := screen.PainterFor(a.Out)
	for i, v := range views {
		if a.JSON {
			if err := a.Emit(v); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			a.Printf("\n")
		}
		a.Printf("%s\n", paint.Bold(v.System))
		if !v.Orphaned {
			a.showSystem(v)
		}
		worstFirst := slices.Clone(v.Findings)
		slices.SortStableFunc(worstFirst, func(x, y routine.Finding) int { return int(y.Level - x.Level) })
		for _, f := range worstFirst {
			colour := paint.Yellow
			if f.Level == routine.Critical {
				colour = paint.Red
			}
			word := strings.ToLower(f.Word)
			a.Printf("  %s %s\n", colour(word), a.paragraph(screen.Clean(strings.TrimPrefix(f.Text, v.System+": ")), len(word)+3))
		}
	}
	return nil
}

// showSystem prints how a system stands.
func (a *app) showSystem(v statusView) {
	for i, r := range v.Stores {
		word := "newest point"
		if i > 0 {
			word = "copy"
		}
		state := "none"
		if r.Newest != "" {
			state = fmt.Sprintf("%s, %s (%s)", r.Newest[:8], screen.When(r.Time), ago(r.Time))
			if r.Incomplete {
				state += ", incomplete"
			}
			if r.Lacks > 0 {
				state += ", lacks " + screen.Count(r.Lacks, "point", "points")
			}
		}
		if r.Error != "" {
			state = "not known: " + screen.Clean(r.Error)
		}
		a.Printf("  %-13s %s: %s\n", word, r.Name, state)
		verified := "never"
		if t := r.Verified.Time; !t.IsZero() {
			verified = fmt.Sprintf("%s (%s), %s of %s read", screen.When(t), ago(t), size(r.Verified.Read), size(r.Verified.Bytes))
		}
		a.Printf("  %-13s %s: %s\n", "verified", r.Name, verified)
	}
	a.showWatched(v.Status)
	for _, h := range v.Aside {
		if h.Unfinished {
			a.Printf("  %-13s %s by run %s, which has not come to its end\n", "set aside", holds(h.Components), h.Run)
			continue
		}
		a.Printf("  %-13s %s by run %s (lifeboat recover %s --discard-old %[3]s)\n", "set aside", holds(h.Components), h.Run, v.System)
	}
	for _, j := range v.Jobs {
		if j.On != "" {
			a.Printf("  %-13s %s: %s\n", "next", j.Job, j.next())
		}
	}
	if !slices.ContainsFunc(v.Jobs, func(j jobView) bool { return j.On != "" || j.Unknown }) {
		a.Printf("  %-13s no schedule is on (lifeboat schedule on)\n", "next")
	}
}

// showWatched prints what is watched beside the points.
func (a *app) showWatched(s routine.Status) {
	for _, r := range s.Stores {
		if r.Space != nil {
			a.Printf("  %-13s %s: %s of %s free\n", "disk", r.Name, size(r.Space.Free), size(r.Space.Total))
		}
	}
	rehearsed := "never passed (lifeboat drill " + s.System + ")"
	switch d := s.Drill; {
	case d.Passed.IsZero() && d.Unknown:
		rehearsed = "not known whether one passed"
	case !d.Passed.IsZero():
		rehearsed = fmt.Sprintf("%s %s, %s (%s), RTO %s", firstOf(string(d.Depth), string(drill.Full)), string(d.State), screen.When(d.Passed), ago(d.Passed), unknownAge(d.RTO))
		if d.Unknown {
			rehearsed += ", as far as is known"
		}
	}
	a.Printf("  %-13s %s\n", "drill", rehearsed)
	paper := "none (lifeboat kit --output DIR)"
	if k := s.Kit; k != nil {
		paper = fmt.Sprintf("%s, %s (%s)", k.ID, screen.When(k.Created), ago(k.Created))
	}
	a.Printf("  %-13s %s\n", "recovery kit", paper)
	holes := "not looked for (lifeboat review --gaps)"
	if g := s.Gaps; !g.Time.IsZero() {
		holes = fmt.Sprintf("%d of %d found %s are likely missed after a recovery (lifeboat review %s --gaps)", g.Likely, g.All, ago(g.Time), s.System)
		if g.Likely == 0 {
			holes = fmt.Sprintf("none likely, %d found %s", g.All, ago(g.Time))
		}
	}
	a.Printf("  %-13s %s\n", "gaps", holes)
	if len(s.Certificates) > 0 {
		first := slices.MinFunc(s.Certificates, func(x, y routine.Certificate) int { return x.Until.Compare(y.Until) })
		a.Printf("  %-13s %s, the first to end is %s on %s\n", "certificates", screen.Count(len(s.Certificates), "is watched", "are watched"), screen.Printable(first.Path), first.Until.Local().Format(time.DateOnly))
	}
}

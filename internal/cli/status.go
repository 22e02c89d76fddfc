package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/config"
	"lifeboat/internal/guard"
	"lifeboat/internal/routine"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

func (a *app) statusCommand() *cobra.Command {
	var check bool
	limit := 20 * time.Second
	c := &cobra.Command{
		Use:   "status [SYSTEM]",
		Short: "Show how protected the systems are, or check it for Nagios and Icinga",
		Long: `Shows for each system its newest recovery point, the copies of it, when they were
last verified, what is done next, and what somebody should look at. A repository
that does not answer within the time limit is named, and the rest is shown.

With --check it is a plugin for Nagios or Icinga: one line with performance data,
and the exit codes of that protocol, which are NOT those of the other verbs:
0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. What is older than the system's objectives
in the configuration (rpo: 26h, verify: 35d, copy: 48h unless said otherwise) is a
warning, what is twice as old is critical.`,
		Example: "  lifeboat status\n  lifeboat status --json\n  lifeboat status smt --check",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			a.noLock = true // this must work at any time
			report, err := a.protection(c.Context(), names, limit)
			if check {
				a.showCheck(report, err)
				return nil
			}
			if err != nil {
				return err
			}
			return a.showStatus(report)
		},
	}
	c.Flags().BoolVar(&check, "check", false, "be a plugin for Nagios or Icinga: one line, exit codes 0 to 3")
	c.Flags().DurationVar(&limit, "time-limit", limit, "wait at most `TIME` for each repository")
	return c
}

// statusView is how a system's protection stands, as --json shows it.
type statusView struct {
	Type string `json:"type"`
	routine.Status
	Jobs     []jobView         `json:"jobs,omitempty"`
	Findings []routine.Finding `json:"findings"`

	measures []routine.Measure
}

// looked is what a repository showed.
type looked struct {
	points []*vault.Point
	doubts []string
	err    error
}

// protection looks at everything that tells how protected the systems are.
func (a *app) protection(ctx context.Context, names []string, limit time.Duration) ([]statusView, error) {
	conf, err := a.load()
	if err != nil {
		return nil, err
	}
	systems, err := a.scheduled(conf, names)
	if err != nil {
		return nil, err
	}
	i, err := a.installer(conf, scheduleFlags{})
	if err != nil {
		return nil, err
	}
	seen := map[string]looked{}
	for _, s := range systems {
		for _, r := range conf.RepositoriesOf(s) {
			if _, done := seen[r.Name]; !done {
				seen[r.Name] = a.lookAt(ctx, conf, r, limit)
			}
		}
	}
	stopped, err := guard.List(a.state(conf))
	if err != nil {
		return nil, err
	}
	runs, err := runbook.List(a.state(conf))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	var views []statusView
	for _, s := range systems {
		v := statusView{Type: "status", Status: routine.Status{System: s.Name}, Findings: []routine.Finding{}}
		if v.Stores, err = a.stores(conf, i.Book, s, seen, now); err != nil {
			return nil, err
		}
		v.Held = slices.ContainsFunc(stopped, func(r guard.Record) bool { return r.System == s.Name && !r.Guarded })
		for _, r := range runs {
			if r.System == s.Name && r.Resumable() && r.Hint != "" && r.Kind != "backup" {
				v.Unfinished = append(v.Unfinished, r.ID)
			}
		}
		if v.Jobs, err = a.jobs(conf, i, s, now); err != nil {
			return nil, err
		}
		for _, j := range v.Jobs {
			if word := j.last(); word != "" && word != "running" && !strings.HasPrefix(word, "done") {
				v.Failed = append(v.Failed, j.Job)
			}
		}
		findings, measures := routine.Judge(v.Status, s.Objectives, now)
		v.Findings, v.measures = append(v.Findings, findings...), measures
		views = append(views, v)
	}
	return views, nil
}

func (a *app) stores(conf *config.Config, book routine.Book, s config.System, seen map[string]looked, now time.Time) ([]routine.Store, error) {
	var stores []routine.Store
	var first []*vault.Point
	for n, r := range conf.RepositoriesOf(s) {
		found := seen[r.Name]
		points := slices.DeleteFunc(slices.Clone(found.points), func(p *vault.Point) bool { return p.System() != s.Name })
		store := routine.Store{Name: r.Name, Points: len(points), Doubts: found.doubts}
		if found.err != nil {
			store.Error = firstLine(found.err.Error())
		}
		if n == 0 {
			first = points
		} else if found.err == nil {
			store.Lacks = vault.StateOf(points, first, conf.Retention(s, r.Name), now).Lacks
		}
		if len(points) > 0 {
			newest := slices.MaxFunc(points, func(x, y *vault.Point) int { return x.Time().Compare(y.Time()) })
			store.Newest, store.Time, store.Damaged = newest.ID(), newest.Time(), newest.Damage != nil
			store.Incomplete = newest.Damage == nil && newest.Manifest.Incomplete
		}
		var err error
		if store.Verified, err = book.Verified(s.Name, r.Name); err != nil {
			return nil, err
		}
		stores = append(stores, store)
	}
	return stores, nil
}

// lookAt lists a repository's points within a time limit, also where a file system
// hangs and nothing ends its calls.
func (a *app) lookAt(ctx context.Context, conf *config.Config, r config.Repository, limit time.Duration) looked {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answers := make(chan looked, 1)
	go func() {
		r.RetryFor = min(limit, lookPatience)
		repo, err := a.openWith(ctx, r, passwordFlags{})
		if err != nil {
			answers <- looked{err: err}
			return
		}
		defer repo.Close()
		survey := a.vaultOf(conf, repo).Survey(ctx, vault.Filter{})
		if survey.Unread != nil && vault.Unread(survey.Unread) == nil {
			answers <- looked{err: survey.Unread}
			return
		}
		answers <- looked{points: survey.Points, doubts: survey.Warnings()}
	}()
	select {
	case found := <-answers:
		return found
	case <-ctx.Done():
		return looked{err: fmt.Errorf("it did not answer within %s", limit)}
	}
}

// showCheck is what a plugin prints: one line, and data behind a bar.
func (a *app) showCheck(views []statusView, err error) {
	if err != nil {
		a.code = int(routine.Unknown)
		a.printf("LIFEBOAT UNKNOWN - %s\n", oneLine(err.Error()))
		return
	}
	worst := routine.OK
	var texts, data []string
	for _, v := range views {
		for _, f := range v.Findings {
			worst = max(worst, f.Level)
		}
		for _, m := range v.measures {
			data = append(data, fmt.Sprintf("'%s'=%ds;%d;%d;0", m.Name, int64(m.Age.Seconds()), int64(m.Warn.Seconds()), int64(m.Bad.Seconds())))
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
		texts = []string{count(len(views), "system is", "systems are") + " protected"}
	}
	a.code = int(worst)
	a.printf("LIFEBOAT %s - %s", worst, strings.Join(texts, "; "))
	if len(data) > 0 {
		a.printf(" | %s", strings.Join(data, " "))
	}
	a.printf("\n")
}

// oneLine has no bar either, which would begin the data.
func oneLine(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(printable(text)), " "), "|", "/")
}

func (a *app) showStatus(views []statusView) error {
	paint := painterFor(a.out)
	for _, v := range views {
		if a.json {
			if err := a.emit(v); err != nil {
				return err
			}
			continue
		}
		a.printf("%s\n", paint.bold(v.System))
		for i, r := range v.Stores {
			word := "newest point"
			if i > 0 {
				word = "copy"
			}
			state := "none"
			if r.Newest != "" {
				state = fmt.Sprintf("%s, %s (%s)", r.Newest[:8], when(r.Time), ago(r.Time))
				if r.Incomplete {
					state += ", incomplete"
				}
				if r.Lacks > 0 {
					state += ", lacks " + count(r.Lacks, "point", "points")
				}
			}
			if r.Error != "" {
				state = "not known: " + clean(r.Error)
			}
			a.printf("  %-13s %s: %s\n", word, r.Name, state)
			verified := "never"
			if t := r.Verified.Time; !t.IsZero() {
				verified = fmt.Sprintf("%s (%s), %s of %s read", when(t), ago(t), size(r.Verified.Read), size(r.Verified.Bytes))
			}
			a.printf("  %-13s %s: %s\n", "verified", r.Name, verified)
		}
		for _, j := range v.Jobs {
			if j.On != "" {
				a.printf("  %-13s %s: %s\n", "next", j.Job, j.next())
			}
		}
		if !slices.ContainsFunc(v.Jobs, func(j jobView) bool { return j.On != "" }) {
			a.printf("  %-13s no schedule is on (lifeboat schedule on)\n", "next")
		}
		for _, f := range v.Findings {
			colour := paint.yellow
			if f.Level == routine.Critical {
				colour = paint.red
			}
			a.printf("  %s %s\n", colour(strings.ToLower(f.Word)), clean(strings.TrimPrefix(f.Text, v.System+": ")))
		}
	}
	return nil
}

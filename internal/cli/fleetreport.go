package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/drill"
	"lifeboat/internal/fleet/agent"
	"lifeboat/internal/fleet/gather"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/host"
	"lifeboat/internal/rescue/identity"
	"lifeboat/internal/routine"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// live tells the fleet of a run while it goes on; nil where this host is in none. end
// must be called, and may be more than once.
func (a *app) live() (observer runbook.Observer, end func()) {
	if !agent.Joined(a.agentDir()) {
		return nil, func() {}
	}
	member, err := agent.Open(a.agentDir())
	if err != nil {
		a.notices.warn("the fleet is not told: " + err.Error())
		return nil, func() {}
	}
	l := member.Live(context.Background())
	return l, sync.OnceFunc(l.Close)
}

// reportRun keeps what the fleet is told of a run.
func (c *account) reportRun(r *runbook.Run, point *vault.Point) {
	c.reports = slices.DeleteFunc(c.reports, func(known agent.Report) bool { return known.Run == r.ID })
	out := agent.Report{Run: r.ID, RunReport: wire.RunReport{
		System: r.System, Kind: r.Kind, State: string(r.State), Started: r.Started, Ended: r.Finished, Point: r.Point, Error: r.Error,
	}}
	if point != nil {
		out.Point, out.PointAt, out.Bytes = point.ID(), point.Time(), point.Manifest.Bytes()
	}
	c.reports = append(c.reports, out)
}

// reportDrill keeps what it is told of a drill.
func (c *account) reportDrill(r *drill.Report) {
	state := runbook.StateFailed
	switch r.State {
	case drill.Passed:
		state = runbook.StateDone
	case drill.Warnings:
		state = runbook.StateWarnings
	}
	c.reports = append(c.reports, agent.Report{Run: r.ID, RunReport: wire.RunReport{
		System: r.System, Kind: config.JobDrill, State: string(state), Started: r.Started, Ended: r.Finished, Point: r.Point, PointAt: r.Moment,
		RTO: r.RTO.Seconds(), RPO: r.RPO.Seconds(), Bytes: r.Bytes, Error: firstOf(r.Error, strings.Join(r.Findings, "; ")),
	}})
}

// reportPlain is for jobs that are no runs of the engine, and for runs that ended
// before they were any.
func (a *app) reportPlain(c *account, job string, systems []string, started time.Time, code int) {
	kind := config.JobKind(job)
	for _, system := range systems {
		if _, ok := a.loaded.System(system); !ok {
			continue
		}
		if slices.ContainsFunc(c.reports, func(r agent.Report) bool { return r.System == system }) {
			continue
		}
		state := runbook.StateFailed
		switch code {
		case runbook.ExitDone:
			state = runbook.StateDone
		case runbook.ExitWarnings:
			state = runbook.StateWarnings
		case runbook.ExitWaiting:
			state = runbook.StateWaiting
		case runbook.ExitInterrupted:
			state = runbook.StateInterrupted
		}
		r := agent.Report{Run: runbook.NewID(system, kind, started), RunReport: wire.RunReport{System: system, Kind: kind, State: string(state), Started: started, Ended: time.Now()}}
		if state == runbook.StateFailed && len(c.problems) > 0 {
			r.Error = screen.FirstLine(c.problems[0])
		}
		c.reports = append(c.reports, r)
	}
}

// bounds of what a report says in words.
const (
	mostLines    = 50
	longestWords = 1000
)

// tellFleet sends what there is to tell, and what could not be sent before. What does
// not get through is kept and sent later; it changes no exit code.
func (a *app) tellFleet(ctx context.Context, conf *config.Config, c *account) {
	dir := a.agentDir()
	if !agent.Joined(dir) {
		return
	}
	if conf == nil {
		conf = &config.Config{}
	}
	spool := agent.NewSpool(a.state(conf))
	if len(c.reports) == 0 && spool.Waiting() == 0 {
		return
	}
	ctx, cancel := a.unhurried(ctx)
	defer cancel()
	warn := func(err error) { a.notices.warn("the fleet is not told: " + screen.FirstLine(err.Error())) }
	member, err := agent.Open(dir)
	if err != nil {
		warn(err)
		return
	}
	for _, r := range a.fleetReports(ctx, conf, member, c) {
		if err := spool.Add(r); err != nil {
			warn(err)
		}
	}
	c.reports = nil
	sent, err := member.Send(ctx, spool)
	for _, refusal := range sent.Refused {
		warn(refusal)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		warn(fmt.Errorf("%w; %s, and the next run sends again", err, screen.Count(sent.Waiting, "report waits", "reports wait")))
	}
}

// fleetReports completes reports: who this is, what was promised, what went on in
// words, and after a good backup what a recovery needs.
func (a *app) fleetReports(ctx context.Context, conf *config.Config, member *agent.Agent, c *account) []agent.Report {
	machine, err := identity.Read("/")
	if err != nil {
		a.notices.warn(err.Error())
	}
	book := routine.NewBook(a.state(conf))
	words := func(lines []string) []string {
		var out []string
		for _, line := range lines[:min(len(lines), mostLines)] {
			out = append(out, short(screen.Clean(line), longestWords))
		}
		return out
	}
	var whole *wire.Configuration
	var missing []string
	var reports []agent.Report
	for _, r := range c.reports {
		r.Identity, r.Version = machine.Identity, screen.Version
		if r.Ended.IsZero() {
			r.Ended = time.Now()
		}
		r.Error = short(screen.Clean(r.Error), longestWords)
		detail := map[string]any{"facts": words(c.facts), "problems": words(c.problems), "next": words(c.next)}
		if s, ok := conf.System(r.System); ok {
			r.Profile, r.Objectives = s.Profile, objectivesOf(s)
			if gaps, err := book.Gaps(s.Name); err == nil && !gaps.Time.IsZero() {
				detail["gaps"] = gaps
			}
		}
		good := r.State == string(runbook.StateDone) || r.State == string(runbook.StateWarnings)
		if r.Kind == config.JobBackup && good && r.Point != "" {
			if whole == nil {
				if whole, missing, err = a.recoveryConfiguration(ctx, conf, member); err != nil {
					a.notices.warn("the fleet does not get this host's recovery configuration: " + err.Error())
				}
				for _, what := range missing {
					a.notices.warn("the fleet's recovery configuration of this host lacks something: " + screen.Clean(what))
				}
			}
			r.Configuration = whole
			detail["missing"] = append([]string{}, words(missing)...)
		}
		if r.Detail, err = json.Marshal(detail); err != nil {
			a.notices.warn(err.Error())
		}
		reports = append(reports, r)
	}
	return reports
}

func objectivesOf(s config.System) record.Objectives {
	days := func(p config.Span) time.Duration {
		const day = 24 * time.Hour
		return time.Duration(p.Years)*365*day + time.Duration(p.Months)*30*day + time.Duration(p.Days)*day + time.Duration(p.Hours)*time.Hour
	}
	o := s.Objectives
	return record.Objectives{RPO: o.RPO, RTO: o.RTO, Drill: days(o.Drill), Verify: days(o.Verify)}
}

// recoveryConfiguration is what a rescue system needs to recover this host, sealed
// for the fleet, and what could not be put into it.
func (a *app) recoveryConfiguration(ctx context.Context, conf *config.Config, member *agent.Agent) (*wire.Configuration, []string, error) {
	quiet := a.silent() // nobody is asked for a password
	quiet.notices.err = io.Discard
	g, err := gather.Gather(ctx, gather.Source{
		Config: conf, File: a.configFile, Host: host.Local(),
		Password: func(ctx context.Context, r config.Repository) ([]byte, error) {
			flags := passwordFlags{}
			if used, err := a.chooseRepository(conf, ""); err == nil && used.Name == r.Name {
				flags = a.password
			}
			return quiet.passwordOf(ctx, r, flags)
		},
	})
	if err != nil || g == nil {
		return nil, nil, err
	}
	if a.verbose {
		for _, note := range g.Notes {
			fmt.Fprintf(os.Stderr, "recovery configuration: %s\n", screen.Clean(note))
		}
	}
	sealed, err := member.Seal(g.Open, g.Secret)
	return sealed, g.Missing, err
}

package cli

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/fleet/agent"
	"lifeboat/internal/notice"
	"lifeboat/internal/routine"
	"lifeboat/internal/runbook"
)

// account is what a call has to tell those who were not there, besides its exit code.
type account struct {
	facts, problems, next []string
	run                   string         // id, where there was one
	reports               []agent.Report // of runs, for the fleet
}

func (c *account) fact(text string)    { c.facts = append(c.facts, text) }
func (c *account) problem(text string) { c.problems = append(c.problems, text) }
func (c *account) todo(command string) { c.next = append(c.next, command) }

func (c *account) add(other account) {
	c.facts = append(c.facts, other.facts...)
	c.problems = append(c.problems, other.problems...)
	c.next = append(c.next, other.next...)
	c.reports = append(c.reports, other.reports...)
	if other.run != "" {
		c.run = other.run
	}
}

// end takes in how the call ended. Of a run it is what stands in its journal, from
// which secrets were taken.
func (a *app) end(err error) {
	c := &a.account
	switch run := a.ran; {
	case run != nil:
		c.run = run.ID
		c.reportRun(run, a.sealed)
		if run.Error != "" {
			c.problem(run.Error)
		} else if err != nil {
			c.problem(err.Error())
		}
		for _, w := range run.Warnings {
			c.problem(w.Text)
		}
		if run.State != runbook.StateDone {
			c.todo("lifeboat runs show " + run.ID)
		}
	case err != nil:
		c.problem(err.Error())
	}
	if hint := a.outage(err); err != nil && hint != "" {
		c.problem(hint)
	}
}

// resultOf is what an exit code means to those who are told.
func resultOf(code int) notice.Result {
	switch code {
	case runbook.ExitDone:
		return notice.Done
	case runbook.ExitWarnings:
		return notice.Warnings
	}
	return notice.Failed
}

// message is one about a run that has ended, or that begins where code is not known.
func (a *app) message(job string, systems []string, scheduled bool, started time.Time) notice.Message {
	name, _ := os.Hostname()
	return notice.Message{
		Type: notice.AboutRun, Host: name, Systems: systems, Job: job, Result: notice.Begun, State: "begun",
		Scheduled: scheduled, Started: started, Version: screen.Version,
	}
}

// ended completes a message of a run.
func ended(m notice.Message, code int, c account) notice.Message {
	m.Result, m.State, m.Exit, m.Finished = resultOf(code), exitWord(code), code, time.Now()
	m.Facts, m.Problems, m.Next = c.facts, c.problems, c.next
	return m
}

// begin sends the pings of a run that begins, while it goes on. The function that is
// returned waits for them, so that no end overtakes a beginning. What fails here
// fails at the end too, and is told then.
func (a *app) begin(ctx context.Context, conf *config.Config, m notice.Message) (wait func()) {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		notice.Sender{Notices: conf.Notices}.Send(ctx, m)
	}()
	return func() { <-sent }
}

// unhurried is for what follows a run, one that was interrupted too: only the second
// Ctrl-C ends it.
func (a *app) unhurried(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if a.hard == nil {
		return ctx, cancel
	}
	forget := context.AfterFunc(a.hard, cancel)
	return ctx, func() { forget(); cancel() }
}

// tell sends a message to all whom the configuration names. A notice that does not
// get through is a warning and nothing more.
func (a *app) tell(ctx context.Context, conf *config.Config, m notice.Message) []notice.Outcome {
	if len(conf.Notices) == 0 {
		return nil
	}
	ctx, cancel := a.unhurried(ctx)
	defer cancel()
	outcomes := notice.Sender{Notices: conf.Notices}.Send(ctx, m)
	book := routine.NewBook(a.state(conf))
	code := a.Code
	for _, o := range outcomes {
		err := book.SetTold(o.Name, time.Now(), o.Err, o.Partly)
		if err != nil {
			_ = a.warn(err)
		}
		if o.Err != nil && m.Type != notice.AboutTrial {
			_ = a.warn(untold(o))
		}
	}
	if code != runbook.ExitDone {
		a.Code = code
	}
	return outcomes
}

// tellEnd tells of the end of a run, and enters it in the system's journal.
func (a *app) tellEnd(ctx context.Context, conf *config.Config, m notice.Message) {
	if m.Result == notice.Failed {
		a.tellHelp(conf, &m)
	}
	if err := notice.Journal(notice.JournalSocket, m); err != nil {
		a.notices.warn(err.Error())
	}
	a.tell(ctx, conf, m)
}

// tellHelp adds to what failed since when that is so, and a command to go on with.
func (a *app) tellHelp(conf *config.Config, m *notice.Message) {
	kind := config.JobKind(m.Job)
	for _, name := range m.Systems {
		if s, ok := conf.System(name); ok && kind == config.JobBackup {
			m.Problems = append(m.Problems, a.lastPoint(conf, s))
		}
		if len(m.Next) > 0 || kind == "" {
			continue
		}
		switch {
		case m.Scheduled:
			m.Next = []string{"lifeboat schedule run " + name + " " + m.Job}
		case kind == config.JobPrune:
			m.Next = []string{"lifeboat forget " + name + " --prune"}
		default:
			m.Next = []string{"lifeboat " + kind + " " + name}
		}
	}
}

// lastPoint says what there is to recover from.
func (a *app) lastPoint(conf *config.Config, s config.System) string {
	for _, r := range conf.RepositoriesOf(s)[:min(1, len(conf.RepositoriesOf(s)))] {
		if k, err := routine.NewBook(a.state(conf)).Known(s.Name, r.Name); err == nil && !k.Time.IsZero() {
			return "the newest recovery point of " + s.Name + " that is known is of " + screen.When(k.Time) + ", " + config.Words(time.Since(k.Time)) + " ago: what came later is not saved"
		}
	}
	return "no recovery point of " + s.Name + " is known on this machine"
}

// untoldError is a notice that did not get through.
type untoldError struct{ notice.Outcome }

func untold(o notice.Outcome) error { return untoldError{o} }

func (e untoldError) Error() string {
	if e.Partly {
		return "notice " + e.Name + " reached not all, but the others have it: " + e.Err.Error() + "; lifeboat notice test " + e.Name + " tries again"
	}
	return "notice " + e.Name + " was not sent: " + e.Err.Error() + "; lifeboat notice test " + e.Name + " tries again"
}

// afterwards is what follows a call: those are told who want to know of what a person
// has called, and the metrics are written. It returns the exit code.
func (a *app) afterwards(ctx context.Context, command *cobra.Command, started time.Time, code int, err error) int {
	job, scheduled := jobOf(command)
	if job == "" || a.loaded == nil || code == runbook.ExitUsage || errors.Is(err, screen.ErrDeclined) {
		if a.ran != nil { // a recovery of a bare machine, say
			a.end(err)
			a.tellFleet(ctx, a.loaded, &a.account)
		}
		return code
	}
	a.Code = code
	systems := command.Flags().Args()
	if len(systems) == 0 {
		systems = a.loaded.SystemNames()
	}
	if job == config.ToldRecover || job == config.ToldRestore { // a run or components may follow
		systems = systems[:1]
	}
	m := a.message(job, systems, scheduled, started)
	a.end(err)
	m.Run = a.account.run
	if err != nil && a.ran != nil && a.ran.Hint != "" {
		a.account.todo(a.ran.Hint)
	}
	a.tellEnd(ctx, a.loaded, ended(m, code, a.account))
	a.writeMetrics(ctx, a.loaded)
	a.reportPlain(&a.account, job, systems, started, code)
	a.tellFleet(ctx, a.loaded, &a.account)
	return a.Code
}

// jobOf is which job of a schedule a verb does, or what else is told of; "" for nothing.
// scheduled says that it was called for a job by other means than ours.
func jobOf(c *cobra.Command) (job string, scheduled bool) {
	if c == nil {
		return "", false
	}
	// What only looks, and what removes or writes beside the system, is not told of.
	for _, flag := range []string{"dry-run", "against-source", "discard-old", "target"} {
		if f := c.Flags().Lookup(flag); f != nil && f.Changed {
			return "", false
		}
	}
	if f := c.Flags().Lookup("trigger"); f != nil {
		scheduled = f.Value.String() == "scheduled"
	}
	switch c.CommandPath() {
	case "lifeboat backup", "lifeboat verify", "lifeboat prune", "lifeboat copy", "lifeboat drill":
		return c.Name(), scheduled
	case "lifeboat forget":
		return config.JobPrune, false
	case "lifeboat recover", "lifeboat restore":
		return c.Name(), false
	}
	return "", false
}

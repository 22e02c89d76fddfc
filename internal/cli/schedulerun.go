package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/repository"
	"lifeboat/internal/routine"
	"lifeboat/internal/runbook"
)

// busyPause is how long lies between two looks whether another run has ended.
const busyPause = 10 * time.Second

func (a *app) scheduleRunCommand() *cobra.Command {
	var due bool
	var wait time.Duration
	c := &cobra.Command{
		Use:   "run SYSTEM [JOB]",
		Short: "Do a job of the schedule now, or those that are due",
		Long: `Does one job of a system's schedule as the timer does: its points are scheduled
ones, which the retention removes in time. One run of a system at a time: with
--wait another one that is active is waited for.

Cron calls this with --due: what is due is done, what was missed is caught up, and
nothing is printed unless something fails. What finds the system busy is done next
time.`,
		Example: "  lifeboat schedule run smt backup\n  lifeboat schedule run smt --due",
		Args:    screen.Args(cobra.RangeArgs(1, 2)),
		RunE: func(c *cobra.Command, names []string) error {
			if due == (len(names) == 2) {
				return screen.Usagef("name a job of the schedule, or give --due for those that are due")
			}
			conf, err := a.load()
			if err != nil {
				return err
			}
			s, err := a.system(conf, names)
			if err != nil {
				return a.orphaned(conf, names[0], err)
			}
			tasks, err := a.tasks(conf, s)
			if err != nil {
				if !due { // cron asks again and again, and mails it
					a.tellUnplanned(c.Context(), conf, s, names[1], err)
				}
				return err
			}
			if due && a.isOff(c.Context(), conf, s) {
				return nil
			}
			if due {
				return a.runDue(c.Context(), conf, s, tasks)
			}
			for _, t := range tasks {
				if t.Name == names[1] {
					code, err := scheduledRun{app: a, conf: conf, task: t, wait: wait, out: a.Out, err: a.Err}.do(c.Context())
					a.worse(code)
					return err
				}
			}
			return screen.Usagef("system %s has no job %q in its schedule; it has %v", s.Name, names[1], sorted(conf.ScheduleOf(s)))
		},
	}
	c.Flags().BoolVar(&due, "due", false, "do what is due, silently if it goes well")
	durationVar(c.Flags(), &wait, "wait", "wait at most `TIME` for another run of the system to end")
	return c
}

// orphaned is the error for a system that is none of the configuration: where its
// schedule is still on, that is what ends the failures.
func (a *app) orphaned(conf *config.Config, name string, err error) error {
	i, other := a.installer(conf, scheduleFlags{})
	if other != nil {
		return err
	}
	if gone, _ := orphans(conf, i); slices.Contains(gone, name) {
		return screen.Usagef("%s: %s", name, routine.OrphanText(name))
	}
	return err
}

// isOff tells whether a schedule was switched off whose file for cron is still read,
// as somebody had changed it. Where it was never on, something else may ask what is
// due.
func (a *app) isOff(ctx context.Context, conf *config.Config, s config.System) bool {
	i, err := a.installer(conf, scheduleFlags{})
	if err != nil {
		return false
	}
	standing, err := i.State(ctx, s.Name, nil)
	return err == nil && standing.IsOff()
}

// runDue does the jobs that are due, one after the other.
func (a *app) runDue(ctx context.Context, conf *config.Config, s config.System, tasks []routine.Task) error {
	book := routine.NewBook(a.state(conf))
	for _, t := range tasks {
		record, err := a.recordOf(book, t)
		if err != nil {
			return err
		}
		now := time.Now()
		if record.Since.IsZero() && record.Started.IsZero() {
			record.Since = now // new in the schedule
			if err := book.SetRun(s.Name, t.Name, record); err != nil {
				return err
			}
		}
		due := t.Due(record, now, machine())
		if due.After(now) {
			continue
		}
		var said bytes.Buffer // which cron would mail
		run := scheduledRun{app: a, conf: conf, task: t, out: &said, err: &said, yields: now.Sub(due) < busyPatience}
		code, err := run.do(ctx)
		host.UsualPriority()
		if isBusy(err) {
			continue // the next call finds it due again
		}
		if code != runbook.ExitDone {
			fmt.Fprintf(a.Out, "%s of %s, due %s:\n%s", t.Name, s.Name, screen.When(due), said.String())
		}
		a.worse(code)
		if err != nil || ctx.Err() != nil {
			return err
		}
	}
	return nil
}

// busyPatience is how long a run that is due yields to others before it counts as
// failed.
const busyPatience = 12 * time.Hour

func isBusy(err error) bool {
	return errors.Is(err, runbook.ErrBusy) || errors.Is(err, repository.ErrLocked)
}

// worse keeps the exit code that says most: a failure goes before warnings.
func (a *app) worse(code int) {
	if a.Code == runbook.ExitDone || a.Code == runbook.ExitWarnings && code != runbook.ExitDone {
		a.Code = code
	}
}

// scheduledRun is one run of a job: calls of this program's own verbs.
type scheduledRun struct {
	app      *app
	conf     *config.Config
	task     routine.Task
	wait     time.Duration
	yields   bool // what finds the system or a repository in use counts as not begun
	out, err io.Writer
	told     *account // of all its commands
}

// do runs the job, remembers what came of it, and tells those who want to know. What
// is in use elsewhere is waited for as long as may be, and then is an error of isBusy
// where the run yields.
func (r scheduledRun) do(ctx context.Context) (code int, err error) {
	r.told = &account{}
	m := r.app.message(r.task.Name, []string{r.task.System}, true, time.Now())
	begun := func() {}
	if r.task.Kind() != config.JobStatus {
		begun = r.app.begin(ctx, r.conf, m)
	}
	code, err = r.perform(ctx)
	begun()
	if isBusy(err) && r.yields {
		return code, err
	}
	defer r.app.writeMetrics(ctx, r.conf)
	if err != nil {
		r.told.problem(err.Error())
	}
	if code != runbook.ExitDone && code != runbook.ExitWarnings {
		r.told.todo("lifeboat schedule run " + r.task.System + " " + r.task.Name)
	} else if r.task.Kind() == config.JobStatus {
		r.app.tellFleet(ctx, r.conf, r.told) // what could not be sent before
		return code, err                     // it has told what it found
	}
	m.Run = r.told.run
	r.app.tellEnd(ctx, r.conf, ended(m, code, *r.told))
	r.app.reportPlain(r.told, r.task.Name, []string{r.task.System}, m.Started, code)
	r.app.tellFleet(ctx, r.conf, r.told)
	return code, err
}

// tellUnplanned tells of a schedule that cannot be followed at all.
func (a *app) tellUnplanned(ctx context.Context, conf *config.Config, s config.System, job string, err error) {
	a.account.problem(err.Error())
	a.account.todo("lifeboat schedule status " + s.Name)
	a.tellEnd(ctx, conf, ended(a.message(job, []string{s.Name}, true, time.Now()), runbook.ExitUsage, a.account))
}

// perform runs the job and remembers what came of it.
func (r scheduledRun) perform(ctx context.Context) (code int, err error) {
	state := r.app.state(r.conf)
	book := routine.NewBook(state)
	before, err := r.app.recordOf(book, r.task)
	if err != nil {
		return runbook.ExitFailed, err
	}
	if err := host.LowerPriority(r.task.Job.Nice, r.task.Job.IONice); err != nil {
		return runbook.ExitFailed, err
	}
	until := time.Now().Add(r.wait)
	// The run of a backup takes the lock itself, and a status needs none.
	if kind := r.task.Kind(); kind != config.JobBackup && kind != config.JobStatus {
		var lock *runbook.Lock
		err := r.patiently(ctx, until, func() (err error) {
			lock, err = runbook.Acquire(state, r.task.System, "scheduled-"+r.task.Name)
			return err
		})
		if err != nil {
			return runbook.ExitFailed, err
		}
		defer func() { err = errors.Join(err, lock.Release()) }()
	}
	record := before
	record.Started, record.Finished = time.Now(), time.Time{}
	if err := book.SetRun(r.task.System, r.task.Name, record); err != nil {
		return runbook.ExitFailed, err
	}
	total := &app{}
	for _, words := range r.task.Commands {
		code, err := r.call(ctx, until, words)
		if isBusy(err) && r.yields {
			return code, errors.Join(err, book.SetRun(r.task.System, r.task.Name, before))
		}
		total.worse(code)
		if ctx.Err() != nil {
			break
		}
	}
	record.Finished, record.Exit = time.Now(), total.Code
	if record.Exit == runbook.ExitDone || record.Exit == runbook.ExitWarnings {
		record.Succeeded = record.Finished
	}
	return record.Exit, book.SetRun(r.task.System, r.task.Name, record)
}

// recordOf is the record of a job. One that is damaged counts as none, with a warning:
// it is written anew, and shall keep no job from being done.
func (a *app) recordOf(book routine.Book, t routine.Task) (routine.Record, error) {
	record, err := book.Run(t.System, t.Name)
	if errors.Is(err, routine.ErrDamaged) {
		a.notices.warn(err.Error())
		return routine.Record{}, nil
	}
	return record, err
}

// patiently repeats what finds something in use, until it is time.
func (r scheduledRun) patiently(ctx context.Context, until time.Time, do func() error) error {
	for {
		err := do()
		left := time.Until(until)
		if !isBusy(err) || left <= 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(runbook.ErrInterrupted, err)
		case <-time.After(min(busyPause, left)):
		}
	}
}

// call calls one verb as the command line does. Its error has been told already.
func (r scheduledRun) call(ctx context.Context, until time.Time, words []string) (code int, err error) {
	all := []string{"--config=" + r.app.configFile}
	if r.app.stateDir != "" {
		all = append(all, "--state-dir="+r.app.stateDir)
	}
	for flag, set := range map[string]bool{"--json": r.app.JSON, "--verbose": r.app.verbose} {
		if set {
			all = append(all, flag)
		}
	}
	var child *app
	var command *cobra.Command
	err = r.patiently(ctx, until, func() (err error) {
		child = &app{Screen: screen.Screen{Out: r.out, Err: r.err}, hard: r.app.hard}
		child.notices.err = r.err
		root := child.root()
		root.SetArgs(append(all, words...))
		command, err = root.ExecuteContextC(ctx)
		return err
	})
	child.end(err)
	r.told.add(child.account)
	if err == nil {
		return child.Code, nil
	}
	return child.fail(command, err), err
}

package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
	"lifeboat/internal/routine"
	"lifeboat/internal/runbook"
)

type scheduleFlags struct {
	root absolutePath
	cron bool
}

func (a *app) scheduleCommand() *cobra.Command {
	var f scheduleFlags
	c := &cobra.Command{
		Use:   "schedule",
		Short: "Have backups, verifies and the like done by themselves",
		Long: `What is done for a system, and when, stands in its schedule: in the configuration.
Without one it is backed up every night and checked every week, and once a week
what its retention does not keep goes. On writes timers of systemd for that, or a
file for cron where there is no systemd; runs that were missed, as the machine was
off, are caught up. docs/routine.md has the whole of it.`,
		Example: "  lifeboat schedule on\n  lifeboat schedule status\n  lifeboat schedule run smt backup\n  lifeboat schedule off",
		Args:    args(cobra.NoArgs),
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	flags := func(c *cobra.Command) *cobra.Command {
		c.Flags().Var(&f.root, "root", "act on the machine whose root file system is mounted at `DIR`, without starting anything")
		c.Flags().BoolVar(&f.cron, "cron", false, "use cron although systemd is there")
		return c
	}
	c.AddCommand(
		flags(&cobra.Command{
			Use: "on [SYSTEM]", Short: "Write timers or cron files for the schedule; again after it was changed",
			Example: "  lifeboat schedule on\n  lifeboat schedule on smt --cron", Args: args(cobra.MaximumNArgs(1)),
			RunE: func(c *cobra.Command, names []string) error { return a.scheduleOn(c, f, names) },
		}),
		flags(&cobra.Command{
			Use: "off [SYSTEM]", Short: "Remove what `schedule on` has written",
			Example: "  lifeboat schedule off\n  lifeboat schedule off smt", Args: args(cobra.MaximumNArgs(1)),
			RunE: func(c *cobra.Command, names []string) error { return a.scheduleOff(c, f, names) },
		}),
		flags(&cobra.Command{
			Use: "status [SYSTEM]", Short: "Show what is done when, and what became of it last",
			Example: "  lifeboat schedule status\n  lifeboat schedule status --json", Args: args(cobra.MaximumNArgs(1)),
			RunE: func(_ *cobra.Command, names []string) error { return a.scheduleStatus(f, names) },
		}),
		a.scheduleRunCommand(),
	)
	return c
}

// scheduled are the systems whose schedule a verb is about.
func (a *app) scheduled(conf *config.Config, names []string) ([]config.System, error) {
	if len(names) == 0 {
		return conf.Systems, nil
	}
	s, err := a.system(conf, names)
	return []config.System{s}, err
}

// planned is the configuration, the systems in it whose schedule a verb is about,
// and what acts on their machine.
func (a *app) planned(f scheduleFlags, names []string) (conf *config.Config, systems []config.System, i routine.Installer, err error) {
	if conf, err = a.load(); err == nil {
		systems, err = a.scheduled(conf, names)
	}
	if err == nil {
		i, err = a.installer(conf, f)
	}
	return conf, systems, i, err
}

// installer acts on this machine, or on the one below a root.
func (a *app) installer(conf *config.Config, f scheduleFlags) (i routine.Installer, err error) {
	i = routine.Installer{Host: host.Local(), Cron: f.cron}
	if f.root != "" {
		if i.Host, err = host.At(string(f.root)); err != nil {
			return i, usageError{err}
		}
	}
	if i.Program.Path, err = os.Executable(); err != nil {
		return i, fmt.Errorf("find this program: %w", err)
	}
	if i.Program.Config, err = filepath.Abs(a.configFile); err != nil {
		return i, err
	}
	if a.stateDir != "" {
		if i.Program.StateDir, err = filepath.Abs(a.stateDir); err != nil {
			return i, err
		}
	}
	state, err := i.Host.Path(a.state(conf))
	i.Book = routine.NewBook(state)
	return i, err
}

// tasks are the jobs of a system, whose components the profile must have.
func (a *app) tasks(conf *config.Config, s config.System) ([]routine.Task, error) {
	tasks, err := routine.Tasks(conf, s)
	if err != nil {
		return nil, usageError{err}
	}
	var groups []string
	for _, t := range tasks {
		groups = append(groups, t.Job.Components...)
	}
	if len(groups) == 0 {
		return tasks, nil
	}
	p, err := a.catalogue().Load(s.Profile)
	if err != nil {
		return nil, usageError{err}
	}
	for _, name := range groups {
		i := slices.IndexFunc(p.Components, func(c profile.Component) bool { return c.Name == name })
		switch {
		case i < 0:
			return nil, usagef("system %s: schedule: profile %s has no component %q", s.Name, p.Name, name)
		case p.Components[i].Importance == profile.Critical:
			return nil, usagef("system %s: schedule: component %s is critical: every recovery point has it, and no job has it alone", s.Name, name)
		}
	}
	return tasks, nil
}

func (a *app) scheduleOn(c *cobra.Command, f scheduleFlags, names []string) error {
	conf, systems, i, err := a.planned(f, names)
	if err != nil {
		return err
	}
	tasks := map[string][]routine.Task{}
	for _, s := range systems { // all is looked at before anything is written
		if tasks[s.Name], err = a.tasks(conf, s); err != nil {
			return err
		}
	}
	if on, err := i.Systems(); err != nil {
		return err
	} else if len(names) == 0 {
		for _, name := range on { // no longer in the configuration
			if _, known := conf.System(name); !known {
				systems = append(systems, config.System{Name: name})
			}
		}
	}
	for _, s := range systems {
		form, _, err := i.State(s.Name, tasks[s.Name])
		if err != nil {
			return err
		}
		if form == "" {
			if err := a.beginSchedule(i.Book, tasks[s.Name]); err != nil {
				return err
			}
		}
		changes, err := i.On(c.Context(), s.Name, tasks[s.Name])
		if errors.Is(err, routine.ErrForeign) {
			return runbook.Refuse("", "%v", err)
		}
		if err != nil {
			return err
		}
		if err := a.showSchedule(s.Name, i.Form(), changes, len(tasks[s.Name]) > 0); err != nil {
			return err
		}
	}
	if a.json {
		return nil
	}
	a.printf("Next: lifeboat schedule status\n")
	return nil
}

// beginSchedule has nothing count as missed that lay before now.
func (a *app) beginSchedule(book routine.Book, tasks []routine.Task) error {
	for _, t := range tasks {
		record, err := book.Run(t.System, t.Name)
		if err != nil {
			return err
		}
		record.Since = time.Now()
		if err := book.SetRun(t.System, t.Name, record); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) scheduleOff(c *cobra.Command, f scheduleFlags, names []string) error {
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	i, err := a.installer(conf, f)
	if err != nil {
		return err
	}
	on, err := i.Systems()
	if err != nil {
		return err
	}
	if len(names) > 0 {
		if _, known := conf.System(names[0]); !known && !slices.Contains(on, names[0]) {
			return usagef("no system %q in %s; it has %v", names[0], a.configFile, conf.SystemNames())
		}
		on = slices.DeleteFunc(on, func(name string) bool { return name != names[0] })
	}
	if len(on) == 0 && !a.json {
		a.printf("No schedule is on.\n")
	}
	for _, name := range on {
		changes, err := i.Off(c.Context(), name)
		if err != nil {
			return err
		}
		if err := a.showSchedule(name, i.Form(), changes, false); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) showSchedule(system, form string, changes routine.Changes, on bool) error {
	if a.json {
		if err := a.emit(map[string]any{"type": "schedule", "system": system, "on": on, "form": form, "written": changes.Written, "removed": changes.Removed, "kept": changes.Kept}); err != nil {
			return err
		}
	} else {
		word := "off"
		if on {
			word = "on, by " + form
		}
		a.printf("%s  schedule %s\n", painterFor(a.out).bold(system), word)
		for _, list := range []struct {
			word  string
			files []string
		}{{"written", changes.Written}, {"removed", changes.Removed}} {
			for _, file := range list.files {
				a.printf("  %s %s\n", list.word, file)
			}
		}
		if len(changes.Written)+len(changes.Removed) == 0 {
			a.printf("  nothing changed\n")
		}
	}
	if len(changes.Kept) > 0 {
		return a.warn(fmt.Errorf("somebody has changed %s since it was written, so it was left; remove it by hand", strings.Join(changes.Kept, ", ")))
	}
	return nil
}

// jobView is a job as --json shows it.
type jobView struct {
	Type    string         `json:"type"`
	System  string         `json:"system"`
	Job     string         `json:"job"`
	At      string         `json:"at"`
	On      string         `json:"on,omitempty"` // systemd or cron
	Current bool           `json:"current"`      // what is written is what the configuration says
	Next    time.Time      `json:"next,omitzero"`
	Within  float64        `json:"within_seconds,omitempty"` // the random delay
	Missed  bool           `json:"missed,omitempty"`         // it is to be caught up
	Last    routine.Record `json:"last"`
	Running bool           `json:"running,omitempty"`
}

// jobs tells how the jobs of a system stand.
func (a *app) jobs(conf *config.Config, i routine.Installer, s config.System, now time.Time) ([]jobView, error) {
	tasks, err := a.tasks(conf, s)
	if err != nil {
		return nil, err
	}
	form, current, err := i.State(s.Name, tasks)
	if err != nil {
		return nil, err
	}
	busy := runbook.Busy(a.state(conf), s.Name)
	var views []jobView
	for _, t := range tasks {
		view := jobView{Type: "job", System: s.Name, Job: t.Name, At: t.Times.String(), On: form, Current: current}
		if view.Last, err = i.Book.Run(s.Name, t.Name); err != nil {
			return nil, err
		}
		view.Running = busy && !view.Last.Started.IsZero() && view.Last.Finished.IsZero()
		if form != "" {
			view.Next = t.Due(view.Last, now, machine())
			if form == routine.BySystemd { // which draws the delay each time anew
				view.Within = t.Job.RandomDelay.Seconds()
				view.Next = t.Times.Next(now)
			}
			view.Missed = view.Next.Before(now)
		}
		views = append(views, view)
	}
	return views, nil
}

// machine tells this machine from others.
func machine() string {
	if id, err := os.ReadFile("/etc/machine-id"); err == nil && len(id) > 0 {
		return strings.TrimSpace(string(id))
	}
	name, _ := os.Hostname()
	return name
}

func (a *app) scheduleStatus(f scheduleFlags, names []string) error {
	conf, systems, i, err := a.planned(f, names)
	if err != nil {
		return err
	}
	now := time.Now()
	var rows [][]string
	changed := false
	for _, s := range systems {
		views, err := a.jobs(conf, i, s, now)
		if err != nil {
			return err
		}
		for _, v := range views {
			if a.json {
				if err := a.emit(v); err != nil {
					return err
				}
				continue
			}
			changed = changed || v.On != "" && !v.Current
			rows = append(rows, []string{v.System, v.Job, v.At, v.next(), when(v.Last.Started), v.last()})
		}
	}
	if a.json {
		return nil
	}
	if len(rows) == 0 {
		a.printf("No system of %s has a schedule.\n", a.configFile)
		return nil
	}
	a.table([]string{"system", "job", "at", "next", "last", ""}, rows)
	if changed {
		a.printf("\n%s what is written is not what %s says. Next: lifeboat schedule on\n", painterFor(a.out).yellow("warning"), a.configFile)
	}
	return nil
}

func (v jobView) next() string {
	switch {
	case v.On == "":
		return "off"
	case v.Missed:
		return "now: " + when(v.Next) + " was missed"
	case v.Within > 0:
		return when(v.Next) + " + " + (time.Duration(v.Within) * time.Second).String()
	}
	return when(v.Next)
}

func (v jobView) last() string {
	switch {
	case v.Last.Started.IsZero():
		return ""
	case v.Running:
		return "running"
	case v.Last.Finished.IsZero():
		return "killed"
	}
	return exitWord(v.Last.Exit)
}

// exitWord says what an exit code means.
func exitWord(code int) string {
	switch code {
	case runbook.ExitDone:
		return "done"
	case runbook.ExitWarnings:
		return "done with warnings"
	case runbook.ExitUsage:
		return "failed: usage or configuration"
	case runbook.ExitRefused:
		return "refused"
	case runbook.ExitWaiting:
		return "waits for a person"
	case runbook.ExitInterrupted:
		return "interrupted"
	}
	return "failed"
}

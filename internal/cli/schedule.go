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

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
	"lifeboat/internal/routine"
	"lifeboat/internal/runbook"
)

type scheduleFlags struct {
	root  screen.Path
	cron  bool
	force bool
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
		Args:    screen.Args(cobra.NoArgs),
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	flags := func(c *cobra.Command) *cobra.Command {
		c.Flags().Var(&f.root, "root", "act on the machine whose root file system is mounted at `DIR`, without starting anything")
		c.Flags().BoolVar(&f.cron, "cron", false, "use cron although systemd is there")
		return c
	}
	on := flags(&cobra.Command{
		Use: "on [SYSTEM]", Short: "Write timers or cron files for the schedule; again after it was changed",
		Example: "  lifeboat schedule on\n  lifeboat schedule on smt --cron", Args: screen.Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, names []string) error { return a.scheduleOn(c, f, names) },
	})
	on.Flags().BoolVar(&f.force, "force", false, "write over its own files that somebody has changed, and keep what they were beside them")
	c.AddCommand(
		on,
		flags(&cobra.Command{
			Use: "off [SYSTEM]", Short: "Remove what `schedule on` has written",
			Example: "  lifeboat schedule off\n  lifeboat schedule off smt", Args: screen.Args(cobra.MaximumNArgs(1)),
			RunE: func(c *cobra.Command, names []string) error { return a.scheduleOff(c, f, names) },
		}),
		flags(&cobra.Command{
			Use: "status [SYSTEM]", Short: "Show what is done when, and what became of it last",
			Example: "  lifeboat schedule status\n  lifeboat schedule status --json", Args: screen.Args(cobra.MaximumNArgs(1)),
			RunE: func(c *cobra.Command, names []string) error { return a.scheduleStatus(c.Context(), f, names) },
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
// and what acts on their machine. Gone are those whose schedule is on and that the
// configuration has no longer.
func (a *app) planned(f scheduleFlags, names []string) (conf *config.Config, systems []config.System, gone []string, i routine.Installer, err error) {
	if conf, err = a.load(); err != nil {
		return nil, nil, nil, i, err
	}
	if i, err = a.installer(conf, f); err != nil {
		return nil, nil, nil, i, err
	}
	if gone, err = orphans(conf, i); err != nil {
		return conf, nil, nil, i, err
	}
	if len(names) > 0 && slices.Contains(gone, names[0]) {
		return conf, nil, names[:1], i, nil
	}
	if len(names) > 0 {
		gone = nil
	}
	systems, err = a.scheduled(conf, names)
	return conf, systems, gone, i, err
}

// orphans are the systems whose schedule is on and that the configuration has no
// longer.
func orphans(conf *config.Config, i routine.Installer) ([]string, error) {
	on, err := i.Systems()
	return slices.DeleteFunc(on, func(name string) bool {
		_, known := conf.System(name)
		return known
	}), err
}

// installer acts on this machine, or on the one below a root.
func (a *app) installer(conf *config.Config, f scheduleFlags) (i routine.Installer, err error) {
	i = routine.Installer{Host: host.Local(), Cron: f.cron, Force: f.force}
	if f.root != "" {
		if i.Host, err = host.At(string(f.root)); err != nil {
			return i, screen.Usage(err)
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
		return nil, screen.Usage(err)
	}
	var groups []string
	for _, t := range tasks {
		groups = append(groups, t.Job.Components...)
	}
	if len(groups) == 0 && s.Hooks.IsZero() {
		return tasks, nil
	}
	p, err := a.catalogue().Load(s.Profile)
	if err != nil {
		return nil, screen.Usage(err)
	}
	if err := a.checkNames(s, p); err != nil {
		return nil, err
	}
	for _, name := range groups {
		i := slices.IndexFunc(p.Components, func(c profile.Component) bool { return c.Name == name })
		switch {
		case i < 0:
			return nil, screen.Usagef("system %s: schedule: profile %s has no component %q", s.Name, p.Name, name)
		case p.Components[i].Importance == profile.Critical:
			return nil, screen.Usagef("system %s: schedule: component %s is critical: every recovery point has it, and no job has it alone", s.Name, name)
		}
	}
	return tasks, nil
}

func (a *app) scheduleOn(c *cobra.Command, f scheduleFlags, names []string) error {
	conf, systems, gone, i, err := a.planned(f, names)
	if err != nil {
		return err
	}
	tasks := map[string][]routine.Task{}
	for _, s := range systems { // all is looked at before anything is written
		if tasks[s.Name], err = a.tasks(conf, s); err != nil {
			return err
		}
	}
	if len(names) == 0 {
		for _, name := range gone { // what was written for them goes
			systems = append(systems, config.System{Name: name})
		}
	} else if len(gone) > 0 {
		return screen.Usagef("%s has no system %q any more; lifeboat schedule off %s ends its schedule", a.configFile, names[0], names[0])
	}
	for _, s := range systems {
		standing, err := i.State(c.Context(), s.Name, tasks[s.Name])
		if err != nil {
			return err
		}
		if standing.Form == "" {
			if err := a.beginSchedule(i.Book, tasks[s.Name]); err != nil {
				return err
			}
		}
		changes, err := i.On(c.Context(), s.Name, tasks[s.Name])
		if errors.Is(err, routine.ErrForeign) || errors.Is(err, routine.ErrChanged) {
			return runbook.Refuse("", "%v", err)
		}
		if err != nil {
			return err
		}
		if err := a.showSchedule(s.Name, i.Form(), changes, len(tasks[s.Name]) > 0); err != nil {
			return err
		}
	}
	if a.JSON {
		return nil
	}
	a.Printf("Next: lifeboat schedule status\n")
	return nil
}

// beginSchedule has nothing count as missed that lay before now.
func (a *app) beginSchedule(book routine.Book, tasks []routine.Task) error {
	for _, t := range tasks {
		record, err := a.recordOf(book, t)
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
			return screen.Usagef("no system %q in %s; it has %v", names[0], a.configFile, conf.SystemNames())
		}
		on = slices.DeleteFunc(on, func(name string) bool { return name != names[0] })
	}
	if len(on) == 0 && !a.JSON {
		a.Printf("No schedule is on.\n")
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
	if a.JSON {
		if err := a.Emit(map[string]any{"type": "schedule", "system": system, "on": on, "form": form, "written": changes.Written, "removed": changes.Removed, "kept": changes.Kept, "aside": changes.Aside}); err != nil {
			return err
		}
	} else {
		word := "off"
		if on {
			word = "on, by " + form
		}
		a.Printf("%s  schedule %s\n", screen.PainterFor(a.Out).Bold(system), word)
		for _, list := range []struct {
			word  string
			files []string
		}{{"written", changes.Written}, {"removed", changes.Removed}, {"what it was is kept as", changes.Aside}} {
			for _, file := range list.files {
				a.Printf("  %s %s\n", list.word, file)
			}
		}
		if len(changes.Written)+len(changes.Removed) == 0 {
			a.Printf("  nothing changed\n")
		}
	}
	if len(changes.Kept) > 0 {
		return a.warn(fmt.Errorf("somebody has changed %s since it was written, so it was left and is still read; remove it by hand", strings.Join(changes.Kept, ", ")))
	}
	return nil
}

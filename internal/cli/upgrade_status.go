package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade"
	"lifeboat/internal/zypper"
)

func (a *app) upgradeStatusCommand() *cobra.Command {
	root := screen.Path("/")
	c := &cobra.Command{
		Use: "status [RUN]", Short: "Say where the last upgrade stands, or the one that is named",
		Example: "  lifeboat upgrade status\n  lifeboat upgrade status --root /mnt --json",
		Args:    screen.Args(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, names []string) error {
			conf, run, err := a.upgradeRunOf(root, names)
			if err != nil {
				return err
			}
			return a.tellStanding(conf, run)
		},
	}
	c.Flags().Var(&root, "root", "the machine whose root file system is mounted at `DIR`")
	return c
}

// upgradeRunOf finds the run that is named, or the last one of a root. A root that a
// rescue system has mounted has its own runs with it, of when it was running.
func (a *app) upgradeRunOf(root screen.Path, names []string) (*config.Config, *runbook.Run, error) {
	root = resolved(root)
	conf, err := a.loadOrEmpty()
	if err != nil {
		return nil, nil, err
	}
	runs, listErr := runbook.List(a.state(conf))
	id := ""
	if len(names) > 0 {
		id = names[0]
	}
	run, err := upgrade.Last(runs, string(root), id)
	if err != nil && root != "/" {
		if own := a.ownRun(root, id); own != nil {
			run, err = own, nil
		}
	}
	if err != nil {
		return nil, nil, screen.Usage(errors.Join(err, listErr))
	}
	if r, err := upgrade.Asked(run); err == nil && root != "/" && r.Root != "/" && r.Root != string(root) {
		if r.Identity == nil {
			return nil, nil, runbook.Refuse("", "run %s is of the root at %s, and whether that is the one at %s is not recorded; mount it at %s", run.ID, r.Root, root, r.Root)
		}
		a.movedTo = string(root)
	}
	return conf, run, nil
}

// resolved is a root's own path: one that a link leads to is not another root.
func resolved(root screen.Path) screen.Path {
	if real, err := filepath.EvalSymlinks(string(root)); err == nil {
		return screen.Path(real)
	}
	return root
}

// ownRun is a run that a mounted root has with it; from then on its state directory is
// the one that is used. Nil where there is none.
func (a *app) ownRun(root screen.Path, id string) *runbook.Run {
	h, err := host.At(string(root))
	if err != nil {
		return nil
	}
	dir := config.DefaultStateDir
	if file, err := h.Path(config.DefaultFile); err == nil {
		if own, err := config.Load(file); err == nil && own.StateDir != "" {
			dir = own.StateDir
		}
	}
	state, err := h.Path(dir)
	if err != nil {
		return nil
	}
	runs, _ := runbook.List(state)
	run, err := upgrade.Last(runs, "/", id)
	if err != nil {
		return nil
	}
	a.stateDir, a.mounted = state, string(root)
	return run
}

// asked is what a run was asked for, with its root where that is for this process.
func (a *app) asked(run *runbook.Run) (upgrade.Request, error) {
	r, err := upgrade.Asked(run)
	if err == nil && a.mounted != "" && r.Root == "/" {
		r.Root = a.mounted
	}
	if err == nil && a.movedTo != "" {
		r.Root = a.movedTo
	}
	return r, err
}

// standingView is where an upgrade stands, for programs.
type standingView struct {
	Type     string           `json:"type"`
	Run      string           `json:"run"`
	State    runbook.State    `json:"state"`
	Standing string           `json:"standing"`
	From     string           `json:"from"`
	To       string           `json:"to"`
	Root     string           `json:"root"`
	Hop      int              `json:"hop,omitempty"` // of a way of several
	Hops     []hopView        `json:"hops,omitempty"`
	Next     []string         `json:"next,omitempty"` // commands
	Outcome  *upgrade.Outcome `json:"outcome,omitempty"`
	Error    string           `json:"error,omitempty"`
	// Working are the processes that a lifeboat which was ended has left at the packages.
	Working []int            `json:"working,omitempty"`
	Reached *upgrade.Reached `json:"reached,omitempty"` // once it was taken back
}

// hopView is one hop of a way.
type hopView struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Method   string `json:"method"`
	Run      string `json:"run,omitempty"`
	Standing string `json:"standing"` // the run's state, or "to come"
	Reached  bool   `json:"reached"`
}

func viewsOf(hops []upgrade.Hop) []hopView {
	var list []hopView
	for _, h := range hops {
		v := hopView{From: h.Request.From.Name(), To: h.Request.To.Name(), Method: h.Request.Method, Standing: "to come", Reached: h.Reached()}
		if h.Run != nil {
			v.Run, v.Standing = h.Run.ID, string(h.Run.State)
		}
		list = append(list, v)
	}
	return list
}

func (a *app) tellStanding(conf *config.Config, run *runbook.Run) error {
	r, err := a.asked(run)
	if err != nil {
		return err
	}
	v := standingView{
		Type: "upgrade-status", Run: run.ID, State: run.State, Standing: upgrade.Standing(run), From: r.From.Name(), To: r.To.Name(), Root: r.Root, Error: run.Error,
	}
	if out, ok := upgrade.Left(run); ok {
		v.Outcome = &out
	}
	if run.State == runbook.StateRolledBack {
		reached := upgrade.Back(run)
		v.Reached = &reached
	} else if run.State != runbook.StateRunning {
		v.Working = a.working(run)
	}
	hops, err := a.hopsOf(conf, run)
	if err != nil {
		return err
	}
	if len(hops) > 0 {
		v.Hop, v.Hops = r.Way.Hop, viewsOf(hops)
	}
	v.Next = a.nextCommands(hops, run)
	if a.JSON {
		return a.Emit(v)
	}
	place := ""
	if v.Hop > 0 {
		place = fmt.Sprintf(" (%s to %s)", r.Place(), r.Goal().Name())
	}
	a.Printf("Upgrade %s, %s to %s%s: %s\n", v.Run, v.From, v.To, place, v.Standing)
	if v.Error != "" {
		a.Printf("  %s\n", screen.Clean(v.Error))
	}
	if v.Reached != nil && v.Reached.Compared > 0 {
		a.Printf("  %v\n", screen.Clean(v.Reached.String()))
	}
	if text := a.workText(run); text != "" && v.Working != nil {
		a.Printf("  %s\n", strings.TrimSpace(text))
	}
	for _, w := range run.Warnings {
		a.Printf("  warning: %s\n", screen.Clean(w.Text))
	}
	if len(v.Hops) > 0 {
		var rows [][]string
		for i, h := range v.Hops {
			rows = append(rows, []string{fmt.Sprintf("  %d", i+1), h.From + " → " + h.To, h.Method, h.Standing, h.Run})
		}
		a.Table([]string{"  hop", "", "by", "", "run"}, rows)
	}
	for _, next := range v.Next {
		a.Printf("  %s\n", next)
	}
	return nil
}

// nextCommands are what can be done from where an upgrade stands.
func (a *app) nextCommands(hops []upgrade.Hop, run *runbook.Run) []string {
	where := a.inRoot(run)
	on, back := "lifeboat upgrade resume"+where, "lifeboat upgrade rollback"+where
	if len(hops) > 0 {
		next, more := upgrade.Next(hops)
		last := upgrade.Newest(hops, run)
		switch {
		case more && next.Run != nil && next.Run.State == runbook.StateRunning:
			return nil
		case more && next.Run != nil && next.Run.RollingBack && next.Run.State != runbook.StateRolledBack:
			return []string{on}
		case !more:
			return []string{back}
		case last.State == runbook.StateRolledBack || !upgrade.Changed(last):
			return []string{on}
		}
		return []string{on, back}
	}
	switch {
	case run.State == runbook.StateRunning, run.State == runbook.StateRolledBack:
		return nil
	case run.RollingBack:
		return []string{on}
	case run.Resumable():
		return []string{on, back}
	}
	return []string{back}
}

// tellOutcome tells what an upgrade has left to look at.
func (a *app) tellOutcome() error {
	out, ok := upgrade.Left(a.ran)
	if !ok || a.ran.State == runbook.StateRolledBack {
		return nil
	}
	if a.JSON {
		return a.Emit(struct {
			Type string `json:"type"`
			upgrade.Outcome
		}{"upgrade-outcome", out})
	}
	a.Printf("\nThe host is %s, with %d packages.\n", out.Release, out.Packages)
	for _, part := range []struct {
		title string
		list  []string
	}{
		{"Beside files that were edited, to be merged", out.Beside},
		{"In no package repository any more", out.Orphans},
		{"Package repositories that are off", out.Off},
	} {
		if len(part.list) > 0 {
			a.Printf("%s:\n", part.title)
			for _, item := range part.list {
				a.Printf("  %s\n", screen.Clean(item))
			}
		}
	}
	a.Printf("To go back: lifeboat upgrade rollback%s\n", a.inRoot(a.ran))
	return nil
}

// working are the processes that go on changing the packages of a run's root although
// its lifeboat has ended.
func (a *app) working(run *runbook.Run) []int {
	r, err := a.asked(run)
	if err != nil {
		return nil
	}
	z, err := zypper.New(zypper.Options{Root: r.Root})
	if err != nil {
		return nil
	}
	return z.Active()
}

// workText says so, on a line of its own; "" where nothing works.
func (a *app) workText(run *runbook.Run) string {
	list := a.working(run)
	if len(list) == 0 {
		return ""
	}
	return fmt.Sprintf("\nPackages are still being changed (zypper and rpm, processes %s). Let them end; this waits for them and goes on: lifeboat upgrade resume%s",
		strings.Trim(fmt.Sprint(list), "[]"), a.inRoot(run))
}

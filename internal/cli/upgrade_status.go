package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/routine"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade"
	"lifeboat/internal/upgrade/boot"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/upgrade/preflight"
	"lifeboat/internal/upgrade/wayback"
	"lifeboat/internal/vault"
)

func (a *app) upgradeStatusCommand() *cobra.Command {
	root := absolutePath("/")
	c := &cobra.Command{
		Use: "status [RUN]", Short: "Say where the last upgrade stands, or the one that is named",
		Example: "  lifeboat upgrade status\n  lifeboat upgrade status --root /mnt --json",
		Args:    args(cobra.MaximumNArgs(1)),
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

func (a *app) upgradeResumeCommand() *cobra.Command {
	c, root := a.onwards("resume [RUN]", "Go on with an upgrade, in the direction in which it was", `Goes on with an upgrade that was interrupted, was killed, waits for the installer, or
failed: what is done is not done again, and what a killed one has left running is waited
for. One that was on its way back goes on back.`,
		"  lifeboat upgrade resume\n  lifeboat upgrade resume --root /mnt")
	c.RunE = func(c *cobra.Command, names []string) error {
		return a.goOn(c.Context(), *root, names, func(ctx context.Context, u *upgrade.Upgrade, e *runbook.Engine, run *runbook.Run) (*runbook.Run, error) {
			return u.Resume(ctx, e, run)
		})
	}
	return c
}

func (a *app) upgradeRollbackCommand() *cobra.Command {
	c, root := a.onwards("rollback [RUN]", "Take a host back to what it was before its upgrade", `Takes back everything that the upgrade has changed: files, package database and package
repositories are what they were, and that is proved entry by entry. Where the running root
itself has to go back, it does so at the next start: the exit code is 5, and the same
command proves it afterwards. What was written to the root since the upgrade is gone.`,
		"  lifeboat upgrade rollback\n  lifeboat upgrade rollback --root /mnt")
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	c.RunE = func(c *cobra.Command, names []string) error {
		return a.goOn(c.Context(), *root, names, func(ctx context.Context, u *upgrade.Upgrade, e *runbook.Engine, run *runbook.Run) (*runbook.Run, error) {
			if err := confirm(ctx, fmt.Sprintf("Take upgrade %s back? The host becomes %s again, and what was changed since is gone.", run.ID, u.From.Name()), a.yes); err != nil {
				return nil, err
			}
			return u.Rollback(ctx, e, run)
		})
	}
	return c
}

func (a *app) onwards(use, short, long, example string) (*cobra.Command, *absolutePath) {
	root := absolutePath("/")
	c := &cobra.Command{Use: use, Short: short, Long: long, Example: example, Args: args(cobra.MaximumNArgs(1))}
	c.Flags().Var(&root, "root", "the machine whose root file system is mounted at `DIR`")
	return c, &root
}

// upgradeRunOf finds the run that is named, or the last one of a root.
func (a *app) upgradeRunOf(root absolutePath, names []string) (*config.Config, *runbook.Run, error) {
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
	if err != nil {
		return nil, nil, usageError{errors.Join(err, listErr)}
	}
	return conf, run, nil
}

type onward func(context.Context, *upgrade.Upgrade, *runbook.Engine, *runbook.Run) (*runbook.Run, error)

func (a *app) goOn(ctx context.Context, root absolutePath, names []string, act onward) error {
	conf, run, err := a.upgradeRunOf(root, names)
	if err != nil {
		return err
	}
	if run.State == runbook.StateRunning {
		return activeError(run)
	}
	request, err := upgrade.Asked(run)
	if err != nil {
		return err
	}
	catalogue, err := a.upgradesOf(request.From.Product)
	if err != nil {
		return err
	}
	u, done, err := a.upgradeOf(ctx, conf, run.System, request.System, request, catalogue)
	if err != nil {
		return err
	}
	defer done()
	engine, ended := a.engine(a.state(conf), false)
	defer ended()
	defer a.noticed(ctx)()
	a.ran, err = act(ctx, u, engine, run)
	return a.upgradeEnded(err)
}

// upgradeOf makes an upgrade with everything that this machine has for it.
func (a *app) upgradeOf(ctx context.Context, conf *config.Config, name, system string, r upgrade.Request, c *path.Catalogue) (*upgrade.Upgrade, func(), error) {
	target := wayback.Target{Root: r.Root, State: a.state(conf)}
	set := upgrade.Setup{State: target.State, Catalogue: c, Ways: []wayback.Means{wayback.NewBtrfs(target)}}
	done := func() {}
	saved, vaulted, closed, err := a.savedHost(ctx, conf, system)
	switch {
	case err != nil:
		return nil, nil, err
	case vaulted != nil:
		done = closed
		p, err := a.catalogue().Load(saved.Profile)
		if err != nil {
			return nil, nil, errors.Join(err, fmt.Errorf("system %s", saved.Name))
		}
		set.Ways = append(set.Ways, wayback.NewPoint(wayback.PointOptions{
			Target: target, System: saved.Name, Profile: p, Catalog: catalog(), Vault: vaulted, Settings: saved.Settings, Version: Version,
		}))
		r.System = saved.Name
	}
	set.Point = func(ctx context.Context) preflight.Point { return a.pointOf(ctx, conf, saved, vaulted, set.Ways, r) }
	h, err := hostBelow(absolutePath(r.Root))
	if err != nil {
		return nil, nil, err
	}
	set.Entry = bootEntry{&boot.Menu{Host: h}}
	u, err := upgrade.New(name, r, set)
	return u, done, err
}

// savedHost is the configured system whose recovery points hold the host itself, and
// its vault; nil when there is none.
func (a *app) savedHost(ctx context.Context, conf *config.Config, name string) (config.System, *vault.Vault, func(), error) {
	for _, s := range conf.Systems {
		p, err := a.catalogue().Load(s.Profile)
		if name != "" && s.Name != name || name == "" && (err != nil || p.Upgrade == nil) {
			continue
		}
		// Without one lock over all of it: to take a way back away takes another one.
		repo, err := a.openRepository(ctx, conf, s.Name)
		if err != nil {
			return s, nil, nil, err
		}
		return s, a.vaultOf(conf, repo), func() { _ = repo.Close() }, nil
	}
	if name != "" {
		return config.System{}, nil, nil, usagef("no system %q in %s; it has %v", name, a.configFile, conf.SystemNames())
	}
	return config.System{}, nil, func() {}, nil
}

// pointOf is what the preflight checks are told of recovery points.
func (a *app) pointOf(ctx context.Context, conf *config.Config, s config.System, v *vault.Vault, ways []wayback.Means, r upgrade.Request) preflight.Point {
	p := preflight.Point{System: s.Name}
	if v == nil {
		return p
	}
	p.Repository = v.Repository().Location()
	if shared, err := host.SharedDisks(r.Root, v.Repository().Location()); err == nil {
		p.Shared = shared
	}
	if m, _, err := wayback.Choose(ctx, ways, r.WayBack); err == nil && m.Name() == (*wayback.Point)(nil).Name() {
		p.Planned = true // and verified before the point of no return
		return p
	}
	latest, err := v.Find(ctx, "latest", vault.Filter{System: s.Name})
	if err != nil {
		p.Error = err.Error()
		return p
	}
	p.ID, p.Time = latest.ID(), latest.Time()
	if verified, err := routine.NewBook(a.state(conf)).Verified(s.Name, p.Repository); err == nil && verified.Read >= verified.Bytes {
		p.Verified = verified.Time
	}
	return p
}

// bootEntry makes the boot entry of an upgrade.
type bootEntry struct{ menu *boot.Menu }

func (e bootEntry) Add(ctx context.Context, r upgrade.Request) (string, error) {
	made, err := e.menu.Add(ctx, boot.Request{From: r.Medium, Arch: r.From.Arch, Auto: r.Auto, Append: r.Append})
	if errors.Is(err, boot.ErrPresent) {
		// Of this run: another one would have been removed with its own.
		made, err = e.menu.Show(ctx)
	}
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%s in %s, selection: %s", made.Title, made.Config, made.Selection)
	if made.Why != "" {
		text += " (" + made.Why + ")"
	}
	return text, nil
}

func (e bootEntry) Remove(ctx context.Context) error {
	_, err := e.menu.Remove(ctx)
	return err
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
	Next     []string         `json:"next,omitempty"` // commands
	Outcome  *upgrade.Outcome `json:"outcome,omitempty"`
	Error    string           `json:"error,omitempty"`
}

func (a *app) tellStanding(_ *config.Config, run *runbook.Run) error {
	r, err := upgrade.Asked(run)
	if err != nil {
		return err
	}
	v := standingView{
		Type: "upgrade-status", Run: run.ID, State: run.State, Standing: upgrade.Standing(run), From: r.From.Name(), To: r.To.Name(), Root: r.Root, Error: run.Error,
	}
	if out, ok := upgrade.Left(run); ok {
		v.Outcome = &out
	}
	where := rootOption(r)
	switch {
	case run.State == runbook.StateRunning, run.State == runbook.StateRolledBack:
	case run.RollingBack:
		v.Next = []string{"lifeboat upgrade resume" + where}
	case run.Resumable():
		v.Next = []string{"lifeboat upgrade resume" + where, "lifeboat upgrade rollback" + where}
	default:
		v.Next = []string{"lifeboat upgrade rollback" + where}
	}
	if a.json {
		return a.emit(v)
	}
	a.printf("Upgrade %s, %s to %s: %s\n", v.Run, v.From, v.To, v.Standing)
	if v.Error != "" {
		a.printf("  %s\n", clean(v.Error))
	}
	for _, w := range run.Warnings {
		a.printf("  warning: %s\n", clean(w.Text))
	}
	for _, next := range v.Next {
		a.printf("  %s\n", next)
	}
	return nil
}

// rootOption is what a command about the same root ends with.
func rootOption(r upgrade.Request) string {
	if r.Root == "/" {
		return ""
	}
	return " --root " + r.Root
}

// tellOutcome tells what an upgrade has left to look at.
func (a *app) tellOutcome() error {
	out, ok := upgrade.Left(a.ran)
	if !ok || a.ran.State == runbook.StateRolledBack {
		return nil
	}
	if a.json {
		return a.emit(struct {
			Type string `json:"type"`
			upgrade.Outcome
		}{"upgrade-outcome", out})
	}
	a.printf("\nThe host is %s, with %d packages.\n", out.Release, out.Packages)
	for _, part := range []struct {
		title string
		list  []string
	}{
		{"Beside files that were edited, to be merged", out.Beside},
		{"In no package repository any more", out.Orphans},
		{"Package repositories that are off", out.Off},
	} {
		if len(part.list) > 0 {
			a.printf("%s:\n", part.title)
			for _, item := range part.list {
				a.printf("  %s\n", clean(item))
			}
		}
	}
	if r, err := upgrade.Asked(a.ran); err == nil {
		a.printf("To go back: lifeboat upgrade rollback%s\n", rootOption(r))
	}
	return nil
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/drill"
	"lifeboat/internal/host"
	"lifeboat/internal/routine"
	"lifeboat/internal/runbook"
	"lifeboat/internal/sandbox"
	"lifeboat/internal/vault"
	"lifeboat/internal/vault/head"
)

// drillFlags are the options of one drill.
type drillFlags struct {
	from                   string
	force                  []string
	keep, shell            bool
	quick, full            bool
	subset                 string
	diskLimit, memoryLimit string
	html, pdf              screen.Path
	noStore                bool
	caPassword             screen.Path
}

func (a *app) drillCommand() *cobra.Command {
	var f drillFlags
	c := &cobra.Command{
		Use:   "drill SYSTEM",
		Short: "Rehearse the recovery of a system in a sandbox, and measure it",
		Long: `Recovers a system into a sandbox on this machine, the protected one or a spare one
with the product installed. The sandbox has the machine's packages and nothing of the
system: its files, its database and its services start empty there, and its only
network is the loopback. In it runs the runbook that recover runs, with the
commands of the installed product. The live system is not touched.

What would reach out of the sandbox, a registration say, is replaced as the profile
says, and the report names it. The report also has every check, the time of each step,
how long the recovery took and how old the newest recovery point was. It is signed and
kept in the repository; lifeboat drill history shows them.

A drill that was killed leaves nothing running; the next command clears away the rest.`,
		Example: `  lifeboat drill smt
  lifeboat drill smt --quick
  lifeboat drill smt --random-subset 10%
  lifeboat drill smt --from 1a2b3c4d --html /root/drill.html
  lifeboat drill smt --shell
  lifeboat drill smt --disk-limit 20G
  lifeboat drill smt --ca-password-file /root/ca-password
  lifeboat drill history smt`,
		Args: screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error { return a.drill(c.Context(), names[0], f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.from, "from", "latest", "recovery `POINT`")
	flags.StringSliceVar(&f.force, "force", nil, "go on although `CHECK[,CHECK]` of the identity does not agree")
	flags.BoolVar(&f.full, "full", false, "restore all that the recovery point holds (this is the default)")
	flags.BoolVar(&f.quick, "quick", false, "restore the critical components alone, without starting the system")
	flags.StringVar(&f.subset, "random-subset", "", "restore no optional component, and read `SHARE` of their files, such as 10%, chosen at random")
	flags.BoolVar(&f.keep, "keep", false, "leave the sandbox on disk; lifeboat drill discard removes it")
	flags.BoolVar(&f.shell, "shell", false, "open a shell in the sandbox when the recovery has ended")
	flags.StringVar(&f.diskLimit, "disk-limit", "", "write at most `SIZE` in the sandbox, such as 20G")
	flags.StringVar(&f.memoryLimit, "memory-limit", "", "use at most `SIZE` of memory, such as 2G")
	flags.Var(&f.html, "html", "also write the report as a page to `FILE`")
	flags.Var(&f.pdf, "pdf", "also write the report as PDF to `FILE`")
	flags.BoolVar(&f.noStore, "no-store", false, "do not keep the report in the repository")
	flags.Var(&f.caPassword, "ca-password-file", "`FILE` with the password of the authority's key, to prove that the key can sign")
	a.repositoryFlags(c)
	c.AddCommand(a.drillHistoryCommand(), a.drillDiscardCommand())
	return c
}

func (a *app) drill(ctx context.Context, system string, f drillFlags) error {
	if given(f.quick, f.full, f.subset != "") > 1 {
		return screen.Usagef("--quick, --full and --random-subset exclude each other")
	}
	if f.shell && !onTerminal() {
		return screen.Usagef("--shell needs a terminal")
	}
	share, err := f.share()
	if err != nil {
		return err
	}
	limits, err := f.limits()
	if err != nil {
		return err
	}
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	r, err := a.chooseRepository(conf, system)
	if err != nil {
		return err
	}
	if r.Store, err = a.storeOf(r.URL, r.Store); err != nil {
		return err
	}
	password, err := a.passwordOf(ctx, r, a.password)
	if err != nil {
		return err
	}
	defer clear(password)
	var caPassword []byte
	if f.caPassword != "" {
		if caPassword, err = a.readPassword(ctx, config.Password{File: string(f.caPassword)}, "password of the authority's key"); err != nil {
			return err
		}
		defer clear(caPassword)
	}
	repo, err := a.openKnowing(ctx, r, password)
	if err != nil {
		return err
	}
	v, closeVault, err := a.lockedVault(ctx, conf, repo)
	if err != nil {
		return err
	}
	defer closeVault()
	point, err := a.find(ctx, v, f.from, vault.Filter{System: system})
	if errors.Is(err, vault.ErrNoPoint) && vault.IsLatest(f.from) {
		err = a.noPoint(conf, system, err)
	}
	if err != nil {
		return err
	}
	newest, err := v.Latest(ctx, vault.Filter{System: system}, point.Manifest.Host)
	if err != nil {
		return err
	}
	before, err := pointBefore(ctx, v, point)
	if err != nil {
		return err
	}
	p, err := a.catalogue().Load(point.Profile())
	if err != nil {
		return screen.Usage(err)
	}
	store, err := a.openConfigured(ctx, r.URL, r.Store)
	if err != nil {
		return err
	}
	defer store.Close()
	o := drill.Options{
		System: system, Profile: p, Catalog: catalog(), Point: point, Newest: newest.Point, Before: before, Store: store, Password: password, CAPassword: caPassword,
		Force: f.force, Depth: drill.Full, State: a.state(conf), Limits: limits, Keep: f.keep, Version: screen.Version,
	}
	if s, ok := conf.System(system); ok {
		o.Settings, o.Objectives = s.Settings, drill.Objectives{RTO: s.Objectives.RTO, RPO: s.Objectives.RPO}
	}
	if p.Digest() != point.Manifest.ProfileDigest {
		o.Remarks = append(o.Remarks, "the recovery point was made with another version of profile "+p.Name+" than the one that is installed: a recovery asks for --force profile")
	}
	if isPath(r.URL) {
		o.Without = append(o.Without, r.URL)
	}
	switch {
	case f.quick:
		o.Depth = drill.Quick
	case share > 0:
		o.Depth, o.Share = drill.Subset, share
	}
	if f.shell {
		o.Visit = a.visit
	}
	report, err := a.rehearse(ctx, o, point)
	if err != nil {
		return err
	}
	a.account.reportDrill(report)
	if err := errors.Join(
		writePage(string(f.html), func(w io.Writer) error { return report.HTML(w, nil) }),
		writePage(string(f.pdf), report.PDF),
	); err != nil {
		return err
	}
	if !f.noStore {
		a.rememberDrill(conf, r, report)
		if _, err := drill.Save(ctx, v, head.New(a.state(conf)), report); err != nil {
			return errors.Join(err, a.showDrill(report))
		}
	}
	if err := a.showDrill(report); err != nil {
		return err
	}
	if f.keep && !a.JSON {
		a.Printf("\nThe sandbox is kept in %s; lifeboat drill discard removes it.\n", drill.Directory(o.State, report.ID))
	}
	switch report.State {
	case drill.Failed, drill.Invalid:
		a.Code = runbook.ExitFailed
	case drill.Warnings:
		a.Code = runbook.ExitWarnings
	}
	return nil
}

// rememberDrill notes a drill of a system of the configuration, as its repository may
// be out of reach when somebody asks.
func (a *app) rememberDrill(conf *config.Config, r config.Repository, report *drill.Report) {
	s, ok := conf.System(report.System)
	if !ok || !slices.ContainsFunc(conf.RepositoriesOf(s), func(of config.Repository) bool { return of.Name == r.Name }) {
		return
	}
	if err := routine.NewBook(a.state(conf)).AddDrill(s.Name, r.Name, report); err != nil {
		_ = a.warn(err)
	}
}

// pointBefore is the newest complete point of the same system and machine that is older.
func pointBefore(ctx context.Context, v *vault.Vault, point *vault.Point) (*vault.Point, error) {
	points, err := v.Points(ctx, vault.Filter{System: point.System()})
	if err != nil && vault.Unread(err) == nil {
		return nil, err
	}
	var before *vault.Point
	for _, p := range points { // oldest first
		if p.Damage == nil && !p.Manifest.Incomplete && p.Time().Before(point.Time()) && host.SameName(p.Hostname(), point.Hostname()) {
			before = p
		}
	}
	return before, nil
}

// rehearse runs the drill and shows its events as those of any run.
func (a *app) rehearse(ctx context.Context, o drill.Options, point *vault.Point) (*drill.Report, error) {
	live, end := a.live()
	defer end()
	if live != nil {
		o.Observers = append(o.Observers, live)
	}
	if a.JSON {
		o.Observers = append(o.Observers, runbook.NewJSONWriter(a.Out))
		return drill.Run(ctx, o)
	}
	a.Printf("Rehearse the recovery of %s from %s, as it was at %s (%s)\n", o.System, point.Short(), screen.When(point.Time()), ago(point.Time()))
	t := newTerminal(a.Out, a.verbose)
	o.Observers = append(o.Observers, t)
	quiet := a.showOn(t)
	defer func() { quiet(); t.Close() }()
	return drill.Run(ctx, o)
}

// share reads --random-subset; 0 without one.
func (f drillFlags) share() (float64, error) {
	if f.subset == "" {
		return 0, nil
	}
	share, err := config.ParseShare(f.subset)
	if err != nil {
		return 0, screen.Usage(fmt.Errorf("--random-subset: %w", err))
	}
	return float64(share), nil
}

// limits reads the sizes that the flags give.
func (f drillFlags) limits() (drill.Limits, error) {
	var limits drill.Limits
	for _, l := range []struct {
		flag, text string
		into       *int64
	}{{"--disk-limit", f.diskLimit, &limits.Disk}, {"--memory-limit", f.memoryLimit, &limits.Memory}} {
		if l.text == "" {
			continue
		}
		n, err := humanize.ParseBytes(l.text)
		if err != nil || n == 0 || n > 1<<60 {
			return limits, screen.Usagef("%s %s: that is no size; write 20G, say", l.flag, l.text)
		}
		*l.into = int64(n)
	}
	return limits, nil
}

// visit opens a shell in the sandbox.
func (a *app) visit(ctx context.Context, box *sandbox.Sandbox) error {
	a.Printf("\nThis is the sandbox, with the recovered system. What is changed here is gone with it; exit ends the drill.\n")
	err := box.Run(ctx, sandbox.Command{Args: []string{"/bin/sh", "-i"}, Env: []string{"PS1=drill# ", "TERM=" + os.Getenv("TERM")}, Stdin: os.Stdin, Stdout: a.Out, Stderr: a.Err, TTY: true})
	_ = err // the exit code of the last command is nobody's concern
	return nil
}

// writePage writes a report to a file, if one is named.
func writePage(file string, write func(io.Writer) error) error {
	if file == "" {
		return nil
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return errors.Join(write(f), f.Close())
}

// sweepDrills removes what drills that were killed have left. That it cannot is told
// and keeps nobody from what was asked for.
func (a *app) sweepDrills(c *config.Config) {
	removed, err := drill.Sweep(a.state(c), false)
	if err != nil {
		a.notices.warn(err.Error())
	}
	for _, id := range removed {
		a.notices.warn("drill " + id + " was cut off; what it had left was removed")
	}
}

func (a *app) drillDiscardCommand() *cobra.Command {
	return &cobra.Command{
		Use: "discard", Short: "Remove the sandboxes that drill --keep has left", Args: screen.Args(cobra.NoArgs),
		Example: "  lifeboat drill discard",
		RunE: func(*cobra.Command, []string) error {
			conf, err := a.loadOrEmpty()
			if err != nil {
				return err
			}
			removed, err := drill.Sweep(a.state(conf), true)
			if err != nil {
				return err
			}
			if a.JSON {
				return a.Emit(map[string]any{"type": "drill.discarded", "drills": removed})
			}
			if len(removed) == 0 {
				a.Printf("No sandbox of a drill is kept.\n")
			}
			for _, id := range removed {
				a.Printf("Removed the sandbox of drill %s.\n", id)
			}
			return nil
		},
	}
}

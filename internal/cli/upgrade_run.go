package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade"
	"lifeboat/internal/upgrade/choice"
	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/upgrade/hook"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/upgrade/wayback"
	"lifeboat/internal/zypper"
)

// upgradeFlags are the options of one upgrade.
type upgradeFlags struct {
	to, scripts, wayBack, system  string
	root, acceptFile              screen.Path
	via, methods, media           []string
	repositories, repositoryFiles []string
	accept, appended, without     []string
	answers                       []string
	hooks                         policyFlag
	onHook                        string
	limit                         time.Duration
	unrehearsed, stay, dry, auto  bool
	terms                         zypper.Terms
}

func (a *app) upgradeRunCommand() *cobra.Command {
	f := upgradeFlags{root: "/", hooks: policyFlag(hook.Strict)}
	c := &cobra.Command{
		Use:   "run --to RELEASE",
		Short: "Upgrade a host, hop by hop where no release may be left out, or hand it over to the installer",
		Long: `Judges the way, plans with the package repositories of the new release apart from the
host's own, checks what stands in the way, downloads everything, looks for conflicts, and
rehearses the transaction in a sandbox over the root. Up to there the host is as it was.
Then it makes and verifies the way back, switches the package repositories (those of the
old release stay, and are off), passes the point of no return, upgrades, and verifies.
What fails behind the switch is taken back at once; --stay leaves it as it is.

Between releases that only the installer may upgrade, it makes the way back and the boot
entry, and hands over: exit code 5. With --auto nobody is asked: the answers of
lifeboat upgrade plan, and those of --answer, are written to ` + choice.ControlFile + ` of
the host, and taken away with the boot entry. After the restart, lifeboat upgrade resume
sees what the installer has done.

A release that is several hops away is reached hop by hop: each has its own checks, plan,
rehearsal, way back, point of no return and journal. All that the hops need is given at
once and looked at before the first one begins. --via goes by a release that the shortest
way leaves out. --method, --target, --targets and --medium take RELEASE: before their
value, for the hop to that release; package repositories that are on the list of a release
need none. A hop that fails is taken back alone. lifeboat upgrade resume goes on with the
next one, after a restart too.

Other systems of the configuration, an SMT on this host say, are checked by their
profiles before anything changes, stopped, saved, started on the upgraded host and
checked again: a check that fails takes the upgrade back, their data included.

Hooks of YaST Wagon are called at their places (lifeboat upgrade hooks). A host too old
for this program is upgraded from a rescue system, with --root.`,
		Example: `  lifeboat upgrade run --to "SLES 12 SP1" --target SLES12-SP1-Pool=http://smt/repo/SLES12-SP1-Pool \
      --target SLES12-SP1-Updates=http://smt/repo/SLES12-SP1-Updates --accept release-notes=SLES-12-SP1
  lifeboat upgrade run --to "SLES 12 SP1" --targets sp1.repo --accept-file accepted --dry-run
  lifeboat upgrade run --to "SLES 12" --method boot-entry --medium /media/SLES-12 --auto --answer license=accept
  lifeboat upgrade run --to "SLES 11 SP3" --root /mnt --targets sp3.repo
  lifeboat upgrade run --to "SLES 12 SP1" --via "SLES 12" --root /mnt --targets "SLES 11 SP3:sp3.repo" \
      --medium "SLES 12:/media/SLES-12" --targets "SLES 12 SP1:sp1.repo"`,
		Args: screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return a.upgradeRun(c.Context(), f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.to, "to", "", "the `RELEASE` that is wanted, such as \"SLES 12 SP1\"")
	flags.StringArrayVar(&f.via, "via", nil, "go by this `RELEASE`; may be given several times, in their order")
	flags.StringArrayVar(&f.methods, "method", nil, "go there by this method, as `[RELEASE:]METHOD` (default: online where the vendor supports it, else boot-entry)")
	flags.Var(&f.root, "root", "upgrade the machine whose root file system is mounted at `DIR`")
	flags.StringArrayVar(&f.repositories, "target", nil, "a package repository of the new release, as `[RELEASE:][ALIAS=]URL`; may be given several times")
	flags.StringArrayVar(&f.repositoryFiles, "targets", nil, "take the package repositories of the new release from a .repo file, as `[RELEASE:]FILE`")
	flags.StringArrayVar(&f.accept, "accept", nil, "accept a finding of the preflight checks, as `ID[=WORD,WORD]`")
	flags.Var(&f.acceptFile, "accept-file", "accept the findings that `FILE` lists, one a line")
	flags.StringVar(&f.wayBack, "way-back", "auto", "go back by `MEANS`: btrfs, point, or auto for the first that suits")
	flags.StringVar(&f.system, "system", "", "the configured `SYSTEM` whose recovery points hold this host")
	flags.StringSliceVar(&f.without, "without", nil, "leave the configured `SYSTEM` on this host alone: do not check, stop or save it")
	flags.BoolVar(&f.unrehearsed, "no-rehearsal", false, "do not rehearse the transaction in a sandbox")
	flags.StringVar(&f.scripts, "scripts", string(upgrade.Stop), "`POLICY` for scripts of packages that fail: stop, or warn and go on")
	flags.BoolVar(&f.stay, "stay", false, "leave the host as it is when something fails behind the point of no return")
	flags.BoolVar(&f.terms.Recommends, "features", false, "also install what packages recommend, not only updates")
	flags.BoolVar(&f.terms.Vendor, "vendor-change", false, "let packages come from another vendor")
	flags.BoolVar(&f.terms.Licenses, "agree-licenses", false, "agree with the licenses of packages")
	flags.Var(&f.hooks, "hooks", "`strict` stops when a hook fails, wagon goes on as YaST Wagon does")
	flags.StringVar(&f.onHook, "on-hook-failure", "", "`retry`, ignore or cancel a hook that fails when nobody can be asked")
	flags.DurationVar(&f.limit, "hook-limit", hook.DefaultLimit, "how long a hook may take")
	flags.StringArrayVar(&f.media, "medium", nil, "directory that the installation medium is mounted at, for the boot entry, as `[RELEASE:]DIR`")
	flags.BoolVar(&f.auto, "auto", false, "have the installer ask nothing (autoupgrade=1)")
	flags.StringArrayVar(&f.answers, "answer", nil, "with --auto, answer what the installer would ask, as `[RELEASE:]QUESTION=ANSWER`; lifeboat upgrade plan lists the questions")
	flags.StringArrayVar(&f.appended, "append", nil, "give the installer these `PARAMETERS` too")
	flags.BoolVarP(&f.dry, "dry-run", "n", false, "show the steps; do nothing")
	flags.BoolVarP(&a.yes, "yes", "y", false, "do not ask whether to begin")
	return c
}

func (a *app) upgradeRun(ctx context.Context, f upgradeFlags) error {
	if f.to == "" {
		return screen.Usagef("--to says which release is wanted; lifeboat upgrade plan lists those that are possible")
	}
	f.root = resolved(f.root)
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	runs, err := runbook.List(a.state(conf))
	if err != nil {
		return err
	}
	if run := upgrade.Unfinished(runs, string(f.root)); run != nil {
		return runbook.Refuse("", "upgrade %s is %s; go on with lifeboat upgrade resume%[3]s, or take it back with lifeboat upgrade rollback%[3]s", run.ID, upgrade.Standing(run), a.inRoot(run))
	}
	system, request, catalogue, err := a.upgradeRequest(ctx, f)
	if err != nil {
		return err
	}
	if request.Servers, err = a.serversOn(conf, request.Root, f.system, f.without); err != nil {
		return err
	}
	if request.Way != nil {
		for i := range request.Way.Then {
			request.Way.Then[i].Servers = request.Servers
		}
	}
	if f.dry {
		return a.dryAlong(ctx, conf, system, request, catalogue)
	}
	if err := screen.Confirm(ctx, fmt.Sprintf("Upgrade %s, %s, to %s?", system, request.From.Name(), wayText(request)), a.yes); err != nil {
		return err
	}
	if err := a.separate(ctx, conf, request); err != nil {
		return err
	}
	defer a.noticed(ctx)()
	return a.along(ctx, conf, system, request, catalogue)
}

// dryAlong shows what each hop would do, and does nothing.
func (a *app) dryAlong(ctx context.Context, conf *config.Config, name string, r upgrade.Request, c *path.Catalogue) error {
	hops := []upgrade.Request{r}
	if r.Way != nil {
		hops = append(hops, r.Way.Then...)
	}
	for i, h := range hops {
		u, done, err := a.upgradeOf(ctx, conf, name, h.System, h, c)
		if err != nil {
			return err
		}
		engine, ended := a.engine(a.state(conf), false)
		book, err := u.Runbook()
		if err == nil {
			if len(hops) > 1 && !a.JSON {
				a.Printf("%s%s\n", map[bool]string{true: "\n"}[i > 0], screen.PainterFor(a.Out).Bold(hopText(h)))
			}
			err = a.dryRun(ctx, engine, book)
		}
		ended()
		done()
		if err != nil {
			return err
		}
	}
	return nil
}

// noticed tells at once that an interrupt was heard: packages are not left half-way, so
// that it may take a while until it is followed.
func (a *app) noticed(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		if !a.JSON {
			fmt.Fprintln(a.Err, "\nlifeboat: told to end. What has begun to change packages comes to its end first; told once more, Lifeboat leaves it running by itself.")
		}
	})
}

// separate keeps the journals out of a root that is to go back as a snapshot of btrfs.
// It has to be done before anything of ours has a file there open.
func (a *app) separate(ctx context.Context, conf *config.Config, r upgrade.Request) error {
	if r.WayBack == (*wayback.Point)(nil).Name() {
		return nil
	}
	err := wayback.Separate(ctx, wayback.Target{Root: r.Root, State: a.state(conf)})
	if err != nil && r.WayBack != (*wayback.Btrfs)(nil).Name() {
		return a.warn(fmt.Errorf("%w; the way back is a recovery point then, not a snapshot", err))
	}
	return err
}

// upgradeRequest is what the flags ask for, of this host.
func (a *app) upgradeRequest(ctx context.Context, f upgradeFlags) (system string, r upgrade.Request, c *path.Catalogue, err error) {
	h, err := hostBelow(f.root)
	if err != nil {
		return "", r, nil, err
	}
	found, err := facts.Collect(ctx, h)
	if err != nil {
		return "", r, nil, err
	}
	if c, err = a.upgradesOf(found.Release.ID); err != nil {
		return "", r, nil, err
	}
	from, err := c.Find(found.Release.ID, found.Release.Version, found.Release.SP, found.Arch)
	if err != nil {
		return "", r, nil, fmt.Errorf("this host: %w", err)
	}
	hops, err := wayTo(c, from, f.to, f.via)
	if err != nil {
		return "", r, nil, err
	}
	of := func(option string) perHop { return perHop{option, hops, c} }
	methods, err := of("--method").one(f.methods)
	if err != nil {
		return "", r, nil, err
	}
	media, err := of("--medium").media(f.media)
	if err != nil {
		return "", r, nil, err
	}
	targets, err := of("--target").targets(f.repositoryFiles, f.repositories)
	if err != nil {
		return "", r, nil, err
	}
	r = upgrade.Request{
		Format: upgrade.Format, Root: string(f.root), Terms: f.terms, Unrehearsed: f.unrehearsed, System: f.system,
		Scripts: upgrade.Policy(f.scripts), WayBack: f.wayBack, Stay: f.stay, Hooks: hook.Policy(f.hooks), OnHook: hook.Answer(f.onHook),
		HookLimit: f.limit,
	}
	if !slices.Contains([]upgrade.Policy{upgrade.Stop, upgrade.Warn}, r.Scripts) {
		return "", r, nil, screen.Usagef("--scripts is %s or %s", upgrade.Stop, upgrade.Warn)
	}
	if !slices.Contains([]hook.Answer{"", hook.Retry, hook.Ignore, hook.Cancel}, r.OnHook) {
		return "", r, nil, screen.Usagef("--on-hook-failure is %s, %s or %s", hook.Retry, hook.Ignore, hook.Cancel)
	}
	if r.Accept, err = (checkFlags{acceptFile: string(f.acceptFile), accept: f.accept}).accepted(); err != nil {
		return "", r, nil, err
	}
	var way []upgrade.Request
	for i, h := range hops {
		next := r
		next.From, next.To, next.Method, next.Repositories = h.From, h.To, cmp.Or(methods[i], usual(h)), targets[i]
		if v := c.By(c.Judge(h.From, h.To), next.Method); v.Outcome != path.Supported {
			return "", r, nil, runbook.Refuse("", "%s", upgrade.Refusal(v))
		}
		if c.Methods[next.Method].By == "installer" {
			if next.Control, err = of("--answer").control(i, found, f); err != nil {
				return "", r, nil, err
			}
			next.Medium, next.Auto, next.Append = media[i], f.auto, strings.Fields(strings.Join(f.appended, " "))
		}
		way = append(way, next)
	}
	return upgradeName(found), upgrade.Along(way), c, nil
}

// usual is the method that is taken when none is asked for.
func usual(h path.Hop) string {
	if i := slices.IndexFunc(h.Methods, func(m path.Chosen) bool { return m.By == "zypper" }); i >= 0 {
		return h.Methods[i].ID
	}
	return "boot-entry"
}

// upgradeName is what the runs of a host's upgrades are called by.
func upgradeName(f *facts.Facts) string {
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && (r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("._-", r)) {
			return r
		}
		return -1
	}, f.Hostname)
	if name = strings.TrimLeft(name, "._-"); name == "" {
		name = "host"
	}
	return name[:min(len(name), 90)]
}

// upgradesOf are the upgrades of the product of an id.
func (a *app) upgradesOf(id string) (*path.Catalogue, error) {
	c, err := a.catalogueFor(id)
	if err == nil && c == nil {
		err = fmt.Errorf("this host says that it is %q, and no profile knows the upgrades of that", screen.Printable(id))
	}
	return c, err
}

// upgradeEnded tells where an upgrade stands that has ended.
func (a *app) upgradeEnded(conf *config.Config, err error) error {
	if a.ran == nil {
		return err
	}
	if err == nil {
		a.Code = max(a.Code, runbook.ExitCode(a.ran, nil)) // a warning of an earlier hop stays one
		return a.tellOutcome()
	}
	hops, _ := a.hopsOf(conf, a.ran)
	var back *upgrade.TakenBackError
	switch {
	case errors.Is(err, runbook.ErrWaiting):
		return err
	case errors.As(err, &back):
		return fmt.Errorf("%w%s", err, a.standsText(hops, a.ran))
	case upgrade.Changed(a.ran):
		return fmt.Errorf("%w%s\nThe upgrade is %s. It can be taken back: lifeboat upgrade rollback%s", err, a.workText(a.ran), upgrade.Standing(a.ran), a.inRoot(a.ran))
	case len(hops) > 0:
		return fmt.Errorf("%w\nNothing was changed by this hop.%s", err, a.standsText(hops, a.ran))
	}
	return fmt.Errorf("%w\nNothing was changed yet. Mend the cause, then: lifeboat upgrade resume%s (--accept accepts what was found). With other options, --target say, begin anew: lifeboat upgrade run", err, a.inRoot(a.ran))
}

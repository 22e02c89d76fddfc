package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/config"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade"
	"lifeboat/internal/upgrade/facts"
	"lifeboat/internal/upgrade/hook"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/upgrade/wayback"
	"lifeboat/internal/zypper"
)

// upgradeFlags are the options of one upgrade.
type upgradeFlags struct {
	to, method, scripts, wayBack, system string
	root, acceptFile, repositoryFile     absolutePath
	medium                               absolutePath
	accept, repositories, appended       []string
	hooks                                policyFlag
	onHook                               string
	limit                                time.Duration
	unrehearsed, stay, dry, auto         bool
	terms                                zypper.Terms
}

func (a *app) upgradeRunCommand() *cobra.Command {
	f := upgradeFlags{root: "/", hooks: policyFlag(hook.Strict)}
	c := &cobra.Command{
		Use:   "run --to RELEASE",
		Short: "Upgrade a host by one step of its way, or hand it over to the installer",
		Long: `Judges the way, plans with the package repositories of the new release apart from the
host's own, checks what stands in the way, downloads everything, looks for conflicts, and
rehearses the transaction in a sandbox over the root. Up to there the host is as it was.
Then it makes and verifies the way back, switches the package repositories (those of the
old release stay, and are off), passes the point of no return, upgrades, and verifies.
What fails behind the switch is taken back at once; --stay leaves it as it is.

Between releases that only the installer may upgrade, it makes the way back and the boot
entry, and hands over: exit code 5. After the restart, lifeboat upgrade resume sees what
the installer has done.

Hooks of YaST Wagon are called at their places (lifeboat upgrade hooks). A host too old
for this program is upgraded from a rescue system, with --root.`,
		Example: `  lifeboat upgrade run --to "SLES 12 SP1" --target SLES12-SP1-Pool=http://smt/repo/SLES12-SP1-Pool \
      --target SLES12-SP1-Updates=http://smt/repo/SLES12-SP1-Updates --accept release-notes=SLES-12-SP1
  lifeboat upgrade run --to "SLES 12 SP1" --targets sp1.repo --accept-file accepted --dry-run
  lifeboat upgrade run --to "SLES 12" --method boot-entry --medium /media/SLES-12 --auto
  lifeboat upgrade run --to "SLES 11 SP3" --root /mnt --targets sp3.repo`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return a.upgradeRun(c.Context(), f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.to, "to", "", "the `RELEASE` that is wanted, such as \"SLES 12 SP1\"")
	flags.StringVar(&f.method, "method", "", "go there by this `METHOD` (default: online where the vendor supports it, else boot-entry)")
	flags.Var(&f.root, "root", "upgrade the machine whose root file system is mounted at `DIR`")
	flags.StringArrayVar(&f.repositories, "target", nil, "a package repository of the new release, as `[ALIAS=]URL`; may be given several times")
	flags.Var(&f.repositoryFile, "targets", "take the package repositories of the new release from a .repo `FILE`")
	flags.StringArrayVar(&f.accept, "accept", nil, "accept a finding of the preflight checks, as `ID[=WORD,WORD]`")
	flags.Var(&f.acceptFile, "accept-file", "accept the findings that `FILE` lists, one a line")
	flags.StringVar(&f.wayBack, "way-back", "auto", "go back by `MEANS`: btrfs, point, or auto for the first that suits")
	flags.StringVar(&f.system, "system", "", "the configured `SYSTEM` whose recovery points hold this host")
	flags.BoolVar(&f.unrehearsed, "no-rehearsal", false, "do not rehearse the transaction in a sandbox")
	flags.StringVar(&f.scripts, "scripts", string(upgrade.Stop), "`POLICY` for scripts of packages that fail: stop, or warn and go on")
	flags.BoolVar(&f.stay, "stay", false, "leave the host as it is when something fails behind the point of no return")
	flags.BoolVar(&f.terms.Recommends, "features", false, "also install what packages recommend, not only updates")
	flags.BoolVar(&f.terms.Vendor, "vendor-change", false, "let packages come from another vendor")
	flags.BoolVar(&f.terms.Licenses, "agree-licenses", false, "agree with the licenses of packages")
	flags.Var(&f.hooks, "hooks", "`strict` stops when a hook fails, wagon goes on as YaST Wagon does")
	flags.StringVar(&f.onHook, "on-hook-failure", "", "`retry`, ignore or cancel a hook that fails when nobody can be asked")
	flags.DurationVar(&f.limit, "hook-limit", hook.DefaultLimit, "how long a hook may take")
	flags.Var(&f.medium, "medium", "`DIR` that the installation medium is mounted at, for the boot entry")
	flags.BoolVar(&f.auto, "auto", false, "have the installer ask nothing (autoupgrade=1)")
	flags.StringArrayVar(&f.appended, "append", nil, "give the installer these `PARAMETERS` too")
	flags.BoolVarP(&f.dry, "dry-run", "n", false, "show the steps; do nothing")
	flags.BoolVarP(&a.yes, "yes", "y", false, "do not ask whether to begin")
	return c
}

func (a *app) upgradeRun(ctx context.Context, f upgradeFlags) error {
	if f.to == "" {
		return usagef("--to says which release is wanted; lifeboat upgrade plan lists those that are possible")
	}
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	runs, err := runbook.List(a.state(conf))
	if err != nil {
		return err
	}
	if run := upgrade.Unfinished(runs, string(f.root)); run != nil {
		return runbook.Refuse("", "upgrade %s is %s; go on with lifeboat upgrade resume, or take it back with lifeboat upgrade rollback", run.ID, upgrade.Standing(run))
	}
	system, request, catalogue, err := a.upgradeRequest(ctx, f)
	if err != nil {
		return err
	}
	question := fmt.Sprintf("Upgrade %s, %s, to %s (%s)?", system, request.From.Name(), request.To.Name(), request.Method)
	if !f.dry {
		if err := confirm(ctx, question, a.yes); err != nil {
			return err
		}
		if err := a.separate(ctx, conf, request); err != nil {
			return err
		}
	}
	u, done, err := a.upgradeOf(ctx, conf, system, f.system, request, catalogue)
	if err != nil {
		return err
	}
	defer done()
	engine, ended := a.engine(a.state(conf), false)
	defer ended()
	if f.dry {
		book, err := u.Runbook()
		if err != nil {
			return err
		}
		return a.dryRun(ctx, engine, book)
	}
	defer a.noticed(ctx)()
	a.ran, err = u.Start(ctx, engine)
	return a.upgradeEnded(err)
}

// noticed tells at once that an interrupt was heard: packages are not left half-way, so
// that it may take a while until it is followed.
func (a *app) noticed(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		if !a.json {
			fmt.Fprintln(a.err, "\nlifeboat: told to end. What has begun to change packages comes to its end first; told once more, Lifeboat leaves it running by itself.")
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
	to, err := c.Parse(f.to, path.Release{Product: from.Product, Arch: from.Arch})
	if err != nil {
		return "", r, nil, usageError{fmt.Errorf("--to: %w", err)}
	}
	v := c.Judge(from, to)
	if v.Outcome == path.Current {
		return "", r, nil, runbook.Refuse("", "the host is %s already", to.Name())
	}
	if v.Outcome != path.Supported {
		return "", r, nil, runbook.Refuse("", "%s", upgrade.Refusal(v))
	}
	method := f.method
	if method == "" {
		method = "boot-entry"
		if i := slices.IndexFunc(v.Hops[0].Methods, func(m path.Chosen) bool { return m.By == "zypper" }); i >= 0 {
			method = v.Hops[0].Methods[i].ID
		}
	}
	if v = c.By(v, method); v.Outcome != path.Supported {
		return "", r, nil, runbook.Refuse("", "%s", upgrade.Refusal(v))
	}
	r = upgrade.Request{
		Format: upgrade.Format, Root: string(f.root), From: from, To: v.Hops[0].To, Method: method, Terms: f.terms, Unrehearsed: f.unrehearsed,
		Scripts: upgrade.Policy(f.scripts), WayBack: f.wayBack, Stay: f.stay, Hooks: hook.Policy(f.hooks), OnHook: hook.Answer(f.onHook),
		HookLimit: f.limit, Medium: string(f.medium), Auto: f.auto, Append: strings.Fields(strings.Join(f.appended, " ")),
	}
	if !slices.Contains([]upgrade.Policy{upgrade.Stop, upgrade.Warn}, r.Scripts) {
		return "", r, nil, usagef("--scripts is %s or %s", upgrade.Stop, upgrade.Warn)
	}
	if !slices.Contains([]hook.Answer{"", hook.Retry, hook.Ignore, hook.Cancel}, r.OnHook) {
		return "", r, nil, usagef("--on-hook-failure is %s, %s or %s", hook.Retry, hook.Ignore, hook.Cancel)
	}
	if r.Accept, err = (checkFlags{acceptFile: string(f.acceptFile), accept: f.accept}).accepted(); err != nil {
		return "", r, nil, err
	}
	if r.Repositories, err = newRepositories(f.repositoryFile, f.repositories); err != nil {
		return "", r, nil, err
	}
	return upgradeName(found), r, c, nil
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
		err = fmt.Errorf("this host says that it is %q, and no profile knows the upgrades of that", printable(id))
	}
	return c, err
}

// maxRepositoryFile bounds a .repo file, in bytes.
const maxRepositoryFile = 1 << 20

func newRepositories(file absolutePath, list []string) ([]zypper.Repository, error) {
	var all []zypper.Repository
	if file != "" {
		info, err := os.Stat(string(file))
		if err == nil && info.Size() > maxRepositoryFile {
			err = fmt.Errorf("it is larger than %d bytes", maxRepositoryFile)
		}
		var text []byte
		if err == nil {
			text, err = os.ReadFile(string(file))
		}
		if err == nil {
			all, err = zypper.ParseRepositories(text)
		}
		if err != nil {
			return nil, usageError{fmt.Errorf("--targets %s: %w", file, err)}
		}
	}
	for _, text := range list {
		alias, url, err := splitTarget(text)
		if err != nil {
			return nil, err
		}
		all = append(all, zypper.Repository{Alias: alias, URLs: []string{url}, Enabled: true})
	}
	return all, nil
}

// upgradeEnded tells where an upgrade stands that has ended too early.
func (a *app) upgradeEnded(err error) error {
	if a.ran == nil {
		return err
	}
	if err == nil {
		a.code = runbook.ExitCode(a.ran, nil)
		return a.tellOutcome()
	}
	var back *upgrade.TakenBackError
	if errors.As(err, &back) || errors.Is(err, runbook.ErrWaiting) {
		return err
	}
	if !upgrade.Changed(a.ran) {
		return fmt.Errorf("%w\nNothing was changed yet. Mend the cause, and begin anew or go on with this run", err)
	}
	where := ""
	if r, askErr := upgrade.Asked(a.ran); askErr == nil {
		where = rootOption(r)
	}
	return fmt.Errorf("%w\nThe upgrade is %s. It can be taken back: lifeboat upgrade rollback%s", err, upgrade.Standing(a.ran), where)
}

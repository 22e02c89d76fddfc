package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
	"lifeboat/internal/storage/redact"
	"lifeboat/internal/vault"
)

// recoverFlags are the options of one recover call.
type recoverFlags struct {
	dry, resume, rollback, keepOld, discardOld, wait bool
	force, only                                      []string
	from                                             string
	newName                                          string            // the system's from now on; "" for the old one
	around                                           bool              // the system is stopped although only parts are restored
	settings                                         map[string]string // given for this run alone; no secrets
	run                                              string            // that --resume, --rollback or --discard-old names
	question                                         string            // asked before it begins; "" for the usual one
}

func (a *app) recoverCommand() *cobra.Command {
	var f recoverFlags
	var r rescueFlags
	var rescued bool
	var server []string
	c := &cobra.Command{
		Use:   "recover [SYSTEM [RUN]]",
		Short: "Bring a whole system back, in order",
		Long: `Recovers a system on this machine from a recovery point: looks at the identity
of both first, brings the machine to where the system can be restored, restores,
repairs, starts, synchronizes and proves that it works. What is there already is
seen and not done again; what stood in the way is set aside, not deleted.

A run that was interrupted, waits for a person or for a restart goes on with
--resume; --rollback brings back what was there before. These two and
--discard-old act on the last run, or on the RUN that is named; lifeboat runs list
shows which runs still have what they set aside. --discard-old all removes it of
every run.

On a bare machine whose rescue medium or kernel command line names a fleet, or with
--rescue, it fetches the machine's recovery configuration first (lifeboat rescue
fetch --help) and recovers all systems in it.`,
		Example: `  lifeboat recover smt --repository /media/disk/lifeboat --dry-run
  lifeboat recover smt --repository /media/disk/lifeboat
  lifeboat recover smt --resume
  lifeboat recover smt --rollback
  lifeboat recover smt --discard-old 20261121-074500-smt-recover-ab12
  lifeboat recover smt --from 1a2b3c4d --force hostname
  lifeboat recover --rescue --host smt1`,
		Args: screen.Args(cobra.MaximumNArgs(2)),
		RunE: func(c *cobra.Command, names []string) error {
			if len(names) > 1 {
				f.run = names[1]
			}
			if c.Flags().Changed("new-server-id") && f.newName == "" {
				return screen.Usagef("--new-server-id takes the new id of the server")
			}
			if rescued || len(server) > 0 || a.needsRescue(f, r) {
				return a.recoverRescued(c.Context(), server, names, f, r)
			}
			if len(names) == 0 {
				return screen.Usagef("which system is to be recovered? On a rescue system: lifeboat recover --rescue")
			}
			err := a.recover(c.Context(), names[0], f)
			if conf, loadErr := a.loadOrEmpty(); loadErr == nil && (f.rollback || f.discardOld) {
				a.sweep(conf)
			}
			return err
		},
	}
	flags := c.Flags()
	flags.BoolVarP(&f.dry, "dry-run", "n", false, "show the plan and what each step finds; change nothing")
	flags.BoolVar(&f.resume, "resume", false, "go on with the run that was interrupted or waits")
	flags.BoolVar(&f.rollback, "rollback", false, "bring back what was there before the run")
	flags.StringSliceVar(&f.force, "force", nil, "go on although `CHECK[,CHECK]` of the identity does not agree")
	flags.StringSliceVar(&f.only, "only", nil, "restore only `COMPONENT[,COMPONENT]`; the system is neither stopped nor started")
	flags.StringVar(&f.from, "from", "latest", "recovery `POINT`")
	flags.StringVar(&f.newName, "new-server-id", "", "give the recovered opsi server another `ID`, everywhere")
	flags.BoolVar(&f.keepOld, "keep-old", false, "keep what was set aside also after success without warnings")
	flags.BoolVar(&f.discardOld, "discard-old", false, "remove what an earlier restore, or run with --keep-old, has set aside")
	flags.BoolVar(&f.wait, "wait", false, "wait until background jobs, say a mirror run, have ended")
	flags.BoolVarP(&a.yes, "yes", "y", false, "do not ask whether to begin or to take back, nor before a restart (manual steps still ask)")
	flags.BoolVar(&rescued, "rescue", false, "fetch this machine's recovery configuration first")
	flags.StringArrayVar(&server, "host", nil, "the `ID, NAME or URL` to fetch it by (default: what this machine is recognised by)")
	r.register(c)
	a.readFlags(c)
	return c
}

func (a *app) recover(ctx context.Context, system string, f recoverFlags) error {
	if n := given(f.dry, f.resume, f.rollback, f.discardOld); n > 1 {
		return screen.Usagef("--dry-run, --resume, --rollback and --discard-old exclude each other")
	}
	if f.newName != "" && len(f.only) > 0 && !f.around {
		return screen.Usagef("--new-server-id is not for --only: the name stands in all of the system's parts, and single ones are restored as they were")
	}
	if err := a.useRescued(); err != nil {
		return err
	}
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	if f.discardOld && f.run == "all" {
		return a.discardAll(ctx, conf, system, f)
	}
	var old *runbook.Run
	if f.resume || f.rollback || f.discardOld {
		if old, err = a.earlierRun(conf, system, f); err != nil {
			return err
		}
		// A resumed run is compiled from what it was asked for.
		f.from, f.only, f.keepOld = old.Point, list(old.Options["only"]), old.Options["keep-old"] == "true"
		f.around = old.Options["around"] == "true"
		if text := old.Options["settings"]; text != "" {
			if err := json.Unmarshal([]byte(text), &f.settings); err != nil {
				return fmt.Errorf("read the settings of run %s: %w", old.ID, err)
			}
		}
		if given := f.newName; given != "" && given != old.Options["new-name"] {
			return screen.Usagef("run %s was begun without --new-server-id %s; take it back and begin anew", old.ID, given)
		}
		f.newName = old.Options["new-name"]
		forced, err := recovery.Forced(old)
		if err != nil {
			return err
		}
		f.force = slices.Concat(list(old.Options["force"]), forced, f.force)
		slices.Sort(f.force)
		f.force = slices.Compact(f.force)
		a.noLock = a.noLock || old.Options["no-lock"] == "true"
		a.repository = firstOf(a.repository, old.Options["repository"])
		// Options refer to secrets and hold none; those that are given now win.
		a.storeOptions = append(splitLines(old.Options["store-options"]), a.storeOptions...)
		if a.password == (passwordFlags{}) {
			a.password = passwordFlags{file: old.Options["password-file"], command: old.Options["password-command"], dir: old.Options["password-directory"]}
		}
	} else if f.run != "" {
		return screen.Usagef("a run is named for --resume, --rollback or --discard-old only")
	} else if !f.dry {
		if err := a.settled(conf, system, ""); err != nil {
			return err
		}
	}
	v, closeVault, err := a.open(ctx, conf, system)
	if err != nil {
		return err
	}
	defer closeVault()
	point, err := a.findSurely(ctx, v, f.from, vault.Filter{System: system}, f.force)
	if err != nil {
		return err
	}
	r, err := a.newRecovery(conf, system, point, f)
	if err != nil {
		return err
	}
	if old == nil {
		if err := r.Chosen(); err != nil {
			return screen.Usage(err)
		}
	}
	if f.dry || f.newName != "" && old == nil { // what a new name changes is shown before it is asked about
		if err := r.LookAhead(ctx); err != nil {
			return err
		}
	}
	book, err := r.Runbook()
	if err != nil {
		return err
	}
	engine, done := a.engine(a.state(conf), slices.Contains(f.force, "runbook"))
	defer done()
	engine.Conceal(r.Secrets(ctx)...)
	switch {
	case f.dry:
		if a.JSON {
			if err := a.dryRun(ctx, engine, book); err != nil {
				return err
			}
		}
		_, err := a.showPlan(ctx, engine, book, r, point)
		return err
	case f.discardOld:
		return a.discard(ctx, r, old)
	case f.rollback:
		if err := a.confirmRollback(ctx, r, old); err != nil {
			return err
		}
		a.ran, err = engine.Rollback(ctx, old.ID, book)
	case f.resume:
		a.ran, err = engine.Resume(ctx, old.ID, book)
	default:
		var settings []byte
		if len(f.settings) > 0 {
			if settings, err = json.Marshal(f.settings); err != nil {
				return err
			}
		}
		if err := r.Reachable(ctx); err != nil {
			return runbook.Refuse("", "%v. Start that server, or install it (MariaDB, where the product brings none), and try again", err)
		}
		if err := a.beginRecovery(ctx, engine, book, r, point, f.question); err != nil {
			return err
		}
		r.Begin()
		a.ran, err = engine.Start(ctx, book, runbook.Meta{
			Point: point.ID(), Resume: fmt.Sprintf("lifeboat recover %s --resume", system), Options: map[string]string{
				"repository": recordable(a.repository), "password-file": a.password.file, "password-command": a.password.command, "password-directory": a.password.from(), "only": strings.Join(f.only, ","),
				"store-options": strings.Join(a.storeFlagsGiven(), "\n"),
				"no-lock":       fmt.Sprint(a.noLock),
				"force":         strings.Join(f.force, ","), "keep-old": fmt.Sprint(f.keepOld),
				"new-name": f.newName, "around": fmt.Sprint(f.around), "settings": string(settings),
				"moment": point.Time().UTC().Format(time.RFC3339Nano),
			},
		})
	}
	done()
	if a.ran != nil {
		a.account.fact(recoveryFact(a.ran, point, f))
		if reportErr := a.reportRecovery(ctx, a.ran, point, f); reportErr != nil && err == nil {
			err = reportErr
		}
	}
	if err == nil {
		err = errors.Join(a.tellKept(ctx, r, system), a.tellHolding(conf, system))
	}
	if err == nil && !f.rollback && !f.discardOld {
		err = a.tellName()
	}
	if err == nil {
		a.Code = cmp.Or(runbook.ExitCode(a.ran, nil), a.Code) // a warning of before the run stays one
	}
	return a.explain(err, system)
}

// recoveryFact says what a run of a recovery was about, to those who are told of it.
func recoveryFact(run *runbook.Run, point *vault.Point, f recoverFlags) string {
	what := "recovery"
	if len(f.only) > 0 {
		what = "restore of " + strings.Join(f.only, ", ")
	}
	if f.rollback {
		what = "taking back of a " + what
	}
	return fmt.Sprintf("%s from recovery point %s of %s: %s", what, point.Short(), screen.When(point.Time()), run.State)
}

// newRecovery takes the profile that is installed here; commands never come
// from the repository.
func (a *app) newRecovery(conf *config.Config, system string, point *vault.Point, f recoverFlags) (*recovery.Recovery, error) {
	p, err := a.catalogue().Load(point.Profile())
	if err != nil {
		return nil, screen.Usage(err)
	}
	for _, name := range f.force {
		if known := recovery.Checks(p); !slices.Contains(known, name) {
			return nil, screen.Usagef("--force %s: there is no such check; there are %s", name, strings.Join(known, ", "))
		}
	}
	if err := a.compareProfiles(p, point, f.force); err != nil {
		return nil, err
	}
	settings := map[string]string{}
	for _, s := range conf.Systems {
		if s.Name == system {
			settings = s.Settings
		}
	}
	given := maps.Clone(f.settings)
	if given == nil {
		given = map[string]string{}
	}
	if f.newName != "" {
		if _, ok := p.Settings[recovery.NewName]; !ok {
			return nil, screen.Usagef("--new-server-id: %s cannot be recovered under another name", p.Title)
		}
		given[recovery.NewName] = f.newName
	}
	return recovery.New(recovery.Options{
		System: system, Profile: p, Catalog: catalog(), Host: host.Local(), Point: point,
		Settings: settings, Given: given, Named: a.namedFacts(), Force: f.force, Only: f.only, Around: f.around, KeepOld: f.keepOld,
	})
}

func (a *app) compareProfiles(p *profile.Profile, point *vault.Point, force []string) error {
	if p.Digest() == point.Manifest.ProfileDigest {
		return nil
	}
	for _, name := range force {
		if name == "profile" {
			return nil
		}
	}
	text, err := point.Text(context.Background(), vault.ProfilePath)
	if err != nil {
		return err
	}
	if !a.JSON {
		a.Printf("The point was made with another version of profile %s than the one installed here.\n%s", p.Name, difference(string(text), string(p.Text)))
	}
	return runbook.Refuse("profile", "the installed profile %s differs from the recovery point's; commands are always taken from the installed one", p.Name)
}

// beginRecovery shows the plan and asks whether to begin. What is refused before
// anything is changed leaves no run behind that would have to be ended first.
func (a *app) beginRecovery(ctx context.Context, engine *runbook.Engine, book runbook.Runbook, r *recovery.Recovery, point *vault.Point, question string) error {
	restarts, err := a.showPlan(ctx, engine, book, r, point)
	if err != nil {
		return err
	}
	question = firstOf(question, "Begin the recovery?")
	if restarts {
		question = "Begin the recovery? The machine restarts by itself if updates ask for it."
	}
	return screen.Confirm(ctx, question, a.yes)
}

// showPlan shows what would be done, and returns whether it may restart the
// machine; the error is the refusal of an identity that does not agree.
func (a *app) showPlan(ctx context.Context, engine *runbook.Engine, book runbook.Runbook, r *recovery.Recovery, point *vault.Point) (restarts bool, err error) {
	checks, refused, err := r.CheckIdentity(ctx, false)
	if err != nil {
		return false, err
	}
	if !a.JSON {
		a.Printf("%s %s of %s, as it was at %s (%s)\n", screen.PainterFor(a.Out).Bold("Recovery point"), point.Short(), point.System(), screen.When(point.Time()), ago(point.Time()))
		a.printChecks(checks)
	}
	if err := recovery.Refusal(checks, refused); err != nil {
		return false, err
	}
	for _, stage := range book.Stages {
		restarts = restarts || slices.ContainsFunc(stage.Steps, func(s runbook.Step) bool { return s.Reboot })
	}
	if a.JSON {
		return restarts, nil
	}
	if err := a.dryRun(ctx, engine, book); err != nil {
		return false, err
	}
	a.Printf("\n")
	return restarts, nil
}

// settled refuses what must not be done while a recovery or a restore of the
// system has not come to its end; why says what harm it would do, "" for none.
func (a *app) settled(conf *config.Config, system, why string) error {
	unfinished, _ := runbook.Unfinished(a.state(conf), system, recovery.Kind)
	if len(unfinished) == 0 {
		return nil
	}
	last := unfinished[len(unfinished)-1]
	if last.State == runbook.StateRunning {
		return activeError(last)
	}
	if last.Damaged {
		return runbook.Refuse("", "%s; what it did is not known: %s", last.Error, last.Hint)
	}
	if why != "" {
		why = ": " + why
	}
	if last.RollingBack {
		return runbook.Refuse("", "run %s of %s is on its way back and %s%s; finish that (lifeboat recover %s --rollback)", last.ID, system, last.State, why, system)
	}
	return runbook.Refuse("", "run %s of %s is %s%s; go on with it (lifeboat recover %s --resume) or take it back (lifeboat recover %s --rollback)", last.ID, system, last.State, why, system, system)
}

func activeError(r *runbook.Run) error {
	return runbook.Refuse("", "run %s of %s is active; wait for it to end", r.ID, r.System)
}

// explain adds what to do next.
func (a *app) explain(err error, system string) error {
	var refused *runbook.RefusedError
	switch {
	case err == nil, errors.As(err, &refused), errors.Is(err, runbook.ErrWaiting), errors.Is(err, runbook.ErrBusy):
		return err
	case a.ran == nil:
		return err
	}
	stays := ""
	if recovery.Held(a.ran) {
		stays = "The system stays stopped until this is settled. "
	}
	back := fmt.Sprintf("Or bring back what was there before: lifeboat recover %s --rollback", system)
	if a.ran.RollingBack {
		return fmt.Errorf("%w\n%sMend the cause and go on with it: lifeboat recover %s --rollback", err, stays, system)
	}
	return fmt.Errorf("%w\n%sMend the cause and go on: lifeboat recover %s --resume\n%s", err, stays, system, back)
}

func given(flags ...bool) int {
	n := 0
	for _, f := range flags {
		if f {
			n++
		}
	}
	return n
}

// recordable is a repository's URL as a run may record it: one with a password
// in it must be given again at a resume.
func recordable(url string) string {
	if redact.URL(url) != url {
		return ""
	}
	// A directory is named as seen from anywhere; a configured name stays one.
	if _, err := os.Stat(url); err == nil {
		if abs, err := filepath.Abs(url); err == nil {
			return abs
		}
	}
	return url
}

func splitLines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

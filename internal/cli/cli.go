// Package cli is the command line: one file a verb. It is the only place that
// prints or prompts, and it fills the registries. Decisions about what a verb
// does stand in the packages below.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/remote"
	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/drill"
	"lifeboat/internal/guard"
	"lifeboat/internal/recovery"
	"lifeboat/internal/rescue"
	"lifeboat/internal/runbook"
	"lifeboat/internal/sandbox"
	"lifeboat/internal/strict"
	"lifeboat/internal/vault"
)

// Main runs the program and returns its exit code.
func Main() int {
	sandbox.Init()
	drill.Main(catalog)
	guard.Main()
	recovery.JobMain()
	syscall.Umask(0o077)
	// A backup fills buffers and forgets them: a quarter of the usual garbage costs
	// little time on the machine that is protected.
	debug.SetGCPercent(25)
	ctx, hard, stop := runbook.Interrupts(context.Background())
	defer stop()
	a := &app{Screen: screen.Screen{Out: os.Stdout, Err: os.Stderr}, hard: hard}
	a.notices.err = a.Err
	root := a.root()
	args := os.Args[1:]
	if filepath.Base(os.Args[0]) == opsiBackupName {
		args = append([]string{opsiBackupName}, args...)
	}
	if len(args) > 0 && args[0] == opsiBackupName {
		if verb, _, err := root.Find(args[:1]); err == nil {
			args = append(args[:1:1], wholeOptions(verb, args[1:])...)
		}
	}
	root.SetArgs(args)
	started := time.Now()
	command, err := root.ExecuteContextC(ctx)
	err = exclusive(err)
	code := a.Code
	switch {
	case err != nil && isPlugin(command, os.Args[1:]):
		a.showCheck(nil, err)
		code = a.Code
	case err != nil:
		code = a.fail(command, err)
	}
	return a.afterwards(ctx, command, started, code, err)
}

// fail prints an error once and returns its exit code.
func (a *app) fail(command *cobra.Command, err error) int {
	code, text := a.exitCode(err), err.Error()
	var waiting *runbook.WaitingError
	if errors.As(err, &waiting) && !a.JSON {
		// What to do was printed when the step began to wait.
		fmt.Fprintf(a.Err, "%s the run waits: %s\nThen: %s\n", screen.PainterFor(a.Err).Yellow("lifeboat:"), firstOf(waiting.Title, waiting.Step), waiting.Resume)
		return code
	}
	if errors.Is(err, errSilent) && !a.JSON {
		text = ""
	}
	hints := []string{a.outage(err), lockHint(command, err), a.refusal(err)}
	if a.ran != nil && a.ran.State == runbook.StateFailed && a.ran.Hint != "" {
		hints = append(hints, "Correct that, then: "+a.ran.Hint)
	}
	path := ""
	if command != nil {
		path = command.CommandPath()
	}
	a.Fail(path, text, code, hints...)
	return code
}

// together is how cobra says that options exclude each other; it has no error of its own.
var together = regexp.MustCompile(`^if any flags in the group \[.*\] are set none of the others can be; \[(.*)\] were all set$`)

// exclusive makes a mistake of usage of options that exclude each other.
func exclusive(err error) error {
	if err == nil {
		return nil
	}
	m := together.FindStringSubmatch(err.Error())
	if m == nil {
		return err
	}
	return screen.Usagef("--%s exclude each other: give one of them", strings.Join(strings.Fields(m[1]), " and --"))
}

// errSilent says that everything has been printed already.
var errSilent = errors.New("")

func (a *app) exitCode(err error) int {
	switch {
	case screen.IsUsage(err), errors.Is(err, recovery.ErrNoComponent), errors.Is(err, recovery.ErrNewName):
		return runbook.ExitUsage
	case errors.Is(err, screen.ErrDeclined):
		return runbook.ExitRefused
	case a.ran != nil:
		return runbook.ExitCode(a.ran, err)
	}
	return runbook.ExitCode(nil, err)
}

// app is one call of the program.
type app struct {
	screen.Screen
	hard     context.Context //nolint:containedctx // the second Ctrl-C
	ran      *runbook.Run
	sealed   *vault.Point // what that run has made
	terminal *terminal    // that shows the run; nil as JSON

	configFile string
	stateDir   string
	movedTo    string // where the root of a run is now, when it is not where it was
	mounted    string // root of another machine whose own runs are in stateDir
	verbose    bool
	yes        bool
	noCache    bool
	retryLock  time.Duration
	noLock     bool        // for verbs that only read
	completing bool        // a shell asks for words: nobody may be asked
	unattended bool        // nobody may be asked, commands may
	name       rescue.Name // of the host that this machine is to become
	rescued    bool        // what is configured came by a fetch just now
	repository string
	password   passwordFlags

	loaded *config.Config   // by load; nil without one
	logged runbook.Observer // a log file beside the terminal; nil for none

	storeOptions               []string
	limitUpload, limitDownload string
	compression                string
	notices                    notices
	account                    account
}

func (a *app) root() *cobra.Command {
	root := a.Root(`Lifeboat brings a management server back. It backs up everything that a vendor's
disaster-recovery article names into encrypted recovery points, and on the day
carries the recovery out step by step, resumable and verified.`, `  lifeboat init --repository /backup/lifeboat
  lifeboat review
  lifeboat backup smt
  lifeboat recover smt --repository /backup/lifeboat`)
	flags := root.PersistentFlags()
	flags.StringVar(&a.configFile, "config", "/etc/lifeboat/lifeboat.yaml", "configuration `FILE`")
	flags.StringVar(&a.stateDir, "state-dir", "", "directory of runs and locks (default from the configuration, else /var/lib/lifeboat)")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "show every line that steps log")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) (err error) {
		if f := c.Flags().Lookup("retry-lock"); f != nil && !f.Changed {
			a.retryLock, _ = strict.ParseDuration(f.DefValue)
		}
		if a.JSON {
			a.notices.json = a.Emit
		}
		if a.stateDir != "" { // others than this process use it, from other directories
			a.stateDir, err = filepath.Abs(a.stateDir)
		}
		return err
	}
	root.AddCommand(
		a.initCommand(), a.detectCommand(), a.reviewCommand(), a.backupCommand(),
		a.listCommand(), a.showCommand(), a.verifyCommand(), a.restoreCommand(), a.keyCommand(),
		a.recoverCommand(), a.drillCommand(), a.importCommand(), a.exportCommand(), a.forgetCommand(), a.pruneCommand(),
		a.kitCommand(), a.pinCommand(), a.unpinCommand(), a.copyCommand(), a.repositoryCommand(), a.profileCommand(), a.runsCommand(), a.scheduleCommand(), a.statusCommand(), a.noticeCommand(), a.metricsCommand(),
		a.upgradeCommand(), a.factsCommand(), a.changelogCommand(), a.lifecycleCommand(),
		a.rescueCommand(), a.fleetServeCommand(), a.joinCommand(),
		a.opsiBackupCommand(), a.manCommand(), a.resumeServicesCommand(), a.completeRollbackCommand(),
	)
	desk := remote.Desk{Screen: &a.Screen, Home: remote.Home{Directory: defaultFleet, Look: a.fleetHome}}
	root.AddCommand(desk.Commands()...)
	a.completions(root)
	return root
}

// repositoryFlags lets a verb work without a configuration file.
func (a *app) repositoryFlags(c *cobra.Command) {
	c.Flags().StringVarP(&a.repository, "repository", "r", "", "`URL` of the repository (default from the configuration)")
	a.password.register(c, "", "the repository's password")
	durationVar(c.Flags(), &a.retryLock, "retry-lock", "wait at most `DURATION` for a lock of another process, such as 5min")
	c.Flags().BoolVar(&a.noCache, "no-cache", false, "do without the copies of index and trees on this machine")
	a.storeFlags(c)
}

// patient lets a verb that makes points wait for others unless it is told not to: a
// scheduled backup that meets a prune would else be left out.
func (a *app) patient(c *cobra.Command) {
	c.Flags().Lookup("retry-lock").DefValue = defaultRetryLock.String()
}

const defaultRetryLock = 5 * time.Minute

// readFlags are repositoryFlags of a verb that writes nothing to the repository.
func (a *app) readFlags(c *cobra.Command) {
	a.repositoryFlags(c)
	c.Flags().BoolVar(&a.noLock, "no-lock", false, "read without a lock, whatever locks there are; a prune at the same time makes it fail")
}

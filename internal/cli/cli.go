// Package cli is the command line: one file a verb. It is the only place that
// prints or prompts, and it fills the registries. Decisions about what a verb
// does stand in the packages below.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

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

// Version of the program; the build sets it.
var Version = "0.1.0-dev"

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
	a := &app{out: os.Stdout, err: os.Stderr, hard: hard}
	a.notices.err = a.err
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
	code := a.code
	switch {
	case err != nil && isPlugin(command, os.Args[1:]):
		a.showCheck(nil, err)
		code = a.code
	case err != nil:
		code = a.fail(command, err)
	}
	return a.afterwards(ctx, command, started, code, err)
}

// fail prints an error once and returns its exit code.
func (a *app) fail(command *cobra.Command, err error) int {
	code, text := a.exitCode(err), err.Error()
	if code == runbook.ExitInterrupted {
		text = strings.ReplaceAll(text, context.Canceled.Error(), runbook.ErrInterrupted.Error())
	}
	if a.json {
		_ = json.NewEncoder(a.err).Encode(map[string]any{"type": "error", "error": text, "exit": code})
		return code
	}
	var waiting *runbook.WaitingError
	if errors.As(err, &waiting) {
		// What to do was printed when the step began to wait.
		fmt.Fprintf(a.err, "%s the run waits: %s\nThen: %s\n", painterFor(a.err).yellow("lifeboat:"), firstOf(waiting.Title, waiting.Step), waiting.Resume)
		return code
	}
	if !errors.Is(err, errSilent) {
		fmt.Fprintf(a.err, "%s %s\n", painterFor(a.err).red("lifeboat:"), text)
	}
	for _, hint := range []string{a.outage(err), lockHint(command, err), a.refusal(err)} {
		if hint != "" {
			fmt.Fprintln(a.err, hint)
		}
	}
	if a.ran != nil && a.ran.State == runbook.StateFailed && a.ran.Hint != "" {
		fmt.Fprintf(a.err, "Correct that, then: %s\n", a.ran.Hint)
	}
	if code == runbook.ExitUsage && command != nil {
		fmt.Fprintf(a.err, "See '%s --help'.\n", command.CommandPath())
	}
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
	return usagef("--%s exclude each other: give one of them", strings.Join(strings.Fields(m[1]), " and --"))
}

// errSilent says that everything has been printed already.
var errSilent = errors.New("")

// usageError is a mistake on the command line or in the configuration.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func (a *app) exitCode(err error) int {
	var usage usageError
	switch {
	case errors.As(err, &usage), errors.Is(err, recovery.ErrNoComponent), errors.Is(err, recovery.ErrNewName):
		return runbook.ExitUsage
	case errors.Is(err, errDeclined):
		return runbook.ExitRefused
	case a.ran != nil:
		return runbook.ExitCode(a.ran, err)
	}
	return runbook.ExitCode(nil, err)
}

// app is one call of the program.
type app struct {
	out, err io.Writer
	hard     context.Context //nolint:containedctx // the second Ctrl-C
	code     int             // when there is no error
	ran      *runbook.Run
	sealed   *vault.Point // what that run has made
	terminal *terminal    // that shows the run; nil as JSON

	configFile string
	stateDir   string
	movedTo    string // where the root of a run is now, when it is not where it was
	mounted    string // root of another machine whose own runs are in stateDir
	json       bool
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
	root := &cobra.Command{
		Use:   "lifeboat",
		Short: "Bring a management server back",
		Long: `Lifeboat brings a management server back. It backs up everything that a vendor's
disaster-recovery article names into encrypted recovery points, and on the day
carries the recovery out step by step, resumable and verified.

Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 done with warnings,
4 refused (identity, safety), 5 waiting for a person or a restart, 130 interrupted.`,
		Example: `  lifeboat init --repository /backup/lifeboat
  lifeboat review
  lifeboat backup smt
  lifeboat recover smt --repository /backup/lifeboat`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
		Version:           Version,
		Args:              knownVerb,

		SuggestionsMinimumDistance: 2,
		RunE:                       func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.configFile, "config", "/etc/lifeboat/lifeboat.yaml", "configuration `FILE`")
	flags.StringVar(&a.stateDir, "state-dir", "", "directory of runs and locks (default from the configuration, else /var/lib/lifeboat)")
	flags.BoolVar(&a.json, "json", false, "print one JSON object a line")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "show every line that steps log")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) (err error) {
		if f := c.Flags().Lookup("retry-lock"); f != nil && !f.Changed {
			a.retryLock, _ = strict.ParseDuration(f.DefValue)
		}
		if a.json {
			a.notices.json = a.emit
		}
		if a.stateDir != "" { // others than this process use it, from other directories
			a.stateDir, err = filepath.Abs(a.stateDir)
		}
		return err
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(
		a.initCommand(), a.detectCommand(), a.reviewCommand(), a.backupCommand(),
		a.listCommand(), a.showCommand(), a.verifyCommand(), a.restoreCommand(), a.keyCommand(),
		a.recoverCommand(), a.drillCommand(), a.importCommand(), a.exportCommand(), a.forgetCommand(), a.pruneCommand(),
		a.kitCommand(), a.pinCommand(), a.unpinCommand(), a.copyCommand(), a.repositoryCommand(), a.profileCommand(), a.runsCommand(), a.scheduleCommand(), a.statusCommand(), a.noticeCommand(), a.metricsCommand(),
		a.upgradeCommand(), a.factsCommand(), a.changelogCommand(), a.lifecycleCommand(),
		a.rescueCommand(), a.fleetServeCommand(), a.joinCommand(), a.hostCommand(), a.configCommand(), a.tokenCommand(), a.auditCommand(),
		a.opsiBackupCommand(), a.versionCommand(), a.manCommand(), a.resumeServicesCommand(), a.completeRollbackCommand(),
	)
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

// knownVerb refuses a verb that there is none of, and names those alike.
func knownVerb(c *cobra.Command, given []string) error {
	if len(given) == 0 {
		return nil
	}
	hint := ""
	if alike := c.SuggestionsFor(given[0]); len(alike) > 0 {
		hint = "; did you mean " + strings.Join(alike, " or ") + "?"
	}
	return usagef("unknown verb %q%s", given[0], hint)
}

// args wraps a cobra check so that its error is one of usage.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		if err := check(c, given); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// emit prints a value as one line of JSON.
func (a *app) emit(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.out, format, args...) }

// absolutePath is a flag for a path that is kept whatever the working directory
// of a later call is.
type absolutePath string

func (p *absolutePath) String() string { return string(*p) }
func (p *absolutePath) Type() string   { return "string" }

func (p *absolutePath) Set(s string) error {
	if s == "" {
		*p = ""
		return nil
	}
	at, err := filepath.Abs(s)
	*p = absolutePath(at)
	return err
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/product/opsi"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
)

// opsiBackupName is the verb, and the name of a link to this program that stands
// for it.
const opsiBackupName = "opsi-backup"

// opsiLog is where opsi-backup writes its log.
const opsiLog = "/var/log/opsi/opsi-backup.log"

// opsiBackup is one call of the verb.
type opsiBackup struct {
	*app
	level int // 0 to 9, as opsi counts
	log   string
}

func (a *app) opsiBackupCommand() *cobra.Command {
	o := &opsiBackup{app: a}
	c := &cobra.Command{
		Use:   opsiBackupName,
		Short: "Make, look at and restore archives, as opsi's own opsi-backup does",
		Long: `Takes the place of opsi-backup: the same verbs, options and archives, also when
this program is called by a link of that name. docs/opsi.md lists what differs:
above all that opsi is stopped meanwhile and always started again, that a failed
dump is a failure, that a restore sets aside instead of deleting and can be taken
back, and that what was not done has another exit code than 0.

An archive leaves out depot, workbench and network boot, as those of opsi-backup
do; lifeboat backup saves them too.`,
		Example: `  lifeboat opsi-backup create /backup
  lifeboat opsi-backup list /backup/opsi1_4.3.0.28_2026-11-21_05-38-05.492797.tar.bz2
  lifeboat opsi-backup verify /backup/*.tar.bz2
  lifeboat opsi-backup restore --configuration /backup/opsi.tar.bz2
  ln -s /usr/bin/lifeboat /usr/local/bin/opsi-backup`,
		Args:    screen.KnownVerb,
		Version: screen.Version,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.Flags().BoolP("version", "V", false, "print the version")
	flags := c.PersistentFlags()
	flags.IntVarP(&o.level, "log-level", "l", 5, "how much is logged, from 0 (nothing) to 9; 5 are the steps, 6 what they say")
	flags.StringVar(&o.log, "log-file", opsiLog, "`FILE` that the log is appended to")
	c.AddCommand(o.createCommand(), o.listCommand(), o.verifyCommand(), o.restoreCommand())
	return c
}

// begin opens the log. Without the option one that cannot be written is none.
func (o *opsiBackup) begin(c *cobra.Command) (done func(), err error) {
	if o.level < 0 || o.level > 9 {
		return nil, screen.Usagef("--log-level takes a number from 0 to 9")
	}
	done = func() {}
	if o.level == 0 {
		return done, nil
	}
	// Others than root may write into the directory: no link is followed.
	f, err := os.OpenFile(o.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		if !c.Flags().Changed("log-file") && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)) {
			return done, nil
		}
		return nil, fmt.Errorf("open the log: %w", err)
	}
	o.logged = runbook.ObserverFunc(func(e runbook.Event) {
		if level, text := opsiLine(e); text != "" && level <= o.level {
			fmt.Fprintf(f, "[%d] [%s] %s\n", level, e.Time.Local().Format("2006-01-02 15:04:05.000"), screen.Clean(text))
		}
	})
	return func() { o.logged = nil; _ = f.Close() }, nil
}

// opsiLine is an event in the words and at the level of opsi's logs.
func opsiLine(e runbook.Event) (level int, text string) {
	switch e.Type {
	case runbook.StepFailed, runbook.UndoFailed:
		return 3, e.Step + ": " + e.Error
	case runbook.StepWarning:
		return 4, e.Step + ": " + e.Text
	case runbook.RunStarted, runbook.RunResumed, runbook.RunRollback:
		return 5, "run " + e.Run
	case runbook.RunFinished:
		return 5, "run " + e.Run + " is " + string(e.State)
	case runbook.StepFinished:
		return 5, e.Step + " finished"
	case runbook.StepSkipped, runbook.StepAlreadyDone, runbook.StepLog:
		return 6, e.Step + ": " + e.Text
	case runbook.StepStarted:
		return 7, e.Step
	}
	return 0, ""
}

// asRoot refuses what only root can do.
func (o *opsiBackup) asRoot(what string) error {
	if os.Geteuid() != 0 {
		return runbook.Refuse("", "only root can %s: it reads and writes what others must not see", what)
	}
	return nil
}

// opsi is the system of that profile, configured or not.
func (o *opsiBackup) opsi(conf *config.Config) config.System {
	i := slices.IndexFunc(conf.Systems, func(s config.System) bool { return s.Profile == "opsi" })
	if i >= 0 {
		return conf.Systems[i]
	}
	return config.System{Name: "opsi", Profile: "opsi"}
}

// narrowed is the profile of opsi in which nothing is missed but what was chosen:
// an archive is no recovery of the whole.
func (o *opsiBackup) narrowed(chosen []string) (*profile.Profile, map[string]bool, error) {
	p, err := o.catalogue().Load("opsi")
	if err != nil {
		return nil, nil, screen.Usage(err)
	}
	narrow, choose := *p, map[string]bool{}
	narrow.Components = slices.Clone(p.Components)
	narrow.Recovery.Verify = nil // what a whole recovery would be compared with
	for i := range narrow.Components {
		c := &narrow.Components[i]
		choose[c.Name] = slices.Contains(chosen, c.Name)
		if !choose[c.Name] {
			c.Importance = profile.Optional
		}
	}
	return &narrow, choose, nil
}

// refused makes an error of the product a refusal: nothing was changed.
func refused(err error) error { return runbook.Refuse("", "%s", strings.TrimSpace(err.Error())) }

// settle has nothing else of the system under way, and its services as they were.
func (o *opsiBackup) settle(ctx context.Context, conf *config.Config, s config.System, why string) error {
	if err := o.settled(conf, s.Name, why); err != nil {
		return err
	}
	return o.recoverServices(ctx, conf)
}

// completeBackends proposes the words of --backends.
func completeBackends(c *cobra.Command) {
	_ = c.RegisterFlagCompletionFunc("backends", cobra.FixedCompletions([]string{opsi.Auto, opsi.All, "file", "mysql", "dhcp"}, cobra.ShellCompDirectiveNoFileComp))
}

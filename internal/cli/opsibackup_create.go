package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"lifeboat/internal/backup"
	"lifeboat/internal/cli/screen"
	"lifeboat/internal/component"
	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/product/opsi"
	"lifeboat/internal/product/opsi/archive"
	"lifeboat/internal/product/opsi/export"
	"lifeboat/internal/runbook"
	"lifeboat/internal/scratch"
	"lifeboat/internal/vault"
)

// opsiCreate is one call of the verb.
type opsiCreate struct {
	*opsiBackup
	backends        []string
	noConfiguration bool
	flushLogs       bool
	compression     string
}

// noValue is what -c without a value stands for, until the word after it is seen.
const noValue = "none, or the word after it"

func (o *opsiBackup) createCommand() *cobra.Command {
	r := &opsiCreate{opsiBackup: o}
	c := &cobra.Command{
		Use:   "create [DEST]",
		Short: "Make an archive that opsi-backup reads, too",
		Long: `Stops opsi, saves its backends and configuration from one moment, starts opsi again
whatever happens, and writes an archive, which only root may read. DEST is a file,
which is replaced if it is there, or a directory; there, and in the working directory
without DEST, a name is generated: <hostname>_<opsi version>_<date>_<time>. A name
that ends with .tar.gz, .tgz, .tar.bz2 or .tar says how the file is packed.`,
		Example: `  lifeboat opsi-backup create
  lifeboat opsi-backup create --backends mysql --flush-logs -c gz /backup/
  lifeboat opsi-backup create --no-configuration /backup/opsi.tar.bz2`,
		Args: screen.Args(cobra.MaximumNArgs(2)),
		RunE: func(c *cobra.Command, names []string) error {
			if err := checkBackends(c, r.backends); err != nil {
				return err
			}
			if r.compression == noValue { // as opsi-backup takes it: the word may stand apart
				r.compression = string(archive.None)
				if len(names) > 0 && c.ArgsLenAtDash() != 0 {
					if archive.Packs(names[0]) { // one that is not known is refused below
						r.compression, names = names[0], names[1:]
					}
				}
			}
			if len(names) > 1 {
				return screen.Usagef("one destination is given, not %s", strings.Join(names, " and "))
			}
			if slices.Contains(names, "") {
				return screen.Usagef("the destination is empty; without one the archive comes into the working directory")
			}
			dest := firstOf(strings.Join(names, ""), ".")
			pack, err := packing(dest, r.compression)
			if err != nil {
				return screen.Usage(err)
			}
			done, err := o.begin(c)
			if err != nil {
				return err
			}
			defer done()
			return r.run(c.Context(), dest, pack)
		},
	}
	f := c.Flags()
	f.StringSliceVar(&r.backends, "backends", nil, "save `BACKEND`: file, mysql, dhcp, all, or auto, which are those that opsi uses; may be repeated")
	f.BoolVar(&r.noConfiguration, "no-configuration", false, "leave the configuration, /etc/opsi, out")
	f.BoolVar(&r.flushLogs, "flush-logs", false, "have the database server begin a new binary log")
	f.StringVarP(&r.compression, "compression", "c", "", "`HOW` it is packed: bz2, gz or none, which -c alone means (default what the file's name says, else bz2)")
	f.Lookup("compression").NoOptDefVal = noValue
	completeBackends(c)
	_ = c.RegisterFlagCompletionFunc("compression", cobra.FixedCompletions([]string{"bz2", "gz", "none"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (r *opsiCreate) run(ctx context.Context, dest string, pack archive.Compression) error {
	if err := r.asRoot("save opsi"); err != nil {
		return err
	}
	if err := writable(dest); err != nil {
		return err
	}
	conf, err := r.loadOrEmpty()
	if err != nil {
		return err
	}
	s := r.opsi(conf)
	if err := r.settle(ctx, conf, s, halfRestored); err != nil {
		return err
	}
	// The configuration says how the backends are called, in the archive as well.
	choice, err := opsi.Choose(ctx, host.Local(), r.backends, true)
	if err == nil && r.noConfiguration && len(choice.Components) == 1 {
		err = errors.New("nothing would be saved: opsi uses no backend that is asked for, and the configuration is left out")
	}
	if err != nil {
		return refused(err)
	}
	for _, w := range choice.Warnings {
		if err := r.warn(errors.New(w)); err != nil {
			return err
		}
	}
	warned := r.Code
	p, err := r.openPrivate(ctx, conf)
	if err != nil {
		return err
	}
	err = r.save(ctx, conf, s, choice, dest, pack)
	if r.Code == runbook.ExitDone {
		r.Code = warned
	}
	return errors.Join(err, p.Remove())
}

// save makes a recovery point of what is chosen, and an archive of that.
func (r *opsiCreate) save(ctx context.Context, conf *config.Config, s config.System, choice opsi.Choice, dest string, pack archive.Compression) error {
	pr, choose, err := r.narrowed(choice.Components)
	if err != nil {
		return err
	}
	v, closeVault, err := r.open(ctx, conf, s.Name)
	if err != nil {
		return err
	}
	defer closeVault()
	for name, value := range s.Settings {
		if _, said := choice.Settings[name]; !said {
			choice.Settings[name] = value
		}
	}
	b, err := backup.New(ctx, backup.Options{
		System: s.Name, Profile: pr, Catalog: catalog(), Host: host.Local(), Vault: v, Choose: choose,
		Settings: choice.Settings, StateDir: r.state(conf), Version: screen.Version, Trigger: vault.Manual, Narrow: true,
	})
	if err != nil {
		return err
	}
	for _, p := range b.Parts() {
		if p.Chosen {
			if err := outside(dest, p.Spec.Name, p.Inspection.Paths); err != nil {
				return err
			}
		}
	}
	book := b.Runbook()
	if r.flushLogs {
		if err := r.flush(ctx, b, choice, &book); err != nil {
			return err
		}
	}
	engine, done := r.engine(r.state(conf), false)
	defer done()
	engine.Conceal(b.Secrets()...)
	if err := r.sealPoint(ctx, engine, b, book, "lifeboat opsi-backup create"); err != nil {
		return fmt.Errorf("no archive was made: %w", err)
	}
	done()
	file, report, err := writeArchive(ctx, b.Point(), dest, export.Options{
		Compression: pack, Without: map[archive.Part]bool{archive.Configuration: r.noConfiguration},
	}, true)
	if err != nil {
		return fmt.Errorf("no archive was made: %w", err)
	}
	for _, w := range report.Warnings {
		if err := r.warn(errors.New(screen.Clean(w))); err != nil {
			return err
		}
	}
	if r.JSON {
		return r.Emit(map[string]any{"type": "created", "file": file, "members": report.Members, "bytes": report.Bytes, "warnings": report.Warnings})
	}
	r.Printf("\nCreated %s: %s in %d members. Every checksum was read again and agrees.\n", file, size(report.Bytes), report.Members)
	return nil
}

// flush sees, before anything is stopped, whether the database server lets its logs
// be flushed, and has that done when opsi has stopped.
func (r *opsiCreate) flush(ctx context.Context, b *backup.Backup, choice opsi.Choice, book *runbook.Runbook) error {
	if !slices.Contains(choice.Components, "database") {
		return screen.Usagef("--flush-logs is about the database, and none is saved")
	}
	db, err := b.Database("database")
	if err != nil {
		return err
	}
	if err := mayReload(ctx, db); err != nil {
		return err
	}
	i := slices.IndexFunc(book.Stages, func(s runbook.Stage) bool { return s.Name == "quiesce" })
	if i < 0 {
		return errors.New("opsi is not stopped by its profile: its logs cannot be flushed at one moment with it")
	}
	stage := &book.Stages[i]
	stage.Steps = append(stage.Steps, runbook.Step{
		ID: "quiesce/flush-logs", Title: "Have the database server begin new logs", EachTime: true,
		Needs: []string{stage.Steps[len(stage.Steps)-1].ID},
		Run:   func(ctx context.Context, _ runbook.Task) error { return db.Exec(ctx, "FLUSH LOGS") },
	})
	return nil
}

// mayReload refuses an account that may not flush logs.
func mayReload(ctx context.Context, db component.Querier) error {
	rows, err := db.Query(ctx, "SHOW GRANTS")
	if err != nil {
		return fmt.Errorf("ask what the account of the database may do: %w", err)
	}
	for _, row := range rows {
		for _, grant := range row {
			rights, _, global := strings.Cut(strings.ToUpper(grant), " ON *.* TO ")
			if global && (strings.Contains(rights, "RELOAD") || strings.Contains(rights, "ALL PRIVILEGES")) {
				return nil
			}
		}
	}
	return runbook.Refuse("", "--flush-logs: the account of the database has no right RELOAD, so nothing was stopped and nothing saved; give it that (GRANT RELOAD ON *.* TO …), or leave --flush-logs away")
}

// writable refuses, before opsi is stopped, a destination that is no place for an
// archive.
func writable(dest string) error {
	dir := filepath.Dir(dest)
	if info, err := os.Stat(dest); err == nil && info.IsDir() {
		dir = dest
	} else if err == nil && !info.Mode().IsRegular() {
		return runbook.Refuse("", "%s is neither a file nor a directory", dest)
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return runbook.Refuse("", "%s is not there: make the directory first, or is a disk not mounted? Nothing was stopped", dir)
	case errors.Is(err, syscall.ENOTDIR) || err == nil && !info.IsDir():
		return runbook.Refuse("", "%s is no directory, and %s would be in it. Nothing was stopped", dir, dest)
	}
	f, err := scratch.File(dir)
	if cause := new(fs.PathError); errors.As(err, &cause) {
		err = cause.Err // the name is one of ours
	}
	if err != nil {
		return fmt.Errorf("write into %s: %w; nothing was stopped", dir, err)
	}
	return errors.Join(os.Remove(f.Name()), f.Close())
}

// outside refuses a destination in a place that is captured: the archive would be in
// the next one, and that in the one after it.
func outside(dest, component string, places []string) error {
	dir, err := filepath.EvalSymlinks(dest)
	if info, statErr := os.Stat(dest); err != nil || statErr != nil || !info.IsDir() {
		if dir, err = filepath.EvalSymlinks(filepath.Dir(dest)); err != nil {
			return err
		}
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	for _, place := range places {
		if real, err := filepath.EvalSymlinks(place); err == nil {
			place = real
		}
		if dir == place || strings.HasPrefix(dir, strings.TrimRight(place, "/")+"/") {
			return runbook.Refuse("", "%s lies in %s, which is saved itself (%s): every archive would hold those before it. Give a place outside", dest, place, component)
		}
	}
	return nil
}

package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/backup"
	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

func (a *app) importCommand() *cobra.Command {
	f := importing{app: a}
	c := &cobra.Command{
		Use:   "import PRODUCT DIR|FILE",
		Short: "Make a recovery point of what was saved by hand or by the product's own tool",
		Long: `Recognises in a directory what an administrator has saved by following the
vendor's article (a database dump, certificates, configuration files), or takes a
file that the product's own backup tool has written. The database is loaded into a
private database server to see that it is whole, and everything becomes a recovery
point.

With --dry-run the same is looked at and loaded, what is in it is told, and no point
is made: exit code 0 says that it is whole, 3 that something about it should be
known, 1 that it cannot be imported.`,
		Example: `  lifeboat import smt /media/disk/smt-backup
  lifeboat import smt /media/disk/smt-backup --dry-run
  lifeboat import opsi opsiconfd-backup.msgpack.lz4.aes --archive-password-file /root/secret`,
		Args: screen.Args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, names []string) error {
			return f.run(c.Context(), names[0], names[1])
		},
	}
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	c.Flags().BoolVarP(&f.dry, "dry-run", "n", false, "show what is in it and whether it is whole; make no point")
	c.Flags().StringSliceVar(&f.force, "force", nil, "go on although `CHECK[,CHECK]` does not agree: places, where nothing says where the data belong, or what was saved names unusual places; usable, where the product could not run with the saved configuration")
	f.password.register(c, "archive-", "the password of an encrypted file")
	a.compressionFlag(c)
	a.repositoryFlags(c)
	a.patient(c)
	return c
}

// importing is one call of import.
type importing struct {
	*app
	dry      bool
	force    []string
	password passwordFlags
}

func (f *importing) run(ctx context.Context, name, from string) error {
	p, err := catalog().Products.Get(name)
	if err != nil || p.Import == nil && p.Unpack == nil {
		return screen.Usagef("nothing can be imported for %q; products are %v", name, catalog().Products.Names())
	}
	conf, err := f.loadOrEmpty()
	if err != nil {
		return err
	}
	pr, err := f.catalogue().Load(name)
	if err != nil {
		return screen.Usage(err)
	}
	system := config.System{Name: name, Profile: name}
	for _, s := range conf.Systems {
		if s.Profile == name {
			system = s
			break
		}
	}
	opts := backup.Options{
		System: system.Name, Profile: pr, Catalog: catalog(), Host: host.Local(),
		Settings: system.Settings, StateDir: f.state(conf), Version: screen.Version, Trigger: vault.Imported,
	}
	if !f.dry {
		if err := f.settled(conf, system.Name, "a point made meanwhile would be mixed up with the one it is recovered from"); err != nil {
			return err
		}
		v, closeVault, err := f.open(ctx, conf, system.Name)
		if err != nil {
			return err
		}
		defer closeVault()
		opts.Vault, opts.Further = v, f.further(conf, system)
	}
	checks := []string{backup.Places, backup.Usable}
	if i := slices.IndexFunc(f.force, func(check string) bool { return !slices.Contains(checks, check) }); i >= 0 {
		return screen.Usagef("--force %s: there is no such check; there are %s", f.force[i], strings.Join(checks, ", "))
	}
	if f.dry {
		f.force = checks // a look makes nothing
	}
	i, err := backup.NewImport(ctx, opts, p, backup.Saved{Path: from, Password: f.archivePassword, Force: f.force})
	if err != nil {
		return err
	}
	defer i.Close(context.WithoutCancel(ctx))
	if f.dry {
		return f.tell(from, i)
	}
	if !f.JSON {
		f.recognised(from, i)
	}
	if err := screen.Confirm(ctx, "Make a recovery point of this?", f.yes); err != nil {
		return err
	}
	if err := f.runBackup(ctx, conf, i.Backup, false, "lifeboat import "+name+" "+from); err != nil {
		return fmt.Errorf("import %s: %w", from, err)
	}
	return nil
}

// archivePassword gets the password of an encrypted file: what the command line
// says, else the environment, else the person at the terminal.
func (f *importing) archivePassword(ctx context.Context) ([]byte, error) {
	from, err := f.password.given()
	if err == nil && from.IsZero() {
		from, err = fromEnvironment(archivePasswordVariables)
	}
	switch {
	case err != nil:
		return nil, err
	case !from.IsZero():
		return f.readPassword(ctx, from, "password of the encrypted file")
	case !onTerminal():
		return nil, screen.Usagef("the file is encrypted: give --archive-password-file or --archive-password-command, or LIFEBOAT_ARCHIVE_PASSWORD_FILE in the environment")
	}
	return f.promptPassword(ctx, "Password of the encrypted file")
}

// recognised tells what was found, before anything is asked.
func (f *importing) recognised(from string, i *backup.Import) {
	if i.Found.Origin != "" {
		f.Printf("%s: %s\n", from, screen.Clean(i.Found.Origin))
	}
	f.Printf("Recognised in %s: %s\n", from, strings.Join(i.Components(), ", "))
	for _, m := range i.Found.Missing {
		if f.yes && !f.dry {
			break // nobody decides by it; the run warns of each
		}
		word := "missing"
		if m.Critical {
			word = screen.PainterFor(f.Out).Red("missing (critical)")
		}
		f.Printf("  %s: %s. %s\n", word, m.What, m.Loss)
	}
	for _, u := range i.Found.Unknown {
		f.Printf("  left alone: %s\n", screen.Clean(u))
	}
}

// tell shows everything that a dry run has seen.
func (f *importing) tell(from string, i *backup.Import) error {
	warnings := i.Warnings()
	if len(warnings) > 0 {
		f.Code = runbook.ExitWarnings
	}
	if f.JSON {
		return f.Emit(map[string]any{
			"type": "import", "from": from, "origin": i.Found.Origin, "contents": i.Found.Contents,
			"components": i.Components(), "left_alone": i.Found.Unknown, "warnings": warnings,
		})
	}
	f.recognised(from, i)
	var rows [][]string
	for _, c := range i.Found.Contents {
		amount := fmt.Sprint(c.Count)
		if c.Bytes > 0 {
			amount = size(c.Bytes)
		}
		rows = append(rows, []string{c.Kind, screen.Clean(c.Name), amount, screen.Clean(c.Note)})
	}
	if len(rows) > 0 {
		f.Table([]string{"kind", "name", "amount", ""}, rows, "amount")
	}
	for _, w := range warnings {
		if strings.Contains(w, backup.NotSaved) {
			continue // told above
		}
		f.Printf("%s %s\n", screen.PainterFor(f.Out).Yellow("warning"), screen.Clean(w))
	}
	if len(warnings) == 0 {
		f.Printf("It is whole.\n")
	}
	f.Printf("Nothing was changed: this was a dry run.\n")
	return nil
}

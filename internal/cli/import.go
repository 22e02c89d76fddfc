package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/backup"
	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/vault"
)

func (a *app) importCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "import PRODUCT DIR",
		Short: "Make a recovery point of what was saved by hand",
		Long: `Recognises in a directory what an administrator has saved by following the
vendor's article (a database dump, certificates, configuration files), loads the
dump into a private database server to see that it is whole, and makes a recovery
point of everything.`,
		Example: "  lifeboat import smt /media/disk/smt-backup",
		Args:    args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, names []string) error {
			return a.importSaved(c.Context(), names[0], names[1])
		},
	}
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	a.compressionFlag(c)
	a.repositoryFlags(c)
	return c
}

func (a *app) importSaved(ctx context.Context, name, dir string) error {
	p, err := catalog().Products.Get(name)
	if err != nil || p.Import == nil {
		return usagef("nothing can be imported for %q; products are %v", name, catalog().Products.Names())
	}
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	pr, err := a.catalogue().Load(name)
	if err != nil {
		return usageError{err}
	}
	system := config.System{Name: name, Profile: name}
	for _, s := range conf.Systems {
		if s.Profile == name {
			system = s
			break
		}
	}
	if err := a.settled(conf, system.Name, "a point made meanwhile would be mixed up with the one it is recovered from"); err != nil {
		return err
	}
	v, closeVault, err := a.open(ctx, conf, system.Name)
	if err != nil {
		return err
	}
	defer closeVault()
	i, err := backup.NewImport(ctx, backup.Options{
		System: system.Name, Profile: pr, Catalog: catalog(), Host: host.Local(), Vault: v,
		Settings: system.Settings, StateDir: a.state(conf), Version: Version, Trigger: vault.Imported,
		Further: a.further(conf, system),
	}, p, dir)
	if err != nil {
		return err
	}
	defer i.Close(context.WithoutCancel(ctx))
	if !a.json {
		a.printf("Recognised in %s: %s\n", dir, strings.Join(i.Components(), ", "))
		for _, m := range i.Found.Missing {
			word := "missing"
			if m.Critical {
				word = painterFor(a.out).red("missing (critical)")
			}
			a.printf("  %s: %s. %s\n", word, m.What, m.Loss)
		}
		for _, u := range i.Found.Unknown {
			a.printf("  left alone: %s\n", u)
		}
	}
	if err := confirm(ctx, "Make a recovery point of this?", a.yes); err != nil {
		return err
	}
	if err := a.runBackup(ctx, conf, i.Backup, false, "lifeboat import "+name+" "+dir); err != nil {
		return fmt.Errorf("import %s: %w", dir, err)
	}
	return nil
}

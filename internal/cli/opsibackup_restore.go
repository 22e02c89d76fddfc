package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/backup"
	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/product"
	"lifeboat/internal/product/opsi"
	"lifeboat/internal/product/opsi/archive"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// opsiRestore is one call of the verb.
type opsiRestore struct {
	*opsiBackup
	backends      []string
	configuration bool
	newID         string
	force         bool
}

func (o *opsiBackup) restoreCommand() *cobra.Command {
	r := &opsiRestore{opsiBackup: o}
	c := &cobra.Command{
		Use:   "restore FILE",
		Short: "Restore from an archive, of opsi-backup or of this program",
		Long: `Verifies the archive, compares the system that it is of with this one, stops opsi,
restores, and starts opsi again. What was there is set aside, and can be brought
back: lifeboat recover opsi --rollback.

Without --backends everything that the archive holds is restored, but not the
configuration, /etc/opsi: that takes --configuration.`,
		Example: `  lifeboat opsi-backup restore /backup/opsi.tar.bz2
  lifeboat opsi-backup restore --backends file --configuration /backup/opsi.tar.bz2
  lifeboat opsi-backup restore --configuration --new-server-id opsi2.example.com /backup/opsi.tar.bz2`,
		Args: screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			if err := checkBackends(c, r.backends); err != nil {
				return err
			}
			if c.Flags().Changed("new-server-id") {
				if err := opsi.CheckServerID(r.newID); err != nil {
					return screen.Usagef("--new-server-id: %w", err)
				}
			}
			done, err := o.begin(c)
			if err != nil {
				return err
			}
			defer done()
			return r.run(c.Context(), names[0])
		},
	}
	f := c.Flags()
	f.StringSliceVar(&r.backends, "backends", nil, "restore `BACKEND`: file, mysql, dhcp, all, or auto, which is all that the archive holds; may be repeated")
	f.BoolVar(&r.configuration, "configuration", false, "restore the configuration too")
	f.StringVar(&r.newID, "new-server-id", "", "give the server another `ID`, everywhere")
	f.BoolVarP(&r.force, "force", "f", false, "do not compare the systems; restore to unusual places, and a configuration that is not usable, too")
	completeBackends(c)
	return c
}

// checkBackends is a refusal for a backend that there is, elsewhere, and a mistake
// of the command line for a word that is none.
func checkBackends(c *cobra.Command, backends []string) error {
	if c.Flags().Changed("backends") && len(backends) == 0 {
		return screen.Usagef("--backends takes the name of a backend: auto, all, file, mysql or dhcp")
	}
	err := opsi.CheckBackends(backends)
	if err == nil {
		return nil
	}
	if strings.Contains(err.Error(), "opsi-convert") {
		return refused(err)
	}
	return screen.Usage(err)
}

func (r *opsiRestore) run(ctx context.Context, file string) error {
	if err := r.asRoot("restore opsi"); err != nil {
		return err
	}
	var components, remarks []string
	if err := r.withArchive(ctx, file, func(file string, a *archive.Archive) (err error) {
		if err := r.verified(ctx, file, a, false); err != nil {
			return fmt.Errorf("%w\nNothing was changed", err)
		}
		remarks = a.Verify().Remarks()
		if components, err = opsi.ChooseFrom(a, r.backends, r.configuration); err != nil {
			return refused(fmt.Errorf("%s: %w", file, err))
		}
		return nil
	}); err != nil {
		return err
	}
	if err := r.installed(ctx, components); err != nil {
		return err
	}
	remarked := r.Code
	conf, err := r.loadOrEmpty()
	if err != nil {
		return err
	}
	s := r.opsi(conf)
	if err := r.settle(ctx, conf, s, ""); err != nil {
		return err
	}
	p, err := r.openPrivate(ctx, conf)
	if err != nil {
		return err
	}
	point, saved, err := r.take(ctx, conf, s, file, components, remarks)
	r.Code = cmp.Or(r.Code, remarked) // what the import has warned of stays a warning
	if err == nil {
		r.ran = nil
		err = r.back(ctx, conf, s, point, saved, components)
	} else {
		err = fmt.Errorf("%w\nNothing was changed", err)
		r.ran = nil // what can be resumed is a restore
	}
	if r.ran == nil { // else it is needed for the way back
		err = errors.Join(err, p.Remove())
	}
	return err
}

// installed refuses a machine without opsi: its users and its database are its
// packages' to make.
func (r *opsiRestore) installed(ctx context.Context, components []string) error {
	version, err := opsi.Installed(ctx, host.Local())
	if err != nil || version != "" {
		return err
	}
	database := ""
	if slices.Contains(components, "database") {
		database = ", and MariaDB (mariadb-server), with opsi's database set up"
	}
	return runbook.Refuse("", "opsi is not installed on this machine. Install it first, of the version that the archive is of or a later one of its line: from uib's package source opsi-server-full (Debian, Ubuntu) or opsiconfd, opsi-utils and opsipxeconfd (SUSE, Red Hat)%s. A machine that is set up from nothing is easier to recover: lifeboat import opsi FILE, then lifeboat recover opsi, which says what to install and goes on. Nothing was changed", database)
}

// usable refuses, before anything is stopped, what opsi could not run with.
func (r *opsiRestore) usable(ctx context.Context, found *product.Import, components []string) error {
	var reasons []string
	if why := found.Unusable[opsi.Configuration]; len(why) > 0 && !r.force { // else the import has told it
		reasons = append(reasons, "opsi could not use the archive's configuration: "+strings.Join(why, "; "))
	}
	lost, err := opsi.KeysLost(ctx, host.Local(), found, components)
	if err != nil {
		return err
	}
	if lost != "" {
		reasons = append(reasons, fmt.Sprintf("the archive holds no host keys, and with its configuration those of this machine, %s, would be gone: no client could log in", lost))
	}
	if len(reasons) == 0 {
		return nil
	}
	text := strings.Join(reasons, "; ")
	if r.force {
		return r.warn(errors.New(text))
	}
	return runbook.Refuse("", "%s. Leave --configuration out, or take it all the same with -f", text)
}

// take makes a recovery point of what is chosen. What was remarked of the archive
// has been told.
func (r *opsiRestore) take(ctx context.Context, conf *config.Config, s config.System, file string, components, remarked []string) (id string, saved map[string]string, err error) {
	pr, choose, err := r.narrowed(components)
	if err != nil {
		return "", nil, err
	}
	known, err := catalog().Products.Get("opsi")
	if err != nil {
		return "", nil, err
	}
	here := *known
	here.Unpack = func(ctx context.Context, file, dir string, password product.Password) (*product.Import, error) {
		found, err := known.Unpack(ctx, file, dir, password)
		if err == nil {
			found.Warnings = slices.DeleteFunc(found.Warnings, func(w string) bool { return slices.Contains(remarked, w) })
			err = opsi.Here(ctx, host.Local(), found)
		}
		return found, err
	}
	v, closeVault, err := r.open(ctx, conf, s.Name)
	if err != nil {
		return "", nil, err
	}
	defer closeVault()
	choose[""] = false                  // what an archive never holds is nothing to warn of
	override := []string{backup.Usable} // judged below, in other words
	if r.force {
		override = append(override, backup.Places)
	}
	i, err := backup.NewImport(ctx, backup.Options{
		System: s.Name, Profile: pr, Catalog: catalog(), Host: host.Local(), Vault: v, Choose: choose,
		StateDir: r.state(conf), Version: screen.Version, Trigger: vault.Imported,
	}, &here, backup.Saved{Path: file, Force: override})
	if err != nil {
		return "", nil, err
	}
	defer i.Close(context.WithoutCancel(ctx))
	if err := r.usable(ctx, i.Found, components); err != nil {
		return "", nil, err
	}
	engine, done := r.engine(r.state(conf), false)
	defer done()
	engine.Conceal(i.Secrets()...)
	if err := r.sealPoint(ctx, engine, i.Backup, i.Runbook(), "lifeboat opsi-backup restore "+file); err != nil {
		return "", nil, err
	}
	return i.Point().ID(), maps.Clone(i.Found.Settings), nil
}

// back compares the systems, and restores.
func (r *opsiRestore) back(ctx context.Context, conf *config.Config, s config.System, id string, saved map[string]string, components []string) error {
	f := recoverFlags{from: id, only: components, around: true, keepOld: true, newName: r.newID}
	if !r.configuration {
		differences, access, err := opsi.Target(ctx, host.Local(), saved, components)
		if err != nil {
			return err
		}
		if len(differences) > 0 {
			return runbook.Refuse("", "this machine's opsi would not use what would be restored: %s. Restore the configuration too, with --configuration, or choose with --backends; nothing was changed", strings.Join(differences, "; "))
		}
		f.settings = access
	}
	var err error
	if f.force, err = r.compared(ctx, conf, s, f); err != nil {
		return err
	}
	if err := r.tellRemaining(ctx, saved, components); err != nil {
		return err
	}
	r.yes = true // it was asked what was to be asked
	if err := r.recover(ctx, s.Name, f); err != nil {
		return err
	}
	if r.JSON {
		return nil
	}
	r.Printf("\nRestored: %s.\n", strings.Join(components, ", "))
	return nil
}

// tellRemaining warns of backends that opsi uses here and that the archive lacks.
func (r *opsiRestore) tellRemaining(ctx context.Context, saved map[string]string, components []string) error {
	if opsi.NamesBackends(r.backends) {
		return nil
	}
	remaining, err := opsi.Remaining(ctx, host.Local(), saved, components, r.configuration)
	if err != nil || len(remaining) == 0 {
		return err
	}
	return r.warn(fmt.Errorf("opsi uses on this machine also what the archive lacks: %s; what is in there stays, and is of another moment than what is restored", strings.Join(remaining, ", ")))
}

// compared compares the system of the archive with this one, and asks where they
// differ. It returns the checks that are overridden.
func (r *opsiRestore) compared(ctx context.Context, conf *config.Config, s config.System, f recoverFlags) ([]string, error) {
	p, err := r.catalogue().Load("opsi")
	if err != nil {
		return nil, screen.Usage(err)
	}
	force := slices.Concat(p.Identity.MustMatch, p.Identity.Warn, slices.Sorted(maps.Keys(p.Identity.Compare)))
	slices.Sort(force)
	if force = slices.Compact(force); r.force {
		return append(force, recovery.CheckPlaces, recovery.CheckUsable), nil
	}
	v, closeVault, err := r.open(ctx, conf, s.Name)
	if err != nil {
		return nil, err
	}
	defer closeVault()
	point, err := v.Find(ctx, f.from, vault.Filter{})
	if err != nil {
		return nil, err
	}
	look, err := r.newRecovery(conf, s.Name, point, f)
	if err != nil {
		return nil, err
	}
	checks, refusals, err := look.CheckIdentity(ctx, true)
	if err != nil || len(refusals) == 0 {
		return nil, err
	}
	if !r.JSON {
		r.Printf("The archive is of another system than this one:\n")
		r.printChecks(checks)
	}
	if theTerminal() != nil {
		if err := screen.Confirm(ctx, strings.Join(refusals, "; ")+". Restore all the same?", false); err == nil || !errors.Is(err, screen.ErrDeclined) {
			return force, err
		}
	}
	return nil, runbook.Refuse("", "%s. Nothing was changed; --force restores without comparing", strings.Join(refusals, "; "))
}

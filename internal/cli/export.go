package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/product/opsi/archive"
	"lifeboat/internal/product/opsi/export"
	"lifeboat/internal/runbook"
	"lifeboat/internal/scratch"
	"lifeboat/internal/vault"
)

func (a *app) exportCommand() *cobra.Command {
	var point, compression string
	var overwrite bool
	c := &cobra.Command{
		Use:   "export opsi FILE|DIR",
		Short: "Write a recovery point as an archive of the product's own backup tool",
		Long: `Writes an archive that opsi-backup verifies and restores, and reads it again to
see that it is whole. Only root may read it: it holds passwords and keys. A
directory gets a file with a name as opsi-backup generates it. A file that is
there is only replaced when it was named and with -f. How it is packed is what its
name says (.tar.gz, .tgz, .tar.bz2, .tar), unless -c does.

opsi-backup restores no symbolic links and no hard links of a file backend; what
becomes of them is told, with exit code 3.`,
		Example: `  lifeboat export opsi /media/disk
  lifeboat export opsi --point 1a2b3c4d -c gz /media/disk/opsi.tar.gz`,
		Args: screen.Args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, names []string) error {
			if names[0] != "opsi" {
				return screen.Usagef("nothing can be exported for %q; there is opsi", names[0])
			}
			pack, err := packing(names[1], compression)
			if err != nil {
				return screen.Usage(err)
			}
			return a.export(c.Context(), names[0], point, names[1], export.Options{Compression: pack}, overwrite)
		},
	}
	c.Flags().StringVar(&point, "point", "latest", "recovery `POINT`")
	c.Flags().StringVarP(&compression, "compression", "c", "", "`HOW` it is packed: bz2, gz or none (default what the file's name says, else bz2)")
	c.Flags().BoolVarP(&overwrite, "force", "f", false, "replace the file when it is there")
	a.readFlags(c)
	return c
}

func (a *app) export(ctx context.Context, name, reference, to string, opts export.Options, overwrite bool) error {
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	system := config.System{Name: name, Profile: name}
	for _, s := range conf.Systems {
		if s.Profile == name {
			system = s
			break
		}
	}
	v, closeVault, err := a.open(ctx, conf, system.Name)
	if err != nil {
		return err
	}
	defer closeVault()
	p, err := a.find(ctx, v, reference, vault.Filter{System: system.Name})
	if err != nil {
		return err
	}
	if p.Profile() != name {
		return screen.Usagef("point %s is of profile %s, not %s", p.Short(), p.Profile(), name)
	}
	for _, c := range p.Manifest.Components {
		if err := outside(to, c.Name, c.Paths); err != nil {
			return err
		}
	}
	file, report, err := writeArchive(ctx, p, to, opts, overwrite)
	if err != nil {
		return fmt.Errorf("export point %s: %w", p.Short(), err)
	}
	if len(report.Warnings) > 0 {
		a.Code = runbook.ExitWarnings
	}
	if a.JSON {
		return a.Emit(map[string]any{
			"type": "exported", "point": p.ID(), "file": file, "members": report.Members, "bytes": report.Bytes, "warnings": report.Warnings,
		})
	}
	for _, w := range report.Warnings {
		if err := a.warn(errors.New(screen.Clean(w))); err != nil {
			return err
		}
	}
	a.Printf("Point %s of %s is written to %s: %d members, %s. Every checksum was read again and agrees.\n", p.Short(), screen.When(p.Time()), file, report.Members, size(report.Bytes))
	return nil
}

// packing is how an archive at a place is packed; the name of a directory says
// nothing.
func packing(to, asked string) (archive.Compression, error) {
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		to = ""
	}
	return archive.Choose(to, asked)
}

// writeArchive writes beside the file, reads what it wrote, and only then gives it
// its name.
func writeArchive(ctx context.Context, p *vault.Point, to string, opts export.Options, overwrite bool) (string, *export.Report, error) {
	info, err := os.Stat(to)
	generated := err == nil && info.IsDir()
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", nil, err
	case generated:
		to = filepath.Join(to, "lifeboat-export") // until its content is known
	case err == nil && !info.Mode().IsRegular():
		return "", nil, fmt.Errorf("%s is no regular file", to)
	case err == nil && !overwrite:
		return "", nil, runbook.Refuse("", "%s is there already; give -f to replace it", to)
	}
	f, err := scratch.File(filepath.Dir(to)) // 0600
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = os.Remove(f.Name()); _ = f.Close() }() // it is synced where it counts
	report, err := export.Write(ctx, f, p, p.Manifest, opts)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return "", nil, err
	}
	if err := verifyArchive(ctx, f.Name(), report.Members); err != nil {
		return "", nil, err
	}
	if generated {
		to = filepath.Join(filepath.Dir(to), archive.FileName(report.Info, opts.Compression, p.Time()))
	}
	if overwrite && !generated {
		return to, report, os.Rename(f.Name(), to)
	}
	err = os.Link(f.Name(), to) // unlike a renaming it replaces nothing
	if err != nil && !errors.Is(err, fs.ErrExist) {
		if _, there := os.Lstat(to); errors.Is(there, fs.ErrNotExist) { // a file system without hard links
			err = os.Rename(f.Name(), to)
		}
	}
	return to, report, err
}

func verifyArchive(ctx context.Context, name string, members int) error {
	a, err := archive.Open(ctx, name, archive.DefaultLimits)
	if err != nil {
		return fmt.Errorf("read again what was written: %w", err)
	}
	defer a.Close()
	if err := a.Verify().Err(); err != nil {
		return fmt.Errorf("read again what was written: %w", err)
	}
	if len(a.Members) != members {
		return fmt.Errorf("read again what was written: %d members of %d are there", len(a.Members), members)
	}
	return nil
}

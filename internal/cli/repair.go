package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/repository"
)

func (a *app) repairCommand() *cobra.Command {
	var readData bool
	c := &cobra.Command{
		Use:   "repair",
		Short: "Make the index match what can be read, so that backups store again what is lost",
		Long: `A backup does not store what the index says is stored already, though it be lost
or damaged. This writes a new index of what is there: packs that are gone are
dropped, packs that no index lists are taken up, and of damaged ones the parts
that still can be read are stored again. No pack and no recovery point is removed.

Damage inside of packs is only found by reading all of them, with --read-data.
Copy the repository aside before you repair it, if anything in it matters.`,
		Example: `  lifeboat repository repair
  lifeboat repository repair --read-data && lifeboat backup smt && lifeboat verify --read-data`,
		Args: screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			ctx := c.Context()
			conf, err := a.loadOrEmpty()
			if err != nil {
				return err
			}
			repo, err := a.openRepository(ctx, conf, "")
			if err != nil {
				return err
			}
			defer repo.Close()
			return a.repair(ctx, repo, readData)
		},
	}
	c.Flags().BoolVar(&readData, "read-data", false, "read every pack first, to find what is damaged inside")
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	a.repositoryFlags(c)
	return c
}

func (a *app) repair(ctx context.Context, repo *repository.Repository, readData bool) error {
	var damaged []repository.ID
	if readData {
		report, err := repo.Check(ctx, repository.CheckOptions{ReadData: true})
		if err != nil {
			return err
		}
		damaged = report.DamagedPacks()
	}
	if err := screen.Confirm(ctx, "Write a new index of what can be read?", a.yes); err != nil {
		return err
	}
	report, err := repo.RepairIndex(ctx, damaged...)
	if err != nil {
		return err
	}
	if a.JSON {
		found := []map[string]string{}
		for _, f := range report.Findings {
			found = append(found, map[string]string{"kind": string(f.Kind), "file": f.File, "error": f.Err.Error()})
		}
		return a.Emit(map[string]any{"type": "repair", "findings": found, "packs": report.Packs})
	}
	for _, f := range report.Findings {
		a.Printf("%s\n", screen.Clean(f.String()))
	}
	if len(report.Findings) == 0 {
		a.Printf("The index was right; nothing was changed.\n")
		return nil
	}
	flag := repo.Flag()
	if !slices.ContainsFunc(report.Findings, func(f *repository.Finding) bool {
		return f.Kind != repository.DamagedIndex && f.Kind != repository.OrphanPack
	}) {
		a.Printf("The index lists all that is there now. Next: lifeboat verify%s tells which points are whole.\n", flag)
		return nil
	}
	if used, err := a.chooseRepository(a.known(), ""); err == nil && a.isCopy(used) {
		a.Printf("The index lists what can be read now. Next: lifeboat verify --read-data%s tells which points are whole, and what to do about others.\n", flag)
		return nil
	}
	a.Printf("The index lists what can be read now. Next: lifeboat backup%s stores again what is still on the machine,\nthen lifeboat verify --read-data%s tells which points are whole.\n", flag, flag)
	return nil
}

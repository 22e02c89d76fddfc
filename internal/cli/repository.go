package cli

import (
	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
)

// repositoryCommand groups what is done to repositories and their stores,
// rather than to the recovery points in them.
func (a *app) repositoryCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "repository",
		Short: "Look after repositories and the stores that hold them",
		Example: `  lifeboat repository create
  lifeboat repository check-store s3:https://objects.example.com/backup/smt
  lifeboat repository repair --read-data
  lifeboat repository unlock
  lifeboat repository serve --directory /srv/lifeboat --self-signed
  lifeboat repository protect`,
		Args: screen.KnownVerb,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.createCommand(), a.checkStoreCommand(), a.repairCommand(), a.unlockCommand(), a.serveCommand(), a.protectCommand())
	return c
}

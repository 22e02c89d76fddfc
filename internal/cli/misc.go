package cli

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/guard"
)

func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write the manual pages into a directory", Example: "  lifeboat man /usr/local/share/man/man8", Args: screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			if err := os.MkdirAll(names[0], 0o755); err != nil {
				return err
			}
			root := c.Root()
			root.DisableAutoGenTag = true
			return doc.GenManTree(root, &doc.GenManHeader{Title: "LIFEBOAT", Section: "8", Source: "Lifeboat " + screen.Version, Manual: "Lifeboat"}, names[0])
		},
	}
}

// resumeServicesCommand is what the boot unit calls.
func (a *app) resumeServicesCommand() *cobra.Command {
	return &cobra.Command{
		Use: guard.BootCommand, Short: "Start again what a backup has left stopped (the boot unit calls this)", Example: "  lifeboat " + guard.BootCommand,
		Args: screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := a.loadOrEmpty()
			if err != nil {
				return err
			}
			return a.recoverServices(c.Context(), conf)
		},
	}
}

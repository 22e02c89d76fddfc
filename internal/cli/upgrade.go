package cli

import (
	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
)

// upgradeCommand is the parent of everything about upgrades; each verb below it has
// a file of its own.
func (a *app) upgradeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "upgrade",
		Short:   "Take a host to a later release, with a way back",
		Example: "  lifeboat upgrade plan\n  lifeboat upgrade check --to \"SLES 12 SP1\"\n  lifeboat upgrade run --to \"SLES 12 SP1\" --targets sp1.repo",
		Args:    screen.Args(cobra.NoArgs),
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(
		a.upgradePlanCommand(),
		a.upgradeCheckCommand(),
		a.upgradeRunCommand(),
		a.upgradeStatusCommand(),
		a.upgradeResumeCommand(),
		a.upgradeRollbackCommand(),
		a.upgradeRepositoriesCommand(),
		a.upgradeBootEntryCommand(),
		a.upgradeHooksCommand(),
		a.upgradeSourceCommand(),
	)
	return c
}

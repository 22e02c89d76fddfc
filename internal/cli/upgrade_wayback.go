package cli

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/host"
	"lifeboat/internal/upgrade/wayback"
)

// completeRollbackCommand is what the boot unit of a rollback calls.
func (a *app) completeRollbackCommand() *cobra.Command {
	return &cobra.Command{
		Use:     wayback.BootCommand + " DIR",
		Short:   "Take the root back at boot to what it was before an upgrade (a boot unit calls this)",
		Example: "  lifeboat " + wayback.BootCommand + " /var/lib/lifeboat/runs/RUN/wayback",
		Hidden:  true,
		Args:    screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			dir, err := filepath.Abs(names[0])
			if err != nil {
				return err
			}
			var told error
			say := func(text string) {
				if a.JSON {
					told = a.Emit(map[string]any{"type": "rollback", "text": text})
					return
				}
				a.Printf("%s\n", screen.Clean(text))
			}
			restart, err := wayback.Complete(c.Context(), dir, say)
			if err != nil {
				return err
			}
			if told != nil || !restart {
				return told
			}
			say("The root is what it was before the upgrade. This machine restarts now.")
			if err := host.Local().RestartInit(); err != nil {
				return err
			}
			// What waits for this to end would start on what is about to go down.
			select {
			case <-c.Context().Done():
				return nil
			case <-time.After(10 * time.Minute):
				return errors.New("the root is what it was before the upgrade, but this machine does not restart; restart it by hand")
			}
		},
	}
}

package cli

import (
	"context"
	"fmt"

	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
)

// maxChanged bounds what is shown of one component without -v.
const maxChanged = 10

// confirmRollback shows what was changed since the run, and asks whether it is
// to be taken back.
func (a *app) confirmRollback(ctx context.Context, r *recovery.Recovery, run *runbook.Run) error {
	changes, err := r.TakeBack(ctx, run)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if a.json {
			if err := a.emit(c); err != nil {
				return err
			}
			continue
		}
		a.printf("%s was changed since the restore; as it is now it is kept aside:\n", c.Component)
		shown := c.Entries
		if !a.verbose && len(shown) > maxChanged {
			shown = shown[:maxChanged]
		}
		for _, entry := range shown {
			a.printf("  %s\n", clean(entry))
		}
		if more := len(c.Entries) - len(shown); more > 0 {
			a.printf("  and %d more (-v shows them)\n", more)
		}
	}
	return confirm(ctx, fmt.Sprintf("Take back run %s? What was there before it comes back.", run.ID), a.yes)
}

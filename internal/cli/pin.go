package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/repository"
	"lifeboat/internal/vault"
)

// pinView is a pin as --json shows it.
type pinView struct {
	Type   string    `json:"type"`
	ID     string    `json:"id"`
	Point  string    `json:"point,omitempty"`
	System string    `json:"system"`
	Time   time.Time `json:"time"`
	Note   string    `json:"note,omitempty"`
}

func (a *app) pinCommand() *cobra.Command {
	var note string
	c := &cobra.Command{
		Use:   "pin [SYSTEM] [POINT]",
		Short: "Keep a recovery point whatever the retention says",
		Long: `Pins a recovery point, the newest one if only the system is named. A pinned
point is not forgotten, uses up no place of the retention, and is copied with its
pin. Without a name the pins are listed. Stock restic shows a pin as a snapshot
with the tag lifeboat-pin.`,
		Example: `  lifeboat pin 1a2b3c4d --note "before the move to the new data centre"
  lifeboat pin smt
  lifeboat pin`,
		Args: screen.Args(cobra.MaximumNArgs(2)),
		RunE: func(c *cobra.Command, names []string) error {
			ctx := c.Context()
			if len(names) == 0 {
				return a.listPins(ctx)
			}
			p, closeVault, err := a.point(ctx, names)
			if err != nil {
				return err
			}
			defer closeVault()
			pin, err := p.Vault().Pin(ctx, p, note)
			if err != nil {
				return err
			}
			if pin.Unnoted != nil {
				if err := a.warn(fmt.Errorf("the point is pinned, but this machine cannot remember it: %w", pin.Unnoted)); err != nil {
					return err
				}
			}
			if a.JSON {
				return a.Emit(pinView{Type: "pin", ID: pin.ID.String(), Point: p.ID(), System: pin.System, Time: pin.Time, Note: pin.Note})
			}
			a.Printf("Recovery point %s of %s (%s) is pinned.\nTo let it go again: lifeboat unpin%s %s\n", p.Short(), p.System(), screen.When(p.Time()), p.Vault().Repository().Flag(), p.Short())
			return nil
		},
	}
	c.Flags().StringVar(&note, "note", "", "why, on one `LINE`")
	a.repositoryFlags(c)
	return c
}

// listPins shows all pins, also those whose point was removed by another program:
// they keep its data until they go.
func (a *app) listPins(ctx context.Context) error {
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	v, closeVault, err := a.open(ctx, conf, "")
	if err != nil {
		return err
	}
	defer closeVault()
	pins, err := v.Pins(ctx)
	unread := vault.Unread(err)
	if err != nil && unread == nil {
		return err
	}
	points, err := allPoints(ctx, v)
	if err != nil {
		return err
	}
	pinned := map[repository.ID]*vault.Point{}
	for _, p := range points {
		pinned[p.Tree()] = p
	}
	var rows [][]string
	for _, pin := range pins {
		view := pinView{Type: "pin", ID: pin.ID.String(), System: pin.System, Time: pin.Time, Note: pin.Note}
		point := "was removed by another program"
		if p := pinned[pin.Tree]; p != nil {
			view.Point, point = p.ID(), p.Short()
		}
		if a.JSON {
			if err := a.Emit(view); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{pin.ID.String()[:8], screen.Printable(pin.System), point, screen.When(pin.Time), screen.Printable(pin.Note)})
	}
	switch {
	case a.JSON:
	case len(rows) == 0:
		a.Printf("No recovery point is pinned.\n")
	default:
		a.Table([]string{"pin", "system", "point", "pinned", "note"}, rows)
	}
	return a.warnUnread(unread, v.Repository().Flag())
}

func (a *app) unpinCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "unpin POINT",
		Short: "Let the retention judge a pinned recovery point again",
		Long: `Removes the pins of a recovery point. A pin that vanished without this machine's
doing counts as removed on purpose then.`,
		Example: `  lifeboat unpin 1a2b3c4d
  lifeboat unpin 1a2b3c4d --repository second`,
		Args: screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			if err := removable(names[0]); err != nil {
				return err
			}
			conf, err := a.loadOrEmpty()
			if err != nil {
				return err
			}
			return a.withRepository(c.Context(), func(repo *repository.Repository) error {
				removed, err := a.vaultOf(conf, repo).Unpin(c.Context(), names[0])
				if err != nil {
					return err
				}
				if !a.JSON {
					a.Printf("Recovery point %s is no longer pinned.\n", names[0])
					return nil
				}
				for _, pin := range removed {
					if err := a.Emit(pinView{Type: "unpin", ID: pin.ID.String(), System: pin.System, Time: pin.Time, Note: pin.Note}); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	a.repositoryFlags(c)
	return c
}

package remote

import (
	"net/http"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/fleet/client"
	"lifeboat/internal/fleet/wire"
)

func (d *Desk) hostSetCommand(f *server) *cobra.Command {
	var group, serial, uuid string
	var macs, networks []string
	c := &cobra.Command{
		Use:   "set NAME",
		Short: "Correct what a host is recognised by",
		Long: `Corrects what is known of a host: each option replaces all that was there, and an
empty one removes it. A host that has joined says itself what it is recognised by: its
next report replaces what it tells, and leaves alone what it does not.`,
		Example: `  lifeboat host set smt1 --mac 52:54:00:12:34:56 --mac 52:54:00:12:34:57
  lifeboat host set smt1 --serial ''
  lifeboat host set rear1 --group branch --network 192.0.2.0/24`,
		Args: screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			var change wire.HostChange
			for name, to := range map[string]struct {
				field **string
				value *string
			}{"group": {&change.Group, &group}, "serial": {&change.Serial, &serial}, "uuid": {&change.UUID, &uuid}} {
				if c.Flags().Changed(name) {
					*to.field = to.value
				}
			}
			if c.Flags().Changed("mac") {
				change.MACs = listed(macs)
			}
			if c.Flags().Changed("network") {
				change.Networks = listed(networks)
			}
			if change == (wire.HostChange{}) {
				return screen.Usagef("say what to set: --mac, --serial, --uuid, --group or --network")
			}
			var h wire.ChangedHost
			if err := d.call(c.Context(), *f, http.MethodPatch, client.Path("hosts", names[0]), change, &h); err != nil {
				return err
			}
			for _, w := range h.Warnings {
				if err := d.Remark(screen.Printable(w)); err != nil {
					return err
				}
			}
			if d.JSON {
				return d.EmitTyped("host", h)
			}
			d.Printf("%s\n", screen.PainterFor(d.Out).Bold(screen.Printable(h.Name)))
			d.printKnown(h.Host)
			return nil
		},
	}
	flags := c.Flags()
	flags.StringSliceVar(&macs, "mac", nil, "`ADDRESS` of a network card")
	flags.StringVar(&serial, "serial", "", "serial `NUMBER` of the machine")
	flags.StringVar(&uuid, "uuid", "", "`UUID` of the machine")
	flags.StringVar(&group, "group", "", "`GROUP` of hosts of a kind")
	flags.StringSliceVar(&networks, "network", nil, "`CIDR` from which plain ReaR clients of this host may ask")
	return c
}

// listed is what a flag has given; an empty text stands for nothing.
func listed(values []string) *[]string {
	all := []string{}
	for _, v := range values {
		if v != "" {
			all = append(all, v)
		}
	}
	return &all
}

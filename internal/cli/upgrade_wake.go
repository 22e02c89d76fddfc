package cli

import (
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/upgrade/medium"
)

func (a *app) sourceWakeCommand() *cobra.Command {
	var card, to string
	port := uint16(9)
	c := &cobra.Command{
		Use:   "wake MAC",
		Short: "Wake a target by Wake-on-LAN",
		Long: `Sends the packet that wakes a machine by the address of its Ethernet card, where its
firmware is set to that. Nobody answers: whether it wakes, its console shows.

The packet is broadcast. On a machine with several networks --interface says by which
card; to wake beyond a router, give the broadcast address of that network.`,
		Example: "  lifeboat upgrade source wake 52:54:00:12:34:56\n  lifeboat upgrade source wake 52:54:00:12:34:56 --interface eth1\n  lifeboat upgrade source wake 52:54:00:12:34:56 --to 10.1.0.255 --json",
		Args:    screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			mac, err := medium.ParseMAC(names[0])
			if err != nil {
				return screen.Usage(err)
			}
			if ip := net.ParseIP(to); ip == nil || ip.To4() == nil {
				return screen.Usagef("--to %s is no IPv4 address", screen.Clean(to))
			}
			if port == 0 {
				return screen.Usagef("--port 0 is no port; Wake-on-LAN uses 9 or 7")
			}
			address := net.JoinHostPort(to, strconv.Itoa(int(port)))
			if err := medium.Wake(c.Context(), mac, card, address); err != nil {
				return err
			}
			if a.JSON {
				return a.Emit(struct {
					Type      string `json:"type"`
					MAC       string `json:"mac"`
					To        string `json:"to"`
					Interface string `json:"interface,omitempty"`
				}{"upgrade-wake", mac.String(), address, card})
			}
			a.Printf("Sent to %s for %s. Nobody answers: see whether it starts.\n", address, mac)
			return nil
		},
	}
	c.Flags().StringVar(&card, "interface", "", "send by this network `CARD`")
	c.Flags().StringVar(&to, "to", "255.255.255.255", "send to this broadcast `ADDRESS`")
	c.Flags().Uint16Var(&port, "port", port, "send to this UDP `PORT`")
	return c
}

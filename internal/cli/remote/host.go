package remote

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/fleet/client"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/standing"
	"lifeboat/internal/fleet/wire"
)

func (d *Desk) hostCommand() *cobra.Command {
	var f server
	c := &cobra.Command{
		Use:     "host",
		Short:   "Add hosts to the fleet, look at them, shut them out, and recover them",
		Long:    "Speaks with the fleet server about its hosts." + d.hint(),
		Example: "  lifeboat host add smt1\n  lifeboat host list\n  lifeboat host code smt1",
		Args:    screen.KnownVerb,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f.register(c, d.Home)
	c.AddCommand(d.hostAddCommand(&f), d.hostSetCommand(&f), d.hostEnrolCommand(&f), d.hostListCommand(&f), d.hostShowCommand(&f),
		d.hostRevokeCommand(&f), d.hostRemoveCommand(&f), d.hostCodeCommand(&f), d.hostWindowCommand(&f), d.hostRearCommand(&f))
	return c
}

func (d *Desk) hostAddCommand(f *server) *cobra.Command {
	var n wire.NewHost
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a host, and print the line that makes it join",
		Long: `Adds a host to the fleet and prints the line that is typed on it. The token in it is
good once, for an hour or as --valid says, and says whom the host has to trust, so
that it cannot be led to another server. What is known of the machine already helps to
recognise it before it has reported for the first time.`,
		Example: `  lifeboat host add smt1
  lifeboat host add smt1 --mac 52:54:00:12:34:56 --group branch --valid 24h
  lifeboat host add rear1 --network 192.0.2.0/24`,
		Args: screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			n.Name = names[0]
			var made wire.Invitation
			if err := d.call(c.Context(), *f, http.MethodPost, "/hosts", n, &made); err != nil {
				return err
			}
			return d.showInvitation(made)
		},
	}
	flags := c.Flags()
	flags.StringSliceVar(&n.MACs, "mac", nil, "`ADDRESS` of a network card")
	flags.StringVar(&n.Serial, "serial", "", "serial `NUMBER` of the machine")
	flags.StringVar(&n.UUID, "uuid", "", "`UUID` of the machine")
	flags.StringVar(&n.Group, "group", "", "`GROUP` of hosts of a kind")
	flags.StringSliceVar(&n.Networks, "network", nil, "`CIDR` from which plain ReaR clients of this host may ask")
	flags.StringVar(&n.Valid, "valid", "", "let the token hold for `TIME`, such as 24h (default 1h)")
	return c
}

func (d *Desk) hostEnrolCommand(f *server) *cobra.Command {
	var valid string
	c := &cobra.Command{
		Use:   "enrol NAME",
		Short: "Give a host another token to join with, for the first time or again",
		Long: `Prints the line that makes a host join again: the token of "host add" has expired, or
the machine has lost its key. The key that it has is good until it has joined. Only an
administrator lets a revoked host in again.`,
		Example: "  lifeboat host enrol smt1",
		Args:    screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			var made wire.Invitation
			if err := d.call(c.Context(), *f, http.MethodPost, client.Path("hosts", names[0], "enrolments"), wire.Enrol{Valid: valid}, &made); err != nil {
				return err
			}
			return d.showInvitation(made)
		},
	}
	c.Flags().StringVar(&valid, "valid", "", "let the token hold for `TIME`, such as 24h (default 1h)")
	return c
}

func (d *Desk) showInvitation(made wire.Invitation) error {
	for _, w := range made.Warnings {
		if err := d.Remark(screen.Printable(w)); err != nil {
			return err
		}
	}
	if d.JSON {
		return d.EmitTyped("invitation", made)
	}
	d.Printf("lifeboat join %s %s\n", made.URL, made.Token)
	_, err := d.Err.Write([]byte("Type that on " + screen.Printable(made.Host.Name) + " before " + screen.When(made.Expires) + ". It is good once, and is not shown again.\n"))
	return err
}

func (d *Desk) hostListCommand(f *server) *cobra.Command {
	var group string
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the hosts of the fleet, and how they stand",
		Example: "  lifeboat host list\n  lifeboat host list --group branch --json",
		Args:    screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			speaker, err := d.client(*f)
			if err != nil {
				return err
			}
			ctx := c.Context()
			of, err := protectionsOf(ctx, speaker)
			if err != nil {
				return err
			}
			var rows [][]string
			err = parts(ctx, speaker, "/hosts?limit=1000&group="+url.QueryEscape(group), "", func(h record.Host) error {
				s := standing.OfHost(h, of[h.ID], time.Now())
				if d.JSON {
					return d.EmitTyped("host", struct {
						record.Host
						State   standing.State `json:"state"`
						Reasons []string       `json:"reasons,omitempty"`
						PointAt time.Time      `json:"point_at,omitzero"`
					}{h, s.State, s.Reasons, s.PointAt})
				}
				rows = append(rows, []string{screen.Printable(h.Name), screen.Printable(h.Group), string(s.State), screen.When(s.PointAt), screen.When(h.Seen)})
				return nil
			})
			if err == nil && !d.JSON {
				d.Table([]string{"host", "group", "state", "newest point", "seen"}, rows)
			}
			return err
		},
	}
	c.Flags().StringVar(&group, "group", "", "only those of `GROUP`")
	return c
}

func protectionsOf(ctx context.Context, c *client.Client) (map[record.HostID][]record.Protection, error) {
	of := map[record.HostID][]record.Protection{}
	err := parts(ctx, c, "/protections?limit=1000", "", func(p record.Protection) error {
		of[p.Host] = append(of[p.Host], p)
		return nil
	})
	return of, err
}

func (d *Desk) hostShowCommand(f *server) *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a host: what it is known by, its systems, its last runs",
		Example: "  lifeboat host show smt1",
		Args:    screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			var detail wire.HostDetail
			if err := d.call(c.Context(), *f, http.MethodGet, client.Path("hosts", names[0]), nil, &detail); err != nil {
				return err
			}
			var reports wire.List[record.Report]
			if err := d.call(c.Context(), *f, http.MethodGet, client.Path("hosts", names[0], "reports")+"?limit=20", nil, &reports); err != nil {
				return err
			}
			if d.JSON {
				return d.EmitTyped("host", struct {
					wire.HostDetail
					Reports []record.Report `json:"reports"`
				}{detail, reports.Items})
			}
			d.printHost(detail, reports.Items)
			return nil
		},
	}
}

// printKnown prints what is known of a host itself.
func (d *Desk) printKnown(h record.Host) {
	line := func(name, value string) {
		if value != "" {
			d.Printf("  %-14s %s\n", name, screen.Printable(value))
		}
	}
	line("id", string(h.ID))
	line("group", h.Group)
	line("hostname", h.Identity.Hostname)
	line("serial", h.Identity.Serial)
	line("uuid", h.Identity.UUID)
	line("mac", strings.Join(h.Identity.MACs, " "))
	line("networks", strings.Join(h.Networks, " "))
	line("joined", screen.When(h.Joined))
	line("seen", screen.When(h.Seen))
	if !h.Revoked.IsZero() {
		line("revoked", screen.When(h.Revoked))
	}
}

func (d *Desk) printHost(detail wire.HostDetail, reports []record.Report) {
	paint := screen.PainterFor(d.Out)
	s := standing.OfHost(detail.Host, detail.Protections, time.Now())
	d.Printf("%s  %s\n", paint.Bold(screen.Printable(detail.Name)), s.State)
	for _, why := range s.Reasons {
		d.Printf("  %s %s\n", paint.Yellow("why"), screen.Printable(why))
	}
	d.printKnown(detail.Host)
	if detail.Configuration > 0 {
		d.Printf("  %-14s version %d\n", "configuration", detail.Configuration)
	}
	for _, what := range standing.Missing(reports) {
		d.Printf("  %s its recovery configuration lacks something: %s\n", paint.Yellow("gap"), screen.Printable(what))
	}
	var rows [][]string
	for _, p := range detail.Protections {
		rows = append(rows, []string{screen.Printable(p.System), screen.Printable(p.LastState), screen.When(p.PointAt), screen.When(p.VerifyAt), screen.When(p.DrillAt), screen.Printable(screen.FirstLine(p.LastError))})
	}
	if len(rows) > 0 {
		d.Printf("\n")
		d.Table([]string{"system", "last run", "newest point", "verified", "drilled", "error"}, rows)
	}
	rows = nil
	for _, r := range reports {
		rows = append(rows, []string{screen.When(r.Ended), screen.Printable(r.System), screen.Printable(r.Kind), screen.Printable(r.State), screen.Printable(r.ID)})
	}
	if len(rows) > 0 {
		d.Printf("\n")
		d.Table([]string{"ended", "system", "kind", "state", "run"}, rows)
	}
}

func (d *Desk) hostRevokeCommand(f *server) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME",
		Short: "Shut a host out, at once",
		Long: `Takes nothing from a host any more and gives nothing of it to anybody, from the next
request on; its recovery codes are worth nothing. What it has reported stays, and
"host enrol" of an administrator lets it in again.`,
		Example: "  lifeboat host revoke smt1",
		Args:    screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			var h record.Host
			if err := d.call(c.Context(), *f, http.MethodPost, client.Path("hosts", names[0], "revoke"), nil, &h); err != nil {
				return err
			}
			if d.JSON {
				return d.EmitTyped("host-revoked", h)
			}
			d.Printf("%s is shut out.\n", screen.Printable(h.Name))
			return nil
		},
	}
}

func (d *Desk) hostRemoveCommand(f *server) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "remove NAME",
		Short: "Forget a host with all that it has reported",
		Long: `Removes a host from the fleet with its reports and its recovery configurations. A
machine that is lost later cannot be recovered with the fleet's help then; its
recovery points stay where they are.`,
		Example: "  lifeboat host remove smt1\n  lifeboat host remove smt1 --yes",
		Args:    screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			if err := screen.Confirm(c.Context(), "Forget "+names[0]+" with its recovery configurations?", yes); err != nil {
				return err
			}
			if err := d.call(c.Context(), *f, http.MethodDelete, client.Path("hosts", names[0]), nil, nil); err != nil {
				return err
			}
			if d.JSON {
				return d.EmitTyped("host-removed", map[string]string{"name": names[0]})
			}
			d.Printf("%s is forgotten.\n", names[0])
			return nil
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

func (d *Desk) hostCodeCommand(f *server) *cobra.Command {
	return &cobra.Command{
		Use:   "code NAME",
		Short: "Issue a one-time recovery code for a lost host",
		Long: `Prints a code that lets one machine recover as that host, once and within half an
hour: it is typed in the rescue system, and brings the secrets that the recovery
needs. Whoever has it can do so; tell it over the telephone rather than by mail. It is
not shown again.`,
		Example: "  lifeboat host code smt1",
		Args:    screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			var made wire.IssuedCode
			if err := d.call(c.Context(), *f, http.MethodPost, client.Path("hosts", names[0], "codes"), nil, &made); err != nil {
				return err
			}
			if d.JSON {
				return d.EmitTyped("code", made)
			}
			d.Printf("%s\n", made.Code)
			_, err := d.Err.Write([]byte("Type that in the rescue system of " + screen.Printable(made.Host) + " before " + screen.When(made.Expires) + ": lifeboat rescue fetch asks for it.\n"))
			return err
		},
	}
}

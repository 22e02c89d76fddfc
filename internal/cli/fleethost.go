package cli

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/fleet/client"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/standing"
	"lifeboat/internal/fleet/wire"
)

func (a *app) hostCommand() *cobra.Command {
	var f fleetFlags
	c := &cobra.Command{
		Use:     "host",
		Short:   "Add hosts to the fleet, look at them, shut them out, and recover them",
		Long:    "Speaks with the fleet server about its hosts." + fleetHint,
		Example: "  lifeboat host add smt1\n  lifeboat host list\n  lifeboat host code smt1",
		Args:    knownVerb,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f.register(c)
	c.AddCommand(a.hostAddCommand(&f), a.hostSetCommand(&f), a.hostEnrolCommand(&f), a.hostListCommand(&f), a.hostShowCommand(&f),
		a.hostRevokeCommand(&f), a.hostRemoveCommand(&f), a.hostCodeCommand(&f), a.hostWindowCommand(&f), a.hostRearCommand(&f))
	return c
}

func (a *app) hostAddCommand(f *fleetFlags) *cobra.Command {
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
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			n.Name = names[0]
			var made wire.Invitation
			if err := a.call(c.Context(), *f, http.MethodPost, "/hosts", n, &made); err != nil {
				return err
			}
			return a.showInvitation(made)
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

func (a *app) hostEnrolCommand(f *fleetFlags) *cobra.Command {
	var valid string
	c := &cobra.Command{
		Use:   "enrol NAME",
		Short: "Give a host another token to join with, for the first time or again",
		Long: `Prints the line that makes a host join again: the token of "host add" has expired, or
the machine has lost its key. The key that it has is good until it has joined. Only an
administrator lets a revoked host in again.`,
		Example: "  lifeboat host enrol smt1",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			var made wire.Invitation
			if err := a.call(c.Context(), *f, http.MethodPost, client.Path("hosts", names[0], "enrolments"), wire.Enrol{Valid: valid}, &made); err != nil {
				return err
			}
			return a.showInvitation(made)
		},
	}
	c.Flags().StringVar(&valid, "valid", "", "let the token hold for `TIME`, such as 24h (default 1h)")
	return c
}

func (a *app) showInvitation(made wire.Invitation) error {
	for _, w := range made.Warnings {
		a.notices.warn(printable(w))
	}
	if a.json {
		return a.emitTyped("invitation", made)
	}
	a.printf("lifeboat join %s %s\n", made.URL, made.Token)
	_, err := a.err.Write([]byte("Type that on " + printable(made.Host.Name) + " before " + when(made.Expires) + ". It is good once, and is not shown again.\n"))
	return err
}

func (a *app) hostListCommand(f *fleetFlags) *cobra.Command {
	var group string
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the hosts of the fleet, and how they stand",
		Example: "  lifeboat host list\n  lifeboat host list --group branch --json",
		Args:    args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			speaker, err := a.fleetClient(*f)
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
				if a.json {
					return a.emitTyped("host", struct {
						record.Host
						State   standing.State `json:"state"`
						Reasons []string       `json:"reasons,omitempty"`
						PointAt time.Time      `json:"point_at,omitzero"`
					}{h, s.State, s.Reasons, s.PointAt})
				}
				rows = append(rows, []string{printable(h.Name), printable(h.Group), string(s.State), when(s.PointAt), when(h.Seen)})
				return nil
			})
			if err == nil && !a.json {
				a.table([]string{"host", "group", "state", "newest point", "seen"}, rows)
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

func (a *app) hostShowCommand(f *fleetFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a host: what it is known by, its systems, its last runs",
		Example: "  lifeboat host show smt1",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			var d wire.HostDetail
			if err := a.call(c.Context(), *f, http.MethodGet, client.Path("hosts", names[0]), nil, &d); err != nil {
				return err
			}
			var reports wire.List[record.Report]
			if err := a.call(c.Context(), *f, http.MethodGet, client.Path("hosts", names[0], "reports")+"?limit=20", nil, &reports); err != nil {
				return err
			}
			if a.json {
				return a.emitTyped("host", struct {
					wire.HostDetail
					Reports []record.Report `json:"reports"`
				}{d, reports.Items})
			}
			a.printHost(d, reports.Items)
			return nil
		},
	}
}

// printKnown prints what is known of a host itself.
func (a *app) printKnown(h record.Host) {
	line := func(name, value string) {
		if value != "" {
			a.printf("  %-14s %s\n", name, printable(value))
		}
	}
	line("id", string(h.ID))
	line("group", h.Group)
	line("hostname", h.Identity.Hostname)
	line("serial", h.Identity.Serial)
	line("uuid", h.Identity.UUID)
	line("mac", strings.Join(h.Identity.MACs, " "))
	line("networks", strings.Join(h.Networks, " "))
	line("joined", when(h.Joined))
	line("seen", when(h.Seen))
	if !h.Revoked.IsZero() {
		line("revoked", when(h.Revoked))
	}
}

func (a *app) printHost(d wire.HostDetail, reports []record.Report) {
	paint := painterFor(a.out)
	s := standing.OfHost(d.Host, d.Protections, time.Now())
	a.printf("%s  %s\n", paint.bold(printable(d.Name)), s.State)
	for _, why := range s.Reasons {
		a.printf("  %s %s\n", paint.yellow("why"), printable(why))
	}
	a.printKnown(d.Host)
	if d.Configuration > 0 {
		a.printf("  %-14s version %d\n", "configuration", d.Configuration)
	}
	for _, what := range standing.Missing(reports) {
		a.printf("  %s its recovery configuration lacks something: %s\n", paint.yellow("gap"), printable(what))
	}
	var rows [][]string
	for _, p := range d.Protections {
		rows = append(rows, []string{printable(p.System), printable(p.LastState), when(p.PointAt), when(p.VerifyAt), when(p.DrillAt), printable(firstLine(p.LastError))})
	}
	if len(rows) > 0 {
		a.printf("\n")
		a.table([]string{"system", "last run", "newest point", "verified", "drilled", "error"}, rows)
	}
	rows = nil
	for _, r := range reports {
		rows = append(rows, []string{when(r.Ended), printable(r.System), printable(r.Kind), printable(r.State), printable(r.ID)})
	}
	if len(rows) > 0 {
		a.printf("\n")
		a.table([]string{"ended", "system", "kind", "state", "run"}, rows)
	}
}

func (a *app) hostRevokeCommand(f *fleetFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke NAME",
		Short: "Shut a host out, at once",
		Long: `Takes nothing from a host any more and gives nothing of it to anybody, from the next
request on; its recovery codes are worth nothing. What it has reported stays, and
"host enrol" of an administrator lets it in again.`,
		Example: "  lifeboat host revoke smt1",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			var h record.Host
			if err := a.call(c.Context(), *f, http.MethodPost, client.Path("hosts", names[0], "revoke"), nil, &h); err != nil {
				return err
			}
			if a.json {
				return a.emitTyped("host-revoked", h)
			}
			a.printf("%s is shut out.\n", printable(h.Name))
			return nil
		},
	}
}

func (a *app) hostRemoveCommand(f *fleetFlags) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "remove NAME",
		Short: "Forget a host with all that it has reported",
		Long: `Removes a host from the fleet with its reports and its recovery configurations. A
machine that is lost later cannot be recovered with the fleet's help then; its
recovery points stay where they are.`,
		Example: "  lifeboat host remove smt1\n  lifeboat host remove smt1 --yes",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			if err := confirm(c.Context(), "Forget "+names[0]+" with its recovery configurations?", yes); err != nil {
				return err
			}
			if err := a.call(c.Context(), *f, http.MethodDelete, client.Path("hosts", names[0]), nil, nil); err != nil {
				return err
			}
			if a.json {
				return a.emitTyped("host-removed", map[string]string{"name": names[0]})
			}
			a.printf("%s is forgotten.\n", names[0])
			return nil
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

func (a *app) hostCodeCommand(f *fleetFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "code NAME",
		Short: "Issue a one-time recovery code for a lost host",
		Long: `Prints a code that lets one machine recover as that host, once and within half an
hour: it is typed in the rescue system, and brings the secrets that the recovery
needs. Whoever has it can do so; tell it over the telephone rather than by mail. It is
not shown again.`,
		Example: "  lifeboat host code smt1",
		Args:    args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			var made wire.IssuedCode
			if err := a.call(c.Context(), *f, http.MethodPost, client.Path("hosts", names[0], "codes"), nil, &made); err != nil {
				return err
			}
			if a.json {
				return a.emitTyped("code", made)
			}
			a.printf("%s\n", made.Code)
			_, err := a.err.Write([]byte("Type that in the rescue system of " + printable(made.Host) + " before " + when(made.Expires) + ": lifeboat rescue fetch asks for it.\n"))
			return err
		},
	}
}

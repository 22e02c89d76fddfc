package remote

import (
	"net/http"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/fleet/client"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/secret"
	"lifeboat/internal/fleet/wire"
)

func (d *Desk) tokenCommand() *cobra.Command {
	var f server
	c := &cobra.Command{
		Use:     "token",
		Short:   "Let programs and people's verbs speak with the fleet server",
		Long:    "A token acts with a role: viewer, operator or administrator." + d.hint(),
		Example: "  lifeboat token add monitoring --role viewer\n  lifeboat token list",
		Args:    screen.KnownVerb,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	f.register(c, d.Home)
	c.AddCommand(d.tokenAddCommand(&f), d.tokenListCommand(&f), d.tokenRemoveCommand(&f))
	return c
}

func (d *Desk) tokenAddCommand(f *server) *cobra.Command {
	n := wire.NewToken{}
	role := string(record.Viewer)
	c := &cobra.Command{
		Use: "add NAME", Short: "Make a token, which is shown once",
		Example: "  lifeboat token add monitoring --role viewer\n  (umask 077; lifeboat token add anna --role operator --valid 90d >anna.token)",
		Args:    screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			n.Name, n.Role = names[0], record.Role(role)
			if !n.Role.May(record.Viewer) {
				return screen.Usagef("--role takes %s, %s or %s", record.Viewer, record.Operator, record.Administrator)
			}
			var made wire.MadeToken
			if err := d.call(c.Context(), *f, http.MethodPost, "/tokens", n, &made); err != nil {
				return err
			}
			if d.JSON {
				return d.EmitTyped("token", made)
			}
			d.Printf("%s\n", made.Text)
			_, err := d.Err.Write([]byte("That is the token " + made.Name + ". It is not shown again: keep it in " + secret.Keep + ", and name the file in " + tokenVariable + ".\n"))
			return err
		},
	}
	c.Flags().StringVar(&role, "role", role, "what it may do: viewer, operator or administrator")
	c.Flags().StringVar(&n.Valid, "valid", "", "let it hold for `TIME`, such as 90d (default: until it is removed)")
	return c
}

func (d *Desk) tokenListCommand(f *server) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List tokens", Example: "  lifeboat token list", Args: screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			var l wire.List[record.Token]
			if err := d.call(c.Context(), *f, http.MethodGet, "/tokens", nil, &l); err != nil {
				return err
			}
			var rows [][]string
			for _, t := range l.Items {
				if d.JSON {
					if err := d.EmitTyped("token", t); err != nil {
						return err
					}
				}
				rows = append(rows, []string{screen.Printable(t.Name), string(t.Role), screen.Printable(t.By), screen.When(t.Created), screen.When(t.Expires), screen.When(t.Used)})
			}
			if !d.JSON {
				d.Table([]string{"token", "role", "made by", "made", "expires", "used"}, rows)
			}
			return nil
		},
	}
}

func (d *Desk) tokenRemoveCommand(f *server) *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Make a token worthless, at once", Example: "  lifeboat token remove monitoring",
		Args: screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			if err := d.call(c.Context(), *f, http.MethodDelete, client.Path("tokens", names[0]), nil, nil); err != nil {
				return err
			}
			if d.JSON {
				return d.EmitTyped("token-removed", map[string]string{"name": names[0]})
			}
			d.Printf("The token %s is worth nothing any more.\n", names[0])
			return nil
		},
	}
}

package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	people "lifeboat/internal/fleet/account"
	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/record"
)

// byServer acts for whoever may read the fleet's keys.
var byServer = action.Actor{Name: "server", Role: record.Administrator}

func (a *app) fleetUserCommand(place *fleetPlace) *cobra.Command {
	c := &cobra.Command{
		Use:   "user",
		Short: "Say who may sign in to the console, on the fleet server itself",
		Long: `Changes who may sign in to the console, in the fleet's database; a running server
knows at once. The console does the same for administrators, so this is for the first
one, and for the day on which nobody can sign in any more.`,
		Example: "  lifeboat serve user add anna --role administrator\n  lifeboat serve user list",
		Args:    screen.KnownVerb,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.fleetUserAddCommand(place), a.fleetUserListCommand(place), a.fleetUserPasswordCommand(place), a.fleetUserRemoveCommand(place))
	return c
}

// withAccounts does something with the people of the fleet. What is wrong with the
// question is a mistake of usage.
func (a *app) withAccounts(ctx context.Context, place fleetPlace, do func(*people.Accounts) error) error {
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	desk, done, err := a.openFleet(ctx, place, conf)
	if err != nil {
		return err
	}
	defer done()
	err = do(people.New(desk.Store, desk.Keys.Age))
	switch {
	case errors.Is(err, action.ErrInvalid), errors.Is(err, record.ErrTaken), errors.Is(err, record.ErrNotFound), errors.Is(err, people.ErrLast):
		return screen.Usage(err)
	}
	return err
}

func (a *app) fleetUserAddCommand(place *fleetPlace) *cobra.Command {
	var from passwordFlags
	role := string(record.Viewer)
	c := &cobra.Command{
		Use: "add NAME", Short: "Let somebody sign in, with a password that is asked for",
		Example: "  lifeboat serve user add anna --role administrator",
		Args:    screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			if !record.Role(role).May(record.Viewer) {
				return screen.Usagef("--role takes %s, %s or %s", record.Viewer, record.Operator, record.Administrator)
			}
			return a.withAccounts(c.Context(), *place, func(all *people.Accounts) error {
				password, err := a.newPassword(c.Context(), &from)
				if err != nil {
					return err
				}
				defer clear(password)
				if err := all.Add(c.Context(), byServer, names[0], record.Role(role), string(password)); err != nil {
					return err
				}
				return a.userChanged("user-added", names[0], "may sign in as "+role+".")
			})
		},
	}
	from.register(c, "new-", "the password of the user")
	c.Flags().StringVar(&role, "role", role, "what the user may do: viewer, operator or administrator")
	return c
}

func (a *app) userChanged(kind, name, text string) error {
	if a.JSON {
		return a.EmitTyped(kind, map[string]string{"name": name})
	}
	a.Printf("%s %s\n", name, text)
	return nil
}

func (a *app) fleetUserPasswordCommand(place *fleetPlace) *cobra.Command {
	var from passwordFlags
	c := &cobra.Command{
		Use: "password NAME", Short: "Set somebody's password, and end all sessions of that user",
		Example: "  lifeboat serve user password anna",
		Args:    screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			return a.withAccounts(c.Context(), *place, func(all *people.Accounts) error {
				password, err := a.newPassword(c.Context(), &from)
				if err != nil {
					return err
				}
				defer clear(password)
				if err := all.SetPassword(c.Context(), byServer, names[0], string(password)); err != nil {
					return err
				}
				return a.userChanged("user-changed", names[0], "has a new password.")
			})
		},
	}
	from.register(c, "new-", "the password of the user")
	return c
}

func (a *app) fleetUserRemoveCommand(place *fleetPlace) *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Let somebody in no more, at once", Example: "  lifeboat serve user remove anna",
		Args: screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			return a.withAccounts(c.Context(), *place, func(all *people.Accounts) error {
				if err := all.Remove(c.Context(), byServer, names[0]); err != nil {
					return err
				}
				return a.userChanged("user-removed", names[0], "may sign in no more.")
			})
		},
	}
}

func (a *app) fleetUserListCommand(place *fleetPlace) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List who may sign in", Example: "  lifeboat serve user list", Args: screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withAccounts(c.Context(), *place, func(all *people.Accounts) error {
				users, err := all.List(c.Context())
				if err != nil {
					return err
				}
				var rows [][]string
				for _, u := range users {
					if a.JSON {
						if err := a.EmitTyped("user", u); err != nil {
							return err
						}
					}
					proof := "password"
					if u.Password == "" {
						proof = "OpenID"
					} else if len(u.TOTP) > 0 {
						proof = "password and one-time password"
					}
					if u.Disabled {
						proof = "disabled"
					}
					rows = append(rows, []string{screen.Printable(u.Name), string(u.Role), proof, screen.When(u.Created)})
				}
				if !a.JSON {
					a.Table([]string{"user", "role", "proof", "since"}, rows)
				}
				return nil
			})
		},
	}
}

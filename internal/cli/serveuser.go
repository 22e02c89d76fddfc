package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/storage/restserver"
)

// userCommand groups what changes the file of users that file points to.
func (a *app) userCommand(file *string) *cobra.Command {
	c := &cobra.Command{
		Use:   "user",
		Short: "Say who may use the server",
		Long: `Changes the file of users, which a running server reads again by itself. htpasswd
-B of Apache can be used as well.`,
		Example: `  lifeboat repository serve user add smt1
  lifeboat repository serve user list`,
		Args: screen.KnownVerb,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.userAddCommand(file), a.userRemoveCommand(file), a.userListCommand(file))
	return c
}

func (a *app) userAddCommand(file *string) *cobra.Command {
	var from passwordFlags
	var ask, replace bool
	var may string
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Let a user in, with a token that is made or a password",
		Long: `Makes a token of 256 random bits and prints it once, for a machine that keeps
it in a file; or takes a password from a file, from what a command prints, or with
--password from the terminal. The server keeps only what is needed to recognise
it. The user's repositories are below /NAME/.

--access append-only lets the user remove nothing but locks, and --access full lets
the user remove files of that user's own repositories although the server runs
with --append-only. Without it the
server's flag decides. A user who is replaced keeps what was said.`,
		Example: `  lifeboat repository serve user add smt1
  lifeboat repository serve user add smt1 --replace
  lifeboat repository serve user add smt1 --access append-only
  lifeboat repository serve user add anna --password
  lifeboat repository serve user add smt2 --new-password-file /root/smt2`,
		Args: screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			token, line := "", ""
			access := restserver.AsServer
			if c.Flags().Changed("access") {
				var err error
				if access, err = restserver.ParseAccess(may); err != nil {
					return screen.Usagef("--access: %w", err)
				}
			}
			given, err := from.given()
			switch {
			case err != nil:
			case ask || !given.IsZero():
				var password []byte
				if password, err = a.newPassword(c.Context(), &from); err == nil {
					line, err = restserver.HashPassword(names[0], password)
					clear(password)
				}
			default:
				token, line, err = restserver.NewToken(names[0])
			}
			if err != nil {
				return screen.Usage(err)
			}
			users, err := a.usersFile(*file)
			if err != nil {
				return err
			}
			err = restserver.AddUser(users, line, access, replace)
			if errors.Is(err, restserver.ErrUserExists) {
				return screen.Usagef("%w; --replace gives the user a new token or password", err)
			}
			if err != nil {
				return err
			}
			if a.JSON {
				return a.Emit(map[string]string{"type": "user", "user": names[0], "token": token})
			}
			if token == "" {
				a.Printf("%s may use the repositories below /%s/ with that password.\n", names[0], names[0])
				return nil
			}
			a.Printf("%s\n", token)
			hint := "That is the token of %s for the repositories below /%s/. It is not shown again: keep it on the client\nin a file of mode 600, and name it in lifeboat.yaml as rest: {user: %s, password: {file: FILE}}.\n"
			_, err = a.Err.Write([]byte(strings.ReplaceAll(hint, "%s", names[0])))
			return err
		},
	}
	from.register(c, "new-", "the password of the user")
	c.Flags().StringVar(&may, "access", "", "`WHAT` the user may do, whatever the server's --append-only says: append-only or full")
	c.Flags().BoolVar(&ask, "password", false, "ask for a password at the terminal")
	c.Flags().BoolVar(&replace, "replace", false, "take the place of the user's present token or password")
	return c
}

func (a *app) userRemoveCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:     "remove NAME",
		Short:   "Let a user in no more; what the user has stored stays",
		Example: `  lifeboat repository serve user remove smt1`,
		Args:    screen.Args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, names []string) error {
			from, err := a.usersFile(*file)
			if err != nil {
				return err
			}
			err = restserver.RemoveUser(from, names[0])
			if errors.Is(err, restserver.ErrNoUser) {
				return screen.Usage(err)
			}
			if err != nil {
				return err
			}
			if a.JSON {
				return a.Emit(map[string]string{"type": "user-removed", "user": names[0]})
			}
			a.Printf("%s may no longer use the server. The repositories below /%s/ stay.\n", names[0], names[0])
			return nil
		},
	}
}

func (a *app) userListCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "Show who may use the server",
		Example: `  lifeboat repository serve user list`,
		Args:    screen.Args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			from, err := a.usersFile(*file)
			if err != nil {
				return err
			}
			users, err := restserver.ListUsers(from)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, u := range users {
				proof := "password"
				if u.Token {
					proof = "token"
				}
				if a.JSON {
					if err := a.Emit(map[string]string{"type": "user", "user": u.Name, "proof": proof, "access": u.Access.String()}); err != nil {
						return err
					}
				}
				rows = append(rows, []string{u.Name, proof, firstOf(u.Access.String(), "as the server")})
			}
			if !a.JSON {
				a.Table([]string{"user", "proof", "access"}, rows)
			}
			return nil
		},
	}
}

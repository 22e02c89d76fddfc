package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/repository"
)

// keyView is a key as --json shows it.
type keyView struct {
	Type    string    `json:"type"`
	ID      string    `json:"id"`
	User    string    `json:"user"`
	Host    string    `json:"host"`
	Created time.Time `json:"created"`
	Current bool      `json:"current"`
}

func (a *app) keyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "See and change the passwords of a repository",
		Long: `A repository can have several keys; each is one password that opens it. All
keys open the same data: who had a password and a copy of the key file can
still read what is there after the key was removed.`,
		Example: `  lifeboat key list
  lifeboat key add --new-password-file /root/second.key
  lifeboat key password
  lifeboat key remove 1a2b3c4d`,
		Args: screen.KnownVerb,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.keyListCommand(), a.keyAddCommand(), a.keyRemoveCommand(), a.keyPasswordCommand())
	return c
}

// withRepository opens the repository for a verb about the repository itself.
func (a *app) withRepository(ctx context.Context, do func(*repository.Repository) error) error {
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	repo, err := a.openRepository(ctx, conf, "")
	if err != nil {
		return err
	}
	return errors.Join(do(repo), repo.Close())
}

func (a *app) keyListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the keys of a repository",
		Example: "  lifeboat key list\n  lifeboat key list --repository sftp:backup@store.example.com:/lifeboat",
		Args:    screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withRepository(c.Context(), func(repo *repository.Repository) error {
				keys, err := repo.Keys(c.Context())
				if len(keys) == 0 {
					return err
				}
				if err != nil { // of single key files; the others work
					if err := a.warn(err); err != nil {
						return err
					}
				}
				var rows [][]string
				for _, k := range keys {
					view := keyView{"key", k.ID.String(), k.Username, k.Hostname, k.Created, k.Current}
					if a.JSON {
						if err := a.Emit(view); err != nil {
							return err
						}
						continue
					}
					used := ""
					if k.Current {
						used = "in use now"
					}
					rows = append(rows, []string{k.ID.Short(), screen.Printable(k.Username), screen.Printable(k.Hostname), screen.When(k.Created), used})
				}
				if !a.JSON {
					a.Table([]string{"key", "user", "host", "created", ""}, rows)
				}
				return nil
			})
		},
	}
	a.repositoryFlags(c)
	return c
}

// keyChange is a verb that gives the repository a key with a new password: change
// makes the key, and tell says for a person what that means.
func (a *app) keyChange(c *cobra.Command, event string, change func(*repository.Repository, context.Context, []byte) (repository.ID, error), tell func(repository.ID)) *cobra.Command {
	var next passwordFlags
	c.Args = screen.Args(cobra.NoArgs)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.withRepository(c.Context(), func(repo *repository.Repository) error {
			password, err := a.newPassword(c.Context(), &next)
			if err != nil {
				return err
			}
			defer clear(password)
			id, err := change(repo, c.Context(), password)
			if err != nil {
				return err
			}
			if a.JSON {
				return a.Emit(map[string]string{"type": event, "id": id.String()})
			}
			tell(id)
			return nil
		})
	}
	next.register(c, "new-", "the new password")
	a.repositoryFlags(c)
	return c
}

func (a *app) keyAddCommand() *cobra.Command {
	return a.keyChange(&cobra.Command{
		Use:   "add",
		Short: "Let a further password open the repository",
		Long: `Adds a key and sees that it opens the repository. The new password is read from
--new-password-file or --new-password-command, from LIFEBOAT_NEW_PASSWORD, or
from the place that LIFEBOAT_NEW_PASSWORD_FILE, _COMMAND or _CREDENTIAL (a
systemd credential) names; at a terminal it is asked for twice.`,
		Example: `  lifeboat key add
  lifeboat key add --new-password-file /root/second.key`,
	}, "key-added", (*repository.Repository).AddKey, func(id repository.ID) {
		a.Printf("Key %s opens the repository now too.\n", id.Short())
	})
}

func (a *app) keyRemoveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "remove KEY",
		Short: "Let a password open the repository no longer",
		Long: `Removes a key. Neither the only key nor the one that this call opened the
repository with can be removed.

Everybody who knew the password may have kept a copy of the key file and with it
the master key. Where a password has become known to others, make a new
repository.`,
		Example: "  lifeboat key list\n  lifeboat key remove 1a2b3c4d",
		Args:    screen.Args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			if err := removable(names[0]); err != nil {
				return err
			}
			return a.withRepository(c.Context(), func(repo *repository.Repository) error {
				id, err := repo.FindKey(c.Context(), names[0])
				if err != nil {
					return fmt.Errorf("%w (lifeboat key list%s shows what there is)", err, repo.Flag())
				}
				if err := screen.Confirm(c.Context(), fmt.Sprintf("Remove key %s of %s?", id.Short(), repo.Location()), a.yes); err != nil {
					return err
				}
				if err := repo.RemoveKey(c.Context(), id); err != nil {
					return err
				}
				if a.JSON {
					return a.Emit(map[string]string{"type": "key-removed", "id": id.String()})
				}
				a.Printf("Key %s was removed.\n", id.Short())
				return nil
			})
		},
	}
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	a.repositoryFlags(c)
	return c
}

func (a *app) keyPasswordCommand() *cobra.Command {
	return a.keyChange(&cobra.Command{
		Use:     "password",
		Aliases: []string{"passwd"},
		Short:   "Change the password",
		Long: `Replaces the key that the repository is opened with: adds one for the new
password, sees that it opens the repository, and then removes the old one. Killed
at any moment, one of the two works, and the same call completes the change.

The new password comes from where 'lifeboat key add' takes it.`,
		Example: `  lifeboat key password
  lifeboat key password --new-password-file /root/next.key`,
	}, "password-changed", (*repository.Repository).ChangePassword, func(id repository.ID) {
		a.Printf("The password was changed: key %s replaces the old one.\n", id.Short())
		a.Printf("%s put the new password where every machine reads it (password: in its lifeboat.yaml),\nand keep a copy in a safe place: their next backup fails until then.\n", screen.PainterFor(a.Out).Yellow("Now:"))
	})
}

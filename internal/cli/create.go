package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/storage/redact"
)

// likeNone asks for a repository that cuts content like no other.
const likeNone = "none"

func (a *app) createCommand() *cobra.Command {
	var like string
	c := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Make a repository that the configuration names: a new one, or a lost one anew",
		Long: `Makes the repository that the configuration has by this name, without one the
first, with the password that stands there. Where another repository of the
configuration is there, the new one cuts content as that one does: what is copied
from it is recognised by the backups that follow. Nothing is made where a
repository or a part of one lies.`,
		Example: `  lifeboat repository create                  # the first one, new or after it was lost
  lifeboat repository create main --like second
  lifeboat copy --from second --to main`,
		Args: screen.Args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, names []string) error { return a.create(c.Context(), names, like) },
	}
	c.Flags().StringVar(&like, "like", "", "cut content like the repository of this `NAME`, or \"none\" (default the first other one that is there)")
	a.password.register(c, "", "the repository's password")
	a.storeFlags(c)
	return c
}

func (a *app) create(ctx context.Context, names []string, like string) (err error) {
	conf, err := a.load()
	if err != nil {
		return err
	}
	if len(conf.Repositories) == 0 {
		return screen.Usagef("%s has no repository yet", a.configFile)
	}
	r := conf.Repositories[0]
	if len(names) > 0 {
		known := false
		if r, known = conf.Repository(names[0]); !known {
			return screen.Usagef("%s has no repository %q; lifeboat init --second URL makes one that is not there yet", a.configFile, names[0])
		}
	}
	if r.Store, err = a.storeOf(r.URL, r.Store); err != nil {
		return err
	}
	pattern, name, err := a.pattern(ctx, conf, r, like)
	if err != nil {
		return err
	}
	if pattern != nil {
		defer pattern.Close()
	}
	password, err := a.passwordOf(ctx, r, a.password)
	if err != nil {
		return err
	}
	defer clear(password)
	store, err := a.openConfigured(ctx, r.URL, r.Store)
	if err != nil {
		return err
	}
	made, err := repository.Create(ctx, store, password, repository.Options{Like: pattern})
	if err != nil {
		err = errors.Join(err, store.Close())
	}
	switch {
	case errors.Is(err, repository.ErrRepositoryExists), errors.Is(err, repository.ErrDamaged):
		return runbook.Refuse("", "repository %s: %v", r.Name, err)
	case err != nil:
		return fmt.Errorf("repository %s: %w", r.Name, err)
	}
	if err := made.Close(); err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(map[string]any{"type": "repository-created", "repository": r.Name, "url": redact.URL(r.URL), "like": name})
	}
	a.Printf("Repository %s (%s) was made.\n", r.Name, redact.URL(r.URL))
	if pattern == nil {
		a.Printf("Next: lifeboat backup\n")
		return nil
	}
	a.Printf(`It cuts content like %s. To bring back what is there: lifeboat copy --from %s --to %s
Where this machine remembers another repository in its place it warns of that
("replaced"), until you say that it is meant: lifeboat verify -r %s --accept
`, name, name, r.Name, r.Name)
	return nil
}

// pattern opens the repository that a new one cuts content like; nil for none. One
// that cannot be reached is no reason to do without: nobody could mend that later.
func (a *app) pattern(ctx context.Context, conf *config.Config, r config.Repository, like string) (*repository.Repository, string, error) {
	if like == likeNone {
		return nil, "", nil
	}
	for _, other := range conf.Repositories {
		if other.Name == r.Name || (like != "" && like != other.Name) {
			continue
		}
		repo, err := a.openWith(ctx, other, passwordFlags{})
		switch {
		case err == nil:
			return repo, other.Name, nil
		case like == "" && errors.Is(err, repository.ErrNoRepository):
		default:
			return nil, "", fmt.Errorf("how repository %s cuts content, as the new one should, cannot be found out; --like names another one, --like %s does without: %w", other.Name, likeNone, err)
		}
	}
	if like != "" {
		return nil, "", screen.Usagef("%s has no other repository %q", a.configFile, like)
	}
	return nil, "", nil
}

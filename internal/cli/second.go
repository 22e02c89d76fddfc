package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/repository"
	"lifeboat/internal/storage/redact"
)

// secondName is what the second repository is called unless the configuration
// calls it something else.
const secondName = "second"

// absoluteURL makes a directory's name one that holds wherever lifeboat is called.
func absoluteURL(url string) (string, error) {
	if isPath(url) {
		return filepath.Abs(url)
	}
	return url, nil
}

// addSecond makes the second repository of a machine that is set up already, with
// the password of the first; the lines that are then missing in the configuration
// are shown, for a program that rewrote it would lose its comments.
func (a *app) addSecond(ctx context.Context, second string) error {
	conf, err := a.load()
	if err != nil {
		return err
	}
	if len(conf.Repositories) == 0 {
		return screen.Usagef("%s has no repository yet", a.configFile)
	}
	first := conf.Repositories[0]
	r := config.Repository{Name: secondName, Password: first.Password}
	if r.URL, err = absoluteURL(second); err != nil {
		return err
	}
	var names []string
	for _, other := range conf.Repositories {
		if other.Name == second || other.URL == r.URL {
			return screen.Usagef("%s has the repository %s already; to make it: lifeboat repository create %s", a.configFile, other.Name, other.Name)
		}
		names = append(names, other.Name)
	}
	if !strings.ContainsAny(second, "/:") { // a name that was mistyped, more likely
		return screen.Usagef("%s has no repository %q; for one in a directory below this one write ./%s", a.configFile, second, second)
	}
	for n := 3; slices.Contains(names, r.Name); n++ {
		r.Name = fmt.Sprint("repository", n)
	}
	if r.Store, err = a.storeOf(r.URL, r.Store); err != nil {
		return err
	}
	main, err := a.openWith(ctx, first, passwordFlags{})
	if err != nil {
		return err
	}
	defer main.Close()
	password, err := a.passwordOf(ctx, r, a.password)
	if err != nil {
		return err
	}
	defer clear(password)
	made, err := a.ensureRepository(ctx, r, password, main)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.Emit(map[string]any{"type": "init-second", "repository": r.Name, "url": redact.URL(r.URL), "created": made})
	}
	a.Printf("Repository     %s (%s)\n", redact.URL(r.URL), madeText(made))
	given, err := a.password.given()
	if err != nil {
		return err
	}
	if !given.IsZero() {
		r.Password = given
	}
	lines, err := config.FormatRepository(r)
	if err != nil {
		return err
	}
	a.Printf("\nAdd it to the repositories: of %s:\n\n%s\nand name it in each system, behind the first one:\n\n    repositories: [%s]\n\nThen: lifeboat copy SYSTEM --to %s\n", a.configFile, lines, strings.Join(append(names, r.Name), ", "), r.Name)
	return nil
}

func madeText(made bool) string {
	if made {
		return "made"
	}
	return "was there, the password fits"
}

// initSecond makes the second repository of a machine that is being set up, with
// the same password.
func (a *app) initSecond(ctx context.Context, second string, first config.Repository, password []byte) (config.Repository, bool, error) {
	r := config.Repository{Name: secondName, Password: first.Password}
	var err error
	if r.URL, err = absoluteURL(second); err != nil {
		return r, false, err
	}
	if r.URL == first.URL {
		return r, false, screen.Usagef("the second repository is the first one: %s", redact.URL(r.URL))
	}
	main, err := a.openWith(ctx, first, passwordFlags{})
	if err != nil {
		return r, false, err
	}
	defer main.Close()
	made, err := a.ensureRepository(ctx, r, password, main)
	return r, made, err
}

// ensureRepository makes a repository, or opens the one that is there. A new one
// cuts content where like does, unless that is nil.
func (a *app) ensureRepository(ctx context.Context, r config.Repository, password []byte, like *repository.Repository) (made bool, err error) {
	store, err := a.openConfigured(ctx, r.URL, r.Store)
	if err != nil {
		return false, err
	}
	repo, err := repository.Open(ctx, store, password, repository.Options{})
	if errors.Is(err, repository.ErrNoRepository) {
		made = true
		repo, err = repository.Create(ctx, store, password, repository.Options{Like: like})
	}
	if err != nil {
		return false, errors.Join(fmt.Errorf("repository %s: %w", redact.URL(r.URL), err), store.Close())
	}
	return made, repo.Close()
}

// isSetUp tells whether there is a configuration.
func (a *app) isSetUp() bool {
	_, err := os.Lstat(a.configFile)
	return err == nil
}

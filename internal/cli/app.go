package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/term"

	"lifeboat/internal/config"
	"lifeboat/internal/profile"
	"lifeboat/internal/repository"
	"lifeboat/internal/storage"
	"lifeboat/internal/storage/open"
	"lifeboat/internal/vault"
	"lifeboat/profiles"
)

// load reads the configuration. A missing file is an error with the way out.
func (a *app) load() (*config.Config, error) {
	c, err := config.Load(a.configFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("there is no %s yet: `lifeboat init` writes it, or name the repository with --repository", a.configFile)
	}
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// loadOrEmpty reads the configuration where there is one. A bare machine has none.
func (a *app) loadOrEmpty() (*config.Config, error) {
	if _, err := os.Stat(a.configFile); errors.Is(err, fs.ErrNotExist) {
		return &config.Config{StateDir: config.DefaultStateDir}, nil
	}
	return a.load()
}

func (a *app) state(c *config.Config) string {
	return firstOf(a.stateDir, c.StateDir, config.DefaultStateDir)
}

// catalogue is the shipped profiles and those of this site, which stand in
// profiles/ beside the configuration file; one of the same name wins over the
// shipped one.
func (a *app) catalogue() profile.Catalogue {
	site := filepath.Join(filepath.Dir(a.configFile), "profiles")
	return profile.Catalogue{Registry: catalog().Profile, Shipped: profiles.FS, SiteDir: site}
}

// system finds the configured system that a verb acts on; without a name the
// only one.
func (a *app) system(c *config.Config, names []string) (config.System, error) {
	if len(names) > 0 {
		for _, s := range c.Systems {
			if s.Name == names[0] {
				return s, nil
			}
		}
		return config.System{}, usagef("no system %q in %s; it has %v", names[0], a.configFile, c.SystemNames())
	}
	switch len(c.Systems) {
	case 1:
		return c.Systems[0], nil
	case 0:
		return config.System{}, usagef("%s names no system", a.configFile)
	}
	return config.System{}, usagef("which system? %s has %v", a.configFile, c.SystemNames())
}

// open opens the repository that --repository names, else the system's first,
// else the only one of the configuration.
func (a *app) open(ctx context.Context, c *config.Config, system string) (*vault.Vault, func(), error) {
	url, password, err := a.repositoryOf(ctx, c, system)
	if err != nil {
		return nil, nil, err
	}
	store, err := open.Open(ctx, url, open.Options{})
	if err != nil {
		return nil, nil, fmt.Errorf("open repository %s: %w", storage.Redact(url), err)
	}
	repo, err := repository.Open(ctx, store, password, repository.Options{})
	clear(password)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open repository %s: %w", storage.Redact(url), err), store.Close())
	}
	// One lock for all that this call does: nothing is pruned meanwhile.
	lock, err := repo.ReadLock(ctx)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("repository %s: %w", storage.Redact(url), err), repo.Close())
	}
	return vault.New(repo), func() { _ = errors.Join(lock.Release(), repo.Close()) }, nil
}

func (a *app) repositoryOf(ctx context.Context, c *config.Config, system string) (url string, password []byte, err error) {
	if a.repository != "" {
		if r, ok := c.Repository(a.repository); ok {
			password, err = r.Password.Read(ctx)
			return r.URL, password, err
		}
		password, err = a.askPassword(ctx, a.repository)
		return a.repository, password, err
	}
	name := ""
	for _, s := range c.Systems {
		if s.Name == system && len(s.Repositories) > 0 {
			name = s.Repositories[0]
		}
	}
	if name == "" && len(c.Repositories) > 0 {
		name = c.Repositories[0].Name
	}
	r, ok := c.Repository(name)
	if !ok {
		return "", nil, usagef("no repository is known: give --repository URL, or name one in %s", a.configFile)
	}
	if a.passwordFile != "" {
		password, err = a.askPassword(ctx, r.URL)
	} else {
		password, err = r.Password.Read(ctx)
	}
	if err != nil {
		return "", nil, usageError{fmt.Errorf("password of repository %s: %w", r.Name, err)}
	}
	return r.URL, password, nil
}

// passwordVariables are the environment variables that hold a repository
// password, or name a file with it; restic's own are taken too.
var passwordVariables = []struct{ name, file string }{
	{"LIFEBOAT_PASSWORD", "LIFEBOAT_PASSWORD_FILE"},
	{"RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE"},
}

func (a *app) askPassword(ctx context.Context, url string) ([]byte, error) {
	if a.passwordFile != "" {
		return config.Password{File: a.passwordFile}.Read(ctx)
	}
	for _, v := range passwordVariables {
		if file := os.Getenv(v.file); file != "" {
			return config.Password{File: file}.Read(ctx)
		}
		if s := os.Getenv(v.name); s != "" {
			return []byte(s), nil
		}
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return nil, usagef("repository %s needs a password: give --password-file, or LIFEBOAT_PASSWORD_FILE in the environment", storage.Redact(url))
	}
	fmt.Fprintf(a.err, "Password of repository %s: ", storage.Redact(url))
	defer fmt.Fprintln(a.err)
	return term.ReadPassword(int(os.Stdin.Fd()))
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/profile"
	"lifeboat/internal/repository"
	"lifeboat/internal/vault"
	"lifeboat/internal/vault/head"
	"lifeboat/profiles"
)

// load reads the configuration. A missing file is an error with the way out.
func (a *app) load() (*config.Config, error) {
	c, err := config.Load(a.configFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, screen.Usagef("there is no %s yet: `lifeboat init` writes it, or name the repository with --repository", a.configFile)
	}
	if err != nil {
		return nil, screen.Usage(err)
	}
	a.loaded = c
	a.sweepDrills(c)
	a.sweep(c)
	return c, nil
}

// loadOrEmpty reads the configuration where there is one. A bare machine has none.
func (a *app) loadOrEmpty() (*config.Config, error) {
	if _, err := os.Stat(a.configFile); errors.Is(err, fs.ErrNotExist) {
		c := &config.Config{StateDir: config.DefaultStateDir}
		a.sweepDrills(c)
		a.sweep(c)
		return c, nil
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
		return config.System{}, screen.Usagef("no system %q in %s; it has %v", names[0], a.configFile, c.SystemNames())
	}
	switch len(c.Systems) {
	case 1:
		return c.Systems[0], nil
	case 0:
		return config.System{}, screen.Usagef("%s names no system", a.configFile)
	}
	return config.System{}, screen.Usagef("which system? %s has %v", a.configFile, c.SystemNames())
}

// open opens the repository that --repository names, else the system's first,
// else the only one of the configuration.
func (a *app) open(ctx context.Context, c *config.Config, system string) (*vault.Vault, func(), error) {
	r, err := a.chooseRepository(c, system)
	if err != nil {
		return nil, nil, err
	}
	compression, err := repository.ParseCompression(firstOf(a.compression, r.Compression))
	if err != nil {
		return nil, nil, screen.Usage(fmt.Errorf("--compression: %w", err))
	}
	repo, err := a.openOne(ctx, r)
	if err != nil {
		return nil, nil, a.elsewhere(ctx, c, system, err)
	}
	v, done, err := a.lockedVault(ctx, c, repo)
	if err != nil {
		return nil, nil, err
	}
	return v.WithCompression(compression), done, nil
}

// vaultOf is the vault of a repository, which this machine remembers.
func (a *app) vaultOf(c *config.Config, repo *repository.Repository) *vault.Vault {
	v := vault.New(repo)
	if !a.isPrivate(c, repo.Location()) {
		v.Remember(head.New(a.state(c)))
	}
	return v
}

// openRepository opens the same without a lock.
func (a *app) openRepository(ctx context.Context, c *config.Config, system string) (*repository.Repository, error) {
	r, err := a.chooseRepository(c, system)
	if err != nil {
		return nil, err
	}
	return a.openOne(ctx, r)
}

// lockedVault is the vault of a repository under one lock for all that this call
// does: nothing is pruned meanwhile. The repository is closed with it.
func (a *app) lockedVault(ctx context.Context, c *config.Config, repo *repository.Repository) (*vault.Vault, func(), error) {
	lock, err := repo.ReadLock(ctx)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("repository %s: %w", repo.Location(), err), repo.Close())
	}
	return a.vaultOf(c, repo), func() {
		a.warnIndex(repo)
		_ = errors.Join(lock.Release(), repo.Close())
	}, nil
}

// openOne opens a repository as the flags and then the configuration say.
func (a *app) openOne(ctx context.Context, r config.Repository) (*repository.Repository, error) {
	store, err := a.storeOf(r.URL, r.Store)
	if err != nil {
		return nil, err
	}
	r.Store = store
	return a.openWith(ctx, r, a.password)
}

// openWith opens a repository as its configuration says, with the password that
// the flags name where they name one.
func (a *app) openWith(ctx context.Context, r config.Repository, flags passwordFlags) (*repository.Repository, error) {
	password, err := a.passwordOf(ctx, r, flags)
	if err != nil {
		return nil, err
	}
	defer clear(password)
	return a.openKnowing(ctx, r, password)
}

// openKnowing opens a repository whose password is known.
func (a *app) openKnowing(ctx context.Context, r config.Repository, password []byte) (*repository.Repository, error) {
	kept, err := a.cacheOf(r)
	if err != nil {
		return nil, err
	}
	store, err := a.openConfigured(ctx, r.URL, r.Store)
	if err != nil {
		return nil, err
	}
	opts := a.repositoryOptions(r.URL)
	opts.Flag = a.flagFor(r)
	opts.Cache = kept
	repo, err := repository.Open(ctx, store, password, opts)
	if err != nil {
		return nil, errors.Join(err, store.Close()) // which says where
	}
	return repo, nil
}

// repositoryOptions say where this machine keeps what helps with repositories. It
// is made when it is first needed, so a bare machine that only reads has none. Of
// what soon is gone again nothing is kept.
func (a *app) repositoryOptions(location string) repository.Options {
	conf := a.loaded
	if conf == nil {
		conf = &config.Config{}
	}
	opts := repository.Options{
		NoLock:    a.noLock,
		RetryLock: a.retryLock,
		Waiting:   a.notices.waiting,
		Warn:      a.notices.warn,
	}
	if !a.isPrivate(conf, location) {
		opts.Uploads, opts.Sightings = filepath.Join(a.state(conf), "uploads"), filepath.Join(a.state(conf), "sightings")
	}
	return opts
}

// chooseRepository finds the repository that a verb uses. One that is given by
// its URL is that of the configuration where the configuration has it.
func (a *app) chooseRepository(c *config.Config, system string) (config.Repository, error) {
	if a.repository != "" {
		for _, r := range c.Repositories {
			if r.Name == a.repository || r.URL == a.repository {
				return r, nil
			}
		}
		return config.Repository{URL: a.repository}, nil
	}
	name := ""
	if s, ok := c.System(system); ok && len(s.Repositories) > 0 {
		name = s.Repositories[0]
	} else if len(c.Repositories) > 0 {
		name = c.Repositories[0].Name
	}
	r, ok := c.Repository(name)
	if !ok {
		return r, screen.Usagef("no repository is known: give --repository URL, or name one in %s", a.configFile)
	}
	return r, nil
}

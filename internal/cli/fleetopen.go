package cli

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/remote"
	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	people "lifeboat/internal/fleet/account"
	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/agent"
	"lifeboat/internal/fleet/api"
	"lifeboat/internal/fleet/console"
	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/secret"
	"lifeboat/internal/fleet/store"
	"lifeboat/internal/runbook"
)

// databaseVariable holds the address of the fleet's database where that has a
// password in it.
const databaseVariable = "LIFEBOAT_FLEET_DATABASE"

// fleetPlace is where a fleet server has its keys and its records.
type fleetPlace struct{ directory, database string }

func (p *fleetPlace) register(c *cobra.Command) {
	flags := c.PersistentFlags()
	p.directory = defaultFleet
	flags.Var((*screen.Path)(&p.directory), "directory", "`DIR` with the fleet's keys")
	flags.StringVar(&p.database, "database", "", "`URL` of the database: sqlite:PATH or postgres://USER@HOST/NAME (default: database.url beside the keys, or SQLite in the state directory)")
}

// agentDir is where this host keeps its membership in a fleet.
func (a *app) agentDir() string { return filepath.Join(filepath.Dir(a.configFile), agent.Directory) }

// fleetHome is what this machine knows of a fleet as its server, or as one of its hosts.
func (a *app) fleetHome(directory string, authorities *x509.CertPool) (remote.Place, error) {
	var known remote.Place
	if settings, authority, err := keys.OpenPublic(directory); err == nil {
		known = remote.Place{URL: settings.URL, TokenFile: filepath.Join(directory, keys.AdministratorFile)}
		authorities.AddCert(authority)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return known, err
	}
	if member, err := agent.Open(a.agentDir()); err == nil {
		known.URL = firstOf(known.URL, member.URL)
		authorities.AppendCertsFromPEM([]byte(member.Fleet.Authority))
	}
	return known, nil
}

// openFleet opens a fleet's keys and records, on the server itself.
func (a *app) openFleet(ctx context.Context, p fleetPlace, conf *config.Config) (*action.Desk, func(), error) {
	k, err := keys.Open(p.directory)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, screen.Usagef("there are no keys of a fleet in %s yet: lifeboat serve init --name NAME makes them", p.directory)
	}
	if err != nil {
		return nil, nil, err
	}
	database, err := a.fleetDatabase(conf, p)
	if err != nil {
		return nil, nil, err
	}
	db, err := store.Open(ctx, database, store.Signed(k.Signing))
	if err != nil {
		return nil, nil, err
	}
	desk := action.New(db, k)
	if err := desk.Bind(ctx); err != nil {
		_ = db.Close()
		if errors.Is(err, action.ErrOtherFleet) {
			return nil, nil, runbook.Refuse("", "%v. Bring the fleet's own keys to %s (its copy, or lifeboat recover fleet), or name other records: --database, --state-dir; nothing was changed", err, p.directory)
		}
		return nil, nil, err
	}
	return desk, func() { _ = db.Close() }, nil
}

// fleetDatabase is where the fleet's records are.
func (a *app) fleetDatabase(conf *config.Config, place fleetPlace) (string, error) {
	given, err := place.givenDatabase()
	if err != nil || given != "" {
		return given, err
	}
	kept, err := keys.ReadDatabase(place.directory)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return kept, err
	}
	dir := filepath.Join(a.state(conf), "fleet-server")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("directory of the fleet's records: %w", err)
	}
	return "sqlite:" + filepath.Join(dir, "fleet.db"), nil
}

// givenDatabase is the address that the command line or the environment gives.
func (p *fleetPlace) givenDatabase() (string, error) {
	if u, err := url.Parse(p.database); err == nil && u.User != nil {
		if _, has := u.User.Password(); has {
			return "", screen.Usagef("--database: everybody on this machine can read a password on the command line: put the address into the environment as %s, or into %s, or the password into PGPASSFILE",
				databaseVariable, filepath.Join(p.directory, keys.DatabaseFile))
		}
	}
	return firstOf(p.database, os.Getenv(databaseVariable)), nil
}

// The files of an OpenID provider beside the fleet's keys.
const (
	providerFile   = "provider.json"
	providerSecret = "provider.secret"
)

// fleetAccounts are the people of a fleet, with the OpenID provider that vouches for
// them where one is set up beside its keys.
func fleetAccounts(desk *action.Desk, directory string, log *slog.Logger) (*people.Accounts, error) {
	options := []people.Option{people.WithLogger(log)}
	text, err := os.ReadFile(filepath.Join(directory, providerFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("OpenID provider: %w", err)
	default:
		p := people.Provider{Redirect: strings.TrimSuffix(desk.Keys.URL, "/") + "/signin/provider/callback"}
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		err := d.Decode(&p)
		if err == nil {
			err = p.Validate()
		}
		if err != nil {
			return nil, screen.Usage(fmt.Errorf("%s: %w", filepath.Join(directory, providerFile), err))
		}
		p.Secret, err = secret.ReadToken(filepath.Join(directory, providerSecret))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		options = append(options, people.WithProvider(p))
	}
	return people.New(desk.Store, desk.Keys.Age, options...), nil
}

// fleetConsole is the pages for people, and who is signed in to them.
func fleetConsole(desk *action.Desk, accounts *people.Accounts, log *slog.Logger) (*console.Console, func(*http.Request) (api.Session, error)) {
	pages := console.New(console.Options{
		Store: desk.Store, Accounts: accounts, Actions: desk, URL: desk.Keys.URL, Name: desk.Keys.Names[0], Log: log,
		AuditKeys: desk.SigningKeys(),
	})
	return pages, func(r *http.Request) (api.Session, error) {
		kept, err := r.Cookie(console.Cookie)
		if err != nil {
			return api.Session{}, record.ErrNotFound
		}
		s, u, err := accounts.Session(r.Context(), kept.Value, false)
		return api.Session{User: u.Name, Role: u.Role, CSRF: s.CSRF}, err
	}
}

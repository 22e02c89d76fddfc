package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/fleet"
	"lifeboat/internal/fleet/action"
	"lifeboat/internal/fleet/keys"
	"lifeboat/internal/fleet/secret"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/storage/restserver"
)

// defaultFleet is where a fleet server has its keys.
const defaultFleet = "/etc/lifeboat/fleet"

type fleetServeFlags struct {
	fleetPlace
	listen, cert, key string
	keep              config.Span
	keepVersions      int
}

func (a *app) fleetServeCommand() *cobra.Command {
	var f fleetServeFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the fleet server, which knows many hosts",
		Long: `Runs the fleet server: hosts report to it after each run, people see how all of
them stand, and a lost host gets its recovery configuration from it. Recovery points
never pass through it.

Its records are in SQLite in the state directory, or with --database in PostgreSQL,
which several servers may share that have copies of the same keys. A password of
the database belongs into the environment (` + databaseVariable + ` with the whole address,
PGPASSFILE), not on the command line.

Connections are encrypted with TLS 1.3. The fleet's own authority makes the
certificate, and hosts know it since they joined; with --tls-cert it is one of yours,
for which an authority vouches that the hosts' systems trust. A load balancer has to
pass connections on as they are: hosts prove who they are with certificates.

An interruption lets requests under way end; the next cuts them off.`,
		Example: `  lifeboat serve init --name fleet.example.com
  lifeboat serve
  lifeboat serve --listen 192.0.2.10:443 --tls-cert /etc/ssl/fleet.pem --tls-key /etc/ssl/fleet.key
  lifeboat serve --database postgres://lifeboat@db.example.com/fleet
  lifeboat serve --keep 3y --keep-versions 200`,
		Args: screen.KnownVerb,
		RunE: func(c *cobra.Command, _ []string) error { return a.fleetServe(c.Context(), f) },
	}
	flags := c.Flags()
	f.register(c)
	f.keep = config.Span{Days: 400}
	flags.Var(&f.keep, "keep", "keep reports, runs and recovery configurations for this `SPAN` at least")
	flags.IntVar(&f.keepVersions, "keep-versions", 50, "keep the newest `N` recovery configurations of each host beyond that")
	flags.StringVar(&f.listen, "listen", ":"+wire.DefaultPort, "`ADDRESS` to listen on, HOST:PORT or :PORT")
	flags.Var((*screen.Path)(&f.cert), "tls-cert", "`FILE` with a certificate of yours and what vouches for it, in PEM form")
	flags.Var((*screen.Path)(&f.key), "tls-key", "`FILE` with its key, in PEM form")
	c.AddCommand(a.fleetInitCommand(&f.fleetPlace), a.fleetUserCommand(&f.fleetPlace))
	return c
}

func (a *app) fleetInitCommand(place *fleetPlace) *cobra.Command {
	var address string
	var names []string
	c := &cobra.Command{
		Use:   "init",
		Short: "Make the keys of a new fleet",
		Long: `Makes the keys of a new fleet in a directory: the authority that hosts are certified
by, the key that signs recovery configurations, and the one that their secret parts
are sealed for. Also a token of the first administrator, in admin.token beside them:
verbs that are called on this machine use it.

Whoever has the directory can read every secret of the fleet, and without it no
configuration can be unsealed: keep a copy in a safe place. To run several servers
give each a copy.

--name is what hosts call the server, and stands in the line that makes them join.

A database in PostgreSQL, by --database or in the environment as ` + databaseVariable + `, is kept
in database.url beside the keys, where the server and the profile fleet find it.`,
		Example: `  lifeboat serve init --name fleet.example.com
  lifeboat serve init --url https://fleet.example.com:443 --name 192.0.2.10
  lifeboat serve init --name fleet.example.com --database postgres://lifeboat@/fleet`,
		Args: screen.Args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			directory := place.directory
			if len(names) == 0 && address == "" {
				name, err := os.Hostname()
				if err != nil {
					return err
				}
				names = append([]string{name}, serverNames(nil)...)
			}
			settings, err := keys.NewSettings(address, names)
			if err != nil {
				return screen.Usage(err)
			}
			database, err := place.givenDatabase()
			if err != nil {
				return err
			}
			k, err := keys.Create(directory, settings, time.Now())
			if errors.Is(err, keys.ErrExist) {
				return screen.Usagef("%w; nothing was changed", err)
			}
			if err != nil {
				return err
			}
			if strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://") {
				if err := keys.WriteDatabase(directory, database); err != nil {
					return fmt.Errorf("keep the database's address: %w", err)
				}
			}
			token := filepath.Join(directory, keys.AdministratorFile)
			if a.JSON {
				return a.Emit(map[string]any{"type": "fleet", "url": k.URL, "directory": directory, "signing_key": k.SigningKey(), "authority": keys.Fingerprint(k.Authority), "token_file": token})
			}
			a.Printf("Fleet        %s\nKeys         %s (keep a copy in a safe place)\n", k.URL, directory)
			a.Printf("Signing key  %s (pin it on rescue media)\nAuthority    sha256:%s\n", k.SigningKey(), keys.Fingerprint(k.Authority))
			a.Printf("First administrator's token: %s\nNext: lifeboat serve, lifeboat serve user add NAME --role administrator, lifeboat host add NAME\n", token)
			return nil
		},
	}
	c.Flags().StringSliceVar(&names, "name", nil, "`NAME` or address of the server (default: what this machine is called)")
	c.Flags().StringVar(&address, "url", "", "`URL` at which hosts reach it (default https://NAME:"+wire.DefaultPort+")")
	return c
}

// fleetServe runs until it is interrupted, which is a good end.
func (a *app) fleetServe(ctx context.Context, f fleetServeFlags) error {
	// A server keeps little and answers much: with what Main sets for backups, a
	// quarter of its time went into collecting garbage.
	debug.SetGCPercent(400)
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	if (f.cert == "") != (f.key == "") {
		return screen.Usagef("--tls-cert and --tls-key belong together")
	}
	if f.keepVersions < 1 {
		return screen.Usagef("--keep-versions %d: the newest recovery configuration of each host is always kept", f.keepVersions)
	}
	desk, done, err := a.openFleet(ctx, f.fleetPlace, conf)
	if err != nil {
		return err
	}
	defer done()
	k, log := desk.Keys, slog.New(slog.NewJSONHandler(a.Err, nil))
	accounts, err := fleetAccounts(desk, f.directory, log)
	if err != nil {
		return err
	}
	pages, session := fleetConsole(desk, accounts, log)
	o := fleet.Options{
		Desk: desk, Version: screen.Version, Notices: conf.Notices, Cut: a.hard, Log: log,
		Console: pages, Closing: pages.Close, Session: session, People: accounts,
		Keep: f.keep.Before, KeepVersions: f.keepVersions,
	}
	if f.cert != "" {
		own, err := restserver.Certificate(f.cert, f.key)
		if err != nil {
			return screen.Usage(err)
		}
		o.Certificate = own.GetCertificate
		desk.Trust = action.TrustSystem
	}
	token, err := secret.ReadToken(filepath.Join(f.directory, keys.AdministratorFile))
	switch {
	case errors.Is(err, fs.ErrNotExist): // it was put away, as it should be
	case err != nil:
		return err
	default:
		if err := desk.TakeAdministrator(ctx, token); err != nil {
			return err
		}
	}
	listener, err := inheritedListener()
	if err == nil && listener == nil {
		if listener, err = new(net.ListenConfig).Listen(ctx, "tcp", f.listen); err != nil {
			err = screen.Usagef("--listen %s: %w", f.listen, err)
		}
	}
	if err != nil {
		return err
	}
	where := "https://" + listener.Addr().String()
	if a.JSON {
		err = a.Emit(map[string]any{"type": "serving", "address": where, "url": k.URL, "signing_key": k.SigningKey(), "authority": keys.Fingerprint(k.Authority), "trust": desk.Trust})
	} else {
		a.Printf("Fleet        %s\nListening    %s\nSigning key  %s (pin it on rescue media)\nAuthority    sha256:%s\n", k.URL, where, k.SigningKey(), keys.Fingerprint(k.Authority))
	}
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := notifySystemd("READY=1"); err != nil {
		o.Log.Warn("systemd was not told that the server is ready", "error", err)
	}
	return fleet.New(o).Serve(ctx, listener)
}

package drill

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"lifeboat/internal/component"
	"lifeboat/internal/component/postgres"
	"lifeboat/internal/host"
	"lifeboat/internal/postgresd"
	"lifeboat/internal/runbook"
)

// postgres finds where the PostgreSQL server is by which the system's databases were
// kept; "" without one.
func (d *drill) postgres() (string, error) {
	found := ""
	for _, record := range d.Point.Manifest.Components {
		if record.Kind != "postgres" || record.Status != component.StatusCaptured {
			continue
		}
		place, err := postgres.Place(record)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(place) {
			name, _, err := net.SplitHostPort(place)
			if ip := net.ParseIP(name); err != nil || name != "localhost" && (ip == nil || !ip.IsLoopback()) {
				return "", runbook.Refuse("", "the database of component %s is at %s, which a drill cannot stand in for", record.Name, place)
			}
		}
		if found != "" && found != place {
			return "", runbook.Refuse("", "the databases of %s are kept by several servers, at %s and %s; a drill runs one", d.System, found, place)
		}
		found = place
	}
	return found, nil
}

// startPostgres starts a private server where the machine's own would be.
func startPostgres(ctx context.Context, place string) (*postgresd.Server, error) {
	account, err := host.Local().User("postgres")
	if err != nil {
		return nil, postgresd.ErrMissing
	}
	opts := postgresd.Options{Dir: "/var/tmp/lifeboat-postgresd", Socket: "/run/postgresql", TCP: !filepath.IsAbs(place)}
	number := strings.TrimPrefix(filepath.Base(place), ".s.PGSQL.")
	if opts.TCP {
		if _, number, err = net.SplitHostPort(place); err != nil {
			return nil, err
		}
	} else {
		opts.Socket = filepath.Dir(place)
	}
	if opts.Port, err = strconv.Atoi(number); err != nil {
		return nil, err
	}
	if _, err := os.Stat("/etc/hosts"); opts.TCP && os.IsNotExist(err) {
		// The machine's own is what a recovery only looks at, so none is here.
		if err := host.Local().InstallFile("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n", 0o644); err != nil {
			return nil, err
		}
	}
	if err := public(opts.Socket); err != nil {
		return nil, err
	}
	if opts.Socket != "/tmp" {
		if err := os.Chown(opts.Socket, int(account.UID), int(account.GID)); err != nil {
			return nil, err
		}
	}
	return postgresd.Start(ctx, opts)
}

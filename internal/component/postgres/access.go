package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"
)

// SQLSTATE codes, from the appendix of PostgreSQL's manual.
const (
	stateInUse       = "55006" // object_in_use
	stateNoDatabase  = "3D000" // invalid_catalog_name
	stateBadPassword = "28P01"
	stateNoEntry     = "28000" // invalid_authorization_specification
	stateDependent   = "2BP01" // dependent_objects_still_exist
	stateNoLocale    = "42809" // wrong_object_type, of a locale that there is not
	stateBadValue    = "22023"
)

// answered tells an error that the server itself sent.
func answered(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e)
}

func isState(err error, states ...string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && slices.Contains(states, e.Code)
}

// address is how a role gets into a database.
type address struct {
	config *pgx.ConnConfig
	query  url.Values // what pg_dump is to be told of the way
}

// toolKeys are parameters of an address that libpq knows and that are no secrets
// (postgresql.org/docs/current/libpq-connect.html).
var toolKeys = []string{"sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslsni", "sslcertmode", "channel_binding", "connect_timeout", "krbsrvname", "gssencmode"}

// readAddress reads a file with an address. No error has what stands in it.
func (c *Component) readAddress(file string) (*address, error) {
	real, err := c.env.Host.Path(file)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(real, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, err
	}
	a, err := parseAddress(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return a, nil
}

func parseAddress(text string) (*address, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("it is no address of one PostgreSQL database: postgres://ROLE@HOST:PORT/NAME")
	}
	config, err := pgx.ParseConfig(text)
	if err != nil { // whose text may have the password
		return nil, errors.New("the address cannot be understood: postgres://ROLE@HOST:PORT/NAME?sslmode=verify-full")
	}
	switch {
	case !plainName.MatchString(config.Database) || slices.Contains(ownDatabases, config.Database):
		return nil, fmt.Errorf("%.70q is no name of an application's database that is supported", config.Database)
	case !plainName.MatchString(config.User):
		return nil, fmt.Errorf("%.70q is no name of a role that is supported", config.User)
	}
	return newAddress(config, u.Query()), nil
}

func newAddress(config *pgx.ConnConfig, query url.Values) *address {
	for key := range query {
		if !slices.Contains(toolKeys, key) {
			delete(query, key)
		}
	}
	config.RuntimeParams["application_name"] = "lifeboat"
	return &address{config, query}
}

// socket tells whether the way is a Unix socket.
func (a *address) socket() bool { return filepath.IsAbs(a.config.Host) }

// local tells whether the server is on this machine.
func (a *address) local() bool {
	ip := net.ParseIP(a.config.Host)
	return a.socket() || a.config.Host == "localhost" || ip != nil && ip.IsLoopback()
}

// place names the server for people.
func (a *address) place() string {
	if a.socket() {
		return filepath.Join(a.config.Host, ".s.PGSQL."+strconv.Itoa(int(a.config.Port)))
	}
	return net.JoinHostPort(a.config.Host, strconv.Itoa(int(a.config.Port)))
}

// tool is the address of a database without a password, for an argument list.
func (a *address) tool(database string) string {
	query := url.Values{}
	for key, values := range a.query {
		query[key] = values
	}
	query.Set("host", a.config.Host)
	query.Set("port", strconv.Itoa(int(a.config.Port)))
	u := url.URL{Scheme: "postgresql", User: url.User(a.config.User), Path: "/" + database, RawQuery: query.Encode()}
	return u.String()
}

// account is the machine's account whom the server sees: on a socket the one that is
// called like the role, for peer authentication.
func (c *Component) account(a *address) string {
	if !a.socket() || os.Geteuid() != 0 {
		return ""
	}
	if _, err := c.env.Host.User(a.config.User); err != nil {
		return ""
	}
	return a.config.User
}

// secretFile is an unnamed file for PGPASSFILE, which only account can read.
func (c *Component) secretFile(a *address, account string) (*os.File, error) {
	f, err := os.CreateTemp(c.scratch(), ".pgpass-")
	if err != nil {
		return nil, err
	}
	err = os.Remove(f.Name())
	if err == nil && account != "" {
		user, lookup := c.env.Host.User(account)
		if err = lookup; err == nil {
			err = f.Chown(int(user.UID), int(user.GID))
		}
	}
	if err == nil {
		_, err = fmt.Fprintf(f, "*:*:*:*:%s\n", strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace(a.config.Password))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// scratch is the directory where an unnamed file is made for a moment.
func (c *Component) scratch() string {
	if c.env.State == "" || os.MkdirAll(c.env.State, 0o700) != nil {
		return os.TempDir()
	}
	return c.env.State
}

// connect opens a database as the address's role; "" is the address's own.
func (c *Component) connect(ctx context.Context, a *address, database string) (*session, error) {
	config := a.config.Copy()
	if database != "" {
		config.Database = database
	}
	if account := c.account(a); account != "" {
		config.DialFunc = func(ctx context.Context, _, socket string) (net.Conn, error) {
			return c.env.Host.DialAs(ctx, account, socket)
		}
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL at %s: %w", a.place(), err)
	}
	s := &session{conn}
	if err := s.prepare(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// enter opens the database as its role. One that is not there is fs.ErrNotExist, and
// so is one whose address is not there.
func (c *Component) enter(ctx context.Context) (*session, error) {
	a, err := c.readAddress(c.opts.URLFile)
	if err != nil {
		return nil, err
	}
	s, err := c.connect(ctx, a, "")
	switch {
	case isState(err, stateNoDatabase):
		return nil, fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	case isState(err, stateBadPassword, stateNoEntry):
		// A role that is not there has a wrong password, too.
		admin, other := c.administrator(ctx, a)
		if other != nil {
			return nil, err
		}
		defer admin.close()
		if there, other := admin.exists(ctx, a.config.Database); other == nil && !there {
			return nil, fmt.Errorf("the server has no database %s: %w", a.config.Database, fs.ErrNotExist)
		}
	}
	return s, err
}

// maintain opens the server as somebody who may make and rename the database: the
// role itself if it may, else an administrator.
func (c *Component) maintain(ctx context.Context, a *address) (*session, error) {
	own, err := c.maintenance(ctx, a)
	if err == nil {
		if err = own.may(ctx, "rolsuper OR rolcreatedb"); err == nil {
			return own, nil
		}
		own.close()
	}
	admin, other := c.administrator(ctx, a)
	if other != nil {
		return nil, fmt.Errorf("role %s may not make databases (%w), and there is no way in as administrator (%w); "+
			"let an administrator do ALTER ROLE %s CREATEDB", a.config.User, err, other, ident(a.config.User))
	}
	return admin, nil
}

// maintenance opens one of the server's own databases.
func (c *Component) maintenance(ctx context.Context, a *address) (*session, error) {
	s, err := c.connect(ctx, a, "postgres")
	if err != nil && answered(err) {
		if other, e := c.connect(ctx, a, "template1"); e == nil {
			return other, nil
		}
	}
	return s, err
}

// administrator opens the server as a superuser.
func (c *Component) administrator(ctx context.Context, a *address) (*session, error) {
	super, err := c.superuser(a)
	if err != nil {
		return nil, err
	}
	s, err := c.maintenance(ctx, super)
	if err != nil {
		return nil, err
	}
	if err := s.may(ctx, "rolsuper"); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// superuser is the address of an administrator.
func (c *Component) superuser(a *address) (*address, error) {
	if c.opts.Administrator != "" {
		super, err := c.readAdministrator()
		if !errors.Is(err, fs.ErrNotExist) {
			return super, err
		}
	}
	if !a.local() {
		return nil, fmt.Errorf("the server is on %s, and its administrator's address is not known", a.config.Host)
	}
	config := a.config.Copy()
	config.User, config.Password, config.TLSConfig, config.Fallbacks = "postgres", "", nil, nil
	if !a.socket() {
		name := ".s.PGSQL." + strconv.Itoa(int(a.config.Port))
		i := slices.IndexFunc(socketDirs, func(dir string) bool { return c.env.Host.Exists(filepath.Join(dir, name)) })
		if i < 0 {
			return nil, fmt.Errorf("no socket %s is in %s", name, strings.Join(socketDirs, ", "))
		}
		config.Host = socketDirs[i]
	}
	return newAddress(config, url.Values{}), nil
}

// socketDirs are where packages of PostgreSQL put the socket.
var socketDirs = []string{"/run/postgresql", "/var/run/postgresql", "/tmp"}

// readAdministrator reads an administrator's address, in which no database is named
// that matters.
func (c *Component) readAdministrator() (*address, error) {
	real, err := c.env.Host.Path(c.opts.Administrator)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(real, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(strings.TrimSpace(string(text)))
	if err == nil {
		if config, e := pgx.ParseConfig(strings.TrimSpace(string(text))); e == nil {
			return newAddress(config, u.Query()), nil
		}
	}
	return nil, fmt.Errorf("%s: it is no address of PostgreSQL: postgres://ROLE@HOST:PORT/", c.opts.Administrator)
}

package mysql

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"lifeboat/internal/host"
)

// Access says how the server is reached. Numbers are text, because they may
// come from a setting.
type Access struct {
	// Host is a name, an address, or the path of a socket. "" and localhost are
	// this machine's socket, as for every MySQL client.
	Host   string `yaml:"host,omitempty"`
	Port   string `yaml:"port,omitempty"`
	Socket string `yaml:"socket,omitempty"`
	// User and Password are the application's own. They serve for Login, and
	// for everything else only when there is no administrator's access.
	User     string `yaml:"user,omitempty"`
	Password string `yaml:"password,omitempty"`
	// DefaultsFile is an option file with the administrator's access.
	DefaultsFile string `yaml:"defaults_file,omitempty"`
}

// Where servers put their socket, and where distributions keep an
// administrator's option file.
var (
	knownSockets = []string{
		"/run/mysqld/mysqld.sock", "/var/run/mysqld/mysqld.sock", "/run/mysql/mysql.sock", "/var/run/mysql/mysql.sock",
		"/var/lib/mysql/mysql.sock", "/var/lib/mysql/mysqld.sock", "/tmp/mysql.sock",
	}
	knownDefaults = []string{"/root/.my.cnf", "/etc/mysql/debian.cnf"}
)

// login is one way into a server.
type login struct {
	how            string // for messages
	user, password string
	socket         string // a path on the machine; "" is TCP
	host, port     string
	tls            map[string]string // ssl-* options of an option file
	guessed        bool              // the socket was found, not configured
}

// local tells whether the access leads to a server of this machine.
func (a Access) local() bool {
	switch a.Host {
	case "", "localhost", "127.0.0.1", "::1":
		return true
	}
	return strings.HasPrefix(a.Host, "/")
}

// Place tells where the server of this machine that the options name is reached: its
// socket, "" where that is only found, and its port where clients take one. Local is
// false when the server is another machine's.
func (a Access) Place() (socket, port string, local bool) {
	if a.Host == "127.0.0.1" || a.Host == "::1" {
		port = cmp.Or(a.Port, "3306")
	}
	return a.socket(), port, a.local()
}

// Sockets are the places where servers put their socket, the likeliest first.
func Sockets() []string { return slices.Clone(knownSockets) }

func (a Access) socket() string {
	if strings.HasPrefix(a.Host, "/") {
		return a.Host
	}
	return a.Socket
}

// sockets lists the sockets to try: the configured one, else those that exist.
func (a Access) sockets(h *host.Host) []string {
	if s := a.socket(); s != "" {
		return []string{s}
	}
	var found []string
	for _, s := range knownSockets {
		if p, err := h.Path(s); err == nil {
			if info, err := os.Stat(p); err == nil && info.Mode()&os.ModeSocket != 0 {
				found = append(found, s)
			}
		}
	}
	return found
}

// administrators lists the ways to get in with every right, best first: an
// option file that was named, root over the socket, an option file found, and
// last the application's own user.
func (a Access) administrators(h *host.Host) ([]login, error) {
	if a.DefaultsFile != "" {
		l, err := a.fromFile(h, a.DefaultsFile)
		if err != nil {
			return nil, err
		}
		return []login{l}, nil
	}
	var ways []login
	if a.local() {
		for _, s := range a.sockets(h) {
			ways = append(ways, login{how: "root over socket " + s, user: "root", socket: s, guessed: a.socket() == ""})
		}
		for _, file := range knownDefaults {
			if l, err := a.fromFile(h, file); err == nil { // one that is not there or not readable is no way in
				ways = append(ways, l)
			}
		}
	}
	if a.User != "" {
		ways = append(ways, a.application(h)...)
	}
	return ways, nil
}

// application lists the ways that the application's own client takes.
func (a Access) application(h *host.Host) []login {
	l := login{how: "user " + a.User, user: a.User, password: a.Password, host: a.Host, port: a.Port}
	if a.socket() == "" && a.Host != "" && a.Host != "localhost" {
		return []login{l}
	}
	var ways []login
	for _, s := range a.sockets(h) {
		l.socket, l.how = s, "user "+a.User+" over socket "+s
		ways = append(ways, l)
	}
	return ways
}

func (a Access) fromFile(h *host.Host, file string) (login, error) {
	p, err := h.Path(file)
	if err != nil {
		return login{}, err
	}
	f, err := os.Open(p)
	if err != nil {
		return login{}, fmt.Errorf("database option file: %w", err)
	}
	defer f.Close()
	o, err := readOptionFile(f, "client", "client-server", "client-mariadb", "mysqldump", "mariadb-dump")
	if err != nil {
		return login{}, fmt.Errorf("database option file %s: %w", file, err)
	}
	l := login{how: "option file " + file, user: o["user"], password: o["password"], socket: o["socket"], host: o["host"], port: o["port"], tls: map[string]string{}}
	for key, value := range o {
		if strings.HasPrefix(key, "ssl") {
			l.tls[key] = value
		}
	}
	if l.user == "" {
		l.user = "root"
	}
	if l.host == "" && l.socket == "" {
		l.host, l.socket = a.Host, a.socket()
	}
	if l.port == "" {
		l.port = a.Port
	}
	if l.socket == "" && (l.host == "" || l.host == "localhost") {
		if found := a.sockets(h); len(found) > 0 {
			l.socket = found[0]
		}
	}
	return l, nil
}

// config makes the driver's configuration of a way in.
func (l login) config(h *host.Host, database string) (*driver.Config, error) {
	cfg := driver.NewConfig()
	cfg.User, cfg.Passwd, cfg.DBName = l.user, l.password, database
	cfg.MaxAllowedPacket = 0 // ask the server
	cfg.InterpolateParams = true
	cfg.Logger = silent{}
	// An empty SQL mode: statements of the server's own making are read
	// back the way they are written, whatever the server's default.
	cfg.Params = map[string]string{"sql_mode": "''", "lock_wait_timeout": "60"}
	if l.socket != "" {
		p, err := h.Path(l.socket)
		if err != nil {
			return nil, err
		}
		cfg.Net, cfg.Addr = "unix", p
		cfg.AllowCleartextPasswords, cfg.AllowOldPasswords = true, true
		return cfg, nil
	}
	port := l.port
	if port == "" {
		port = "3306"
	}
	name := l.host
	if name == "" || name == "localhost" {
		name = "127.0.0.1"
	}
	cfg.Net, cfg.Addr = "tcp", net.JoinHostPort(name, port)
	cfg.TLSConfig = "preferred"
	if file := l.tls["ssl-ca"]; file != "" {
		pem, err := h.Path(file)
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(pem)
		if err != nil {
			return nil, fmt.Errorf("certificate authority of the database server: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("certificate authority of the database server: no certificate in %s", file)
		}
		cfg.TLS = &tls.Config{RootCAs: pool, ServerName: name, MinVersion: tls.VersionTLS12}
	}
	return cfg, nil
}

// silent keeps the driver's remarks off standard error; its errors say the same.
type silent struct{}

func (silent) Print(...any) {}

// Login tries whether the application's own user gets into the database with its
// own password, over the way that the application takes.
func Login(ctx context.Context, h *host.Host, a Access, database string) error {
	if a.User == "" {
		return errors.New("try the application's database login: no user is configured")
	}
	s, err := open(ctx, h, a.application(h), a, database)
	if err != nil {
		return fmt.Errorf("try the application's database login: %w; compare user and password in the application's configuration with the database account", err)
	}
	s.close()
	return nil
}

// Query runs one statement as administrator and returns its rows as text; NULL is
// the text NULL. "" chooses no database.
func Query(ctx context.Context, h *host.Host, a Access, database, statement string) ([][]string, error) {
	s, err := connect(ctx, h, a, database)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return s.query(ctx, statement)
}

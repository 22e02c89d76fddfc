package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/storage/restserver"
	"lifeboat/internal/storage/transport"
)

const defaultListen = ":8443"

type serveFlags struct {
	directory, listen, users string
	cert, key                string
	selfSigned               bool
	names                    []string
	plain, appendOnly        bool
	quota                    string
}

func (a *app) serveCommand() *cobra.Command {
	var f serveFlags
	c := &cobra.Command{
		Use:   "serve",
		Short: "Keep repositories of other machines, over restic's REST protocol",
		Long: `Serves the repositories below a directory to Lifeboat and to stock restic. Every
user has the repositories below a directory of the same name, and sees no others.
With --append-only clients add recovery points and can remove nothing but locks:
what was stored stays, even if a client falls into the wrong hands. Prune then on
the server itself. "user add --access" says otherwise for one user.

Connections are encrypted with TLS 1.3, by a certificate of yours (which may be
renewed while the server runs) or with --self-signed by one that is made on the
first start. Its fingerprint is printed: clients trust it by -o fingerprint=…, stock
restic by --cacert and a copy of the file. Plain HTTP is refused unless only this
machine can speak to it, or --plain-http says that something else encrypts.

An interruption lets uploads under way end; the next cuts them off. A socket that
systemd passes on is used instead of --listen (docs/stores.md has the units).`,
		Example: `  lifeboat repository serve user add smt1
  lifeboat repository serve --directory /srv/lifeboat --self-signed
  lifeboat repository serve --directory /srv/lifeboat --tls-cert /etc/ssl/backup.pem --tls-key /etc/ssl/backup.key --append-only --quota 500G
  lifeboat backup smt --repository rest:https://smt1@backup.example.com:8443/smt1/ -o fingerprint=sha256:…`,
		Args: screen.KnownVerb,
		RunE: func(c *cobra.Command, _ []string) error { return a.serve(c.Context(), f) },
	}
	flags := c.Flags()
	flags.Var((*screen.Path)(&f.directory), "directory", "`DIR` with a directory of repositories for every user")
	flags.StringVar(&f.listen, "listen", defaultListen, "`ADDRESS` to listen on, HOST:PORT or :PORT")
	c.PersistentFlags().Var((*screen.Path)(&f.users), "users", "`FILE` of users, as htpasswd -B or \"user add\" writes it (default serve/users in the state directory)")
	flags.Var((*screen.Path)(&f.cert), "tls-cert", "`FILE` with the server's certificate and what vouches for it, in PEM form")
	flags.Var((*screen.Path)(&f.key), "tls-key", "`FILE` with its key, in PEM form")
	flags.BoolVar(&f.selfSigned, "self-signed", false, "make a certificate of our own in the state directory, unless it is there")
	flags.StringSliceVar(&f.names, "name", nil, "`NAME` or address of this server, for a certificate that is made (default: what this machine is called)")
	flags.BoolVar(&f.plain, "plain-http", false, "do without encryption on addresses that others can reach")
	flags.BoolVar(&f.appendOnly, "append-only", false, "let clients remove nothing but locks, unless the file of users says full")
	flags.StringVar(&f.quota, "quota", "", "at most `SIZE` bytes for each user, such as 500G")
	c.AddCommand(a.userCommand(&f.users))
	return c
}

// serve runs until it is interrupted, which is a good end.
func (a *app) serve(ctx context.Context, f serveFlags) error {
	if f.directory == "" {
		return screen.Usagef("--directory says where the repositories are kept")
	}
	if info, err := os.Stat(f.directory); err != nil || !info.IsDir() {
		return screen.Usagef("--directory %s: there is no such directory; make it first, for the user that the server runs as", f.directory)
	}
	quota := int64(0)
	if f.quota != "" {
		var err error
		if quota, err = config.ParseSize(f.quota); err != nil || quota == 0 {
			return screen.Usagef("--quota: %q is no number of bytes; write one like 500G", f.quota)
		}
	}
	usersFile, err := a.usersFile(f.users)
	if err != nil {
		return err
	}
	log := a.serverLog()
	users, err := restserver.OpenUsers(usersFile, log)
	if errors.Is(err, fs.ErrNotExist) {
		return screen.Usagef("there is no %s yet: lifeboat repository serve user add NAME makes it", usersFile)
	}
	if err != nil {
		return screen.Usage(err)
	}
	encryption, fingerprint, err := a.encryption(f)
	if err != nil {
		return err
	}
	listener, err := a.listener(ctx, f, encryption != nil)
	if err != nil {
		return err
	}
	server, err := restserver.New(restserver.Options{
		Repositories: restserver.Directory(f.directory), Auth: users, Private: true,
		AppendOnly: f.appendOnly, Quota: quota, TLS: encryption, Log: log, Cut: a.hard,
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	scheme := "http"
	if encryption != nil {
		scheme = "https"
	}
	where := scheme + "://" + listener.Addr().String() + "/"
	if a.JSON {
		err = a.Emit(map[string]any{"type": "serving", "address": where, "fingerprint": fingerprint, "directory": f.directory, "append_only": f.appendOnly, "quota": quota})
	} else {
		a.Printf("Serving      %s at %s\n", f.directory, where)
		if fingerprint != "" {
			a.Printf("Fingerprint  %s\n", fingerprint)
		}
	}
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := notifySystemd("READY=1"); err != nil {
		log.Warn("systemd was not told that the server is ready", "error", err)
	}
	return server.Serve(ctx, listener)
}

// serveDir is where a server keeps its users and its certificate. The server may
// run as a user who cannot read the configuration.
func (a *app) serveDir() (string, error) {
	conf := &config.Config{}
	if a.stateDir == "" {
		var err error
		if conf, err = a.loadOrEmpty(); err != nil {
			return "", err
		}
	}
	return filepath.Join(a.state(conf), "serve"), nil
}

func (a *app) usersFile(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	dir, err := a.serveDir()
	return filepath.Join(dir, "users"), err
}

// serverLog takes a line for each request. It has no header of one, and so no
// password.
func (a *app) serverLog() *slog.Logger {
	if a.JSON {
		return slog.New(slog.NewJSONHandler(a.Out, nil))
	}
	return slog.New(slog.NewTextHandler(a.Err, nil))
}

// encryption is the server's certificate and its fingerprint, or nil.
func (a *app) encryption(f serveFlags) (conf *tls.Config, fingerprint string, err error) {
	switch {
	case f.selfSigned && (f.cert != "" || f.key != ""):
		return nil, "", screen.Usagef("--self-signed makes a certificate; --tls-cert and --tls-key name one that is there")
	case (f.cert == "") != (f.key == ""):
		return nil, "", screen.Usagef("--tls-cert and --tls-key belong together")
	case f.selfSigned:
		dir, err := a.serveDir()
		if err != nil {
			return nil, "", err
		}
		f.cert, f.key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		made, err := restserver.SelfSigned(f.cert, f.key, serverNames(f.names))
		if err != nil {
			return nil, "", err
		}
		if made && !a.JSON {
			a.Printf("Certificate  %s was made\n", f.cert)
		}
	case f.cert == "":
		return nil, "", nil
	}
	conf, err = restserver.Certificate(f.cert, f.key)
	if err != nil {
		return nil, "", screen.Usage(err)
	}
	pair, err := conf.GetCertificate(nil)
	if err != nil {
		return nil, "", screen.Usage(err)
	}
	return conf, transport.Fingerprint(pair.Certificate[0]), nil
}

// serverNames are what clients may call this machine.
func serverNames(given []string) []string {
	if len(given) > 0 {
		return given
	}
	names := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return names
	}
	for _, address := range addresses {
		if ip, ok := address.(*net.IPNet); ok && !ip.IP.IsLoopback() && !ip.IP.IsLinkLocalUnicast() {
			names = append(names, ip.IP.String())
		}
	}
	return names
}

// listener is the socket that systemd passes on, else one of our own. Passwords
// go unencrypted over a line only where somebody said so.
func (a *app) listener(ctx context.Context, f serveFlags, encrypted bool) (net.Listener, error) {
	listener, err := inheritedListener()
	if err != nil {
		return nil, err
	}
	if listener == nil {
		listener, err = new(net.ListenConfig).Listen(ctx, "tcp", f.listen)
		if err != nil {
			return nil, screen.Usagef("--listen %s: %w", f.listen, err)
		}
	}
	if !encrypted && !f.plain && !onlyHere(listener.Addr()) {
		return nil, errors.Join(screen.Usagef("%s can be reached from other machines, and passwords would go there unencrypted: give --tls-cert and --tls-key, or --self-signed, or --plain-http if something else encrypts", listener.Addr()), listener.Close())
	}
	return listener, nil
}

// onlyHere tells whether an address can be reached from this machine alone.
func onlyHere(address net.Addr) bool {
	switch at := address.(type) {
	case *net.TCPAddr:
		return at.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

// inheritedListener is the socket of socket activation (sd_listen_fds(3)): it has
// number 3, and there is one. Nil if there is none.
func inheritedListener() (net.Listener, error) {
	if os.Getenv("LISTEN_PID") != fmt.Sprint(os.Getpid()) {
		return nil, nil
	}
	if n := os.Getenv("LISTEN_FDS"); n != "1" {
		return nil, screen.Usagef("systemd passes on %q sockets; the unit must have one", n)
	}
	const first = 3
	file := os.NewFile(first, "socket of systemd")
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("the socket that systemd passes on: %w", err)
	}
	return listener, nil
}

// notifySystemd tells systemd how it stands (sd_notify(3)), if it wants to know.
func notifySystemd(state string) error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	if name, abstract := strings.CutPrefix(socket, "@"); abstract {
		socket = "\x00" + name
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(state))
	return err
}

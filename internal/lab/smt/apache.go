package smt

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"strconv"
	"strings"
	stdsync "sync"
	"syscall"
	"time"

	"lifeboat/internal/lab/machine"
)

const (
	httpdPid    = "/run/httpd2.pid"
	httpdLoaded = "/run/httpd2.loaded" // when, and what went wrong
	errorLog    = "/var/log/apache2/error_log"
)

func apacheUnit() *machine.Unit {
	return &machine.Unit{
		Name: "apache2", Alias: []string{"httpd"}, Order: 30, Start: startApache,
		Stop: func(*machine.Machine) error { return machine.EndPid(httpdPid) },
		Reload: func(*machine.Machine) error {
			pid, alive := machine.PidAlive(httpdPid)
			if !alive {
				return nil
			}
			return reloadApache(pid)
		},
		Active: func() bool { _, alive := machine.PidAlive(httpdPid); return alive },
	}
}

// reloadApache asks for a reload and waits for its result.
func reloadApache(pid int) error {
	before, _ := readFile(httpdLoaded)
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		return err
	}
	for range 1000 {
		if now, _ := readFile(httpdLoaded); now != before {
			if _, problem, bad := strings.Cut(now, " "); bad {
				return fmt.Errorf("apache2 reload: %s", problem)
			}
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("apache2 does not reload")
}

func rcApache(m *machine.Machine, c *machine.Call) int {
	c.Name = "rcapache2"
	return m.Doubles["service"](m, &machine.Call{
		Name: "service", Args: append([]string{"apache2"}, c.Args...), Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr,
	})
}

// startApache starts the web server and waits until it answers or has ended.
func startApache(*machine.Machine) error {
	return machine.Daemon{
		Command: exec.Command("/usr/sbin/httpd2-prefork"),
		Log:     errorLog, Mode: 0o640,
		Answers: func() bool { return machine.Listens("80") },
	}.Start()
}

// httpd is a double for apache with SMT's handlers: it serves the document
// root and, while SMT's links are there, the path that a client's refresh takes.
// It opens its HTTPS port while the virtual host's file is linked.
func httpd(_ *machine.Machine, c *machine.Call) int {
	if err := machine.Write(httpdPid, strconv.Itoa(os.Getpid())+"\n", 0o644); err != nil {
		return c.Fail(1, "%v", err)
	}
	defer os.Remove(httpdPid)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	s := &server{}
	if err := s.load(); err != nil {
		return c.Fail(1, "%v", err)
	}
	plain, err := net.Listen("tcp", ":80")
	if err != nil {
		return c.Fail(1, "%v", err)
	}
	h := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = h.Serve(plain) }()
	for sig := range signals {
		if sig != syscall.SIGHUP {
			break
		}
		result := strconv.FormatInt(time.Now().UnixNano(), 10)
		if err := s.load(); err != nil {
			fmt.Fprintln(c.Stderr, "reload:", err)
			result += " " + err.Error()
		}
		if err := machine.Write(httpdLoaded+".new", result, 0o644); err == nil {
			_ = os.Rename(httpdLoaded+".new", httpdLoaded)
		}
	}
	return 0
}

type server struct {
	mu     stdsync.Mutex
	repo   bool // nu_server.conf is linked
	secure *http.Server
}

// load reads the configuration: which files are linked, and the certificate.
func (s *server) load() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := os.Stat("/etc/apache2/conf.d/nu_server.conf")
	s.repo = err == nil
	if s.secure != nil {
		_ = s.secure.Close()
		s.secure = nil
	}
	if _, err := os.Stat("/etc/apache2/vhosts.d/vhost-ssl.conf"); err != nil {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
	if err != nil {
		return fmt.Errorf("SSLCertificateFile: %w", err)
	}
	listener, err := tls.Listen("tcp", ":443", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return err
	}
	s.secure = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.secure.Serve(listener) }()
	return nil
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/repo/repoindex.xml" {
		s.mu.Lock()
		on := s.repo
		s.mu.Unlock()
		if !on {
			http.NotFound(w, r)
			return
		}
		guid, secret, _ := r.BasicAuth()
		if err := contact(guid, secret); err != nil {
			fmt.Fprintln(os.Stderr, "repoindex:", err)
			code := http.StatusInternalServerError
			if errors.Is(err, errUnknownClient) {
				code = http.StatusUnauthorized
			}
			http.Error(w, http.StatusText(code), code)
			return
		}
		_, _ = io.WriteString(w, "<repoindex/>\n")
		return
	}
	if r.URL.Path == "/smt.crt" {
		http.ServeFile(w, r, publishedCA)
		return
	}
	http.FileServer(http.Dir(docRoot)).ServeHTTP(w, r)
}

var errUnknownClient = errors.New("unknown client")

// contact does what SMT's authentication handler does at a refresh. Apache runs
// it as wwwrun, who must be able to read smt.conf through group www.
func contact(guid, secret string) error {
	info, err := os.Stat(Config)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	www, err := user.LookupGroup("www")
	if err != nil {
		return err
	}
	if info.Mode()&0o004 == 0 && (!ok || info.Mode()&0o040 == 0 || strconv.Itoa(int(st.Gid)) != www.Gid) {
		return fmt.Errorf("wwwrun cannot read %s", Config)
	}
	db, _, err := connect()
	if err != nil {
		return err
	}
	defer db.Close()
	query, args := "SELECT COUNT(*) FROM Clients WHERE GUID = ?", []any{guid}
	if hasColumn(db, "Clients", "SECRET") {
		// A client from before there were secrets has none on record.
		query, args = query+" AND SECRET IN ('', ?)", append(args, secret)
	}
	var n int
	if err := db.QueryRow(query, args...).Scan(&n); err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%w %s", errUnknownClient, guid)
	}
	_, err = db.Exec("UPDATE Clients SET LASTCONTACT = NOW() WHERE GUID = ?", guid)
	return err
}

// Client is what a registered client keeps: it outlives the server.
type Client struct {
	GUID   string
	Secret string
	Server string // host name the client knows
	CA     string // PEM of the CA it trusts
}

// clientRefresh plays one client's refresh over HTTPS with the identity on
// standard input.
func clientRefresh(_ *machine.Machine, c *machine.Call) int {
	var id Client
	if err := json.NewDecoder(c.Stdin).Decode(&id); err != nil {
		return c.Fail(1, "client identity: %v", err)
	}
	hc, err := machine.Trusting(id.CA, "443")
	if err != nil {
		return c.Fail(1, "client identity: %v", err)
	}
	req, err := http.NewRequest(http.MethodGet, "https://"+id.Server+"/repo/repoindex.xml", nil)
	if err != nil {
		return c.Fail(1, "%v", err)
	}
	req.SetBasicAuth(id.GUID, id.Secret)
	resp, err := hc.Do(req)
	if err != nil {
		return c.Fail(1, "refresh: %v", err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if resp.StatusCode != http.StatusOK {
		return c.Fail(1, "refresh: %s: %s", resp.Status, strings.TrimSpace(string(body)))
	}
	c.Printf("Service refreshed for %s.\n", id.GUID)
	return 0
}

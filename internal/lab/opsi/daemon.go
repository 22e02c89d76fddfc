package opsi

import (
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"lifeboat/internal/lab/machine"
)

// WritesFile makes a running opsiconfd write all the time, while it is there: it
// counts the default of configuration lab.counter up, first in the file backend and
// then in the database. What is saved of both at one moment has one number.
const WritesFile = machine.Home + "/opsiconfd-writes"

// backends is what opsiconfd keeps its objects in, by its own configuration.
type backends struct {
	mu   sync.Mutex
	file bool
	db   *sql.DB
}

// daemon is a double for the opsiconfd process: it serves clients over HTTPS with
// what its configuration leads it to, and does not start without that.
func daemon(m *machine.Machine, c *machine.Call) int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	if err := becomeOpsiconfd(); err != nil {
		return c.Fail(1, "%v", err)
	}
	b, err := openBackends()
	if err == nil && b.db != nil {
		err = b.checkSchema(machine.MustPart[Spec](m).line())
	}
	if err != nil {
		return c.Fail(1, "%v", err)
	}
	pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
	if err != nil {
		return c.Fail(1, "server certificate: %v", err)
	}
	// Whoever can connect finds it running.
	if err := machine.Write(daemonPid, strconv.Itoa(os.Getpid())+"\n", 0o644); err != nil {
		return c.Fail(1, "%v", err)
	}
	defer os.Remove(daemonPid)
	listener, err := tls.Listen("tcp", ":"+port, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return c.Fail(1, "%v", err)
	}
	h := &http.Server{Handler: b, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = h.Serve(listener) }()
	for {
		select {
		case <-signals:
			b.mu.Lock() // what was begun is written
			return 0
		case <-time.After(10 * time.Millisecond):
			if !machine.Exists(WritesFile) {
				continue
			}
			if err := b.count(); err != nil {
				fmt.Fprintln(c.Stderr, "write:", err)
			}
		}
	}
}

// openBackends finds out which backends are used and checks that they are there.
func openBackends() (*backends, error) {
	b := &backends{}
	dispatch, err := os.ReadFile(confDir + "/backendManager/dispatch.conf")
	text := string(dispatch)
	if errors.Is(err, os.ErrNotExist) {
		text = ": mysql" // as from opsi 4.3 on
	} else if err != nil {
		return nil, err
	}
	if b.file = strings.Contains(text, "file"); b.file {
		conf, err := readConf(backendsDir + "/file.conf")
		if err != nil {
			return nil, err
		}
		if conf["baseDir"] != baseDir {
			return nil, fmt.Errorf("file backend: the lab's is in %s", baseDir)
		}
		if _, err := os.ReadFile(baseDir + "/config.ini"); err != nil {
			return nil, fmt.Errorf("file backend: %w", err)
		}
	}
	if strings.Contains(text, "mysql") {
		if b.db, err = connect(); err != nil {
			return nil, fmt.Errorf("mysql backend: %w", err)
		}
		var n int
		if err := b.db.QueryRow("SELECT COUNT(*) FROM HOST WHERE type = 'OpsiConfigserver'").Scan(&n); err != nil {
			return nil, fmt.Errorf("mysql backend: %w", err)
		}
		if n != 1 {
			return nil, fmt.Errorf("mysql backend: it has %d config servers, not one", n)
		}
	}
	return b, nil
}

// checkSchema finds a database of another line of opsi, which the double cannot bring
// up or down.
func (b *backends) checkSchema(line string) error {
	var has int
	if err := b.db.QueryRow("SELECT MAX(version) FROM OPSI_SCHEMA WHERE updateEnded IS NOT NULL").Scan(&has); err != nil {
		return fmt.Errorf("mysql backend: schema version: %w", err)
	}
	if want := schemaVersion[line]; has != want {
		return fmt.Errorf("mysql backend: it has schema %d, opsi %s wants %d", has, line, want)
	}
	return nil
}

var errUnknownHost = errors.New("unknown host")

// ServeHTTP answers a client that logs in with its host key, and notes it was seen.
func (b *backends) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, key, _ := r.BasicAuth()
	b.mu.Lock()
	err := b.seen(id, key)
	b.mu.Unlock()
	switch {
	case errors.Is(err, errUnknownHost):
		http.Error(w, err.Error(), http.StatusUnauthorized)
	case err != nil:
		fmt.Fprintln(os.Stderr, "rpc:", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintln(w, `{"jsonrpc": "2.0", "id": 1, "result": true}`)
	}
}

func (b *backends) seen(id, key string) error {
	now := time.Now().UTC().Format(time.DateTime)
	if id == "" || id != filepath.Base(id) || len(key) != 32 {
		return errUnknownHost
	}
	if b.file {
		keys, err := os.ReadFile(hostKeyFile)
		if err != nil {
			return err
		}
		if !strings.Contains("\n"+string(keys), "\n"+id+":"+key+"\n") {
			return fmt.Errorf("%w %s", errUnknownHost, id)
		}
		if err := replaceOption(filepath.Join(baseDir, "clients", id+".ini"), "info", "lastseen", now); err != nil {
			return err
		}
	}
	if b.db == nil {
		return nil
	}
	var n int
	if err := b.db.QueryRow("SELECT COUNT(*) FROM HOST WHERE hostId = ? AND opsiHostKey = ?", id, key).Scan(&n); err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%w %s", errUnknownHost, id)
	}
	_, err := b.db.Exec("UPDATE HOST SET lastSeen = ? WHERE hostId = ?", now, id)
	return err
}

var counter = regexp.MustCompile(`(?s)\[lab\.counter\].*?defaultvalues = \["(\d+)"\]`)

// count writes the next number into each backend, one after the other.
func (b *backends) count() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var last int
	if b.file {
		raw, err := os.ReadFile(baseDir + "/config.ini")
		if err != nil {
			return err
		}
		found := counter.FindSubmatch(raw)
		if found == nil {
			return errors.New("config.ini has no lab.counter")
		}
		last, _ = strconv.Atoi(string(found[1]))
	} else if err := b.db.QueryRow("SELECT value FROM CONFIG_VALUE WHERE configId = 'lab.counter'").Scan(&last); err != nil {
		return err
	}
	next := strconv.Itoa(last + 1)
	if b.file {
		if err := replaceOption(baseDir+"/config.ini", "lab.counter", "defaultvalues", `["`+next+`"]`); err != nil {
			return err
		}
	}
	if b.db == nil {
		return nil
	}
	time.Sleep(5 * time.Millisecond) // what is saved in between differs
	_, err := b.db.Exec("UPDATE CONFIG_VALUE SET value = ? WHERE configId = 'lab.counter'", next)
	return err
}

// replaceOption sets an option of an ini file, in place as opsi does it.
func replaceOption(path, section, option, value string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines, inside := strings.Split(string(raw), "\n"), false
	for i, line := range lines {
		if strings.HasPrefix(line, "[") {
			inside = line == "["+section+"]"
		} else if inside && strings.HasPrefix(line, option+" =") {
			lines[i] = option + " = " + value
		}
	}
	return os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o660)
}

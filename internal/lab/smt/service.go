package smt

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"lifeboat/internal/lab/machine"
)

// startError carries the exit code of SMT's start script.
type startError struct {
	code int
	text string
}

func (e *startError) Error() string { return e.text }
func (e *startError) ExitCode() int { return e.code }

// smtUnit is SMT itself: no daemon, but links into other services.
func smtUnit() *machine.Unit {
	return &machine.Unit{Name: "smt", Order: 50, Start: startSMT, Stop: stopSMT, Active: func() bool {
		_, err := os.Stat("/etc/apache2/conf.d/nu_server.conf")
		return err == nil
	}}
}

// targetUnit is what SMT 12 is started by.
func targetUnit() *machine.Unit {
	return &machine.Unit{
		Name: "smt", Suffix: ".target", Order: 60,
		Needs: []string{"cron.service", "mysql.service", "smt.service", "smt-schema-upgrade.service", "apache2.service"},
		Stop: func(m *machine.Machine) error {
			u, err := m.Unit("smt.service")
			if err != nil {
				return err
			}
			return m.StopUnit(u)
		},
	}
}

func upgradeUnit() *machine.Unit {
	return &machine.Unit{Name: "smt-schema-upgrade", Order: 55, Start: func(*machine.Machine) error { return upgradeSchema() }, Active: func() bool { return false }}
}

func startSMT(m *machine.Machine) error {
	file := m.CredentialsFile()
	// As SMT does it: ask for its own user, so that ACLs count.
	if err := exec.Command("su", "-s", "/bin/sh", "-c", "test -r "+file, "smt").Run(); err != nil {
		return &startError{4, fmt.Sprintf("Cannot read %s. Run: setfacl -m u:smt:r %s", file, file)}
	}
	if err := allowConnections(); err != nil {
		return err
	}
	if err := os.MkdirAll(runDir, 0o775); err != nil {
		return err
	}
	if err := errors.Join(machine.Own("smt:www", runDir), os.Chmod(runDir, 0o775)); err != nil {
		return err
	}
	for _, l := range links(m) {
		if err := os.MkdirAll(filepath.Dir(l[0]), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(l[1], l[0]); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	ca, err := readFile(caDir + "/cacert.pem")
	if err != nil {
		return fmt.Errorf("copy the CA: %w", err)
	}
	if err := machine.Write(publishedCA, ca, 0o644); err != nil {
		return err
	}
	for _, name := range []string{"mysql.service", "apache2.service", "cron.service"} {
		if err := startOrReload(m, name); err != nil {
			return err
		}
	}
	if !legacy(m) {
		return nil // smt-schema-upgrade.service does it
	}
	return upgradeSchema()
}

func upgradeSchema() error {
	db, _, err := connect()
	if err != nil {
		return err
	}
	defer db.Close()
	from, to, err := migrate(db)
	if err != nil {
		return err
	}
	_ = appendLog("/var/log/smt/schema-upgrade/upgrade.log", fmt.Sprintf("schema is %s (was %s)", to, from))
	return nil
}

func startOrReload(m *machine.Machine, name string) error {
	u, err := m.Unit(name)
	if err != nil {
		return err
	}
	if u.IsActive() && u.Reload != nil {
		return u.Reload(m)
	}
	return m.StartUnit(u)
}

// stopSMT removes the links and reloads: neither the database server nor
// apache nor a running mirror stops.
func stopSMT(m *machine.Machine) error {
	for _, l := range links(m) {
		if err := os.Remove(l[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	u, err := m.Unit("apache2.service")
	if err == nil && u.IsActive() {
		return u.Reload(m)
	}
	return nil
}

// allowConnections sets max_connections as the start script does.
func allowConnections() error {
	text, err := readFile("/etc/my.cnf")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if strings.Contains(text, "max_connections") {
		return nil
	}
	return machine.Write("/etc/my.cnf", text+"\n[mysqld]\nmax_connections=160\n", 0o644)
}

// rcsmt is a double for SMT's start script.
func rcsmt(m *machine.Machine, c *machine.Call) int {
	verb := "status"
	if len(c.Args) > 0 {
		verb = c.Args[0]
	}
	name := "smt.service"
	if !legacy(m) {
		name = "smt.target"
	}
	u, err := m.Unit(name)
	if err != nil {
		return c.Fail(5, "rcsmt: %v", err)
	}
	switch verb {
	case "start":
		if smtUnit().Masked() { // the target alone would do with what else it finds
			return c.Fail(1, "Failed to start smt.service: Unit smt.service is masked.")
		}
		if u.IsActive() && !smtUnit().IsActive() {
			_ = m.StopUnit(u)
		}
		err = m.StartUnit(u)
	case "stop":
		err = m.StopUnit(u)
	case "restart", "try-restart", "reload":
		err = errors.Join(m.StopUnit(u), m.StartUnit(u))
	case "status":
		down := 0
		for _, n := range []string{"mysql.service", "apache2.service", "smt.service"} {
			unit, err := m.Unit(n)
			state := "running"
			if err != nil || !unit.IsActive() {
				state, down = "unused", 3
			}
			c.Printf("Checking for %s: %s\n", strings.TrimSuffix(n, ".service"), state)
		}
		return down
	default:
		return c.Fail(2, "Usage: rcsmt {start|stop|status|restart}")
	}
	if err != nil {
		code := 1
		var coded *startError
		if errors.As(err, &coded) {
			code = coded.code
		}
		return c.Fail(code, "rcsmt %s: %v", verb, err)
	}
	c.Printf("rcsmt %s: done\n", verb)
	return 0
}

// rcsmtOrTool is a double for the smt wrapper: "smt X" is smt-X. As an init
// script it is called smt, too.
func rcsmtOrTool(m *machine.Machine, c *machine.Call) int {
	if len(c.Args) > 0 {
		if double, ok := m.Doubles["smt-"+c.Args[0]]; ok {
			c.Name, c.Args = "smt-"+c.Args[0], c.Args[1:]
			return double(m, c)
		}
	}
	return rcsmt(m, c)
}

// smtDB is a double for smt-db: init and migrate bring the schema up.
func smtDB(_ *machine.Machine, c *machine.Call) int {
	if len(c.Args) == 0 || (c.Args[0] != "init" && c.Args[0] != "migrate") {
		return c.Fail(1, "smt-db: only init and migrate are played here")
	}
	if err := upgradeSchema(); err != nil {
		return c.Fail(1, "%v", err)
	}
	return 0
}

func schemaUpgrade(_ *machine.Machine, c *machine.Call) int {
	if err := upgradeSchema(); err != nil {
		return c.Fail(1, "%v", err)
	}
	return 0
}

func readFile(path string) (string, error) {
	raw, err := os.ReadFile(path)
	return string(raw), err
}

func readLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil && line == "" {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func appendLog(path, line string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, line)
	return errors.Join(err, f.Close())
}

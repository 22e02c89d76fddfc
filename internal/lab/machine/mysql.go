package machine

import (
	"fmt"
	"os"
	"os/exec"
)

const (
	// Socket is where the database server listens.
	Socket   = "/run/mysqld/mysqld.sock"
	dataDir  = "/var/lib/mysql"
	mysqlPid = "/run/mysqld/mysqld.pid"
	mysqlLog = "/var/log/mysql/mysqld.log"
)

// mysqlUnit runs the machine's real MariaDB server at its real paths. Like
// SUSE's start script it makes the system tables when there are none.
func (m *Machine) mysqlUnit() *Unit {
	name, alias := "mysql", []string{"mariadb", "mysqld"}
	if m.debian() {
		name, alias = "mariadb", []string{"mysql", "mysqld"}
	}
	return &Unit{
		Name: name, Alias: alias, Order: 10,
		Start:  func(*Machine) error { return startMySQL() },
		Stop:   func(*Machine) error { return EndPid(mysqlPid) },
		Active: func() bool { _, alive := PidAlive(mysqlPid); return alive },
	}
}

func startMySQL() error {
	for _, dir := range []string{"/run/mysqld", "/var/log/mysql", dataDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := Own("mysql:mysql", dir); err != nil {
			return err
		}
	}
	if !Exists(dataDir + "/mysql") {
		out, err := exec.Command("mariadb-install-db", "--user=mysql", "--datadir="+dataDir, "--skip-test-db", "--force",
			"--auth-root-authentication-method=socket").CombinedOutput()
		if err != nil {
			return fmt.Errorf("mariadb-install-db: %w: %s", err, out)
		}
	}
	return Daemon{
		Command: exec.Command("/usr/sbin/mariadbd", "--user=mysql", "--datadir="+dataDir, "--socket="+Socket, "--pid-file="+mysqlPid),
		Log:     mysqlLog, Mode: 0o640, Owner: "mysql:mysql",
		Answers: func() bool {
			db, err := OpenRoot("")
			return err == nil && db.Close() == nil
		},
	}.Start()
}

// mysqlConfig makes a current server behave like that of the line: engine and
// lenient SQL mode of MySQL 5 on SLES, a small footprint for the lab.
func (m *Machine) mysqlConfig() string {
	if m.debian() {
		return "# written by the lab\n[mysqld]\ninnodb-buffer-pool-size = 64M\ninnodb-log-file-size = 16M\n"
	}
	engine := "InnoDB"
	if m.Line() < 12 {
		engine = "MyISAM"
	}
	return "# written by the lab\n[mysqld]\ndefault-storage-engine = " + engine +
		"\nsql-mode = \nskip-name-resolve\ninnodb-buffer-pool-size = 64M\ninnodb-log-file-size = 16M\nperformance-schema = off\n"
}

func cronUnit() *Unit { return &Unit{Name: "cron", Order: 20} }

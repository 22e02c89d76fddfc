package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
	"lifeboat/internal/mysqld"
	"lifeboat/internal/product"
)

var shared struct {
	once   sync.Once
	server *mysqld.Server
	err    error
}

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		child()
		return
	}
	code := m.Run()
	_ = os.RemoveAll(stagingDir())
	if shared.server != nil {
		_ = shared.server.Stop(context.Background())
		_ = os.RemoveAll(shared.server.Dir())
	}
	os.Exit(code)
}

// memory is a directory in memory where there is one: the tests of the package
// write little and wait for it very often.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(memoryRoot(), "mysql-state-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func memoryRoot() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return os.TempDir()
}

// lab is one database on a real server that the tests of the package share.
type lab struct {
	t      *testing.T
	name   string
	socket string
	db     *sql.DB // root, no default database
}

func newLab(t *testing.T) *lab {
	t.Helper()
	if _, err := host.Local().Look("mariadbd", "mysqld"); err != nil {
		t.Skip("needs mariadb-server")
	}
	if _, err := host.Local().Look("mariadb-dump", "mysqldump"); err != nil {
		t.Skip("needs mariadb-client")
	}
	shared.once.Do(func() {
		dir, err := os.MkdirTemp(memoryRoot(), "mysqld-")
		if err != nil {
			shared.err = err
			return
		}
		shared.server, shared.err = mysqld.Start(context.Background(), mysqld.Options{Dir: dir, Args: []string{"--event-scheduler=OFF", "--max-allowed-packet=16M"}})
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	db, err := sql.Open("mysql", shared.server.DSN("")+"&sql_mode=%27%27")
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, socket: shared.server.Socket(), db: db}
	l.name = "t_" + strings.ToLower(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, t.Name()))
	l.name = l.name[:min(len(l.name), 30)]
	t.Cleanup(func() {
		for _, d := range l.column("SHOW DATABASES") {
			if strings.HasPrefix(d, l.name) {
				l.run("DROP DATABASE " + ident(d))
			}
		}
		db.Close()
	})
	l.run("CREATE DATABASE " + ident(l.name) + " CHARACTER SET latin1")
	return l
}

// run executes statements in the lab's database on one connection.
func (l *lab) run(statements ...string) {
	l.t.Helper()
	conn, err := l.db.Conn(context.Background())
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close()
	_, _ = conn.ExecContext(context.Background(), "USE "+ident(l.name))
	for _, s := range statements {
		if _, err := conn.ExecContext(context.Background(), s); err != nil {
			l.t.Fatalf("%s: %v", brief(s), err)
		}
	}
}

func (l *lab) column(statement string) []string {
	l.t.Helper()
	got, err := column(context.Background(), l.db, statement)
	if err != nil {
		l.t.Fatal(err)
	}
	return got
}

func (l *lab) options() Options {
	return Options{Database: l.name, Access: Access{Socket: l.socket}}
}

func (l *lab) component(state string, p *product.Product) *Component {
	l.t.Helper()
	c, err := New(component.Env{Host: host.Local(), State: state, Run: "20261121T0746-x1"}, l.options(), p)
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

// picture is everything that can be seen of the database, for comparing before
// and after.
func (l *lab) picture() string {
	l.t.Helper()
	ctx := context.Background()
	s, err := connect(ctx, host.Local(), Access{Socket: l.socket}, "")
	if err != nil {
		l.t.Fatal(err)
	}
	defer s.close()
	if there, err := s.exists(ctx, l.name); err != nil {
		l.t.Fatal(err)
	} else if !there {
		return "no database"
	}
	conn, err := s.session(ctx, l.name)
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close()
	tables, err := listTables(ctx, conn, l.name)
	if err != nil {
		l.t.Fatal(err)
	}
	var b strings.Builder
	schema, err := query(ctx, conn, "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", l.name)
	fmt.Fprintln(&b, schema, err)
	for _, t := range tables {
		if t.Sequence {
			continue
		}
		create, err := query(ctx, conn, "SHOW CREATE TABLE "+ident(t.Name))
		if err != nil {
			l.t.Fatal(err)
		}
		if err := countTable(ctx, conn, l.name, &t, true); err != nil {
			l.t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n%d rows, checksum %s\n", create[0][1], t.Rows, t.Checksum)
	}
	o, err := readObjects(ctx, conn, s, l.name)
	if err != nil {
		l.t.Fatal(err)
	}
	b.Write(o.script())
	return b.String()
}

// sides lists the databases that a restore of the lab's leaves beside.
func (l *lab) sides() []string {
	l.t.Helper()
	return slices.DeleteFunc(l.column("SHOW DATABASES"), func(d string) bool {
		return !strings.HasPrefix(d, l.name+"_new_") && !strings.HasPrefix(d, l.name+"_aside_")
	})
}

// tables makes tables with everything that has gone wrong for somebody, routines and views.
func (l *lab) tables() {
	l.t.Helper()
	blob := make([]byte, 256)
	for i := range blob {
		blob[i] = byte(i)
	}
	l.run("CREATE TABLE clients (GUID CHAR(50) PRIMARY KEY, HOSTNAME VARCHAR(100), LASTCONTACT TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, gone DATETIME) ENGINE=MyISAM",
		"CREATE TABLE machine (GUID CHAR(50), KEYNAME VARCHAR(50), VALUE BLOB, bits BIT(3), PRIMARY KEY (GUID, KEYNAME)) ENGINE=InnoDB",
		"CREATE TABLE `odd ``na'me` (a INT AUTO_INCREMENT PRIMARY KEY, `b c` TEXT CHARACTER SET utf8mb4) ENGINE=InnoDB AUTO_INCREMENT=77",
		"CREATE TABLE parent (id INT PRIMARY KEY) ENGINE=InnoDB",
		"CREATE TABLE child (id INT PRIMARY KEY, p INT, CONSTRAINT named_key FOREIGN KEY (p) REFERENCES parent (id) ON UPDATE CASCADE ON DELETE SET NULL, FOREIGN KEY (id) REFERENCES parent (id)) ENGINE=InnoDB",
		"CREATE TABLE gen (a INT, b INT GENERATED ALWAYS AS (a * 2) VIRTUAL, c INT GENERATED ALWAYS AS (a + 1) STORED, v DOUBLE) ENGINE=InnoDB",
		"CREATE TABLE nothing (a INT) ENGINE=Aria",
		"CREATE TABLE log (what TEXT) ENGINE=MyISAM",
		"INSERT INTO clients VALUES ('a', _utf8'Müller & Söhne', '2020-01-02 03:04:05', '0000-00-00 00:00:00'), ('b', 'it''s \\\\ \\n ok', '0000-00-00 00:00:00', NULL)",
		"INSERT INTO `odd ``na'me` (`b c`) VALUES (_utf8mb4'\U0001F6F6; DROP TABLE clients; -- (\\'),('), (NULL), ('')",
		"INSERT INTO parent VALUES (1), (2), (3)", "INSERT INTO child VALUES (1, 2), (3, NULL)",
		"INSERT INTO gen (a, v) VALUES (1, 0.1), (2, 1e300), (NULL, NULL)")
	if _, err := l.db.Exec("INSERT INTO "+table(l.name, "machine")+" VALUES ('a', 'all', ?, b'101'), ('b', 'none', '', NULL), ('c', 'null', NULL, b'000')", blob); err != nil {
		l.t.Fatal(err)
	}
	l.run("CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC RETURN x * 2",
		"CREATE PROCEDURE fill(IN n INT) COMMENT 'it''s' BEGIN\n  -- a comment; with ' in it\n  DECLARE i INT DEFAULT 0;\n  WHILE i < n DO INSERT INTO log VALUES ('$$ // ;;'); SET i = i + 1; END WHILE;\nEND",
		"CREATE VIEW z_base AS SELECT id, p FROM child WHERE p IS NOT NULL OR 'ä' = 'ä'",
		"CREATE VIEW a_needs_z AS SELECT id, twice(id) AS t FROM z_base")
}

// hangers makes triggers, events and an account with rights of every sort.
func (l *lab) hangers(user string) {
	l.t.Helper()
	l.run("SET NAMES latin1",
		"CREATE TRIGGER first_one BEFORE INSERT ON clients FOR EACH ROW BEGIN\n  SET NEW.HOSTNAME = CONCAT(NEW.HOSTNAME, '\xe4;'); /* ; */\n  INSERT INTO log VALUES ('x');\nEND",
		"CREATE TRIGGER second_one BEFORE INSERT ON clients FOR EACH ROW SET NEW.HOSTNAME = CONCAT(NEW.HOSTNAME, '2')",
		"SET NAMES utf8mb4",
		"CREATE EVENT on_event ON SCHEDULE EVERY 1 HOUR STARTS '2030-01-01 00:00:00' ON COMPLETION PRESERVE ENABLE DO BEGIN INSERT INTO log VALUES ('e'); DELETE FROM log WHERE 0; END",
		"CREATE EVENT off_event ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DISABLE DO DELETE FROM log",
		"CREATE USER "+user+" IDENTIFIED BY 'pa''ss\"w#ord \\\\ ü'",
		"GRANT SELECT, INSERT ON "+ident(l.name)+".* TO "+user+" WITH GRANT OPTION",
		"GRANT UPDATE (HOSTNAME), DELETE ON "+table(l.name, "clients")+" TO "+user,
		"GRANT EXECUTE ON PROCEDURE "+table(l.name, "fill")+" TO "+user)
	l.t.Cleanup(func() { l.run("DROP USER IF EXISTS " + user) })
}

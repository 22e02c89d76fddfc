package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
)

// TestBadPointsLeaveThePresentAlone restores from points that are damaged or
// not what their manifest says.
func TestBadPointsLeaveThePresentAlone(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE a (x INT) ENGINE=InnoDB", "CREATE TABLE b (v VARCHAR(20)) ENGINE=MyISAM", "INSERT INTO a VALUES (1), (2)", "INSERT INTO b VALUES ('x')")
	good, rec := mustCapture(t, l.component(memory(t), nil))
	l.run("INSERT INTO a VALUES (3)")
	before := l.picture()
	tables, objects := "databases/"+l.name+".tables.sql", "databases/"+l.name+".objects.sql"
	replace := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) }
	}
	insert := func(statement string) func([]byte) []byte {
		return replace("LOCK TABLES", statement+";\nLOCK TABLES")
	}
	for _, c := range []struct {
		name, stream string
		change       func([]byte) []byte
		want         string
	}{
		{"empty", tables, func([]byte) []byte { return nil }, "empty"},
		{"cut in half", tables, func(b []byte) []byte { return b[:len(b)/2] }, "cut off"},
		{"without the last line", tables, replace(trailer, "-- x"), "cut off"},
		{"a row less", tables, replace("(1),\n", ""), "table a has 1 rows instead of 2"},
		{"a row changed", tables, replace("'x'", "'y'"), "content of table b"},
		{"another table", tables, insert("CREATE TABLE c (x INT)"), "table c is too many"},
		{"leaves the database", tables, insert("USE mysql"), "leaves the database"},
		{"writes elsewhere", tables, insert("INSERT INTO mysql.global_priv VALUES (1)"), "another database"},
		{"sets the server", tables, insert("SET GLOBAL general_log=1"), "does not belong"},
		{"makes a user", tables, insert("CREATE USER evil"), "does not belong"},
		{"grants", tables, insert("/*!50000 GRANT */ ALL ON *.* TO evil"), "does not belong"},
		{"reads a file", tables, insert("LOAD DATA INFILE '/etc/passwd' INTO TABLE a"), "does not belong"},
		{"runs a shell", tables, insert("\\! touch /tmp/x"), "client command"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := &store{streams: map[string][]byte{tables: good.streams[tables], objects: good.streams[objects]}}
			bad.streams[c.stream] = c.change(bytes.Clone(bad.streams[c.stream]))
			k := l.component(memory(t), nil)
			err := k.Restore(t.Context(), bad, component.RestoreOptions{Record: rec})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if got := l.picture(); got != before {
				t.Errorf("the present database changed:\n%s", diff(before, got))
			}
			if err := k.Rollback(t.Context()); err != nil {
				t.Error(err)
			}
			if sides := l.sides(); len(sides) != 0 {
				t.Errorf("beside stand %v", sides)
			}
		})
	}
}

// TestHostileObjects: the second section runs as administrator, so it may hold
// nothing but what it is for. What fails here is rolled back.
func TestHostileObjects(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE a (x INT)", "INSERT INTO a VALUES (1)", "CREATE VIEW v AS SELECT * FROM a")
	good, rec := mustCapture(t, l.component(memory(t), nil))
	before := l.picture()
	tables, objects := "databases/"+l.name+".tables.sql", "databases/"+l.name+".objects.sql"
	for _, c := range []struct{ statement, want string }{
		{"GRANT ALL PRIVILEGES ON *.* TO `evil`@`%`", "outside database"},
		{"GRANT ALL PRIVILEGES ON `mysql`.* TO `evil`@`%`", "outside database"},
		{"GRANT SELECT ON " + ident(l.name) + ".* TO `a`@`%`, `evil`@`%`", "more follows"},
		{"GRANT PROXY ON `root`@`localhost` TO `evil`@`%`", "outside database"},
		{"CREATE USER `evil`@`%`", "unknown form"},
		{"CREATE USER IF NOT EXISTS `a`@`%`, `evil`@`%`", "more than one account"},
		{"ALTER USER /*! `root`@`localhost`, */ `a`@`%` IDENTIFIED BY 'x'", "comment"},
		{"DROP USER `root`@`localhost`", "unknown form"},
		{"SET PASSWORD FOR `root`@`localhost` = ''", "unknown form"},
		{"SET GLOBAL general_log = 1", "does not belong"},
		{"DROP TABLE a", "does not belong"},
		{"DROP DATABASE mysql", "does not belong"},
		{"INSERT INTO a VALUES (5)", "does not belong"},
		{"DROP PROCEDURE mysql.AddGeometryColumn", "another database"},
		{"CREATE VIEW mysql.v AS SELECT 1", "another database"},
		{"SELECT 1 INTO OUTFILE '/tmp/x'", "does not belong"},
		{"INSTALL PLUGIN x SONAME 'y'", "does not belong"},
		{"CREATE TRIGGER", ""},
	} {
		t.Run(c.statement, func(t *testing.T) {
			bad := &store{streams: map[string][]byte{tables: good.streams[tables]}}
			bad.streams[objects] = bytes.Replace(good.streams[objects], []byte("SET sql_mode = '';"), []byte("SET sql_mode = '';\n"+c.statement+";"), 1)
			k := l.component(memory(t), nil)
			err := k.Restore(t.Context(), bad, component.RestoreOptions{Record: rec})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err := k.Discard(t.Context()); err == nil {
				t.Error("an incomplete restore was discarded")
			}
			if err := k.Rollback(t.Context()); err != nil {
				t.Error(err)
			}
			if got := l.picture(); got != before {
				t.Errorf("not as before:\n%s", diff(before, got))
			}
		})
	}
	if evil := l.column("SELECT User FROM mysql.user WHERE User = 'evil'"); len(evil) != 0 {
		t.Error("an account was made")
	}
}

// TestAdministratorsAreKept: neither root nor whoever has rights everywhere gets
// another password or other rights from a point.
func TestAdministratorsAreKept(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE a (x INT)", "CREATE USER boss@localhost IDENTIFIED BY 'old'", "GRANT SELECT ON "+ident(l.name)+".* TO boss@localhost")
	t.Cleanup(func() { l.run("DROP USER boss@localhost") })
	c := l.component(memory(t), nil)
	st, rec := mustCapture(t, c)
	l.run("SET PASSWORD FOR boss@localhost = PASSWORD('new')", "GRANT RELOAD ON *.* TO boss@localhost")
	objects := "databases/" + l.name + ".objects.sql"
	st.streams[objects] = bytes.Replace(st.streams[objects], []byte("\n-- account"),
		[]byte("\nALTER USER `root`@`localhost` IDENTIFIED BY 'stolen';\n-- account"), 1)
	var warnings []string
	if err := c.Restore(t.Context(), st, component.RestoreOptions{Record: rec, Warn: func(m string) { warnings = append(warnings, m) }}); err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 2 || !strings.Contains(warnings[0], "root") || !strings.Contains(warnings[1], "boss") {
		t.Errorf("warnings %q", warnings)
	}
	if err := Login(t.Context(), host.Local(), Access{Socket: l.socket, User: "boss", Password: "new"}, ""); err != nil {
		t.Error(err)
	}
}

func TestRestoreRefusals(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE a (x INT PRIMARY KEY) ENGINE=InnoDB")
	st, rec := mustCapture(t, l.component(memory(t), nil))
	l.run("CREATE DATABASE "+ident(l.name+"_x"), "CREATE TABLE "+table(l.name+"_x", "c")+" (x INT, FOREIGN KEY (x) REFERENCES "+table(l.name, "a")+" (x)) ENGINE=InnoDB")
	err := l.component(memory(t), nil).Restore(t.Context(), st, component.RestoreOptions{Record: rec})
	if err == nil || !strings.Contains(err.Error(), "foreign keys") {
		t.Errorf("foreign keys from elsewhere: %v", err)
	}
	l.run("DROP DATABASE " + ident(l.name+"_x"))
	aside := sideName(l.name, "aside", "20261121T0746-x1")
	l.run("CREATE DATABASE " + ident(aside))
	err = l.component(memory(t), nil).Restore(t.Context(), st, component.RestoreOptions{Record: rec})
	if err == nil || !strings.Contains(err.Error(), "not from this run") {
		t.Errorf("a database of that name is there: %v", err)
	}
	for name, detail := range map[string]string{
		"no tables":      `{"database":"` + l.name + `","charset":"latin1","collation":"x"}`,
		"charset":        `{"database":"` + l.name + `","charset":"latin1; DROP","collation":"x","tables":[{"name":"a"}]}`,
		"other database": `{"database":"other","charset":"latin1","collation":"x","tables":[{"name":"a"}]}`,
		"no JSON":        `{`,
	} {
		if err := l.component(memory(t), nil).Restore(t.Context(), st, component.RestoreOptions{Record: component.Record{Detail: []byte(detail)}}); err == nil {
			t.Errorf("record with %s was taken", name)
		}
	}
	if len(sideName(strings.Repeat("d", 64), "aside", strings.Repeat("run-", 30))) > 64 {
		t.Error("name beside is too long for a server")
	}
	for _, bad := range []string{"", "../x", "a/b", "a`b", "-x", strings.Repeat("x", 65)} {
		if _, err := New(component.Env{}, Options{Database: bad}, nil); err == nil {
			t.Errorf("database name %q was taken", bad)
		}
	}
}

// TestApplicationUserCannotRestore: the error says what is needed.
func TestApplicationUserCannotRestore(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE a (x INT)", "CREATE USER small@localhost IDENTIFIED BY 'p'", "GRANT ALL ON "+ident(l.name)+".* TO small@localhost")
	t.Cleanup(func() { l.run("DROP USER small@localhost") })
	st, rec := mustCapture(t, l.component(memory(t), nil))
	file := filepath.Join(t.TempDir(), "my.cnf")
	writeFile(t, file, "[client]\nuser=small\npassword=p\nsocket="+l.socket+"\n")
	c, err := New(component.Env{Host: host.Local(), State: memory(t), Run: "r"}, Options{Database: l.name, Access: Access{DefaultsFile: file}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Restore(t.Context(), st, component.RestoreOptions{Record: rec}); err == nil || !strings.Contains(err.Error(), "defaults_file") {
		t.Errorf("got %v", err)
	}
	if err := c.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestJournalCannotBeWritten(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE a (x INT)", "INSERT INTO a VALUES (1)")
	st, rec := mustCapture(t, l.component(memory(t), nil))
	before := l.picture()
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "")
	if err := l.component(filepath.Join(file, "state"), nil).Restore(t.Context(), st, component.RestoreOptions{Record: rec}); err == nil {
		t.Error("restored without a journal")
	}
	full := t.TempDir()
	if err := unix.Mount("tmpfs", full, "tmpfs", 0, "size=4k"); err != nil {
		t.Skipf("needs root for a small file system: %v", err)
	}
	defer func() { _ = unix.Unmount(full, 0) }()
	writeFile(t, filepath.Join(full, "fill"), strings.Repeat("x", 4096))
	err := l.component(full, nil).Restore(t.Context(), st, component.RestoreOptions{Record: rec})
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("restored with a full journal: %v", err)
	}
	if got := l.picture(); got != before {
		t.Error("the present database changed")
	}
}

// TestTornJournalLine: what a kill cut off announces nothing.
func TestTornJournalLine(t *testing.T) {
	dir := memory(t)
	writeFile(t, filepath.Join(dir, "database-x.jsonl"), `{"do":"begin","new":"n","aside":"a","existed":true}`+"\n"+`{"do":"loa`)
	j, err := openJournal(dir, "x", false)
	if err != nil || j.begun == nil || j.loaded {
		t.Fatalf("%+v, %v", j, err)
	}
	if err := j.add(t.Context(), record{Do: doLoaded}); err != nil {
		t.Fatal(err)
	}
	j.close()
	if j, err = openJournal(dir, "x", false); err != nil || !j.loaded {
		t.Fatalf("%+v, %v", j, err)
	}
	j.close()
	writeFile(t, filepath.Join(dir, "database-x.jsonl"), "garbage\n")
	if _, err := openJournal(dir, "x", false); err == nil {
		t.Error("garbage was read")
	}
}

func TestLongValues(t *testing.T) {
	l := newLab(t) // its server takes 16 MiB at once
	l.run("CREATE TABLE a (x LONGBLOB, y LONGTEXT) ENGINE=InnoDB", "INSERT INTO a VALUES (REPEAT(CHAR(255), 9000000), REPEAT('''', 7000000))")
	before := l.picture()
	c := l.component(memory(t), nil)
	st, rec := mustCapture(t, c)
	l.run("DELETE FROM a")
	if err := c.Restore(t.Context(), st, component.RestoreOptions{Record: rec}); err != nil {
		t.Fatal(err)
	}
	if got := l.picture(); got != before {
		t.Errorf("differs:\n%s", diff(before, got))
	}
	if limit := l.column("SELECT @@global.max_allowed_packet"); limit[0] != "16777216" {
		t.Errorf("the server's limit was left at %s", limit[0])
	}
}

func TestBrokenView(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE a (x INT)", "CREATE TABLE b (x INT)", "CREATE VIEW broken AS SELECT * FROM b", "DROP TABLE b")
	c := l.component(memory(t), nil)
	st := &store{}
	captured, err := c.Capture(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	if len(captured.Warnings) != 1 || !strings.Contains(captured.Warnings[0], "broken") {
		t.Errorf("warnings %q", captured.Warnings)
	}
	var warnings []string
	if err := c.Restore(t.Context(), st, component.RestoreOptions{Record: recordOf(t, captured), Warn: func(m string) { warnings = append(warnings, m) }}); err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 1 {
		t.Errorf("warnings %q", warnings)
	}
}

func TestSequences(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE a (x INT) ENGINE=InnoDB", "CREATE SEQUENCE s START WITH 5")
	l.column("SELECT NEXTVAL(" + table(l.name, "s") + ")")
	c := l.component(memory(t), nil)
	st, rec := mustCapture(t, c)
	l.run("DROP SEQUENCE s")
	if err := c.Restore(t.Context(), st, component.RestoreOptions{Record: rec}); err != nil {
		t.Fatal(err)
	}
	if got := l.column("SELECT NEXTVAL(" + table(l.name, "s") + ")"); got[0] == "5" {
		t.Error("the sequence begins anew")
	}
}

// TestByHand follows the recovery point with the server's own client alone.
func TestByHand(t *testing.T) {
	l := newLab(t)
	client, err := host.Local().Look("mariadb", "mysql")
	if err != nil {
		t.Skip("needs mariadb-client")
	}
	l.fill()
	before := l.picture()
	c := l.component(memory(t), nil)
	st, rec := mustCapture(t, c)
	text := byHand(rec)
	for _, word := range []string{"CHARACTER SET latin1", "/.lifeboat/databases/" + l.name + ".objects.sql", "Dump completed"} {
		if !strings.Contains(text, word) {
			t.Errorf("the handbook does not say %q:\n%s", word, text)
		}
	}
	plan, err := c.Plan(t.Context(), st, rec)
	if err != nil || len(plan) < 5 {
		t.Errorf("plan %q, %v", plan, err)
	}
	dir := t.TempDir()
	if err := c.Extract(t.Context(), st, dir); err != nil {
		t.Fatal(err)
	}
	if err := c.Extract(t.Context(), st, dir); !errors.Is(err, os.ErrExist) {
		t.Errorf("extracted over what was there: %v", err)
	}
	l.run("DROP USER rounder@localhost", "DROP DATABASE "+ident(l.name), "CREATE DATABASE "+ident(l.name)+" CHARACTER SET latin1")
	for _, name := range []string{"tables", "objects"} {
		f, err := os.Open(filepath.Join(dir, l.name+"."+name+".sql"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := host.Local().Run(t.Context(), host.Command{Args: []string{client, "--no-defaults", "--comments", "-uroot", "-S", l.socket, l.name}, Stdin: f}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if got := l.picture(); got != before {
		t.Errorf("restored by hand it differs:\n%s", diff(before, got))
	}
}

func TestPredicatesAndQuery(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE a (x INT)", "INSERT INTO a VALUES (NULL), (7)")
	access := Access{Socket: l.socket}
	rows, err := Query(t.Context(), host.Local(), access, l.name, "SELECT x, 'ä' FROM a ORDER BY x")
	if err != nil || !slices.EqualFunc(rows, [][]string{{"NULL", "ä"}, {"7", "ä"}}, slices.Equal[[]string]) {
		t.Errorf("%q, %v", rows, err)
	}
	scope := profile.Scope{Host: host.Local()}
	holds := func(name string, options any) string {
		ok, why, err := Predicates()[name].Holds(t.Context(), scope, options)
		return fmt.Sprint(ok, why != "", err == nil)
	}
	for _, c := range []struct {
		name    string
		options any
		want    string
	}{
		{"database", &DatabaseOptions{Name: l.name, Access: access}, "true true true"},
		{"database", &DatabaseOptions{Name: "no_such", Access: access}, "false true true"},
		{"database", &DatabaseOptions{Name: l.name, Access: Access{Socket: "/nonexistent"}}, "false true true"},
		{"sql", &SQLOptions{Query: "SELECT COUNT(*) FROM a", Database: l.name, Access: access}, "true true true"},
		{"sql", &SQLOptions{Query: "SELECT COUNT(*) FROM a", Database: l.name, Access: access, Equals: "2"}, "true true true"},
		{"sql", &SQLOptions{Query: "SELECT COUNT(*) FROM a", Database: l.name, Access: access, Equals: "3"}, "false true true"},
		{"sql", &SQLOptions{Query: "SELECT x FROM a WHERE x IS NULL", Database: l.name, Access: access}, "false true true"},
		{"sql", &SQLOptions{Query: "SELECT x FROM a WHERE x = 9", Database: l.name, Access: access}, "false true true"},
		{"sql", &SQLOptions{Query: "SELEC", Database: l.name, Access: access}, "false false false"},
	} {
		if got := holds(c.name, c.options); got != c.want {
			t.Errorf("%s %+v: %s, want %s", c.name, c.options, got, c.want)
		}
	}
	c := l.component(memory(t), nil)
	if err := c.Exec(t.Context(), "INSERT INTO a VALUES (8)"); err != nil {
		t.Error(err)
	}
	if rows, err := c.Query(t.Context(), "SELECT COUNT(*) FROM a"); err != nil || rows[0][0] != "3" {
		t.Errorf("%q, %v", rows, err)
	}
	if err := c.Login(t.Context()); err == nil {
		t.Error("logged in without a user")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Capture(ctx, &store{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

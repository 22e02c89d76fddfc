package mysql

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/component/boundary"
	"lifeboat/internal/host"
)

func mustCapture(t *testing.T, c *Component) (*store, component.Record) {
	t.Helper()
	s := &store{}
	captured, err := c.Capture(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return s, recordOf(t, captured)
}

// spoil changes the database in every way that a restore has to undo.
func (l *lab) spoil() {
	l.run("DROP VIEW a_needs_z", "DROP VIEW z_base", "DROP TRIGGER first_one", "DELETE FROM clients", "DROP TABLE child", "DROP PROCEDURE fill",
		"CREATE TABLE newcomer (a INT) ENGINE=InnoDB", "INSERT INTO newcomer VALUES (1)",
		"CREATE TRIGGER of_now BEFORE INSERT ON newcomer FOR EACH ROW SET NEW.a = 5",
		"CREATE VIEW view_of_now AS SELECT * FROM newcomer",
		"ALTER EVENT off_event ENABLE",
		"ALTER DATABASE "+ident(l.name)+" CHARACTER SET utf8mb4")
}

func TestRoundTrip(t *testing.T) {
	l := newLab(t)
	l.fill()
	before := l.picture()
	state := memory(t)
	c := l.component(state, nil)
	st, rec := mustCapture(t, c)
	if got := l.picture(); got != before {
		t.Fatal("capturing changed the database")
	}
	l.spoil()
	l.run("SET PASSWORD FOR rounder@localhost = PASSWORD('other')", "REVOKE INSERT ON "+ident(l.name)+".* FROM rounder@localhost")
	spoiled := l.picture()

	var warnings []string
	opts := component.RestoreOptions{Record: rec, Warn: func(m string) { warnings = append(warnings, m) }}
	if err := c.Restore(t.Context(), st, opts); err != nil {
		t.Fatal(err)
	}
	if got := l.picture(); got != before {
		t.Errorf("restored database differs:\n%s", diff(before, got))
	}
	if len(warnings) > 0 {
		t.Errorf("warnings %v", warnings)
	}
	if sides := l.sides(); len(sides) != 1 || !strings.Contains(sides[0], "_aside_") {
		t.Errorf("beside stand %v", sides)
	}
	checks, err := c.Check(t.Context(), rec)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range checks {
		if !k.OK {
			t.Errorf("check %+v", k)
		}
	}
	// A child still points to its own parent, not to what was set aside.
	l.run("UPDATE parent SET id = 20 WHERE id = 2")
	if got := l.column("SELECT p FROM " + table(l.name, "child") + " WHERE id = 1"); got[0] != "20" {
		t.Errorf("foreign key leads elsewhere: %v", got)
	}
	l.run("UPDATE parent SET id = 2 WHERE id = 20")
	if err := Login(t.Context(), host.Local(), Access{Socket: l.socket, User: "rounder", Password: "pa'ss\"w#ord \\ ü"}, l.name); err != nil {
		t.Error(err)
	}
	if err := c.Restore(t.Context(), st, opts); err != nil {
		t.Errorf("restore again: %v", err)
	}

	l.run("CREATE TABLE made_by_application (a INT)")
	for range 2 {
		if err := c.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.picture(); got != spoiled {
		t.Errorf("rolled back database differs:\n%s", diff(spoiled, got))
	}
	if sides := l.sides(); len(sides) != 0 {
		t.Errorf("beside stand %v", sides)
	}
	if err := c.Restore(t.Context(), st, opts); err != nil {
		t.Fatalf("restore after rollback: %v", err)
	}
	for range 2 {
		if err := c.Discard(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if sides := l.sides(); len(sides) != 0 {
		t.Errorf("after discard stand beside %v", sides)
	}
	if got := l.picture(); got != before {
		t.Errorf("after discard differs:\n%s", diff(before, got))
	}
	if err := c.Rollback(t.Context()); err == nil {
		t.Error("rolled back what was discarded")
	}
}

// fill makes everything that a database can hold.
func (l *lab) fill() {
	l.t.Helper()
	l.tables()
	l.hangers("rounder@localhost")
}

func TestRestoreWhereNothingIs(t *testing.T) {
	l := newLab(t)
	l.fill()
	before := l.picture()
	c := l.component(memory(t), nil)
	st, rec := mustCapture(t, c)
	l.run("DROP USER rounder@localhost", "DROP DATABASE "+ident(l.name))
	if err := c.Restore(t.Context(), st, component.RestoreOptions{Record: rec}); err != nil {
		t.Fatal(err)
	}
	if got := l.picture(); got != before {
		t.Errorf("differs:\n%s", diff(before, got))
	}
	if err := c.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := l.picture(); got != "no database" {
		t.Errorf("after rollback there is %s", got)
	}
	if n := l.column("SELECT COUNT(*) FROM mysql.user WHERE User = 'rounder'"); n[0] != "0" {
		t.Error("the account that the restore made is still there")
	}
}

const childVariable = "MYSQL_TEST_CHILD"

// child is a process that restores or rolls back and kills itself at a boundary.
// Its variable holds: verb, boundary number, database, socket, state directory,
// store directory.
func child() {
	f := strings.Split(os.Getenv(childVariable), "|")
	var at int
	_, _ = fmt.Sscan(f[1], &at)
	n := 0
	ctx := boundary.Observe(context.Background(), func(string) {
		if n++; n == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	})
	c, err := New(component.Env{Host: host.Local(), State: f[4], Run: "20261121T0746-x1"}, Options{Database: f[2], Access: Access{Socket: f[3]}}, nil)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	st := &store{streams: map[string][]byte{}}
	for _, name := range []string{c.tablesStream(), c.objectsStream()} {
		if st.streams[name], err = os.ReadFile(f[5] + "/" + strings.ReplaceAll(name, "/", "_")); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	detail, err := os.ReadFile(f[5] + "/detail")
	if err == nil && f[0] == "restore" {
		err = c.Restore(ctx, st, component.RestoreOptions{Record: component.Record{Detail: detail}})
	} else if err == nil {
		err = c.Rollback(ctx)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// runChild tells whether the child was killed; otherwise it ended well.
func runChild(t *testing.T, verb string, at int, l *lab, state, keep string) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+strings.Join([]string{verb, fmt.Sprint(at), l.name, l.socket, state, keep}, "|"))
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return true
	}
	t.Fatalf("child, boundary %d: %v: %s", at, err, out)
	return false
}

// TestKilledAtEveryBoundary kills a restore at each boundary, then either
// resumes it, or rolls it back, killing the rollback too.
func TestKilledAtEveryBoundary(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE a (id INT PRIMARY KEY, v VARCHAR(10)) ENGINE=InnoDB", "CREATE TABLE b (a INT, FOREIGN KEY (a) REFERENCES a (id)) ENGINE=InnoDB", "CREATE TABLE m (x INT) ENGINE=MyISAM",
		"INSERT INTO a VALUES (1, 'old')", "INSERT INTO b VALUES (1)", "INSERT INTO m VALUES (1), (2)",
		"CREATE VIEW v AS SELECT * FROM a", "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW SET NEW.v = 'trg'",
		"CREATE EVENT e ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DO DELETE FROM m",
		"CREATE USER killer@localhost IDENTIFIED BY 'old'", "CREATE USER created@localhost IDENTIFIED BY 'x'",
		"GRANT SELECT ON "+ident(l.name)+".* TO killer@localhost", "GRANT SELECT ON "+ident(l.name)+".* TO created@localhost")
	t.Cleanup(func() { l.run("DROP USER IF EXISTS killer@localhost, created@localhost") })
	captured := l.picture()
	st, rec := mustCapture(t, l.component(memory(t), nil))
	keep := t.TempDir()
	for name, data := range st.streams {
		if err := os.WriteFile(keep+"/"+strings.ReplaceAll(name, "/", "_"), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(keep+"/detail", rec.Detail, 0o600); err != nil {
		t.Fatal(err)
	}
	// The present database differs in every part.
	l.run("DROP USER created@localhost", "DROP VIEW v", "DROP TRIGGER t", "DROP EVENT e", "DROP TABLE b", "UPDATE a SET v = 'new'",
		"CREATE TABLE own (q INT)", "CREATE TRIGGER tn BEFORE INSERT ON own FOR EACH ROW SET NEW.q = 1", "CREATE VIEW vn AS SELECT * FROM own",
		"CREATE PROCEDURE pn() SELECT 1", "SET PASSWORD FOR killer@localhost = PASSWORD('new')",
		"GRANT DELETE ON "+ident(l.name)+".* TO killer@localhost", "ALTER DATABASE "+ident(l.name)+" CHARACTER SET utf8mb4")
	present := l.picture()

	for at := 1; ; at++ {
		state := memory(t)
		killed := runChild(t, "restore", at, l, state, keep)
		if killed && at%2 == 0 { // every other one is resumed first
			if runChild(t, "restore", 0, l, state, keep) {
				t.Fatal("resumed child was killed")
			}
		}
		if !killed || at%2 == 0 {
			if got := l.picture(); got != captured {
				t.Fatalf("boundary %d: resumed restore differs:\n%s", at, diff(captured, got))
			}
		}
		if back := 1 + at%7; runChild(t, "rollback", back*3, l, state, keep) {
			if runChild(t, "rollback", 0, l, state, keep) {
				t.Fatal("rollback was killed")
			}
		}
		if got := l.picture(); got != present {
			t.Fatalf("boundary %d: rolled back database differs:\n%s", at, diff(present, got))
		}
		if sides := l.sides(); len(sides) != 0 {
			t.Fatalf("boundary %d: beside stand %v", at, sides)
		}
		if !killed {
			t.Logf("%d boundaries", at-1)
			return
		}
	}
}

// diff shows the lines that only one of the texts has.
func diff(want, got string) string {
	var b strings.Builder
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for _, s := range missing(w, g) {
		b.WriteString("- " + s + "\n")
	}
	for _, s := range missing(g, w) {
		b.WriteString("+ " + s + "\n")
	}
	return b.String()
}

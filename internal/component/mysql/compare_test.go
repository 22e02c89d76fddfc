package mysql

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/component"
)

// differences compares and gives one line a difference, "!" before a suspicious one.
func differences(t *testing.T, c *Component, st *store, rec component.Record) []string {
	t.Helper()
	var lines []string
	_, err := c.Compare(t.Context(), st, component.CompareOptions{Record: rec, Report: func(d component.Difference) {
		line := fmt.Sprintf("%s %s", d.Kind, d.Path)
		for _, f := range d.Fields {
			if line += " " + f.Name; f.Name == "rows" {
				line += " " + f.Was + "→" + f.Now
			}
		}
		if d.Suspicious {
			line = "! " + line
		}
		lines = append(lines, line)
	}})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

func TestCompare(t *testing.T) {
	l := newLab(t)
	l.tables()
	user := "compared" + l.name + "@localhost"
	l.hangers(user)
	c := l.component(memory(t), nil)
	st, rec := mustCapture(t, c)
	rec.Started = time.Now()
	if got := differences(t, c, st, rec); got != nil {
		t.Fatalf("nothing was changed: %q", got)
	}
	db := l.name
	l.run("INSERT INTO parent VALUES (4)", // InnoDB
		"INSERT INTO log VALUES ('new')", // MyISAM
		"UPDATE machine SET VALUE = 'other' WHERE GUID = 'a'",
		"DROP TABLE nothing", "CREATE TABLE fresh (a INT)",
		"ALTER TABLE gen ENGINE=MyISAM",
		"DROP VIEW a_needs_z", "CREATE OR REPLACE VIEW z_base AS SELECT id, p FROM child",
		"DROP PROCEDURE fill", "CREATE PROCEDURE fill(IN n INT) SELECT n",
		"CREATE TRIGGER added BEFORE DELETE ON clients FOR EACH ROW SET @x = 1",
		"ALTER EVENT off_event ENABLE",
		"ALTER USER "+user+" IDENTIFIED BY 'another secret'")
	want := []string{
		"content account `compared" + db + "`@`localhost` definition",
		"content event off_event definition",
		"content routine fill definition",
		"content table gen engine",
		"content table log rows 0→1",
		"content table machine checksum",
		"content table parent rows 3→4",
		"content view z_base definition",
		"missing table nothing",
		"missing view a_needs_z",
		"new table fresh",
		"new trigger added",
	}
	if got := differences(t, c, st, rec); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// A table that the server says nobody has written to since, and that differs.
	rec.Started = time.Now().Add(time.Hour)
	got := differences(t, c, st, rec)
	for _, table := range []string{"! content table log rows 0→1", "! content table parent rows 3→4"} {
		if !slices.Contains(got, table) {
			t.Errorf("%q is not among %q", table, got)
		}
	}
}

// What a comparison says must not hold values: rows and password hashes are secrets.
func TestCompareTellsNoValues(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE a (x TEXT)", "INSERT INTO a VALUES ('first secret')")
	user := "teller" + l.name + "@localhost"
	l.run("CREATE USER "+user+" IDENTIFIED BY 'second secret'", "GRANT SELECT ON "+ident(l.name)+".* TO "+user)
	t.Cleanup(func() { l.run("DROP USER " + user) })
	c := l.component(memory(t), nil)
	st, rec := mustCapture(t, c)
	l.run("UPDATE a SET x = 'third secret'", "ALTER USER "+user+" IDENTIFIED BY 'fourth secret'")
	var said []string
	result, err := c.Compare(t.Context(), st, component.CompareOptions{Record: rec, Report: func(d component.Difference) { said = append(said, fmt.Sprintf("%+v", d)) }})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(append(said, fmt.Sprintf("%+v", result)), "\n")
	if len(said) != 2 || strings.Contains(text, "secret") || strings.Contains(text, "IDENTIFIED") || strings.Contains(text, "*") {
		t.Errorf("said:\n%s", text)
	}
}

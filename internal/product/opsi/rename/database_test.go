package rename

import (
	"context"
	"database/sql"
	_ "embed"
	"os"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/mysqld"
	"lifeboat/internal/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Init() // the private database server starts through it
	os.Exit(m.Run())
}

//go:embed testdata/schema.sql
var schemaText string

// live is a database of a real server.
type live struct{ db *sql.DB }

func (l live) Query(ctx context.Context, statement string) ([][]string, error) {
	rows, err := l.db.QueryContext(ctx, statement)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, _ := rows.Columns()
	var all [][]string
	for rows.Next() {
		cells, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make([]string, len(columns))
		for i, c := range cells {
			if row[i] = c.String; !c.Valid {
				row[i] = "NULL"
			}
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

func (l live) Transact(ctx context.Context, statements []string) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for _, s := range statements {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// rows are all rows of all tables, as one line each.
func (l live) rows(t *testing.T) []string {
	t.Helper()
	s, err := readSchema(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, table := range sortedKeys(s.columns) {
		rows, err := l.Query(t.Context(), "SELECT * FROM "+name(table))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			all = append(all, table+" "+strings.Join(r, "|"))
		}
	}
	slices.Sort(all)
	return all
}

func start(t *testing.T) *mysqld.Server {
	t.Helper()
	server, err := mysqld.Start(t.Context(), mysqld.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	return server
}

func load(t *testing.T, server *mysqld.Server, database, change, licence string) live {
	t.Helper()
	admin, err := sql.Open("mysql", server.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.Exec("CREATE DATABASE " + database); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("mysql", server.DSN(database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	text := strings.NewReplacer("%CHANGE%", change, "%LICENCE%", licence).Replace(schemaText)
	for statement := range strings.SplitSeq(text, ";\n") {
		if strings.TrimSpace(statement) == "" {
			continue
		}
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%v in %s", err, statement)
		}
	}
	return live{db}
}

var names = Names{Old: "opsi.old.example", New: "srv2.new.example"}

// expected are the rows that go and those that come, in either schema.
var gone = []string{
	`CONFIG_STATE clientconfig.configserver.url|pc1.old.example|["https://opsi.old.example:4447/rpc", "https://opsi:4447/opsi"]`,
	`CONFIG_STATE clientconfig.depot.id|pc1.old.example|["opsi.old.example"]`,
	`CONFIG_STATE clientconfig.depot.id|srv2.new.example|["opsi.old.example"]`,
	`CONFIG_STATE path|opsi.old.example|["/srv/opsi/ä", "\\\\opsi\\opsi_depot"]`,
	`CONFIG_STATE path|srv2.new.example|["https://opsi.old.example/of-the-removed"]`,
	`CONFIG_VALUE 1|clientconfig.depot.id|opsi.old.example|1`,
	`CONFIG_VALUE 3|clientconfig.depot.id|srv2.new.example|0`,
	`CONFIG_VALUE 4|clientconfig.configserver.url|https://opsi.old.example:4447/rpc|1`,
	`HARDWARE_CONFIG_BIOS 1|opsi.old.example`,
	`HARDWARE_CONFIG_BIOS 3|srv2.new.example`,
	`HOST depot.old.example|OpsiDepotserver|Second||52:54:00:00:00:02|1123456789abcdef0123456789abcdef|2020-02-02 02:02:02|file:///var/lib/opsi/depot|smb://depot/opsi_depot|webdavs://depot.old.example:4447/depot|NULL|webdavs://opsi.old.example:4447/mirror|NULL|NULL|opsi.old.example`,
	`HOST opsi.old.example|OpsiConfigserver|The server|opsi.old.example is the one|52:54:00:00:00:01|0123456789abcdef0123456789abcdef|2020-02-02 02:02:02|file:///var/lib/opsi/depot|smb://opsi/opsi_depot|webdavs://opsi.old.example:4447/depot|NULL|webdavs://opsi.old.example:4447/repository|NULL|smb://opsi/opsi_workbench|NULL`,
	`HOST srv2.new.example|OpsiClient|was to be replaced||52:54:00:00:00:09|4123456789abcdef0123456789abcdef|2020-02-02 02:02:02|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL`,
	`OBJECT_TO_GROUP HostGroup|servers|opsi.old.example`,
	`PRODUCT_ON_CLIENT firefox|srv2.new.example`,
	`PRODUCT_ON_DEPOT firefox|opsi.old.example`,
	`PRODUCT_ON_DEPOT opsi|opsi.old.example`,
	`PRODUCT_PROPERTY_STATE 1|opsi|server|opsi.old.example|["opsi.old.example"]`,
	`PRODUCT_PROPERTY_VALUE 1|opsi|server|opsi.old.example|1`,
	`PRODUCT_PROPERTY_VALUE 2|opsi|share|\\opsi\x|0`,
	`SOFTWARE_LICENSE l1|opsi.old.example`,
	`SOFTWARE_LICENSE l2|srv2.new.example`,
}

var come = []string{
	`CONFIG_STATE clientconfig.configserver.url|pc1.old.example|["https://srv2.new.example:4447/rpc", "https://srv2:4447/opsi"]`,
	`CONFIG_STATE clientconfig.depot.id|pc1.old.example|["srv2.new.example"]`,
	`CONFIG_STATE path|srv2.new.example|["/srv/opsi/ä", "\\\\srv2\\opsi_depot"]`,
	`CONFIG_VALUE 3|clientconfig.depot.id|srv2.new.example|1`,
	`CONFIG_VALUE 4|clientconfig.configserver.url|https://srv2.new.example:4447/rpc|1`,
	`HARDWARE_CONFIG_BIOS 1|srv2.new.example`,
	`HOST depot.old.example|OpsiDepotserver|Second||52:54:00:00:00:02|1123456789abcdef0123456789abcdef|2020-02-02 02:02:02|file:///var/lib/opsi/depot|smb://depot/opsi_depot|webdavs://depot.old.example:4447/depot|NULL|webdavs://srv2.new.example:4447/mirror|NULL|NULL|srv2.new.example`,
	`HOST srv2.new.example|OpsiConfigserver|The server|opsi.old.example is the one|52:54:00:00:00:01|0123456789abcdef0123456789abcdef|2020-02-02 02:02:02|file:///var/lib/opsi/depot|smb://srv2/opsi_depot|webdavs://srv2.new.example:4447/depot|NULL|webdavs://srv2.new.example:4447/repository|NULL|smb://srv2/opsi_workbench|NULL`,
	`PRODUCT_ON_DEPOT firefox|srv2.new.example`,
	`PRODUCT_ON_DEPOT opsi|srv2.new.example`,
	`PRODUCT_PROPERTY_STATE 1|opsi|server|srv2.new.example|["srv2.new.example"]`,
	`PRODUCT_PROPERTY_VALUE 1|opsi|server|srv2.new.example|1`,
	`PRODUCT_PROPERTY_VALUE 2|opsi|share|\\srv2\x|0`,
	`SOFTWARE_LICENSE l1|srv2.new.example`,
	`SOFTWARE_LICENSE l2|NULL`,
}

// Exactly the expected rows differ, whether foreign keys refuse a change of the
// id (opsi 4.2) or would take hosts away from their licences (opsi 4.3).
func TestDatabase(t *testing.T) {
	server := start(t)
	for version, change := range map[string][2]string{
		"opsi42": {"", ""},
		"opsi43": {"ON UPDATE CASCADE ON DELETE CASCADE", "ON UPDATE SET NULL ON DELETE SET NULL"},
	} {
		t.Run(version, func(t *testing.T) {
			db := load(t, server, version, change[0], change[1])
			before := db.rows(t)
			p, err := PlanDatabase(t.Context(), db, names)
			if err != nil {
				t.Fatal(err)
			}
			if now := db.rows(t); !slices.Equal(now, before) {
				t.Fatal("a plan changes something")
			}
			if err := p.Apply(t.Context(), db); err != nil {
				t.Fatal(err)
			}
			after := db.rows(t)
			diff(t, "went", subtract(before, after), gone)
			diff(t, "came", subtract(after, before), come)

			if want := []string{
				"HOST.notes: opsi.old.example is the one",
				"opsi.old.example in a path, or written with escapes: CONFIG_VALUE.value of 5",
				"“opsi” alone, which may be the server's short name: PRODUCT_PROPERTY_STATE.values of 2",
			}; !slices.Equal(p.Left, want) {
				t.Errorf("left: %q", p.Left)
			}
			if len(p.Removed) == 0 || !strings.Contains(p.Removed[0], "was to be replaced") {
				t.Errorf("removed: %q", p.Removed)
			}
			again, err := PlanDatabase(t.Context(), db, names)
			if err != nil {
				t.Fatal(err)
			}
			if !again.Empty() || len(again.Changes)+len(again.Removed) > 0 {
				t.Errorf("a second plan has %q", again.statements)
			}
			aside(t, db, p, before)
		})
	}
}

// aside brings the removed rows back under another id, to see that they are whole.
func aside(t *testing.T, db live, p *DatabasePlan, before []string) {
	t.Helper()
	tx, err := db.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.Exec("SET SESSION foreign_key_checks = 0"); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"HOST", "CONFIG_STATE", "HARDWARE_CONFIG_BIOS", "PRODUCT_ON_CLIENT", "SOFTWARE_LICENSE"} {
		if _, err := tx.Exec("DELETE FROM " + table); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range p.Aside {
		if strings.Contains(s, "OBJECT_TO_GROUP") {
			continue // the server has its place
		}
		if strings.HasPrefix(s, "UPDATE `SOFTWARE_LICENSE` SET `boundToHost` = 'srv2.new.example' WHERE `softwareLicenseId` = 'l2';") {
			continue
		}
		if _, err := tx.Exec(s); err != nil || strings.HasPrefix(s, "UPDATE") {
			t.Errorf("%v in %s", err, s)
		}
	}
	var description, state string
	if err := tx.QueryRow("SELECT h.description, s.`values` FROM HOST h JOIN CONFIG_STATE s ON s.objectId = h.hostId WHERE configId = 'path'").Scan(&description, &state); err != nil {
		t.Fatal(err)
	}
	if description != "was to be replaced" || state != `["https://opsi.old.example/of-the-removed"]` {
		t.Errorf("brought back %q and %q", description, state)
	}
}

func TestDatabaseRefuses(t *testing.T) {
	db := load(t, start(t), "opsi", "", "")
	for _, n := range []Names{
		{"pc1.old.example", "x.new.example"},
		{"nobody.old.example", "x.new.example"},
		{"opsi.old.example", "x"},
	} {
		if _, err := PlanDatabase(t.Context(), db, n); err == nil {
			t.Errorf("%v is planned", n)
		} else {
			t.Log(err)
		}
	}
	before := db.rows(t)
	p, err := PlanDatabase(t.Context(), db, Names{"opsi.old.example", "x.new.example"})
	if err != nil {
		t.Fatal(err)
	}
	p.statements = append(p.statements, "UPDATE NOWHERE SET a = 1")
	if p.Apply(t.Context(), db) == nil {
		t.Error("an impossible statement is no error")
	}
	if !slices.Equal(db.rows(t), before) {
		t.Error("half of a plan was carried out")
	}
}

func subtract(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

func diff(t *testing.T, what string, got, want []string) {
	t.Helper()
	for _, s := range subtract(got, want) {
		t.Errorf("%s, but should not: %s", what, s)
	}
	for _, s := range subtract(want, got) {
		t.Errorf("should have %s: %s", what, s)
	}
}

package smt

import (
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/lab/machine"
)

//go:embed schema/*.sql
var schemas embed.FS

func ddl(name string) (string, error) {
	raw, err := schemas.ReadFile("schema/" + name + ".sql")
	return string(raw), err
}

// dropIndex is SMT's one stored procedure; its body names the database.
const dropIndex = `CREATE PROCEDURE smt.drop_index_if_exists(IN tbl varchar(64), IN idx varchar(64))
BEGIN
  IF (SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = 'smt' AND table_name = tbl AND index_name = idx) > 0 THEN
    SET @stmt = CONCAT('DROP INDEX ', idx, ' ON smt.', tbl);
    PREPARE s FROM @stmt;
    EXECUTE s;
    DEALLOCATE PREPARE s;
  END IF;
END`

// createDatabase makes an empty database of that schema and the user smt.
func createDatabase(s Spec, password string) (*sql.DB, error) {
	root, err := machine.OpenRoot("")
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if _, err := root.Exec("CREATE DATABASE smt CHARACTER SET latin1"); err != nil {
		return nil, err
	}
	// A fresh server may know the user from before.
	for _, stmt := range []string{
		"CREATE USER IF NOT EXISTS 'smt'@'localhost'",
		"ALTER USER 'smt'@'localhost' IDENTIFIED BY " + quote(password),
		"GRANT ALL PRIVILEGES ON smt.* TO 'smt'@'localhost'",
	} {
		if _, err := root.Exec(stmt); err != nil {
			return nil, fmt.Errorf("database user: %w", err)
		}
	}
	db, err := machine.OpenRoot(databaseName)
	if err != nil {
		return nil, err
	}
	text, err := ddl(s.Schema)
	if err == nil {
		_, err = db.Exec(text)
	}
	if err == nil && s.Schema == "3.09" {
		err = createProcedure(password)
	}
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("schema %s: %w", s.Schema, err)
	}
	return db, nil
}

// createProcedure makes it as SMT's own migrations do: as SMT's own user, who is
// its definer then.
func createProcedure(password string) error {
	db, err := machine.OpenDB("smt", password, databaseName)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(dropIndex)
	return err
}

// quote makes a string literal of SQL.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// connect opens the database as SMT does, with what smt.conf says.
func connect() (*sql.DB, settings, error) {
	conf, err := readSettings()
	if err != nil {
		return nil, nil, err
	}
	dsn := conf["DB"]["config"]
	if !strings.HasPrefix(strings.ToLower(dsn), "dbi:mysql:") {
		return nil, nil, fmt.Errorf("%s: unusable database configuration %q", Config, dsn)
	}
	name := ""
	for _, part := range strings.Split(dsn[len("dbi:mysql:"):], ";") {
		if key, value, _ := strings.Cut(part, "="); key == "database" {
			name = value
		}
	}
	db, err := machine.OpenDB(conf["DB"]["user"], conf["DB"]["pass"], name)
	return db, conf, err
}

// upgrades are the known steps of the schema: from, to.
var upgrades = [][2]string{{"0.09", "0.14"}, {"3.08", "3.09"}}

var errNoUpgradePath = errors.New("smt-db: Was not able to find upgrade path")

// installedSchema reads what version the installed package needs from its
// Perl module.
func installedSchema() (string, error) {
	raw, err := readFile(module)
	if err != nil {
		return "", err
	}
	_, rest, ok := strings.Cut(raw, "$SMT::SCHEMA_VERSION = ")
	if !ok {
		return "", fmt.Errorf("%s names no schema version", module)
	}
	version, _, _ := strings.Cut(rest, ";")
	return strings.Trim(version, "'\" "), nil
}

// migrate brings the database to the installed version, as smt-db does at each
// start of SMT. While it works the version row has another name.
func migrate(db *sql.DB) (from, to string, err error) {
	if to, err = installedSchema(); err != nil {
		return "", "", err
	}
	var version float64
	if err := db.QueryRow("SELECT version FROM migration_schema_version WHERE name = 'smt'").Scan(&version); err != nil {
		return "", to, fmt.Errorf("schema version: %w", err)
	}
	for from = fmt.Sprintf("%.2f", version); from != to; {
		next := ""
		for _, u := range upgrades {
			if u[0] == from {
				next = u[1]
			}
		}
		if next == "" {
			return from, to, fmt.Errorf("%w from %s to %s", errNoUpgradePath, from, to)
		}
		text, err := ddl(from + "-" + next)
		if err != nil {
			return from, to, err
		}
		working := "smt-schema-from-" + time.Now().Format("20060102150405")
		for _, step := range []string{
			fmt.Sprintf("UPDATE migration_schema_version SET name = '%s' WHERE name = 'smt'", working),
			text,
			fmt.Sprintf("UPDATE migration_schema_version SET name = 'smt', version = %s WHERE name = '%s'", next, working),
		} {
			if _, err := db.Exec(step); err != nil {
				return from, to, fmt.Errorf("migrate from %s to %s: %w", from, next, err)
			}
		}
		from = next
	}
	return from, to, nil
}

// hasColumn tells whether a table has a column.
func hasColumn(db *sql.DB, table, column string) bool {
	var n int
	err := db.QueryRow("SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? AND column_name = ?", table, column).Scan(&n)
	return err == nil && n > 0
}

// hasTable tells whether there is a table.
func hasTable(db *sql.DB, table string) bool {
	var n int
	err := db.QueryRow("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?", table).Scan(&n)
	return err == nil && n > 0
}

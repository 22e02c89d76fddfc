package opsi

import (
	"database/sql"
	"embed"
	"fmt"
	"os"
	"regexp"
	"strings"

	"lifeboat/internal/lab/machine"
)

//go:embed schema/*.sql
var schemas embed.FS

// schemaVersion is what OPSI_SCHEMA says of each line's database.
var schemaVersion = map[string]int{"4.2": 8, "4.3": 13}

func (s Spec) line() string {
	if s.Variant == MySQL {
		return "4.3"
	}
	return "4.2"
}

// createDatabase makes an empty database of the version and the user opsi.
func createDatabase(s Spec, password string) (*sql.DB, error) {
	root, err := machine.OpenRoot("")
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if _, err := root.Exec("CREATE DATABASE IF NOT EXISTS " + databaseName + " CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci"); err != nil {
		return nil, fmt.Errorf("create the database: %w", err)
	}
	if err := createUser(root, password); err != nil {
		return nil, err
	}
	db, err := machine.OpenRoot(databaseName)
	if err != nil {
		return nil, err
	}
	text, err := schemas.ReadFile("schema/" + s.line() + ".sql")
	if err == nil {
		_, err = db.Exec(string(text))
	}
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("schema %s: %w", s.line(), err)
	}
	return db, nil
}

// createUser makes opsi's user; a fresh server may know it from before.
func createUser(root *sql.DB, password string) error {
	for _, stmt := range []string{
		"CREATE USER IF NOT EXISTS 'opsi'@'localhost'",
		"ALTER USER 'opsi'@'localhost' IDENTIFIED BY " + quote(password),
		"GRANT ALL PRIVILEGES ON " + databaseName + ".* TO 'opsi'@'localhost'",
	} {
		if _, err := root.Exec(stmt); err != nil {
			return fmt.Errorf("database user: %w", err)
		}
	}
	return nil
}

// quote makes a string literal of SQL.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// python makes a string literal of Python.
func python(s string) string {
	return `u"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

var setting = regexp.MustCompile(`(?m)^\s*"(\w+)"\s*:\s*u?"((?:[^"\\]|\\.)*)"`)

// readConf reads the strings of a backend's configuration.
func readConf(path string) (map[string]string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, found := range setting.FindAllStringSubmatch(string(raw), -1) {
		values[found[1]] = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(found[2])
	}
	return values, nil
}

// connect opens the database as opsi does, with what mysql.conf says.
func connect() (*sql.DB, error) {
	conf, err := readConf(mysqlConf)
	if err != nil {
		return nil, err
	}
	network, address := "tcp", conf["address"]
	switch {
	case strings.HasPrefix(address, "/"):
		network = "unix"
	case address == "localhost":
		network, address = "unix", machine.Socket
	default:
		address += ":3306"
	}
	return machine.Connect(network, address, conf["username"], conf["password"], conf["database"])
}

// null turns an empty text into NULL.
func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

package profile

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/strict"
)

// dsnParts are the words for the parts of a data source name.
var dsnParts = []string{"driver", "database", "host", "port", "socket"}

type dsnOptions struct {
	DSN  string `yaml:"dsn" short:"true" jsonschema:"required"` // usually ${another_setting}
	Part string `yaml:"part" jsonschema:"required,enum=driver,enum=database,enum=host,enum=port,enum=socket"`
}

// Validate checks the part's name.
func (o *dsnOptions) Validate() error {
	if !slices.Contains(dsnParts, o.Part) {
		return fmt.Errorf("unknown part %s%s", o.Part, strict.Suggest(o.Part, dsnParts))
	}
	return nil
}

func readDSN(_ context.Context, _ Scope, o *dsnOptions) (string, bool, error) {
	parts, err := parseDSN(o.DSN)
	if err != nil {
		return "", false, err
	}
	value := parts[o.Part]
	return value, value != "", nil
}

// parseDSN reads a data source name as Perl's DBI and DBD::mysql do:
// dbi:DRIVER(attributes):name=value;name=value, where plain values in the place
// of the first three pairs are database, host and port. The word dbi is taken in
// any case.
func parseDSN(dsn string) (map[string]string, error) {
	scheme, rest, ok := strings.Cut(dsn, ":")
	driver, text, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 || !strings.EqualFold(strings.TrimSpace(scheme), "dbi") {
		return nil, fmt.Errorf("no data source name of the form dbi:driver:database=name")
	}
	driver, _, _ = strings.Cut(driver, "(")
	parts := map[string]string{"driver": strings.ToLower(strings.TrimSpace(driver))}
	plain := []string{"database", "host", "port"}
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ';' || r == ':' }) {
		name, value, named := strings.Cut(word, "=")
		if !named {
			if len(plain) > 0 {
				parts[plain[0]] = strings.TrimSpace(word)
				plain = plain[1:]
			}
			continue
		}
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case "db", "dbname":
			name = "database"
		case "mysql_socket", "mariadb_socket":
			name = "socket"
		case "hostname":
			name = "host"
		}
		parts[name] = strings.TrimSpace(value)
	}
	return parts, nil
}

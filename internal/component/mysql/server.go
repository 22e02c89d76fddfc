package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"lifeboat/internal/host"
)

// Error numbers of the server, from its manual.
const (
	errAccessDenied     = 1045
	errDatabaseDenied   = 1044
	errUnknownDatabase  = 1049
	errSyntax           = 1064
	errUnknownCharset   = 1115
	errNoSuchGrant      = 1141
	errNoSuchTable      = 1146
	errNoTableGrant     = 1147
	errNeedsPrivilege   = 1227
	errUnknownCollation = 1273
	errCannotUser       = 1396
	errNoRoutineGrant   = 1403
	errTooLong          = 1969 // MariaDB's, of max_statement_time
	errSocketDenied     = 1698 // MariaDB's, of an account without a password
)

// isError tells whether err is the server's error of one of the numbers.
func isError(err error, numbers ...uint16) bool {
	var e *driver.MySQLError
	if !errors.As(err, &e) {
		return false
	}
	for _, n := range numbers {
		if e.Number == n {
			return true
		}
	}
	return false
}

// server is an open way into a server. It is safe for concurrent use.
type server struct {
	db      *sql.DB
	login   login
	host    *host.Host
	version version
}

// version is what a server or tool says it is.
type version struct {
	text         string
	maria        bool
	major, minor int
}

// series is the version without its patch level: "mariadb 10.11".
func (v version) series() string {
	name := "mysql"
	if v.maria {
		name = "mariadb"
	}
	return fmt.Sprintf("%s %d.%d", name, v.major, v.minor)
}

func (v version) atLeast(major, minor int) bool {
	return v.major > major || v.major == major && v.minor >= minor
}

func parseVersion(text string) version {
	v := version{text: text, maria: strings.Contains(strings.ToLower(text), "mariadb")}
	numbers := strings.SplitN(strings.TrimPrefix(text, "5.5.5-"), ".", 3)
	v.major, _ = strconv.Atoi(numbers[0])
	if len(numbers) > 1 {
		v.minor, _ = strconv.Atoi(numbers[1])
	}
	return v
}

// connect gets into the server as administrator.
func connect(ctx context.Context, h *host.Host, a Access, database string) (*server, error) {
	ways, err := a.administrators(h)
	if err != nil {
		return nil, err
	}
	return open(ctx, h, ways, a, database)
}

// open takes the first way that leads in.
func open(ctx context.Context, h *host.Host, ways []login, a Access, database string) (*server, error) {
	if len(ways) == 0 {
		return nil, errors.New("no way into the database server: no socket found and no user configured; is the database service running?")
	}
	var tried []error
	for _, l := range ways {
		s, err := l.open(ctx, h, a, database)
		if err == nil {
			return s, nil
		}
		if isError(err, errUnknownDatabase) {
			return nil, fmt.Errorf("%s: %w", l.how, err)
		}
		tried = append(tried, fmt.Errorf("%s: %w", l.how, err))
	}
	return nil, fmt.Errorf("cannot get into the database server (is it running? name an option file with an administrator's access in defaults_file): %w", errors.Join(tried...))
}

func (l login) open(ctx context.Context, h *host.Host, a Access, database string) (*server, error) {
	cfg, err := l.config(h, database)
	if err != nil {
		return nil, err
	}
	connector, err := driver.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	s := &server{db: sql.OpenDB(connector), login: l, host: h}
	var text, port string
	if err := s.db.QueryRowContext(ctx, "SELECT VERSION(), @@port").Scan(&text, &port); err != nil {
		s.close()
		return nil, err
	}
	if l.guessed && a.Port != "" && a.Port != port && port != "0" {
		s.close()
		return nil, fmt.Errorf("that server listens on port %s, the database is on port %s", port, a.Port)
	}
	s.version = parseVersion(text)
	return s, nil
}

func (s *server) close() { _ = s.db.Close() }

// exec runs one statement.
func (s *server) exec(ctx context.Context, statement string) error {
	_, err := s.db.ExecContext(ctx, statement)
	return describe(err, statement)
}

// query returns the rows of one statement as text.
func (s *server) query(ctx context.Context, statement string, args ...any) ([][]string, error) {
	return query(ctx, s.db, statement, args...)
}

// querier is a pool or one connection of it.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func query(ctx context.Context, q querier, statement string, args ...any) ([][]string, error) {
	rows, err := q.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, describe(err, statement)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, describe(err, statement)
	}
	var all [][]string
	for rows.Next() {
		cells := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, describe(err, statement)
		}
		row := make([]string, len(columns))
		for i, cell := range cells {
			if row[i] = cell.String; !cell.Valid {
				row[i] = "NULL"
			}
		}
		all = append(all, row)
	}
	return all, describe(rows.Err(), statement)
}

// column returns the first column of the rows of one statement.
func column(ctx context.Context, q querier, statement string, args ...any) ([]string, error) {
	rows, err := query(ctx, q, statement, args...)
	if err != nil {
		return nil, err
	}
	first := make([]string, 0, len(rows))
	for _, row := range rows {
		first = append(first, row[0])
	}
	return first, nil
}

// describe adds the beginning of the statement to an error, without what may be
// a secret.
func describe(err error, statement string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", brief(statement), err)
}

// secretWord begins the part of an account statement that holds a password or
// its hash.
var secretWord = regexp.MustCompile(`(?i) (IDENTIFIED |PASSWORD)`)

// brief is the beginning of a statement, for messages and journals. Statements
// about accounts hold password hashes and are cut before them.
func brief(statement string) string {
	text := strings.Join(strings.Fields(statement[:min(len(statement), 400)]), " ")
	if at := secretWord.FindStringIndex(text); at != nil {
		text = text[:at[0]] + " …"
	}
	if len(text) > 120 {
		text = strings.ToValidUTF8(text[:120], "") + " …"
	}
	return text
}

// ident quotes a name for a statement.
func ident(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// table quotes a table's full name.
func table(database, name string) string { return ident(database) + "." + ident(name) }

// literal quotes a text for a statement in our SQL mode.
func literal(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\x00", `\0`).Replace(text) + "'"
}

// exists tells whether the server has a database of that name.
func (s *server) exists(ctx context.Context, database string) (bool, error) {
	found, err := s.query(ctx, "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", database)
	return len(found) > 0, err
}

package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// session is one connection. It is not safe for concurrent use.
type session struct{ conn *pgx.Conn }

func (s *session) close() { _ = s.conn.Close(context.Background()) }

// prepare makes texts of values independent of what server and role are set to, and
// has the server refuse where row security would hide rows.
func (s *session) prepare(ctx context.Context) error {
	return s.exec(ctx, `SET search_path = ''; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC';
		SET extra_float_digits = 3; SET bytea_output = 'hex'; SET xmlbinary = 'base64'; SET row_security = off;
		SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET client_min_messages = 'warning'`)
}

// exec runs statements without values.
func (s *session) exec(ctx context.Context, statements string) error {
	_, err := s.conn.PgConn().Exec(ctx, statements).ReadAll()
	return err
}

// rows returns what a statement answers, as text. NULL is the text "NULL".
func (s *session) rows(ctx context.Context, statement string) ([][]string, error) {
	results, err := s.conn.PgConn().Exec(ctx, statement).ReadAll()
	if err != nil || len(results) == 0 {
		return nil, err
	}
	var all [][]string
	for _, values := range results[len(results)-1].Rows {
		row := make([]string, len(values))
		for i, value := range values {
			row[i] = "NULL"
			if value != nil {
				row[i] = string(value)
			}
		}
		all = append(all, row)
	}
	return all, nil
}

// texts returns the first column of what a statement answers.
func (s *session) texts(ctx context.Context, statement string, args ...any) ([]string, error) {
	rows, err := s.conn.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// exists tells whether the server has a database of that name.
func (s *session) exists(ctx context.Context, database string) (there bool, err error) {
	err = s.conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)`, database).Scan(&there)
	return there, err
}

func (s *session) roleExists(ctx context.Context, role string) (there bool, err error) {
	err = s.conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)`, role).Scan(&there)
	return there, err
}

// may returns why the connection's role has not the attribute.
func (s *session) may(ctx context.Context, attribute string) error {
	var name string
	var yes bool
	if err := s.conn.QueryRow(ctx, `SELECT rolname, `+attribute+` FROM pg_catalog.pg_roles WHERE rolname = current_user`).Scan(&name, &yes); err != nil {
		return err
	}
	if !yes {
		return fmt.Errorf("role %s has not the right", name)
	}
	return nil
}

// freed runs a statement about databases that nobody may be connected to, whose
// connections it ends. They may come back in between, so it tries more than once.
func (s *session) freed(ctx context.Context, statement string, databases ...string) error {
	var err error
	for range 20 {
		_, err = s.conn.Exec(ctx, `SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a
			WHERE a.datname = ANY ($1) AND a.pid <> pg_catalog.pg_backend_pid() AND a.usename IS NOT NULL
			AND (a.usename = current_user OR (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user))`, databases)
		if err != nil {
			return err
		}
		// The server itself waits some seconds for the others to be gone.
		if err = s.exec(ctx, statement); err == nil || !isState(err, stateInUse) {
			return err
		}
	}
	return fmt.Errorf("programs keep connecting to %s; stop them: %w", strings.Join(databases, ", "), err)
}

// drop removes a database, if it is there.
func (s *session) drop(ctx context.Context, database string) error {
	there, err := s.exists(ctx, database)
	if err != nil || !there {
		return err
	}
	return s.freed(ctx, "DROP DATABASE "+ident(database), database)
}

// rename gives databases other names, all or none: what comes in one message is one
// transaction (postgresql.org/docs/current/protocol-flow.html).
func (s *session) rename(ctx context.Context, names ...[2]string) error {
	var statements, databases []string
	for _, n := range names {
		statements = append(statements, "ALTER DATABASE "+ident(n[0])+" RENAME TO "+ident(n[1]))
		databases = append(databases, n[0])
	}
	return s.freed(ctx, strings.Join(statements, "; "), databases...)
}

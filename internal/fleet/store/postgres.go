package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

const (
	// connections is how many each server opens at most.
	connections = 16
	// attempts is how often a change is begun before it is given up. Those that lose
	// against another begin again at once, behind the audit log's lock.
	attempts = 60
	// migrating is the advisory lock of those who change the tables.
	migrating = 0x6c69666562 // "lifeb"
)

// postgresEngine runs each change in a SERIALIZABLE transaction, which PostgreSQL
// makes fail where what it read has changed meanwhile, and repeats it. See
// https://www.postgresql.org/docs/current/transaction-iso.html.
type postgresEngine struct{ db *sql.DB }

func (s *Store) openPostgres(ctx context.Context, url string) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		// pgx hides a password that it finds; where it cannot read the URL it may not.
		return errors.New("the URL of the PostgreSQL database cannot be read; give postgres://USER@HOST:PORT/NAME?sslmode=verify-full, and the password by PGPASSFILE")
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "lifeboat"
	}
	// A server that has stalled must not hold others up for ever.
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "60000"
	s.db = stdlib.OpenDB(*config, stdlib.OptionAfterConnect(prepare))
	s.db.SetMaxOpenConns(connections)
	s.db.SetMaxIdleConns(connections)
	s.now = `(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint`
	s.engine = postgresEngine{s.db}
	if err := migratePostgres(ctx, s.db); err != nil {
		return errors.Join(err, s.db.Close())
	}
	return nil
}

// prepare sets a connection up.
func prepare(ctx context.Context, conn *pgx.Conn) error {
	// Every statement of ours finds its rows by an index and is planned once. Without
	// statistics, and as long as it reckons with the values of each call, the planner
	// reads all hosts to find one, which takes three times as long. Servers that do
	// not know these settings do without.
	for _, set := range []string{`SET enable_seqscan = off`, `SET plan_cache_mode = force_generic_plan`} {
		var refused *pgconn.PgError
		if _, err := conn.Exec(ctx, set); err != nil && !errors.As(err, &refused) {
			return err
		}
	}
	return durable(ctx, conn)
}

// durable sees to it that a commit is on the disk when it returns, whatever the
// database is set to; stricter settings stay.
func durable(ctx context.Context, conn *pgx.Conn) error {
	var setting string
	if err := conn.QueryRow(ctx, `SHOW synchronous_commit`).Scan(&setting); err != nil {
		return err
	}
	if setting != "off" {
		return nil
	}
	_, err := conn.Exec(ctx, `SET synchronous_commit = on`)
	return err
}

func migratePostgres(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(migrating)); err != nil {
		return err
	}
	err = migrate(ctx, goose.DialectPostgres, db)
	_, unlock := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(migrating))
	return errors.Join(err, unlock)
}

// compact writes the tables anew that may have held what was open once, see
// https://www.postgresql.org/docs/current/sql-vacuum.html.
func (e postgresEngine) compact(ctx context.Context) error {
	for _, table := range []string{"versions", "events"} {
		if _, err := e.db.ExecContext(ctx, "VACUUM FULL "+table); err != nil {
			return fmt.Errorf("write the table %s anew: %w", table, err)
		}
	}
	return nil
}

func (e postgresEngine) close() error { return nil }

func (e postgresEngine) read(ctx context.Context, f func(*tx) error) error {
	for n := 1; ; n++ {
		_, err := e.once(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", f)
		if !lost(err) || n >= 5 || !pause(ctx, n) {
			return err
		}
	}
}

// ask needs no transaction of its own: PostgreSQL gives each statement one.
func (e postgresEngine) ask(ctx context.Context, f func(*tx) error) error {
	for n := 1; ; n++ {
		err := e.alone(ctx, f)
		if !lost(err) || n >= 5 || !pause(ctx, n) {
			return err
		}
	}
}

func (e postgresEngine) alone(ctx context.Context, f func(*tx) error) error {
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	t := &tx{ctx: ctx, run: numbered{conn}}
	if err := f(t); err != nil {
		if lost(t.failed) {
			err = t.failed
		}
		return err
	}
	return t.failed
}

func (e postgresEngine) change(ctx context.Context, f func(*tx) error) error {
	const begin = "BEGIN ISOLATION LEVEL SERIALIZABLE"
	command, broken := begin, 0
	for n := 1; ; n++ {
		audited, err := e.once(ctx, command, f)
		switch {
		case lost(err):
			broken++
		case !again(err):
			return err
		}
		if audited {
			// Taken before anything is read, this lock lets no other entry be written
			// between what is read and what is written. LOCK takes no snapshot.
			command = begin + "; LOCK TABLE audit_head IN SHARE ROW EXCLUSIVE MODE"
		}
		if n >= attempts || broken >= 5 || !pause(ctx, n) {
			return err
		}
	}
}

// once runs f in one transaction. A failed one has changed nothing.
func (e postgresEngine) once(ctx context.Context, begin string, f func(*tx) error) (audited bool, err error) {
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	id, err := start(ctx, conn, begin)
	if err != nil {
		discard(conn)
		return false, err
	}
	done := false
	defer func() {
		if !done { // f has failed or panicked
			if _, err := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); err != nil {
				discard(conn)
			}
		}
	}()
	t := &tx{ctx: ctx, run: numbered{conn}, eager: !strings.Contains(begin, "LOCK")}
	if err := f(t); err != nil {
		if t.failed != nil && (lost(t.failed) || again(t.failed)) {
			err = t.failed // whatever f has made of it
		}
		return t.audited, err
	}
	if t.failed != nil {
		return t.audited, t.failed
	}
	if err := ctx.Err(); err != nil {
		return t.audited, err
	}
	done = true
	// From here on the answer counts, not who waits for it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if _, err = conn.ExecContext(ctx, "COMMIT"); err == nil {
		return t.audited, nil
	}
	discard(conn)
	if lost(err) && id != 0 {
		err = e.settle(ctx, id, err)
	}
	return t.audited, err
}

// start begins a transaction and gives its number, 0 for one that only reads. All of
// it is one message to the server.
func start(ctx context.Context, conn *sql.Conn, begin string) (id int64, err error) {
	writes := !strings.HasSuffix(begin, "READ ONLY")
	if writes {
		begin += "; SELECT txid_current()"
	}
	err = conn.Raw(func(c any) error {
		results, err := c.(*stdlib.Conn).Conn().PgConn().Exec(ctx, begin).ReadAll()
		if err != nil || !writes {
			return err
		}
		last := results[len(results)-1]
		if len(last.Rows) != 1 {
			return errors.New("the transaction has no number")
		}
		id, err = strconv.ParseInt(string(last.Rows[0][0]), 10, 64)
		return err
	})
	return id, err
}

// settle finds out what became of a transaction whose commit was not answered.
func (e postgresEngine) settle(ctx context.Context, id int64, cause error) error {
	for n := 1; pause(ctx, n); n++ {
		var status sql.NullString
		err := e.db.QueryRowContext(ctx, `SELECT txid_status($1)`, id).Scan(&status)
		switch {
		case err == nil && status.String == "committed":
			return nil
		case err == nil && status.String == "aborted":
			return cause
		case err == nil && status.String != "in progress", err != nil && !lost(err):
			return fmt.Errorf("whether the change was made is not known: %v", cause)
		}
	}
	return fmt.Errorf("whether the change was made is not known, the database does not answer: %v", cause)
}

// discard keeps a connection in an unknown state from being used again.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

// pause waits a while that grows; false: ctx is over.
func pause(ctx context.Context, n int) bool {
	d := time.Millisecond << min(n, 9)
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d/2 + rand.N(d)):
		return true
	}
}

// again tells a transaction that lost against another one, and may win when repeated.
// A violated uniqueness is one: it was looked for before, and not seen.
func again(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "40001", "40P01", "23505", "55P03": // serialization, deadlock, unique, lock
		return true
	}
	return false
}

// lost tells a connection that is gone, or was not made.
func lost(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "57P01", "57P02", "57P03", "25P03", "25006": // shut down, crashed, starting, idle, standby
			return true
		}
		return strings.HasPrefix(pg.Code, "08")
	}
	var network net.Error
	var connecting *pgconn.ConnectError
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &network) || errors.As(err, &connecting) || pgconn.SafeToRetry(err)
}

// missingPostgres tells a row that refers to one that is not there.
func missingPostgres(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23503"
}

// numbered runs statements with PostgreSQL's $1, $2 … for ?.
type numbered struct{ conn *sql.Conn }

func (n numbered) exec(ctx context.Context, query string, args []any) (sql.Result, error) {
	return n.conn.ExecContext(ctx, number(query), args...)
}

func (n numbered) query(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	return n.conn.QueryContext(ctx, number(query), args...)
}

var numberedQueries sync.Map // by the statement with ?

// number replaces each ? of a statement; none of ours has one in a text.
func number(query string) string {
	if v, ok := numberedQueries.Load(query); ok {
		return v.(string)
	}
	var b strings.Builder
	parts := strings.Split(query, "?")
	for i, part := range parts {
		if i > 0 {
			fmt.Fprintf(&b, "$%d", i)
		}
		b.WriteString(part)
	}
	numberedQueries.Store(query, b.String())
	return b.String()
}

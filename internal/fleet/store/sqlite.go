package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// busy is how long a statement waits for another process that writes.
const busy = 30 * time.Second

// sqliteEngine has one connection that writes and several that read. Changes that
// wait at the same time share a transaction, and so one flush to the disk; each is in
// a savepoint of its own.
type sqliteEngine struct {
	db      *sql.DB
	jobs    chan *job
	closing chan struct{}
	closed  chan struct{}
	writer  *session
	readers chan *session
}

// openSQLite opens a file, see https://www.sqlite.org/wal.html: with synchronous=FULL
// a commit is on the disk when it returns, also in WAL mode.
func (s *Store) openSQLite(ctx context.Context, path string) error {
	if path == "" {
		return errors.New("sqlite: names no file")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	// SQLite gives its other files the mode of this one.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	query := url.Values{"_txlock": {"immediate"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()),
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "trusted_schema(0)",
		"secure_delete(1)", // what is removed is overwritten
	}}
	name := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + query.Encode()
	if s.db, err = sql.Open("sqlite", name); err != nil {
		return err
	}
	s.now = `CAST(unixepoch('subsec') * 1000000 AS INTEGER)`
	engine, err := startSQLite(ctx, s.db, path)
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", path, cramped(filepath.Dir(path), err)), s.db.Close())
	}
	s.engine = engine
	return nil
}

// cramped adds to an error of SQLite's that there is no room, if that is so: not to be
// able to make a file says nothing of it.
func cramped(dir string, err error) error {
	var lite *sqlite.Error
	if !errors.As(err, &lite) {
		return err
	}
	f, room := os.CreateTemp(dir, "room-")
	if room == nil {
		_, room = f.Write(make([]byte, 64<<10))
		room = errors.Join(room, f.Close(), os.Remove(f.Name()))
	}
	if room != nil {
		return fmt.Errorf("%w; %w", err, room)
	}
	return err
}

func startSQLite(ctx context.Context, db *sql.DB, path string) (*sqliteEngine, error) {
	lock := flock.New(filepath.Dir(path), flock.SetFlag(os.O_RDONLY))
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return nil, err
	}
	err := errors.Join(migrate(ctx, goose.DialectSQLite3, db), lock.Close())
	if err != nil {
		return nil, err
	}
	n := max(4, 2*runtime.GOMAXPROCS(0))
	e := &sqliteEngine{
		db:   db,
		jobs: make(chan *job), closing: make(chan struct{}), closed: make(chan struct{}),
		readers: make(chan *session, n),
	}
	if e.writer, err = newSession(ctx, db); err != nil {
		return nil, err
	}
	for range n {
		r, err := newSession(ctx, db)
		if err != nil {
			return nil, err
		}
		if _, err := r.exec(ctx, "PRAGMA query_only = 1", nil); err != nil {
			return nil, err
		}
		e.readers <- r
	}
	go e.write()
	return e, nil
}

// compact writes the database anew, see https://www.sqlite.org/lang_vacuum.html, and
// empties the log, in which the old pages are.
func (e *sqliteEngine) compact(ctx context.Context) error {
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "VACUUM"); err != nil {
		return fmt.Errorf("write the database anew: %w", err)
	}
	var busy, pages, done int
	err = conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &done)
	if err == nil && busy != 0 {
		err = errors.New("somebody reads in it")
	}
	if err != nil {
		return fmt.Errorf("empty the database's log: %w", err)
	}
	return nil
}

func (e *sqliteEngine) close() error {
	close(e.closing)
	<-e.closed
	err := e.writer.close()
	for range cap(e.readers) {
		err = errors.Join(err, (<-e.readers).close())
	}
	return err
}

func (e *sqliteEngine) read(ctx context.Context, f func(*tx) error) error {
	return e.ask(ctx, func(t *tx) (err error) {
		r := t.run.(*session)
		if err := r.do("BEGIN"); err != nil {
			return err
		}
		defer func() {
			if end := r.do("ROLLBACK"); end != nil && err == nil {
				err = end
			}
		}()
		return f(t)
	})
}

func (e *sqliteEngine) ask(ctx context.Context, f func(*tx) error) error {
	var r *session
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-e.closing:
		return sql.ErrConnDone
	case r = <-e.readers:
	}
	defer func() { e.readers <- r }()
	t := &tx{ctx: ctx, run: r}
	if err := f(t); err != nil {
		return err
	}
	return t.failed
}

// session is a connection with its prepared statements. Its statements are short and
// not interrupted: an interrupt would roll back what others share the transaction.
type session struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
}

func newSession(ctx context.Context, db *sql.DB) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &session{conn: conn, prepared: map[string]*sql.Stmt{}}, nil
}

func (s *session) close() error {
	var errs []error
	for _, stmt := range s.prepared {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, s.conn.Close())...)
}

func (s *session) statement(query string) (*sql.Stmt, error) {
	if stmt, ok := s.prepared[query]; ok {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(context.Background(), query)
	if err == nil {
		s.prepared[query] = stmt
	}
	return stmt, err
}

func (s *session) exec(_ context.Context, query string, args []any) (sql.Result, error) {
	stmt, err := s.statement(query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(context.Background(), args...)
}

func (s *session) query(_ context.Context, query string, args []any) (*sql.Rows, error) {
	stmt, err := s.statement(query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(context.Background(), args...)
}

func (s *session) do(command string) error {
	_, err := s.exec(context.Background(), command, nil)
	return err
}

// missing tells a row that refers to one that is not there.
func missing(err error) bool {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return lite.Code() == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
	}
	return missingPostgres(err)
}

// Package store keeps the fleet server's records in SQLite or in PostgreSQL: one
// schema, one set of statements, and two ways to begin, end and repeat a transaction.
// It promises what record.Store says and decides nothing: who may do what, which
// values count and what is secret is known to those who call it.
package store

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"lifeboat/internal/fleet/record"
)

// Store is a record.Store on a database.
type Store struct {
	db     *sql.DB
	engine engine
	now    string             // SQL for the database's clock in microseconds
	key    ed25519.PrivateKey // nil: the audit log's head is not signed
	seen   atomic.Int64       // the number of the newest entry that this store knows of
	full   atomic.Bool        // the last change found no room on the disk
	close  func() error
}

var _ record.Store = (*Store)(nil)

// engine is what differs between the databases.
type engine interface {
	// change runs f in a transaction that sees and stops all others, repeated when
	// the database asks for it.
	change(ctx context.Context, f func(*tx) error) error
	// read runs f on one state.
	read(ctx context.Context, f func(*tx) error) error
	// ask runs f, which is one statement that reads.
	ask(ctx context.Context, f func(*tx) error) error
	// compact is Store.Compact.
	compact(ctx context.Context) error
	// close ends what the engine has open, before the database is closed.
	close() error
}

// Option changes how a store is opened.
type Option func(*Store)

// Signed makes the store sign the audit log's head at each entry, and look at the head
// before: what the log says then is its own to tell (package audit).
func Signed(key ed25519.PrivateKey) Option {
	return func(s *Store) { s.key = key }
}

// Open opens the database at a URL, sqlite:PATH or postgres://…, and brings its
// tables up to date. A SQLite file that is not there is made, readable for its owner
// only. A database that a newer program has changed is refused.
func Open(ctx context.Context, url string, options ...Option) (*Store, error) {
	s := &Store{}
	for _, option := range options {
		option(s)
	}
	scheme, rest, _ := strings.Cut(url, ":")
	var err error
	switch scheme {
	case "sqlite":
		err = s.openSQLite(ctx, rest)
	case "postgres", "postgresql":
		err = s.openPostgres(ctx, url)
	default: // the URL may hold a password
		return nil, errors.New("open the fleet's database: give its place as sqlite:PATH or postgres://USER@HOST/NAME")
	}
	if err != nil {
		return nil, fmt.Errorf("open the fleet's database: %w", s.room(err))
	}
	s.close = sync.OnceValue(func() error { return errors.Join(s.engine.close(), s.db.Close()) })
	return s, nil
}

// Close ends the store. What runs is finished first, later calls fail.
func (s *Store) Close() error { return s.close() }

// Compact leaves nothing of what was changed or removed in the database's files. That it
// finds no room says nothing of other changes, which take less.
func (s *Store) Compact(ctx context.Context) error {
	err := s.engine.compact(ctx)
	if full(err) {
		err = fmt.Errorf("%w (%w)", record.ErrFull, err)
	}
	return err
}

// room notices that there is none left where the database is.
func (s *Store) room(err error) error {
	if !full(err) {
		return err
	}
	s.full.Store(true)
	return fmt.Errorf("%w (%w)", record.ErrFull, err)
}

// full tells that the disk was, here or at the server of the database (53100 of
// https://www.postgresql.org/docs/current/errcodes-appendix.html).
func full(err error) bool {
	var lite *sqlite.Error
	if errors.As(err, &lite) { // without room its shared memory cannot be made
		switch lite.Code() {
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE:
			return true
		}
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "53100" || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Ping tells whether the database answers; record.ErrFull: it did not take the last
// change. Leases are taken all the time, so that is never long ago.
func (s *Store) Ping(ctx context.Context) error {
	if s.full.Load() {
		return record.ErrFull
	}
	return s.Read(ctx, func(r record.Reader) error {
		_, err := r.AuditHead()
		if errors.Is(err, record.ErrNotFound) {
			return nil
		}
		return err
	})
}

// Change runs f in one transaction, with its audit entries.
func (s *Store) Change(ctx context.Context, f func(record.Tx) ([]record.Entry, error)) error {
	var newest int64
	err := s.engine.change(ctx, func(t *tx) error {
		entries, err := f(t)
		if err == nil && len(entries) > 0 {
			newest, err = s.log(t, entries)
		}
		return err
	})
	if err != nil {
		return s.room(err)
	}
	if newest > 0 {
		s.full.Store(false)
	}
	for {
		seen := s.seen.Load()
		if newest <= seen || s.seen.CompareAndSwap(seen, newest) {
			return nil
		}
	}
}

// Read runs f on one consistent state.
func (s *Store) Read(ctx context.Context, f func(record.Reader) error) error {
	return s.engine.read(ctx, func(t *tx) error { return f(t) })
}

// Hold takes or renews a lease by the database's clock.
func (s *Store) Hold(ctx context.Context, job, holder string, d time.Duration) (bool, error) {
	var held bool
	err := s.engine.change(ctx, func(t *tx) error {
		n, err := t.exec(`INSERT INTO leases (job, holder, until) VALUES (?, ?, `+s.now+` + ?)
			ON CONFLICT (job) DO UPDATE SET holder = excluded.holder, until = excluded.until
			WHERE leases.holder = excluded.holder OR leases.until <= `+s.now, job, holder, d.Microseconds())
		held = n == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("hold the lease of %s: %w", job, s.room(err))
	}
	if held {
		s.full.Store(false)
	}
	return held, nil
}

// Release gives a lease up, if holder has it.
func (s *Store) Release(ctx context.Context, job, holder string) error {
	return s.engine.change(ctx, func(t *tx) error {
		_, err := t.exec(`DELETE FROM leases WHERE job = ? AND holder = ?`, job, holder)
		return err
	})
}

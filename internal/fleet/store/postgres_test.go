package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store"
	"lifeboat/internal/fleet/store/postgrestest"
	"lifeboat/internal/fleet/store/storetest"
)

func TestPostgreSQL(t *testing.T) {
	server := postgrestest.Start(t)
	// Parallel subtests end before the server does.
	t.Run("store", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) string { return server.Database(t) })
		t.Run("newer", func(t *testing.T) { t.Parallel(); postgresNewer(t, server) })
		t.Run("durable", func(t *testing.T) { t.Parallel(); postgresDurable(t, server) })
		t.Run("server-killed", func(t *testing.T) { t.Parallel(); postgresServerKilled(t, server) })
		t.Run("answer-lost", func(t *testing.T) { t.Parallel(); postgresAnswerLost(t, server) })
		t.Run("terminated", func(t *testing.T) { t.Parallel(); postgresTerminated(t, server) })
	})
}

func open(t *testing.T, url string) *sql.DB {
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func postgresNewer(t *testing.T, server *postgrestest.Server) {
	url := server.Database(t)
	storetest.Open(t, url)
	newer(t, open(t, url))
	if s, err := store.Open(context.Background(), url); !errors.Is(err, store.ErrNewer) {
		t.Errorf("%v, %v", s, err)
	}
}

// The test's server is set to commit without waiting for the disk.
func postgresDurable(t *testing.T, server *postgrestest.Server) {
	url := server.Database(t)
	s := storetest.Open(t, url)
	storetest.Change(t, s, func(tx record.Tx) error { return tx.PutHost(storetest.Host(1)) })
	db := open(t, url)
	// What a session of the store has set can be seen from the function it calls only,
	// so one is put where it must pass.
	if _, err := db.Exec(`CREATE FUNCTION strict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF current_setting('synchronous_commit') = 'off' THEN RAISE 'synchronous_commit is off'; END IF;
		RETURN NEW; END $$;
		CREATE TRIGGER strict BEFORE INSERT ON hosts FOR EACH ROW EXECUTE FUNCTION strict()`); err != nil {
		t.Fatal(err)
	}
	storetest.Change(t, s, func(tx record.Tx) error { return tx.PutHost(storetest.Host(2)) })
	if _, err := db.Exec(`INSERT INTO hosts SELECT 'x', 'x', 'x', kind, hostname, serial, uuid, macs, networks,
		created, 'x', joined, revoked, seen FROM hosts LIMIT 1`); err == nil {
		t.Error("the trigger says nothing")
	}
}

// Connections are cut while changes run: what was answered is there once.
func postgresTerminated(t *testing.T, server *postgrestest.Server) {
	url := server.Database(t)
	s, db := storetest.Open(t, url), open(t, url)
	cut := func() {
		if _, err := db.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
			t.Error(err)
		}
	}
	for n := range 12 {
		err := s.Change(context.Background(), func(tx record.Tx) ([]record.Entry, error) {
			first := tx.PutSetting("first", []byte{byte(n)})
			if _, err := tx.Setting("cut"); n%3 == 1 && errors.Is(err, record.ErrNotFound) {
				// Once in this change: the second try finds the mark.
				if _, err := db.Exec(`INSERT INTO settings VALUES ('cut', NULL)`); err != nil {
					return nil, err
				}
				cut()
			}
			return []record.Entry{{Action: fmt.Sprint(n)}}, errors.Join(first, tx.PutHost(storetest.Host(n)))
		})
		if err != nil {
			t.Errorf("change %d: %v", n, err)
		}
		if n%3 == 2 {
			cut() // between changes
		}
		if _, err := db.Exec(`DELETE FROM settings WHERE key = 'cut'`); err != nil {
			t.Error(err)
		}
	}
	entries := storetest.Get(t, s, func(r record.Reader) ([]record.Entry, error) { return r.Audit(0, 100) })
	if len(entries) != 12 {
		t.Errorf("%d entries of 12 changes", len(entries))
	}
}

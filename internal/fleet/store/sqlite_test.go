package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/store"
	"lifeboat/internal/fleet/store/storetest"
)

func TestSQLite(t *testing.T) {
	storetest.Run(t, sqliteURL)
}

func sqliteURL(t *testing.T) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "what? 100% #1", "fleet.db")
}

func TestSQLiteFilesArePrivate(t *testing.T) {
	url := sqliteURL(t)
	s := storetest.Open(t, url)
	storetest.Change(t, s, func(tx record.Tx) error { return tx.PutHost(storetest.Host(1)) })
	dir := filepath.Dir(strings.TrimPrefix(url, "sqlite:"))
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) < 3 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
	}
}

func TestSQLiteOfANewerProgram(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "fleet.db")
	if err := storetest.Open(t, url).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	newer(t, db)
	if s, err := store.Open(context.Background(), url); !errors.Is(err, store.ErrNewer) {
		t.Errorf("%v, %v", s, err)
	}
}

// newer makes a database that of a program to come.
func newer(t *testing.T, db *sql.DB) {
	if _, err := db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (900, TRUE)`); err != nil {
		t.Fatal(err)
	}
}

func TestURLs(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "text"), []byte(strings.Repeat("no database\n", 400)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"", "sqlite:", "/var/lib/fleet.db", "mysql://user:secret@host/db", "sqlite:" + dir, "sqlite:" + dir + "/text"} {
		s, err := store.Open(context.Background(), url)
		if err == nil {
			s.Close()
			t.Errorf("%q is opened", url)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

package smt_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"

	"lifeboat/internal/component"
	"lifeboat/internal/component/mysql"
	"lifeboat/internal/host"
	"lifeboat/internal/mysqld"
	"lifeboat/internal/product/smt"
	"lifeboat/internal/repository"
)

// build makes a small database of a schema state: the right tables, and in those
// that refer to each other some rows.
func build(t *testing.T, db *sql.DB, version, engine string) {
	t.Helper()
	p := smt.Product()
	run := func(statement string) {
		t.Helper()
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	run("DROP DATABASE IF EXISTS smt")
	run("CREATE DATABASE smt CHARACTER SET latin1")
	columns := map[string]string{
		"Clients":                  "GUID CHAR(50) PRIMARY KEY, ID INT UNSIGNED AUTO_INCREMENT UNIQUE, HOSTNAME VARCHAR(100), LASTCONTACT TIMESTAMP NOT NULL DEFAULT '0000-00-00 00:00:00'",
		"Registration":             "GUID CHAR(50), PRODUCTID INT, PRIMARY KEY (GUID, PRODUCTID)",
		"Products":                 "ID INT UNIQUE, PRODUCTDATAID INT PRIMARY KEY, PRODUCT VARCHAR(99)",
		"MachineData":              "GUID CHAR(50), KEYNAME VARCHAR(50), VALUE BLOB, PRIMARY KEY (GUID, KEYNAME)",
		"ClientSubscriptions":      "GUID CHAR(50), SUBID CHAR(50)",
		"Subscriptions":            "SUBID CHAR(50) PRIMARY KEY",
		"Catalogs":                 "ID INT UNSIGNED PRIMARY KEY, CATALOGID CHAR(50), NAME VARCHAR(99), TARGET VARCHAR(99)",
		"ProductCatalogs":          "PRODUCTDATAID INT, PRODUCTID INT, CATALOGID CHAR(50)",
		"JobQueue":                 "ID INT UNSIGNED AUTO_INCREMENT, GUID_ID INT UNSIGNED, PARENT_ID INT UNSIGNED NULL, STDOUT BLOB, PRIMARY KEY (ID, GUID_ID)",
		"Patchstatus":              "CLIENT_ID INT UNSIGNED PRIMARY KEY",
		"JobResults":               "CLIENT_ID INT UNSIGNED",
		"Filters":                  "CATALOG_ID INT, STAGINGGROUP_ID INT",
		"StagingGroups":            "ID INT PRIMARY KEY",
		"Patches":                  "ID INT UNSIGNED PRIMARY KEY, CATALOGID INT UNSIGNED",
		"Packages":                 "CATALOGID INT UNSIGNED",
		"PatchRefs":                "PATCHID INT UNSIGNED",
		"migration_schema_version": "name VARCHAR(128) PRIMARY KEY, version DOUBLE",
	}
	for _, name := range p.Schema.Tables(version) {
		c := columns[name]
		if c == "" {
			c = "x INT"
		}
		run("CREATE TABLE smt." + name + " (" + c + ") ENGINE=" + engine)
	}
	run("CREATE TABLE smt.one_more_of_a_later_update (x INT) ENGINE=" + engine)
	run("INSERT INTO smt.migration_schema_version VALUES ('smt', " + version + "), ('DBIx-Migration-Directories', 0.06)")
	run("INSERT INTO smt.Products VALUES (1, 431, 'SUSE_SLES'), (2, 814, 'SLED')")
	run("INSERT INTO smt.Clients (GUID, HOSTNAME, LASTCONTACT) VALUES ('g1', _utf8'mühle', '2026-01-01 00:00:00'), ('g2', 'b', '0000-00-00 00:00:00')")
	product := "431"
	if version >= "2.00" {
		product = "1"
	}
	run("INSERT INTO smt.Registration VALUES ('g1', " + product + "), ('g2', " + product + ")")
	if _, err := db.Exec("INSERT INTO smt.MachineData VALUES ('g1', 'k', ?)", []byte("\x00\xff'\\\n;")); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(p.Schema.Tables(version), "JobQueue") {
		run("INSERT INTO smt.JobQueue (ID, GUID_ID, PARENT_ID) VALUES (1, 1, NULL), (2, 1, 1), (1, 2, NULL)")
	}
}

func TestDatabaseOfEverySchemaState(t *testing.T) {
	if _, err := host.Local().Look("mariadbd", "mysqld"); err != nil {
		t.Skip("needs mariadb-server")
	}
	server, err := mysqld.Start(t.Context(), mysqld.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop(context.Background())
	db, err := sql.Open("mysql", server.DSN("")+"&sql_mode=%27%27")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for version, engine := range map[string]string{"0.09": "MyISAM", "0.14": "MyISAM", "1.00": "InnoDB", "2.08": "MyISAM", "3.09": "InnoDB"} {
		t.Run(version, func(t *testing.T) {
			build(t, db, version, engine)
			c, err := mysql.New(component.Env{Host: host.Local(), State: t.TempDir(), Run: "r1"},
				mysql.Options{Database: "smt", Access: mysql.Access{Socket: server.Socket()}, Product: "smt"}, smt.Product())
			if err != nil {
				t.Fatal(err)
			}
			st := memory{}
			captured, err := c.Capture(t.Context(), st)
			if err != nil {
				t.Fatal(err)
			}
			detail := captured.Detail.(*mysql.Detail)
			if detail.Schema != version || len(captured.Warnings) != 0 {
				t.Errorf("schema %s, warnings %q", detail.Schema, captured.Warnings)
			}
			data, err := json.Marshal(detail)
			if err != nil {
				t.Fatal(err)
			}
			rec := component.Record{Detail: data, Streams: captured.Streams}
			// The wizard's fresh database is of another state.
			build(t, db, map[bool]string{true: "0.14", false: "0.16"}[version == "0.09"], "InnoDB")
			if err := c.Restore(t.Context(), st, component.RestoreOptions{Record: rec}); err != nil {
				t.Fatal(err)
			}
			checks, err := c.Check(t.Context(), rec)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range checks {
				if !k.OK {
					t.Errorf("check %+v", k)
				}
			}
			// A client that nobody knows any more is a warning.
			if _, err := db.Exec("DELETE FROM smt.Clients WHERE GUID = 'g2'"); err != nil {
				t.Fatal(err)
			}
			if checks, err = c.Check(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
			var warned []string
			for _, k := range checks {
				if !k.OK && k.Warning {
					warned = append(warned, k.Name)
				}
			}
			want := "references Registration[GUID] → Clients[GUID]"
			if version > "0.09" {
				want += ", references JobQueue[GUID_ID] → Clients[ID]"
			}
			if got := strings.Join(warned, ", "); got != want {
				t.Errorf("warned of %s", got)
			}
			if err := c.Discard(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// memory is a repository in memory.
type memory map[string][]byte

func (m memory) AddPath(context.Context, string, repository.PathOptions) (repository.Stats, error) {
	return repository.Stats{}, os.ErrInvalid
}

func (m memory) AddStream(_ context.Context, name string, r io.Reader) (repository.Stats, error) {
	data, err := io.ReadAll(r)
	if err == nil {
		m[name] = data
	}
	return repository.Stats{Bytes: int64(len(data))}, err
}

func (m memory) OpenStream(_ context.Context, name string) (io.ReadCloser, error) {
	if data, ok := m[name]; ok {
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	return nil, fmt.Errorf("%s: %w", name, os.ErrNotExist)
}

func (m memory) Walk(context.Context, string, func(string, *repository.Node) error) error {
	return os.ErrNotExist
}

func (m memory) OpenFile(context.Context, *repository.Node) (io.ReadCloser, error) {
	return nil, os.ErrNotExist
}

func (m memory) RestorePath(context.Context, string, string, repository.RestoreOptions) (repository.Stats, error) {
	return repository.Stats{}, os.ErrNotExist
}

func (m memory) ComparePath(context.Context, string, string, repository.CompareOptions, func(component.Difference)) (repository.CompareStats, error) {
	return repository.CompareStats{}, os.ErrNotExist
}

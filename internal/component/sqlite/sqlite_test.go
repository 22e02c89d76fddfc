package sqlite_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/component/componenttest"
	"lifeboat/internal/component/sqlite"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func execute(t testing.TB, file string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file)
	must(t, err)
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func spec(dir string) profile.Component {
	return profile.Component{
		Name: "records", Kind: "sqlite", Importance: profile.Critical, Capture: profile.Live,
		Options: &sqlite.Options{File: dir + "/var/fleet.db"},
	}
}

// content is what is in the database, without what it looks like on the disk.
func content(t testing.TB, dir string) string {
	t.Helper()
	file := dir + "/var/fleet.db"
	info, err := os.Stat(file)
	if errors.Is(err, os.ErrNotExist) {
		return "none"
	}
	must(t, err)
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	must(t, err)
	defer db.Close()
	rows, err := db.Query("SELECT id, name, coalesce(data, 'NULL') FROM host ORDER BY id")
	must(t, err)
	defer rows.Close()
	text := info.Mode().String()
	for rows.Next() {
		var id int
		var name, data string
		must(t, rows.Scan(&id, &name, &data))
		text += fmt.Sprintf("\n%d %q %q", id, name, data)
	}
	must(t, rows.Err())
	return text
}

// With a write-ahead log even a reader touches SQLite's own files beside the database;
// the tests below have one.
func TestConformance(t *testing.T) {
	componenttest.Run(t, componenttest.Fixture{
		Kind:  sqlite.Kind(),
		Spec:  spec,
		Reads: true,
		Populate: func(t testing.TB, dir string) {
			must(t, os.RemoveAll(dir+"/var"))
			must(t, os.Mkdir(dir+"/var", 0o755))
			execute(t, dir+"/var/fleet.db",
				"CREATE TABLE host (id INTEGER PRIMARY KEY, name TEXT, data BLOB)",
				"INSERT INTO host VALUES (1, 'one', x'00ff'), (2, 'zwei ö', NULL), (3, '', 4.5)",
				"CREATE INDEX host_name ON host (name)")
			must(t, os.Chmod(dir+"/var/fleet.db", 0o600))
			must(t, os.WriteFile(dir+"/var/other", []byte("not ours"), 0o644))
			componenttest.Age(t, dir)
		},
		Alter: func(t testing.TB, dir string) {
			execute(t, dir+"/var/fleet.db", "INSERT INTO host VALUES (4, 'four', NULL)", "DELETE FROM host WHERE id = 1")
			must(t, os.Chmod(dir+"/var/fleet.db", 0o644))
			componenttest.Age(t, dir)
		},
		Lose: func(t testing.TB, dir string) {
			for _, ending := range []string{"", "-wal", "-shm"} {
				must(t, os.RemoveAll(dir+"/var/fleet.db"+ending))
			}
		},
		State:  content,
		Around: func(t testing.TB, dir string) string { return componenttest.Digest(t, dir) },
	})
}

func make1(t *testing.T, dir string) component.Component {
	t.Helper()
	env := component.Env{Host: host.Local(), Run: "run1", State: filepath.Join(dir, "state")}
	c, err := sqlite.Kind().New(env, spec(dir))
	must(t, err)
	return c
}

// capture saves the database and gives what a manifest would say of it.
func capture(t *testing.T, c component.Component) (component.Source, component.Record) {
	t.Helper()
	record := component.Record{Name: "records", Kind: "sqlite", Status: component.StatusCaptured}
	source := componenttest.NewStore(t).Save(t, func(ctx context.Context, sink component.Sink) error {
		got, err := c.Capture(ctx, sink)
		if err != nil {
			return err
		}
		record.Detail, err = json.Marshal(got.Detail)
		record.Streams, record.Bytes = got.Streams, got.Bytes
		return err
	})
	return source, record
}

// What was committed a moment before and stands in the log alone is captured, and
// what comes while the image is read is not: no half of a transaction ever.
func TestOneMomentWhileOthersWrite(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/var", 0o755))
	file := dir + "/var/fleet.db"
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(30000)")
	must(t, err)
	defer db.Close()
	for _, s := range []string{
		"CREATE TABLE host (id INTEGER PRIMARY KEY, name TEXT, data BLOB)", "CREATE TABLE twin (id INTEGER PRIMARY KEY, data BLOB)",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO host SELECT i, 'host', randomblob(500) FROM n",
		"INSERT INTO twin SELECT id, data FROM host",
	} {
		_, err := db.Exec(s)
		must(t, err)
	}
	stop, stopped := make(chan struct{}), make(chan error, 1)
	var began sync.Once
	writing := make(chan struct{})
	go func() {
		for id := 2001; ; id++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			tx, err := db.Begin()
			if err == nil {
				_, err = tx.Exec("INSERT INTO host VALUES (?, 'host', zeroblob(700))", id)
			}
			if err == nil {
				_, err = tx.Exec("INSERT INTO twin VALUES (?, zeroblob(700))", id)
			}
			if err == nil {
				err = tx.Commit()
			}
			if err != nil {
				stopped <- err
				return
			}
			began.Do(func() { close(writing) })
		}
	}()
	<-writing
	for range 5 {
		source, record := capture(t, make1(t, dir))
		other := t.TempDir()
		must(t, os.Mkdir(other+"/var", 0o755))
		env := component.Env{Host: host.Local(), Run: "run1", State: other + "/state"}
		c, err := sqlite.Kind().New(env, spec(other))
		must(t, err)
		must(t, c.Restore(t.Context(), source, component.RestoreOptions{Record: record, Warn: func(m string) { t.Log(m) }}))
		restored, err := sql.Open("sqlite", "file:"+other+"/var/fleet.db?mode=ro")
		must(t, err)
		var hosts, twins int
		must(t, restored.QueryRow("SELECT (SELECT count(*) FROM host), (SELECT count(*) FROM twin)").Scan(&hosts, &twins))
		must(t, restored.Close())
		if hosts != twins || hosts < 2001 {
			t.Errorf("%d hosts and %d twins", hosts, twins)
		}
	}
	close(stop)
	must(t, <-stopped)
}

// A log of the lost database must not be played into the restored one.
func TestForeignLog(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/var", 0o755))
	file := dir + "/var/fleet.db"
	execute(t, file, "PRAGMA journal_mode = WAL", "CREATE TABLE host (id INTEGER PRIMARY KEY, name TEXT, data BLOB)", "INSERT INTO host VALUES (1, 'old', NULL)")
	c := make1(t, dir)
	source, record := capture(t, c)
	before := content(t, dir)
	// A program that was killed leaves its log.
	db, err := sql.Open("sqlite", "file:"+file)
	must(t, err)
	_, err = db.Exec("INSERT INTO host VALUES (2, 'new', NULL)")
	must(t, err)
	log, err := os.ReadFile(file + "-wal")
	must(t, err)
	must(t, db.Close())
	must(t, os.WriteFile(file+"-wal", log, 0o600))
	must(t, c.Restore(t.Context(), source, component.RestoreOptions{Record: record}))
	if got := content(t, dir); got != before {
		t.Errorf("restored:\n%s\nwant:\n%s", got, before)
	}
}

func TestDamage(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/var", 0o755))
	file := dir + "/var/fleet.db"
	execute(t, file, "CREATE TABLE host (id INTEGER PRIMARY KEY, name TEXT, data BLOB)",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO host SELECT i, 'host', randomblob(500) FROM n")
	c := make1(t, dir)
	source, record := capture(t, c)

	whole, err := os.ReadFile(file)
	must(t, err)
	broken := append([]byte(nil), whole...)
	copy(broken[4096*3:], strings.Repeat("x", 4096))
	must(t, os.WriteFile(file, broken, 0o600))
	err = func() error {
		_, err := c.Capture(t.Context(), refusing{})
		return err
	}()
	if err == nil || !strings.Contains(err.Error(), "damaged") && !strings.Contains(err.Error(), "malformed") {
		t.Errorf("capture of a damaged database: %v", err)
	}
	checks, err := c.Check(t.Context(), record)
	must(t, err)
	if len(checks) == 0 || checks[0].OK {
		t.Errorf("check of a damaged database: %+v", checks)
	}

	must(t, os.WriteFile(file, whole, 0o600))
	lying := record
	lying.Detail = json.RawMessage(strings.Replace(string(record.Detail), `"rows":500`, `"rows":501`, 1))
	if err := c.Restore(t.Context(), source, component.RestoreOptions{Record: lying}); err == nil {
		t.Error("a database with other rows than recorded was put in place")
	}
	lying.Detail = json.RawMessage(strings.Replace(string(record.Detail), `"page_size":4096`, `"page_size":8192`, 1))
	if err := c.Restore(t.Context(), source, component.RestoreOptions{Record: lying}); err == nil {
		t.Error("a database with other bytes than recorded was put in place")
	}
	for _, detail := range []string{`{}`, `{"page_size":4096,"pages":-1}`, `{"page_size":65536,"pages":9223372036854775807}`, `[`} {
		lying.Detail = json.RawMessage(detail)
		if err := c.Restore(t.Context(), source, component.RestoreOptions{Record: lying}); err == nil {
			t.Errorf("manifest %s was taken", detail)
		}
	}
	if now, err := os.ReadFile(file); err != nil || string(now) != string(whole) {
		t.Error("what was refused changed the database")
	}
}

// refusing takes streams and reads them.
type refusing struct{ component.Sink }

func TestOptions(t *testing.T) {
	for _, file := range []string{"", "fleet.db", "/", "/a/../b", "/a//b"} {
		s := spec("")
		s.Options = &sqlite.Options{File: file}
		if _, err := sqlite.Kind().New(component.Env{Host: host.Local()}, s); err == nil {
			t.Errorf("file %q was taken", file)
		}
	}
}

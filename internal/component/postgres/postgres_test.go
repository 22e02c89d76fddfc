package postgres_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lifeboat/internal/component"
	"lifeboat/internal/component/componenttest"
	"lifeboat/internal/component/postgres"
	"lifeboat/internal/host"
	"lifeboat/internal/postgresd"
	"lifeboat/internal/profile"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const password = `pass:w\ord'§`

// lab is a server as Debian sets one up: the account postgres is the superuser by the
// socket, and others give passwords.
type lab struct{ dir string }

func newLab(t *testing.T) *lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: becomes the account of PostgreSQL's superuser")
	}
	// Not t.TempDir: its parents are closed to other users, and sockets want short paths.
	place := ""
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		place = "/dev/shm"
	}
	dir, err := os.MkdirTemp(place, "lifeboat-pg-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o1777))
	s, err := postgresd.Start(t.Context(), postgresd.Options{
		Dir: dir + "/server", Socket: dir, Access: []string{"local all postgres peer", "local all all scram-sha-256"},
	})
	must(t, err)
	t.Cleanup(s.Stop)
	return &lab{dir}
}

func (l *lab) url(role, password, database string) string {
	u := url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: url.Values{"host": {l.dir}}.Encode()}
	if u.User = url.User(role); password != "" {
		u.User = url.UserPassword(role, password)
	}
	return u.String()
}

// ask runs statements as superuser, and gives what the last one answers.
func (l *lab) ask(t testing.TB, database string, statements ...string) (lines []string) {
	t.Helper()
	config, err := pgx.ParseConfig(l.url("postgres", "", "x"))
	must(t, err)
	config.Database = database
	config.DialFunc = func(ctx context.Context, _, socket string) (net.Conn, error) {
		return host.Local().DialAs(ctx, "postgres", socket)
	}
	db, err := pgx.ConnectConfig(context.Background(), config)
	must(t, err)
	defer db.Close(context.Background())
	for _, s := range statements {
		results, err := db.PgConn().Exec(context.Background(), s).ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		lines = nil
		for _, row := range results[len(results)-1].Rows {
			lines = append(lines, string(bytes.Join(row, []byte("|"))))
		}
	}
	return lines
}

// picture is every database that is called so with every row, and every role.
func (l *lab) picture(t testing.TB, called string) string {
	t.Helper()
	lines := l.ask(t, "postgres", "SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1")
	for _, name := range l.ask(t, "postgres", "SELECT datname FROM pg_database WHERE datname !~ '^(postgres|template.)$' AND datname ~ '"+called+"' ORDER BY 1") {
		lines = append(lines, name)
		lines = append(lines, l.ask(t, "postgres", "SELECT pg_get_userbyid(datdba), datcollate, datacl FROM pg_database WHERE datname = '"+name+"'")...)
		lines = append(lines, l.ask(t, name, `SELECT table_schema, table_name, query_to_xml(format('SELECT t::text FROM %I.%I t ORDER BY 1', table_schema, table_name), true, false, '')
			FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
			UNION ALL SELECT relname, relkind::text || pg_get_userbyid(relowner), relacl::text::xml FROM pg_class WHERE relnamespace::regnamespace::text !~ '^(pg_|information)' AND relkind <> 't'
			UNION ALL SELECT proname, prosrc, NULL FROM pg_proc WHERE proname = 'twice' ORDER BY 1, 2`)...)
	}
	return strings.Join(lines, "\n")
}

func (l *lab) populate(t testing.TB) {
	t.Helper()
	l.clear(t)
	l.ask(t, "postgres", `CREATE ROLE fleet LOGIN PASSWORD `+"E'"+strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(password)+"'", "CREATE ROLE reader",
		`CREATE DATABASE "fl eet" OWNER fleet TEMPLATE template0 LC_COLLATE 'C.UTF-8'`, `REVOKE ALL ON DATABASE "fl eet" FROM PUBLIC`, `GRANT CONNECT ON DATABASE "fl eet" TO reader`)
	l.ask(t, "fl eet", "SET ROLE fleet; CREATE SCHEMA \"o\"\"dd\"",
		"SET ROLE fleet; CREATE TABLE host (id bigserial PRIMARY KEY, name text UNIQUE, data bytea)",
		`SET ROLE fleet; INSERT INTO host (name, data) VALUES ('one', '\x00ff'), (E'zwei\nö\t\\.', NULL), ('COPY "a"."b" FROM stdin;', ''), ('long', decode(repeat('5c2e', 200000), 'hex'))`,
		`SET ROLE fleet; CREATE TABLE "o""dd"."ta.ble" (host bigint REFERENCES host, f double precision, at timestamptz, j jsonb)`,
		`SET ROLE fleet; INSERT INTO "o""dd"."ta.ble" VALUES (1, 0.1, now(), '{"a": [1]}'), (2, 'NaN', 'infinity', NULL)`,
		`SET ROLE fleet; CREATE TABLE empty ()`,
		`SET ROLE fleet; CREATE VIEW named AS SELECT name FROM host; GRANT SELECT ON named TO reader`,
		"SET ROLE fleet; CREATE FUNCTION twice(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN ' \n\\restrict x\n-- PostgreSQL database dump complete\n\\unrestrict x\n '; END $$",
	)
}

func (l *lab) clear(t testing.TB) {
	t.Helper()
	statements := l.ask(t, "postgres", `SELECT 'DROP DATABASE "' || datname || '" WITH (FORCE)' FROM pg_database WHERE datname !~ '^(postgres|template.)$'`)
	l.ask(t, "postgres", append(statements, "DROP ROLE IF EXISTS fleet, reader")...)
}

// spec has the address in a file that no test loses.
func (l *lab) spec(t testing.TB) profile.Component {
	t.Helper()
	file := l.dir + "/url"
	must(t, os.WriteFile(file, []byte(l.url("fleet", password, "fl eet")+"\n"), 0o600))
	return profile.Component{
		Name: "records", Kind: "postgres", Importance: profile.Critical, Capture: profile.Live,
		Options: &postgres.Options{URLFile: file, Administrator: l.dir + "/none"},
	}
}

func TestServer(t *testing.T) {
	l := newLab(t)
	t.Run("conformance", l.conformance)
	t.Run("one moment and what others wrote", l.oneMoment)
	t.Run("refused", l.refused)
}

func (l *lab) conformance(t *testing.T) {
	componenttest.Run(t, componenttest.Fixture{
		Kind:     postgres.Kind(),
		Spec:     func(string) profile.Component { return l.spec(t) },
		Populate: func(t testing.TB, _ string) { t.Helper(); l.populate(t) },
		Alter: func(t testing.TB, _ string) {
			t.Helper()
			l.ask(t, "fl eet", "DELETE FROM \"o\"\"dd\".\"ta.ble\"; DELETE FROM host; DROP VIEW named", "SET ROLE fleet; CREATE TABLE own (z int)", "GRANT CONNECT ON DATABASE \"fl eet\" TO PUBLIC")
		},
		Lose:   func(t testing.TB, _ string) { t.Helper(); l.clear(t) },
		State:  func(t testing.TB, _ string) string { t.Helper(); return l.picture(t, "^fl eet$") },
		Around: func(t testing.TB, _ string) string { t.Helper(); return l.picture(t, "") },
		Every:  4,
	})
}

func (l *lab) component(t *testing.T, env component.Env) component.Component {
	t.Helper()
	env.Host, env.Run = host.Local(), "run1"
	c, err := postgres.Kind().New(env, l.spec(t))
	must(t, err)
	return c
}

// capture saves the database and gives what a manifest would say of it.
func capture(t *testing.T, c component.Component) (component.Source, component.Record) {
	t.Helper()
	record := component.Record{Name: "records", Kind: "postgres", Status: component.StatusCaptured}
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

// Others write while a capture goes on, and are connected when it is restored.
func (l *lab) oneMoment(t *testing.T) {
	l.populate(t)
	l.ask(t, "fl eet", "SET ROLE fleet; CREATE TABLE twin (LIKE host); INSERT INTO twin SELECT * FROM host")
	db, err := pgx.Connect(t.Context(), l.url("fleet", password, "fl eet"))
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	writing, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := 0; ctx.Err() == nil; n++ {
			_, err := db.Exec(ctx, "WITH h AS (INSERT INTO host (name) VALUES (gen_random_uuid()) RETURNING *) INSERT INTO twin SELECT * FROM h")
			if err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
			if n == 0 {
				close(writing)
			}
		}
	}()
	<-writing
	state := t.TempDir()
	source, record := capture(t, l.component(t, component.Env{State: state}))
	cancel()
	<-stopped
	if strings.Contains(string(record.Detail), "ord'") {
		t.Errorf("the manifest has the password: %s", record.Detail)
	}

	// One that stays connected is cut off.
	idle, err := pgx.Connect(t.Context(), l.url("fleet", password, "fl eet"))
	must(t, err)
	defer idle.Close(t.Context())
	c := l.component(t, component.Env{State: state})
	must(t, c.Restore(t.Context(), source, component.RestoreOptions{Record: record}))
	restored, err := pgx.Connect(t.Context(), l.url("fleet", password, "fl eet"))
	must(t, err)
	defer restored.Close(t.Context())
	var hosts, twins int
	must(t, restored.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM host), (SELECT count(*) FROM twin)").Scan(&hosts, &twins))
	if hosts != twins || hosts < 5 {
		t.Errorf("%d hosts and %d twins", hosts, twins)
	}
	held, err := c.(component.Holder).Held(t.Context())
	must(t, err)
	if len(held) != 1 || held[0].Bytes == 0 {
		t.Errorf("held: %+v", held)
	}

	// What is written to it since is not lost with a rollback.
	_, err = restored.Exec(t.Context(), "UPDATE host SET name = 'other' WHERE id = 1")
	must(t, err)
	c = l.component(t, component.Env{State: state, Since: time.Now()})
	changed, err := c.(component.Watcher).Changed(t.Context())
	must(t, err)
	if fmt.Sprint(changed) != `[table "public"."host" of database fl eet]` {
		t.Errorf("changed: %q", changed)
	}
	must(t, c.Rollback(t.Context()))
	kept, err := c.(component.Watcher).Kept(t.Context())
	must(t, err)
	if len(kept) != 1 || !strings.Contains(l.picture(t, ""), "other") {
		t.Errorf("what others wrote is gone: %v", kept)
	}
	must(t, c.Discard(t.Context()))
	if strings.Contains(l.picture(t, ""), "fl eet_new") {
		t.Error("what was kept was not discarded")
	}
}

// What would not come back is refused when it is saved, and so is a record that lies.
func (l *lab) refused(t *testing.T) {
	l.populate(t)
	c := l.component(t, component.Env{State: t.TempDir()})
	source, record := capture(t, c)
	before := l.picture(t, "")
	for was, is := range map[string]string{`"rows":4`: `"rows":5`, `"role":"fleet"`: `"role":"fl\"eet"`, `"digest":"`: `"digest":"1`, `"bytes":`: `"bytes":1`, `"right":"CONNECT"`: `"right":"ALL"`} {
		lying := record
		lying.Detail = json.RawMessage(strings.Replace(string(record.Detail), was, is, 1))
		c := l.component(t, component.Env{State: t.TempDir()})
		if err := c.Restore(t.Context(), source, component.RestoreOptions{Record: lying}); err == nil {
			t.Errorf("a record with %s was restored", is)
		}
		must(t, c.Rollback(t.Context()))
	}
	if after := l.picture(t, ""); after != before {
		t.Errorf("what was refused changed something:\n%s\n%s", before, after)
	}
	for _, bad := range []string{"CREATE EXTENSION hstore", "SELECT lo_from_bytea(0, 'x')", "CREATE TABLE foreign_owner ()"} {
		l.populate(t)
		if strings.Contains(bad, "EXTENSION") {
			if found, _ := filepath.Glob("/usr/share/postgresql/*/extension/hstore.control"); len(found) == 0 {
				continue
			}
		}
		l.ask(t, "fl eet", bad)
		if _, err := c.Capture(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "cannot bring back") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestOptions(t *testing.T) {
	dir := t.TempDir()
	for _, address := range []string{
		"", "sqlite:/x", "postgres://fleet:secret-word@/postgres", "postgres://fleet@:x/fleet", "postgres://fleet:secret-word@host:99999999/x",
		"postgres://fl%22eet:secret-word@host/fleet", "postgres://fleet:secret-word@host/template1", "host=/run dbname=fleet password=secret-word",
	} {
		file := dir + "/url"
		must(t, os.WriteFile(file, []byte(address), 0o600))
		c, err := postgres.Kind().New(component.Env{Host: host.Local()}, profile.Component{Name: "x", Options: &postgres.Options{URLFile: file}})
		must(t, err)
		if _, err := c.Inspect(t.Context()); err == nil || strings.Contains(err.Error(), "secret-word") {
			t.Errorf("address %q: %v", address, err)
		}
	}
	for _, file := range []string{"url", "/a/../b"} {
		if _, err := postgres.Kind().New(component.Env{Host: host.Local()}, profile.Component{Options: &postgres.Options{URLFile: file}}); err == nil {
			t.Errorf("file %q was taken", file)
		}
	}
}

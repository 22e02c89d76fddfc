package profile

import (
	"context"
	"errors"
	"strings"
	"testing"

	"lifeboat/internal/host/hosttest"
)

const appConf = `# comment
; pass=commented
[MAIN]
Root=/data/app
[DB]
config=DBI:mysql:database=app2;host=db.example;port=3307;mysql_socket=/run/db.sock
 pass = a "quoted" #;\ 'secret' = x
empty=
[MAIN]
Later = yes
`

func TestSources(t *testing.T) {
	h := hosttest.With(t, map[string]string{
		"/etc/app.conf":   appConf,
		"/etc/app.yml":    "database:\n  host: localhost\n  password:\n  port: 3306\n  list: [1]\nbase: &b {x: 1}\nother: *b\n",
		"/lib/App.pm":     "package App;\n$SCHEMA_VERSION = 3.09;\n$VERSION = '3.0.49';\n",
		"/etc/passwd":     "root:x:0:0::/root:/bin/sh\n",
		"/etc/broken.yml": "a: [",
	})
	tests := []struct {
		name, setting, want string
		missing             bool
		err                 string
	}{
		{"ini", "{ini: /etc/app.conf, section: MAIN, key: Root}", "/data/app", false, ""},
		{"ini nested", "{ini: {file: /etc/app.conf, section: MAIN, key: Root}}", "/data/app", false, ""},
		{"ini takes values literally", "{ini: /etc/app.conf, section: DB, key: pass}", `a "quoted" #;\ 'secret' = x`, false, ""},
		{"ini section twice", "{ini: /etc/app.conf, section: MAIN, key: Later}", "yes", false, ""},
		{"ini empty", "{ini: /etc/app.conf, section: DB, key: empty}", "", true, ""},
		{"ini empty with default", "{ini: /etc/app.conf, section: DB, key: empty, default: d}", "d", false, ""},
		{"ini without file", "{ini: /etc/none.conf, section: DB, key: pass}", "", true, ""},
		{"yaml", "{yaml: /etc/app.yml, key: database.port}", "3306", false, ""},
		{"yaml null", "{yaml: /etc/app.yml, key: database.password}", "", true, ""},
		{"yaml absent", "{yaml: /etc/app.yml, key: database.port.x}", "", true, ""},
		{"yaml alias", "{yaml: /etc/app.yml, key: other.x}", "1", false, ""},
		{"yaml list", "{yaml: /etc/app.yml, key: database.list}", "", false, "is no single value"},
		{"yaml broken", "{yaml: /etc/broken.yml, key: a}", "", false, "read /etc/broken.yml"},
		{"text", `{text: /lib/App.pm, matches: 'SCHEMA_VERSION\s*=\s*([0-9.]+)'}`, "3.09", false, ""},
		{"text whole match", `{text: /lib/App.pm, matches: '^package \w+'}`, "package App", false, ""},
		{"text without match", `{text: /lib/App.pm, matches: 'nothing'}`, "", true, ""},
		{"text is a directory", `{text: /lib}`, "", false, "is no regular file"},
		{"value", `{value: "${db}/x"}`, "db/x", false, ""},
		{"value of nothing", `{value: "${nothing}"}`, "", true, ""},
		{"value of nothing with default", `{value: "${nothing}", default: "${db}"}`, "db", false, ""},
		{"first", `{first: [{ini: /etc/none, key: x}, {value: one}, {value: two}]}`, "one", false, ""},
		{"first of none", `{first: [{ini: /etc/none, key: x}], default: d}`, "d", false, ""},
		{"package", "{package: nothing-such}", "", true, ""},
		{"command not there", "{command: [no-such-program]}", "", true, ""},
	}
	r := testRegistry()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(good, "settings:\n", "settings:\n  tested: "+test.setting+"\n  nothing: {ini: /etc/none, key: x}\n", 1)
			p, err := r.Load("app.yaml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			got, ok, err := r.read(context.Background(), Scope{Host: h, Settings: map[string]string{"db": "db"}}, p.Settings["tested"])
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil || got != test.want || ok == test.missing {
				t.Errorf("got %q, %v, %v", got, ok, err)
			}
		})
	}
}

func TestResolve(t *testing.T) {
	h := hosttest.With(t, map[string]string{"/etc/app.conf": appConf, "/usr/lib/app/VERSION": "schema=7\n"})
	r := testRegistry()
	p, err := r.Load("app.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	got, err := r.Resolve(ctx, p, Scope{Host: h}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"root": "/data/app", "tree": "/data/app/tree", "db": "app2"} {
		if got[name] != want {
			t.Errorf("%s: %q", name, got[name])
		}
	}
	// What was recorded at backup wins, also in what is made of it.
	got, err = r.Resolve(ctx, p, Scope{Host: h}, map[string]string{"root": "/other", "stale": "x"})
	if err != nil || got["tree"] != "/other/tree" || got["stale"] != "" {
		t.Errorf("overrides: %v, %v", got, err)
	}
	if public := p.Public(got); public["password"] != "" || public["root"] != "/other" {
		t.Errorf("public: %v", public)
	}
	if err := p.CheckSettings(map[string]string{"rot": "x"}); err == nil || !strings.Contains(err.Error(), "did you mean root?") {
		t.Errorf("check: %v", err)
	}
	facts, err := r.Facts(ctx, p, Scope{Host: h, Settings: got})
	if err != nil || facts["schema"] != "7" {
		t.Errorf("facts: %v, %v", facts, err)
	}
	if _, ok := facts["version"]; ok {
		t.Error("a fact of a product that is not installed must be absent")
	}
	found, why, err := r.Detect(ctx, p, Scope{Host: h})
	if err != nil || !found || why != "/etc/app.conf is there" {
		t.Errorf("detect: %v %q %v", found, why, err)
	}
	notices, err := r.Notices(ctx, p, Scope{Host: h, Settings: got}, false)
	if err != nil || len(notices) != 0 {
		t.Errorf("notices: %v, %v", notices, err)
	}
	old := hosttest.With(t, map[string]string{"/etc/app.conf": "old\n"})
	notices, err = r.Notices(ctx, p, Scope{Host: old, Settings: got}, false)
	if err != nil || len(notices) != 1 || notices[0] != "The configuration under /other is old. Renew it." {
		t.Errorf("notices: %v, %v", notices, err)
	}
}

func TestResolveTellsWhatIsMissing(t *testing.T) {
	r := testRegistry()
	p, err := r.Load("app.yaml", []byte(strings.Replace(good, ", default: /srv/app}", "}", 1)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Resolve(context.Background(), p, Scope{Host: hosttest.With(t, nil)}, nil)
	var unresolved *UnresolvedError
	if !errors.As(err, &unresolved) || strings.Join(unresolved.Names, " ") != "root tree" {
		t.Errorf("got %v", err)
	}
	if got["db"] != "app" {
		t.Errorf("the others: %v", got)
	}
}

func TestParseDSN(t *testing.T) {
	for dsn, want := range map[string]map[string]string{
		"dbi:mysql:database=smt;host=localhost":                       {"driver": "mysql", "database": "smt", "host": "localhost"},
		"DBI:mysql:database=smt;host=db;port=3307":                    {"database": "smt", "host": "db", "port": "3307"},
		"Dbi:MariaDB(RaiseError=>1):dbname=x;mariadb_socket=/run/s k": {"driver": "mariadb", "database": "x", "socket": "/run/s k"},
		"dbi:mysql:smt":                 {"database": "smt"},
		"dbi:mysql:smt:db.example:3308": {"database": "smt", "host": "db.example", "port": "3308"},
		" dbi : mysql : Database = smt ; mysql_socket = /run/mysql.sock ": {"database": "smt", "socket": "/run/mysql.sock"},
	} {
		got, err := parseDSN(dsn)
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
		}
		for part, value := range want {
			if got[part] != value {
				t.Errorf("%s: %s is %q, want %q", dsn, part, got[part], value)
			}
		}
	}
	for _, bad := range []string{"", "mysql:database=x", "dbi:", "dbi:mysql"} {
		if got, err := parseDSN(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func FuzzParseDSN(f *testing.F) {
	f.Add("dbi:mysql:database=smt;host=localhost")
	f.Fuzz(func(t *testing.T, text string) { _, _ = parseDSN(text) })
}

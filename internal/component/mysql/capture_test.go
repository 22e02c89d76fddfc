package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/host"
	"lifeboat/internal/product"
	"lifeboat/internal/repository"
)

// fakeTool puts a shell script in the place of the dump tool. In it, $REAL is the
// real one; asked for its version or options, the double answers with that.
func fakeTool(t *testing.T, script string) {
	t.Helper()
	tool, err := host.Local().Look("mariadb-dump", "mysqldump")
	if err != nil {
		t.Skip("needs mariadb-client")
	}
	dir := t.TempDir()
	text := "#!/bin/sh\nREAL=" + tool + "\ncase \"$*\" in *--help*|*--version*) exec $REAL \"$@\";; esac\n" + script + "\n"
	for _, name := range []string{"mariadb-dump", "mysqldump"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestLyingDumpTools(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE a (x INT)", "CREATE TABLE b (x TEXT)", "INSERT INTO a VALUES (1), (2), (3)", "INSERT INTO b VALUES ('y'), ('z')")
	for _, c := range []struct{ name, script, want string }{
		{"fails at start", "echo 'Access denied' >&2; exit 2", "exit code 2: Access denied"},
		{"fails midway", "$REAL \"$@\" | head -c 900; exit 3", "exit code 3"},
		{"is killed", "$REAL \"$@\" | head -c 900; kill -9 $$", "signal killed"},
		{"says nothing", "exit 0", "the dump is empty"},
		{"cut in a statement", "$REAL \"$@\" | sed '/ENGINE=/,$d'", "cut off"},
		{"no trailer", "$REAL \"$@\" | grep -v completed", "its last line is not"},
		{"trailer in the middle", "echo '-- Dump completed'; $REAL \"$@\" | grep -v completed", "its last line is not"},
		{"a table is missing", "$REAL \"$@\" | grep -v '`b`'", "table b is missing"},
		{"rows are missing", "$REAL \"$@\" | sed 's/^(2),$//'", "table a has 2 rows instead of 3"},
		{"writes garbage", "printf 'CREATE TABLE `a` (x INT);\\n\\\\! touch /tmp/x\\n'", "client command"},
		{"writes another table", "echo 'CREATE TABLE extra (x INT);'; $REAL \"$@\"", "table extra is too many"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fakeTool(t, c.script)
			_, err := l.component(memory(t), nil).Capture(t.Context(), &store{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	l.run("INSERT INTO a VALUES (4)") // no lock was left behind
}

func TestRepositoryIsFull(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE a (x LONGTEXT) ENGINE=MyISAM", "INSERT INTO a VALUES (REPEAT('x', 1000000))")
	_, err := l.component(memory(t), nil).Capture(t.Context(), &store{full: 200_000})
	if err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Fatalf("got %v", err)
	}
	l.run("INSERT INTO a VALUES ('y')")
}

func TestCancelledCapture(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE a (x TEXT)")
	fakeTool(t, "sleep 600")
	ctx, cancel := context.WithCancel(t.Context())
	s := &cancelling{cancel: cancel}
	if _, err := l.component(memory(t), nil).Capture(ctx, s); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

type cancelling struct {
	store
	cancel context.CancelFunc
}

func (c *cancelling) AddStream(_ context.Context, _ string, r io.Reader) (repository.Stats, error) {
	c.cancel()
	_, err := io.Copy(io.Discard, r)
	return repository.Stats{}, err
}

func TestCaptureWhileOthersWrite(t *testing.T) {
	l := newLab(t)
	for _, engine := range []string{"InnoDB", "MyISAM"} {
		t.Run(engine, func(t *testing.T) {
			l.run("DROP TABLE IF EXISTS a, b", "CREATE TABLE a (x INT) ENGINE="+engine, "CREATE TABLE b (x INT) ENGINE=InnoDB")
			ctx, stop := context.WithCancel(t.Context())
			var writer sync.WaitGroup
			writer.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					for _, name := range []string{"a", "b"} {
						// The gap between the tables tells something only while
						// every row of a is followed by its row of b.
						for ctx.Err() == nil {
							_, err := l.db.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s VALUES (%d)", table(l.name, name), i))
							if err == nil {
								break
							}
							if ctx.Err() == nil {
								t.Logf("row %d of %s: %v; again", i, name, err)
							}
						}
					}
				}
			})
			c := l.component(memory(t), nil)
			for range 3 {
				st := &store{}
				captured, err := c.Capture(t.Context(), st)
				if err != nil {
					t.Fatal(err)
				}
				d := captured.Detail.(*Detail)
				if want := map[string]string{"InnoDB": "snapshot", "MyISAM": "locked"}[engine]; d.Consistent != want {
					t.Errorf("consistency is %s, want %s", d.Consistent, want)
				}
				if gap := d.Tables[0].Rows - d.Tables[1].Rows; gap < 0 || gap > 1 {
					t.Errorf("tables are from two moments: %+v", d.Tables)
				}
			}
			stop()
			writer.Wait()
		})
	}
}

func TestApplicationUserCaptures(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE a (x INT) ENGINE=MyISAM", "CREATE TABLE b (x INT)", "INSERT INTO a VALUES (1)",
		"CREATE USER plain@localhost IDENTIFIED BY 'p'", "GRANT SELECT, LOCK TABLES, SHOW VIEW, TRIGGER ON "+ident(l.name)+".* TO plain@localhost")
	t.Cleanup(func() { l.run("DROP USER plain@localhost") })
	file := filepath.Join(t.TempDir(), "my.cnf")
	writeFile(t, file, "[client]\nuser=plain\npassword=p\nsocket="+l.socket+"\n")
	c, err := New(component.Env{Host: host.Local(), State: t.TempDir()}, Options{Database: l.name, Access: Access{DefaultsFile: file}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	captured, err := c.Capture(t.Context(), &store{})
	if err != nil {
		t.Fatal(err)
	}
	if len(captured.Warnings) != 1 || !strings.Contains(captured.Warnings[0], "defaults_file") {
		t.Errorf("warnings %q", captured.Warnings)
	}
}

func TestWaysIn(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE a (x INT)", "CREATE USER way@localhost IDENTIFIED BY 'right'", "GRANT ALL ON *.* TO way@localhost")
	t.Cleanup(func() { l.run("DROP USER way@localhost") })
	file := filepath.Join(t.TempDir(), "my.cnf")
	try := func(text, database string) error {
		writeFile(t, file, text)
		c, err := New(component.Env{Host: host.Local(), State: t.TempDir()}, Options{Database: database, Access: Access{DefaultsFile: file}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Capture(t.Context(), &store{})
		return err
	}
	for _, c := range []struct{ name, text, database, want string }{
		{"right", "[client]\nuser=way\npassword=right\nsocket=" + l.socket, l.name, ""},
		{"wrong password", "[client]\nuser=way\npassword=wrong\nsocket=" + l.socket, l.name, "Access denied"},
		{"no server", "[client]\nuser=way\nsocket=/nonexistent/socket", l.name, "is it running?"},
		{"no such database", "[client]\nuser=way\npassword=right\nsocket=" + l.socket, "no_such_one", "no such database"},
		{"broken file", "[client\n", l.name, "line 1"},
	} {
		if err := try(c.text, c.database); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		} else if err != nil && strings.Contains(err.Error(), "wrong\n") {
			t.Errorf("%s: the password stands in %v", c.name, err)
		}
	}
}

// TestPasswordsStayHidden captures with odd passwords through the real tool,
// while a double lists every command line and environment of the machine.
func TestPasswordsStayHidden(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE a (x INT)")
	for i, password := range []string{`plain-secret-1`, `it's "quoted" # not a comment`, `back\slash\n and ; [x] = %`, ` spaces `, "üñ\ttab", `"`, `\`} {
		user := fmt.Sprintf("hidden%d", i)
		l.run("CREATE USER "+user+"@localhost IDENTIFIED BY "+literal(password), "GRANT ALL ON *.* TO "+user+"@localhost")
		t.Cleanup(func() { l.run("DROP USER " + user + "@localhost") })
		seen := filepath.Join(t.TempDir(), "seen")
		fakeTool(t, "cat /proc/[0-9]*/cmdline /proc/self/environ > "+seen+" 2>/dev/null\n$REAL \"$@\"")
		state := memory(t)
		c, err := New(component.Env{Host: host.Local(), State: state}, Options{Database: l.name, Access: Access{Socket: l.socket, User: user, Password: password}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := open(t.Context(), host.Local(), c.opts.application(host.Local()), c.opts.Access, "")
		if err != nil {
			t.Fatalf("%q: %v", password, err)
		}
		if _, err := c.capture(t.Context(), s, &store{}); err != nil {
			t.Errorf("%q: %v", password, err)
		}
		s.close()
		text, err := os.ReadFile(seen)
		if err != nil {
			t.Fatal(err)
		}
		if len(password) > 3 && strings.Contains(string(text), password) {
			t.Errorf("password %q stands on a command line or in an environment", password)
		}
		if left, _ := os.ReadDir(state); len(left) != 0 {
			t.Errorf("left in the state directory: %v", left)
		}
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// versioned is a product whose schema version is the only row of table version.
func versioned() *product.Product {
	return &product.Product{Name: "versioned", Schema: product.Schema{
		Version: func(ctx context.Context, query product.Query) (string, error) {
			rows, err := query(ctx, "SELECT v FROM version")
			if err != nil {
				return "", err
			}
			if len(rows) == 0 {
				return "", product.ErrUpgrading
			}
			return rows[0][0], nil
		},
		Tables:     func(string) []string { return []string{"version", "a"} },
		References: []product.Reference{{Table: "b", Columns: []string{"a"}, To: "a", ToColumns: []string{"x"}, Where: "c.a <> 0"}},
	}}
}

func TestProductKnowledge(t *testing.T) {
	l := newLab(t)
	l.run("CREATE TABLE version (v VARCHAR(10))", "CREATE TABLE b (a INT)", "CREATE TABLE a (x INT)", "INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1), (2), (0)")
	c := l.component(memory(t), versioned())
	captured, err := c.Capture(t.Context(), &store{})
	if err != nil {
		t.Fatal(err)
	}
	if d := captured.Detail.(*Detail); !d.Upgrading || len(captured.Warnings) != 1 || !strings.Contains(captured.Warnings[0], "upgrade") {
		t.Errorf("an upgrade under way was not told: %+v %q", d, captured.Warnings)
	}
	l.run("INSERT INTO version VALUES ('1.5')", "DROP TABLE a")
	if captured, err = c.Capture(t.Context(), &store{}); err != nil {
		t.Fatal(err)
	}
	if len(captured.Warnings) != 1 || !strings.Contains(captured.Warnings[0], "table a, which belongs to schema 1.5") {
		t.Errorf("warnings %q", captured.Warnings)
	}
	l.run("CREATE TABLE a (x INT)", "INSERT INTO a VALUES (1)")
	_, rec := mustCapture(t, c)
	checks, err := c.Check(t.Context(), rec)
	if err != nil {
		t.Fatal(err)
	}
	var warned, failed []string
	for _, k := range checks {
		if !k.OK && k.Warning {
			warned = append(warned, k.Name+": "+k.Found)
		} else if !k.OK {
			failed = append(failed, k.Name)
		}
	}
	if len(failed) != 0 || len(warned) != 1 || !strings.HasPrefix(warned[0], "references b[a] → a[x]: 1 ") {
		t.Errorf("failed %q, warned %q", failed, warned)
	}
	l.run("UPDATE version SET v = '1.6'", "INSERT INTO a VALUES (5)")
	if checks, err = c.Check(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	failed = nil
	for _, k := range checks {
		if !k.OK && !k.Warning {
			failed = append(failed, k.Name)
		}
	}
	if got := strings.Join(failed, ", "); got != "rows of table a, content of table version, rows of all tables, schema version" {
		t.Errorf("failed: %s", got)
	}
	in, err := c.Inspect(t.Context())
	if err != nil || !in.Present || in.Items != 3 || in.Detail["schema"] != "1.6" {
		t.Errorf("inspection %+v, %v", in, err)
	}
}

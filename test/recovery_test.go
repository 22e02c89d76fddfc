package test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestRecovery runs the stories of recoveries. They share one lost server a
// schema, for building and saving one takes longer than what most of them tell.
func TestRecovery(t *testing.T) {
	needsLab(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/recovery",
		Setup: func(env *testscript.Env) error {
			if err := setup(env); err != nil {
				return err
			}
			tools, err := recoveryTools()
			env.Setenv("PATH", tools+string(os.PathListSeparator)+env.Getenv("PATH"))
			return errors.Join(err, os.Mkdir(env.Getenv("LABS"), 0o700))
		},
		Condition:           condition,
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":         exits,
			"eventually":    eventually,
			"administrator": administrator,
			"lost":          lost,
			"bare":          bare,
			"prepared":      prepared,
		},
	})
}

func needsLab(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: builds SMT servers in sandboxes")
	}
	for _, tool := range []string{"mariadbd", "mkfs.ext4", "setfacl", "openssl", "restic"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs " + tool)
		}
	}
}

func recoveryTools() (string, error) { return filepath.Abs("testdata/recovery/bin") }

// server is a server that was saved and is gone, but for its disk.
type server struct {
	schema string
	share  string // holds the repository, /backup of each system
	key    string // file with the repository's password, /root/key of each system
	client string // client.json of one of its clients
	before string // what portrait printed of it
	point  string // id of its one recovery point

	prepared func() (string, error) // see prepare
}

// servers are built when the first story asks for them.
var servers = map[string]func() (*server, error){}

func init() {
	for _, schema := range []string{"0.09", "0.14", "3.09"} {
		servers[schema] = sync.OnceValues(func() (*server, error) { return build(schema) })
	}
}

// dir is where everything of the server is, its own disk as "server".
func (s *server) dir() string { return filepath.Dir(s.share) }

// repository is how systems that share it name the repository.
const repository = "/backup/lifeboat"

// build makes a server, saves it and shuts it down.
func build(schema string) (*server, error) {
	dir := filepath.Join(programs, "recovery", schema)
	s := &server{
		schema: schema, share: filepath.Join(dir, "backup"), key: filepath.Join(dir, "key"),
		client: filepath.Join(dir, "server", "client.json"), before: filepath.Join(dir, "before"),
	}
	s.prepared = sync.OnceValues(s.prepare)
	if err := os.MkdirAll(s.share, 0o700); err != nil {
		return nil, err
	}
	l := labs{dir}
	if _, err := l.run("lab", "build", "smt", filepath.Join(dir, "server"), "--schema", schema, "--password", "nasty", "--local", "--old-script",
		"--lifeboat", filepath.Join(programs, "lifeboat"), "--share", s.share+":/backup"); err != nil {
		return nil, err
	}
	_, err := l.in("server", `
		lifeboat init --repository `+repository+`
		sed -i 's/^\( *\)profile: smt$/&\n\1components: {package-tree: true}/' /etc/lifeboat/lifeboat.yaml
		lifeboat backup smt || [ $? -eq 3 ]`)
	if err == nil {
		s.point, err = l.in("server", `lifeboat --json list | sed -n 's/.*"id":"\([0-9a-f]*\)".*/\1/p'`)
	}
	if err == nil {
		var portrait, key string
		portrait, err = l.run("portrait", "server")
		if err == nil {
			key, err = l.in("server", "cat /etc/lifeboat/repository.key")
		}
		err = errors.Join(err, os.WriteFile(s.before, []byte(portrait), 0o600), os.WriteFile(s.key, []byte(key), 0o600))
	}
	s.point = strings.TrimSpace(s.point)
	return s, l.shutDown("server", err)
}

// prepare makes a bare machine on which an administrator has done by hand what
// comes before the restore, with another server's data in it, and shuts it down.
func (s *server) prepare() (string, error) {
	dir := filepath.Join(s.dir(), "prepared")
	l := labs{s.dir()}
	if _, err := l.run("lab", s.buildBare(dir)...); err != nil {
		return "", err
	}
	credentials, register := "/etc/zypp/credentials.d/SCCcredentials", "SUSEConnect"
	if s.schema < "3" {
		credentials, register = "/etc/zypp/credentials.d/NCCcredentials", "suse_register"
	}
	_, err := l.in("prepared", `
		mkdir -p /etc/zypp/credentials.d
		printf 'username=SCC_d91a7be2c1c5\npassword=9c0f5e1b2a\n' > `+credentials+`
		chmod 600 `+credentials+`
		`+register+`
		zypper --non-interactive patch || [ $? -eq 102 ]`)
	if err == nil {
		_, err = l.run("lab", "reboot", dir)
	}
	if err == nil {
		_, err = l.in("prepared", `
			zypper --non-interactive install smt
			yast2 smt-wizard
			zypper --non-interactive patch
			mysql smt -e "CREATE TABLE Fresh (ID INT PRIMARY KEY, TEXT VARCHAR(40)) ENGINE=InnoDB; INSERT INTO Fresh VALUES (1, 'of the fresh installation')
				; CREATE VIEW FreshView AS SELECT TEXT FROM Fresh"
			mkdir -p /srv/www/htdocs/repo/fresh
			echo fresh > /srv/www/htdocs/repo/fresh/file
			chown -R smt:www /srv/www/htdocs/repo
			echo fresh > /srv/www/htdocs/repo/tools/clientSetup4SMT.sh
			echo fresh > /var/lib/CAM/note`)
	}
	return dir, l.shutDown("prepared", err)
}

// buildBare is the command of lab that builds a bare machine which reaches the
// repository.
func (s *server) buildBare(dir string, flags ...string) []string {
	return append([]string{
		"build", "bare", dir, "--schema", s.schema, "--lifeboat", filepath.Join(programs, "lifeboat"),
		"--share", s.share + ":/backup", "--share", s.key + ":/root/key",
	}, flags...)
}

// labs is a directory with lab systems.
type labs struct{ dir string }

// run runs a program of ours and returns what it printed.
func (l labs) run(name string, args ...string) (string, error) {
	cmd := l.command(name, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out, errs.String())
	}
	return string(out), nil
}

func (l labs) command(name string, args ...string) *exec.Cmd {
	tools, err := recoveryTools()
	if err != nil {
		panic(err)
	}
	for _, dir := range []string{programs, tools} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			name = filepath.Join(dir, name)
		}
	}
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LABS="+l.dir, "PATH="+programs+":"+tools+":"+os.Getenv("PATH"))
	return cmd
}

// in runs a shell text inside a system; the first command that fails ends it.
func (l labs) in(system, text string) (string, error) {
	return l.run("lab", "exec", filepath.Join(l.dir, system), "--", "bash", "-ec", text)
}

// shutDown keeps a system for later, or nothing of it when building it failed.
func (l labs) shutDown(system string, failed error) error {
	verb := "stop"
	if failed != nil {
		verb = "destroy"
	}
	_, err := l.run("lab", verb, filepath.Join(l.dir, system))
	return errors.Join(failed, err)
}

// clone copies a system that is shut down and boots the copy.
func (l labs) clone(from, name string) error {
	to := filepath.Join(l.dir, name)
	if _, err := l.run("cp", "-a", "--sparse=always", from, to); err != nil {
		return err
	}
	_, err := l.run("lab", "start", to)
	return err
}

// find returns the lost server of a story's schema.
func find(ts *testscript.TestScript, schema string) *server {
	get, ok := servers[schema]
	if !ok {
		ts.Fatalf("there is no server of schema %q", schema)
	}
	s, err := get()
	ts.Check(err)
	return s
}

// lost names a lost server to the story: $SHARE holds its repository, $KEY its
// password, $POINT is its recovery point, $CLIENT one of its clients, and $BEFORE
// what portrait printed of it. $SERVER is its disk.
//
//	lost 3.09
func lost(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lost SCHEMA")
	}
	s := find(ts, args[0])
	for name, value := range map[string]string{
		"SHARE": s.share, "KEY": s.key, "POINT": s.point, "CLIENT": s.client, "BEFORE": s.before, "SERVER": filepath.Join(s.dir(), "server"),
	} {
		ts.Setenv(name, value)
	}
}

// bare builds a bare machine which reaches the repository of the lost server of
// that schema as /backup/lifeboat, its password being in /root/key.
//
//	bare new 3.09 [FLAG...]
func bare(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: bare NAME SCHEMA [FLAG...]")
	}
	s := find(ts, args[1])
	ts.Check(ts.Exec("lab", s.buildBare(filepath.Join(ts.Getenv("LABS"), args[0]), args[2:]...)...))
}

// prepared gives the story a machine with everything done that comes before the
// restore. It holds another server's data.
//
//	prepared new 3.09
func prepared(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: prepared NAME SCHEMA")
	}
	from, err := find(ts, args[1]).prepared()
	ts.Check(err)
	ts.Check(labs{ts.Getenv("LABS")}.clone(from, args[0]))
}

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

// TestRecovery runs the stories of recoveries. They share one lost server of each
// sort, for building and saving one takes longer than what most of them tell.
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
		t.Skip("needs root: builds servers in sandboxes")
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
	*plan
	sort   string // schema of an SMT, variant of an opsi
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
	for sort, p := range map[string]*plan{
		"0.09": &smtPlan, "0.14": &smtPlan, "3.09": &smtPlan, "file": &opsiPlan, "hybrid": &opsiPlan, "mysql": &opsiPlan,
	} {
		servers[sort] = sync.OnceValues(func() (*server, error) { return build(p, sort) })
	}
}

// dir is where everything of the server is, its own disk as "server".
func (s *server) dir() string { return filepath.Dir(s.share) }

// repository is how systems that share it name the repository.
const repository = "/backup/lifeboat"

// build makes a server, saves it and shuts it down.
func build(p *plan, sort string) (*server, error) {
	dir := filepath.Join(programs, "recovery", sort)
	s := &server{
		plan: p, sort: sort, share: filepath.Join(dir, "backup"), key: filepath.Join(dir, "key"),
		client: filepath.Join(dir, "server", "client.json"), before: filepath.Join(dir, "before"),
	}
	s.prepared = sync.OnceValues(s.prepare)
	if err := os.MkdirAll(s.share, 0o700); err != nil {
		return nil, err
	}
	l := labs{dir}
	args := []string{
		"build", p.product, filepath.Join(dir, "server"), p.sortFlag, sort, "--password", "nasty",
		"--lifeboat", filepath.Join(programs, "lifeboat"), "--share", s.share + ":/backup",
	}
	if _, err := l.run("lab", append(args, p.serverFlags...)...); err != nil {
		return nil, err
	}
	_, err := l.in("server", `
		lifeboat init --repository `+repository+`
		sed -i 's/^\( *\)profile: `+p.product+`$/&\n\1components: {`+p.components+`}/' /etc/lifeboat/lifeboat.yaml
		lifeboat backup `+p.product+` || [ $? -eq 3 ]`)
	if err == nil {
		s.point, err = l.in("server", `lifeboat --json list | sed -n 's/.*"id":"\([0-9a-f]*\)".*/\1/p'`)
	}
	if err == nil {
		var portrait, key string
		portrait, err = l.run(p.portrait, "server")
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
	if _, err := l.run("lab", s.buildBare(dir, s.preparedFlags...)...); err != nil {
		return "", err
	}
	return dir, l.shutDown("prepared", s.byHand(l, s.sort))
}

// buildBare is the command of lab that builds a bare machine which reaches the
// repository.
func (s *server) buildBare(dir string, flags ...string) []string {
	return append([]string{
		"build", "bare", dir, "--product", s.product, s.sortFlag, s.sort, "--lifeboat", filepath.Join(programs, "lifeboat"),
		"--share", s.share + ":/backup", "--share", s.key + ":/root/key",
	}, flags...)
}

// labs is a directory with lab systems.
type labs struct{ dir string }

// path is the directory of one.
func (l labs) path(system string) string { return filepath.Join(l.dir, system) }

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
	return l.run("lab", "exec", l.path(system), "--", "bash", "-ec", text)
}

// shutDown keeps a system for later, or nothing of it when building it failed.
func (l labs) shutDown(system string, failed error) error {
	verb := "stop"
	if failed != nil {
		verb = "destroy"
	}
	_, err := l.run("lab", verb, l.path(system))
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

// find returns the lost server of a story's sort.
func find(ts *testscript.TestScript, sort string) *server {
	get, ok := servers[sort]
	if !ok {
		ts.Fatalf("there is no server of schema or variant %q", sort)
	}
	s, err := get()
	ts.Check(err)
	return s
}

// lost names a lost server to the story: $SHARE holds its repository, $KEY its
// password, $POINT is its recovery point, $CLIENT one of its clients, and $BEFORE
// what its portrait was. $SERVER is its disk. Its sort is the schema of an SMT or the
// variant of an opsi.
//
//	lost 3.09
//	lost hybrid
func lost(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: lost SORT")
	}
	s := find(ts, args[0])
	for name, value := range map[string]string{
		"SHARE": s.share, "KEY": s.key, "POINT": s.point, "CLIENT": s.client, "BEFORE": s.before, "SERVER": filepath.Join(s.dir(), "server"),
	} {
		ts.Setenv(name, value)
	}
}

// bare builds a bare machine which reaches the repository of the lost server of
// that sort as /backup/lifeboat, its password being in /root/key.
//
//	bare new 3.09 [FLAG...]
func bare(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: bare NAME SORT [FLAG...]")
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
		ts.Fatalf("usage: prepared NAME SORT")
	}
	from, err := find(ts, args[1]).prepared()
	ts.Check(err)
	ts.Check(labs{ts.Getenv("LABS")}.clone(from, args[0]))
}

package bench

import (
	"bufio"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx

	"lifeboat/internal/fleet/keys"
)

// site is where the servers run that are measured.
type site struct {
	Fleet
	dir     string
	keys    *keys.Keys
	pair    certificate
	started []*exec.Cmd
}

// server is one of them.
type server struct {
	name, url string
	pid       int
	also      int // a process that works for it; 0 for none
}

// run starts a program that ends with the site, or with this process.
func (s *site) run(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // Ctrl-C is for the clients, who end the servers
	if err := cmd.Start(); err != nil {
		return err
	}
	s.started = append(s.started, cmd)
	return nil
}

// stop ends what was started, the last first. How they end does not matter any more.
func (s *site) stop() {
	for _, cmd := range slices.Backward(s.started) {
		_ = cmd.Process.Signal(syscall.SIGINT)
		late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		late.Stop()
	}
	s.started = nil
}

// fleet starts a fleet server on a database, with all hosts in it.
func (s *site) fleet(ctx context.Context, name, database string, members []member) (*server, error) {
	fmt.Fprintf(s.Log, "enrolling the hosts: %s\n", name)
	if err := enrol(ctx, database, s.keys, members); err != nil {
		return nil, err
	}
	state := filepath.Join(s.dir, fmt.Sprintf("state%d", len(s.started)))
	log, err := os.Create(state + ".log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := append(slices.Clone(s.Program[1:]), "--json", "--state-dir", state, "serve", "--directory", filepath.Join(s.dir, "keys"),
		"--database", database, "--listen", "127.0.0.1:0", "--tls-cert", s.pair.cert, "--tls-key", s.pair.key)
	cmd := exec.Command(s.Program[0], args...)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.run(cmd); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var serving struct{ Address string }
	if err == nil {
		err = json.Unmarshal(line, &serving)
	}
	if err != nil {
		said, _ := os.ReadFile(state + ".log")
		return nil, fmt.Errorf("%s does not serve: %w: %s", s.Program[0], err, tailOf(said))
	}
	return &server{name: name, url: serving.Address, pid: cmd.Process.Pid}, nil
}

// nginxConf gives nginx what helps it: no file is opened twice. Its log and its
// question for a client's certificate are those of the other side.
const nginxConf = `daemon off;
worker_processes %[1]d;
error_log %[2]s/error.log;
pid %[2]s/nginx.pid;
events { worker_connections 4096; }
http {
	access_log %[2]s/access.log;
	client_body_temp_path %[2]s/t1; proxy_temp_path %[2]s/t2; fastcgi_temp_path %[2]s/t3; uwsgi_temp_path %[2]s/t4; scgi_temp_path %[2]s/t5;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000;
	open_file_cache max=20000;
	default_type application/json;
	server {
		listen %[3]s ssl;
		ssl_protocols TLSv1.3;
		ssl_ecdh_curve X25519;
		ssl_certificate %[4]s;
		ssl_certificate_key %[5]s;
		ssl_client_certificate %[6]s;
		ssl_verify_client optional;
		root %[7]s;
		location = /recovery/v1/configuration { try_files /$arg_serial =404; }
	}
}
`

// nginx starts nginx on a directory of files that are named after serial numbers. The
// address is a random one of the loopback net, where nobody else can have the port.
func (s *site) nginx(ctx context.Context, files string) (*server, error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			return nil, fmt.Errorf("%w; scripts/deps bench installs it", err)
		}
	}
	dir := filepath.Join(s.dir, "nginx")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	random := make([]byte, 3)
	_, _ = rand.Read(random) // it never fails, crypto/rand says
	address := fmt.Sprintf("127.%d.%d.%d:18444", 32+random[0]%32, random[1], 1+random[2]%254)
	conf := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(nginxConf, runtime.NumCPU(), dir, address, s.pair.cert, s.pair.key, s.pair.authority, files)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-e", filepath.Join(dir, "error.log"), "-c", conf)
	version, err := exec.Command(program, "-v").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("nginx: %w: %s", err, version)
	}
	if err := s.run(cmd); err != nil {
		return nil, err
	}
	_, number, _ := strings.Cut(strings.TrimSpace(string(version)), "/")
	n := &server{name: "nginx " + number, url: "https://" + address, pid: cmd.Process.Pid}
	return n, n.wait(ctx, func() error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// postgres starts Debian's PostgreSQL with a data directory of its own and its usual
// settings, as an unprivileged user.
func (s *site) postgres(ctx context.Context) (*server, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return nil, errors.New("there is no PostgreSQL; scripts/deps bench installs it")
	}
	slices.Sort(found)
	bin := filepath.Dir(found[len(found)-1])
	dir := filepath.Join(s.dir, "postgres")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	var as *syscall.Credential
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			return nil, err
		}
	}
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		return cmd
	}
	data := filepath.Join(dir, "data")
	if out, err := command("initdb", "--pgdata="+data, "--username=lifeboat", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	cmd := command("postgres", "-D", data, "-c", "listen_addresses=", "-c", "unix_socket_directories="+dir, "-c", "dynamic_shared_memory_type=mmap")
	log, err := os.Create(filepath.Join(s.dir, "postgres.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := s.run(cmd); err != nil {
		return nil, err
	}
	p := &server{name: "PostgreSQL", url: "postgres://lifeboat@/postgres?host=" + dir, pid: cmd.Process.Pid}
	db, err := sql.Open("pgx", p.url)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if err := p.wait(ctx, func() error { return db.PingContext(ctx) }); err != nil {
		said, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%w: %s", err, tailOf(said))
	}
	return p, nil
}

// wait is over when a server answers, or has ended.
func (s *server) wait(ctx context.Context, answers func() error) error {
	for {
		refused := answers()
		if refused == nil {
			return nil
		}
		if _, err := s.cpu(); err != nil || ctx.Err() != nil {
			return errors.Join(fmt.Errorf("%s does not answer: %w", s.name, refused), err, ctx.Err())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// cpu is what a server and the processes that it started have used, see proc(5).
func (s *server) cpu() (time.Duration, error) {
	const second = 100 // ticks; it is so on every machine that Linux runs on with Go
	entries, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	var ticks int64
	found := false
	for _, name := range entries {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			return 0, err
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if len(fields) < 15 || fields[0] == "Z" {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		own := pid == s.pid || s.also != 0 && pid == s.also
		if !own && parent != s.pid && (s.also == 0 || parent != s.also) {
			continue
		}
		found = found || pid == s.pid
		last := 13 // user and system
		if own {
			last = 15 // and of children that have ended
		}
		for _, field := range fields[11:last] {
			n, _ := strconv.ParseInt(field, 10, 64)
			ticks += n
		}
	}
	if !found {
		return 0, fmt.Errorf("%s has ended", s.name)
	}
	return time.Duration(ticks) * time.Second / second, nil
}

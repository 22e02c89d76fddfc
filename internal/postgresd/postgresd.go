// Package postgresd runs a private PostgreSQL server: own data directory, own socket,
// not the machine's option files. Drills and tests run on one. It never touches the data
// of the machine's own server, and knows nothing of components.
package postgresd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lifeboat/internal/host"
)

// ErrMissing says that no PostgreSQL server is installed.
var ErrMissing = errors.New("no PostgreSQL server is on this machine; install postgresql")

// Options says what kind of server is started.
type Options struct {
	// Dir holds the data and the log; it is made. The account has to be able to reach it.
	Dir string
	// Socket is the directory of the socket .s.PGSQL.PORT; "" is Dir.
	Socket string
	Port   int // 0 is 5432
	TCP    bool
	// Access are lines of pg_hba.conf; without any, everybody on this machine may be
	// every role.
	Access []string
}

// Server is one running server. It ends with this process, however that ends.
type Server struct {
	opts    Options
	process *os.Process
	done    chan struct{}
	log     string
}

// programs are where distributions keep initdb and postgres.
var programs = []string{"/usr/lib/postgresql/*/bin", "/usr/lib/postgresql*/bin", "/usr/pgsql-*/bin", "/usr/bin"}

// binaries finds the newest server of the machine.
func binaries() (string, error) {
	best, newest := "", -1
	for _, pattern := range programs {
		found, _ := filepath.Glob(filepath.Join(pattern, "initdb"))
		for _, f := range found {
			digits := strings.Map(func(r rune) rune {
				if r >= '0' && r <= '9' {
					return r
				}
				return -1
			}, filepath.Dir(f))
			version, _ := strconv.Atoi(digits)
			if _, err := os.Stat(filepath.Join(filepath.Dir(f), "postgres")); err == nil && version > newest {
				best, newest = filepath.Dir(f), version
			}
		}
	}
	if best == "" {
		return "", ErrMissing
	}
	return best, nil
}

// Start makes the data directory, with the superuser postgres, if there is none, and
// starts the server as the account postgres, or as the present one without root. It
// returns when the server answers.
func Start(ctx context.Context, opts Options) (*Server, error) {
	if opts.Socket == "" {
		opts.Socket = opts.Dir
	}
	if opts.Port == 0 {
		opts.Port = 5432
	}
	s := &Server{opts: opts, done: make(chan struct{}), log: filepath.Join(opts.Dir, "server.log")}
	if err := s.start(ctx); err != nil {
		return nil, fmt.Errorf("start private PostgreSQL server: %w", err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	bin, err := binaries()
	if err != nil {
		return err
	}
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 {
		account, err := host.Local().User("postgres")
		if err != nil {
			return fmt.Errorf("PostgreSQL's account: %w", err)
		}
		attributes.Credential = &syscall.Credential{Uid: account.UID, Gid: account.GID}
	}
	if err := os.MkdirAll(s.opts.Dir, 0o700); err != nil {
		return err
	}
	if c := attributes.Credential; c != nil {
		if err := os.Chown(s.opts.Dir, int(c.Uid), int(c.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(s.opts.Dir, "data")
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); errors.Is(err, os.ErrNotExist) {
		cmd := s.command(ctx, attributes, filepath.Join(bin, "initdb"), "--pgdata="+data, "--username=postgres", "--auth=trust",
			"--encoding=UTF8", "--locale=C", "--no-sync")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("initdb: %w: %s", err, out)
		}
	}
	access := s.opts.Access
	if len(access) == 0 {
		access = []string{"local all all trust", "host all all 127.0.0.1/32 trust", "host all all ::1/128 trust"}
	}
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte(strings.Join(access, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	if err := s.spawn(attributes, filepath.Join(bin, "postgres"), data); err != nil {
		return err
	}
	return s.await(ctx)
}

func (s *Server) command(ctx context.Context, attributes *syscall.SysProcAttr, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = s.opts.Dir
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC", "HOME=/nonexistent"}
	cmd.SysProcAttr = attributes
	return cmd
}

// spawn keeps the thread that starts the server: the kernel ends the server with it.
func (s *Server) spawn(attributes *syscall.SysProcAttr, program, data string) error {
	listen := ""
	if s.opts.TCP {
		listen = "127.0.0.1,::1" // nothing need be able to resolve a name
	}
	attributes.Pdeathsig = syscall.SIGQUIT
	cmd := s.command(context.WithoutCancel(context.Background()), attributes, program, "-D", data, "-c", "port="+strconv.Itoa(s.opts.Port),
		"-c", "listen_addresses="+listen, "-c", "unix_socket_directories="+s.opts.Socket, "-c", "shared_buffers=16MB",
		"-c", "dynamic_shared_memory_type=mmap", "-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off")
	log, err := os.OpenFile(s.log, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		s.process = cmd.Process
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(s.done)
		}
	}()
	return <-started
}

// await returns when the server takes connections: it makes its socket when it does,
// and its status file says ready after that.
func (s *Server) await(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			text, _ := os.ReadFile(s.log)
			return fmt.Errorf("it ended at once: %s", text[max(0, len(text)-2000):])
		case <-ctx.Done():
			_ = s.process.Kill()
			<-s.done
			return ctx.Err()
		case <-tick.C:
			// The eighth line of the file, see PostgreSQL's miscadmin.h.
			pid, _ := os.ReadFile(filepath.Join(s.opts.Dir, "data", "postmaster.pid"))
			lines := strings.Split(string(pid), "\n")
			if len(lines) < 8 || strings.TrimSpace(lines[7]) != "ready" {
				continue
			}
			if c, err := net.Dial("unix", s.Socket()); err == nil {
				return c.Close()
			}
		}
	}
}

// Socket is where the server listens.
func (s *Server) Socket() string {
	return filepath.Join(s.opts.Socket, ".s.PGSQL."+strconv.Itoa(s.opts.Port))
}

// Stop ends the server at once. It may be repeated.
func (s *Server) Stop() {
	_ = s.process.Signal(syscall.SIGQUIT)
	<-s.done
}

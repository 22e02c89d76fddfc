// Package mysqld runs a private MariaDB or MySQL server: own data directory, own
// socket, no option files, no network unless asked for. Foreign dumps are loaded
// into one, drills and the lab run on one. It never touches the data directory or
// socket of the machine's own server, and knows nothing of components or products.
package mysqld

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"lifeboat/internal/host"
	"lifeboat/internal/scratch"
)

// socketMax is the longest path a unix socket can have on Linux, in bytes.
const socketMax = 107

// stopWait is how long Stop waits for an orderly end before it kills.
const stopWait = 30 * time.Second

// Options says what kind of server is started.
type Options struct {
	// Host finds the programs; nil is this machine. A host below another root
	// is refused: the server runs where this process runs.
	Host *host.Host
	// Dir holds everything of the server: data/, tmp/, mysqld.sock, error.log. A
	// server is started again on the data that is there. "" makes a new
	// directory below the system's temporary one, which Stop removes.
	Dir string
	// Data and Socket are other places for the data directory and the socket than
	// those in Dir: the machine's own, inside a sandbox where nothing else has
	// them. Data that holds no system tables is filled.
	Data, Socket string
	// Port makes the server listen on 127.0.0.1; 0 is the unix socket alone.
	Port int
	// User runs the server; "" is mysql when this process is root, else the
	// present user. Dir must be reachable for it.
	User string
	// Durable keeps what is committed through a crash. Without it the server
	// is faster and dies at once with this process.
	Durable bool
	// Confined takes from the server what a hostile statement could use:
	// reading and writing files, plugins, symbolic links, events.
	Confined bool
	// Args are further server options, say --lower-case-table-names=1.
	Args []string
}

// Server is one running server. Its methods may be called from several goroutines.
type Server struct {
	dir     string
	data    string
	socket  string
	private *scratch.Dir // that Start made; nil is one of the caller's
	program string
	process *os.Process
	done    chan struct{} // closed when the process has ended
	err     error         // how it ended; read after done
	once    sync.Once     // removes the directory
	removed error
	log     string
}

// ErrMissing says that no database server is installed.
var ErrMissing = errors.New("no MariaDB is on this machine; install mariadb-server (on SUSE: mariadb)")

// Start makes the data directory if there is none, starts the server and waits
// until it answers. The server ends with this process, however that ends.
func Start(ctx context.Context, opts Options) (*Server, error) {
	if opts.Host == nil {
		opts.Host = host.Local()
	}
	if !opts.Host.IsLocal() {
		return nil, errors.New("start private database server: only on this machine, not below another root")
	}
	program, err := opts.Host.Look("mariadbd", "mysqld", "/usr/libexec/mysqld", "/usr/sbin/mysqld")
	if err != nil {
		return nil, fmt.Errorf("start private database server: %w: %w", ErrMissing, err)
	}
	run, err := account(opts)
	if err != nil {
		return nil, fmt.Errorf("start private database server: %w", err)
	}
	s := &Server{dir: opts.Dir, program: program, done: make(chan struct{})}
	if s.dir == "" {
		if s.private, err = run.private(); err != nil {
			return nil, fmt.Errorf("start private database server: %w", err)
		}
		s.dir = s.private.Path()
	}
	s.log = filepath.Join(s.dir, "error.log")
	s.data, s.socket = opts.Data, opts.Socket
	if s.data == "" {
		s.data = filepath.Join(s.dir, "data")
	}
	if s.socket == "" {
		s.socket = filepath.Join(s.dir, "mysqld.sock")
	}
	if err := s.start(ctx, opts, run); err != nil {
		if s.private != nil {
			_ = s.private.Remove()
		}
		return nil, err
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, opts Options, run *runAs) error {
	if len(s.Socket()) > socketMax {
		return fmt.Errorf("start private database server: socket path %s is longer than %d bytes; choose a shorter directory", s.Socket(), socketMax)
	}
	if err := run.makeDirs(s.dir, filepath.Join(s.dir, "tmp"), filepath.Join(s.dir, "files")); err != nil {
		return fmt.Errorf("start private database server: %w", err)
	}
	if _, err := os.Stat(filepath.Join(s.data, "mysql")); errors.Is(err, os.ErrNotExist) {
		if err := s.install(ctx, opts.Host, run); err != nil {
			return err
		}
	} else if err != nil {
		return fmt.Errorf("start private database server: %w", err)
	}
	if err := s.spawn(s.args(opts), run, opts.Durable); err != nil {
		return err
	}
	if err := s.await(ctx); err != nil {
		_ = s.process.Kill()
		<-s.done
		return err
	}
	return nil
}

// args lists the server's options. --loose- marks those that not every
// MariaDB or MySQL knows.
func (s *Server) args(opts Options) []string {
	args := []string{
		"--no-defaults",
		"--datadir=" + s.data,
		"--tmpdir=" + filepath.Join(s.dir, "tmp"),
		"--socket=" + s.Socket(),
		"--pid-file=" + filepath.Join(filepath.Dir(s.socket), "mysqld.pid"),
		"--log-error=" + s.log,
		"--skip-log-bin", "--skip-name-resolve",
		"--max-allowed-packet=1G", "--key-buffer-size=16M",
		"--innodb-buffer-pool-size=64M",
		"--loose-innodb-use-native-aio=0",
		"--loose-performance-schema=OFF",
		"--loose-mysqlx=OFF",
	}
	if opts.Port == 0 {
		args = append(args, "--skip-networking")
	} else {
		args = append(args, "--bind-address=127.0.0.1", "--port="+strconv.Itoa(opts.Port))
	}
	if !opts.Durable {
		args = append(args,
			"--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0",
			"--loose-innodb-flush-method=nosync", "--loose-aria-checkpoint-interval=0")
	}
	if opts.Confined {
		args = append(args,
			"--secure-file-priv="+filepath.Join(s.dir, "files"),
			"--local-infile=0", "--skip-symbolic-links", "--event-scheduler=OFF",
			"--loose-innodb-file-per-table=0", // DATA DIRECTORY would put files elsewhere
			"--plugin-dir="+filepath.Join(s.dir, "files"))
	}
	return append(args, opts.Args...)
}

// await returns when the server answers, has ended or ctx is over.
func (s *Server) await(ctx context.Context) error {
	db, err := sql.Open("mysql", s.DSN(""))
	if err != nil {
		return fmt.Errorf("private database server: %w", err)
	}
	defer db.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return fmt.Errorf("private database server %s ended at once (%w): %s", s.program, s.err, s.logTail())
		case <-ctx.Done():
			return fmt.Errorf("private database server did not answer: %w; %s", ctx.Err(), s.logTail())
		case <-tick.C:
			if c, err := net.Dial("unix", s.Socket()); err == nil {
				c.Close()
				if db.PingContext(ctx) == nil {
					return nil
				}
			}
		}
	}
}

// Socket is the server's unix socket.
func (s *Server) Socket() string { return s.socket }

// Dir is the directory that holds everything of the server.
func (s *Server) Dir() string { return s.dir }

// PID is the server's process id.
func (s *Server) PID() int { return s.process.Pid }

// DSN is the data source name, for go-sql-driver/mysql, of the database as the
// server's root, who has no password. "" chooses no database.
func (s *Server) DSN(database string) string {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.DBName = "unix", s.Socket(), "root", database
	cfg.MaxAllowedPacket = 0 // ask the server
	cfg.Logger = quiet{}
	return cfg.FormatDSN()
}

// Stop ends the server in order, after 30 seconds or when ctx is over by force. One
// whose directory Start made is ended at once, whatever it does, and the directory
// is removed. It may be repeated.
func (s *Server) Stop(ctx context.Context) error {
	if s.private != nil {
		_ = s.process.Kill()
		<-s.done
		return s.discard()
	}
	_ = s.process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(stopWait)
	defer timer.Stop()
	var err error
	select {
	case <-s.done:
	case <-timer.C:
		err = fmt.Errorf("private database server did not end in %s and was killed", stopWait)
	case <-ctx.Done():
		err = fmt.Errorf("stop private database server: %w", ctx.Err())
	}
	_ = s.process.Kill()
	<-s.done
	return err
}

// discard removes the directory, once.
func (s *Server) discard() error {
	s.once.Do(func() { s.removed = s.private.Remove() })
	return s.removed
}

// logTail returns the end of the server's error log, for messages.
func (s *Server) logTail() string {
	f, err := os.Open(s.log)
	if err != nil {
		return "no error log"
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > 2048 {
		_, _ = f.Seek(-2048, io.SeekEnd)
	}
	text, _ := io.ReadAll(io.LimitReader(f, 2048))
	return strings.TrimSpace(string(text))
}

// quiet keeps the driver's remarks about a server that is not up yet off stderr.
type quiet struct{}

func (quiet) Print(...any) {}

// install fills the data directory with the system tables. It is done beside and
// renamed, so that a killed start leaves no half-filled data directory.
func (s *Server) install(ctx context.Context, h *host.Host, run *runAs) error {
	fresh := s.data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("make database directory: %w", err)
	}
	if err := run.makeDirs(fresh); err != nil {
		return fmt.Errorf("make database directory: %w", err)
	}
	args := []string{s.program, "--no-defaults", "--initialize-insecure", "--datadir=" + fresh}
	if tool, err := h.Look("mariadb-install-db", "mysql_install_db"); err == nil {
		args = []string{
			tool, "--no-defaults", "--datadir=" + fresh, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
			"--force",
		} // or it gives up on a machine whose own name does not resolve
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = s.dir
	// A server clears its temporary directory of tables when it starts, also of
	// those of another server that shares it.
	cmd.Env = append(environment(), "TMPDIR="+filepath.Join(s.dir, "tmp"))
	cmd.SysProcAttr = run.attributes()
	// It is a script, whose server would go on without it.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if out, err := cmd.CombinedOutput(); err != nil {
		said := strings.TrimSpace(string(out))
		return fmt.Errorf("make database directory: %s: %w: %s", filepath.Base(args[0]), err, said[:min(len(said), 1000)])
	}
	// A directory that was there is empty and goes.
	if err := os.Remove(s.data); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("make database directory: %w", err)
	}
	if err := os.Rename(fresh, s.data); err != nil {
		return fmt.Errorf("make database directory: %w", err)
	}
	return nil
}

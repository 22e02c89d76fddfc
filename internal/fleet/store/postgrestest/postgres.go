// Package postgrestest runs a real PostgreSQL for tests: own data directory, a Unix
// socket, an unprivileged user, gone with the test. What is tested on it does not
// belong here.
package postgrestest

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
)

// port names the socket; no two servers have one directory.
const port = "5432"

// Server is one running database server.
type Server struct {
	t       testing.TB
	dir     string
	program string
	as      *syscall.Credential
	process *exec.Cmd
	done    chan struct{}
	count   atomic.Int64
}

// Start makes a server that keeps what is committed through Kill.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t}
	bin := binaries(t)
	s.program = filepath.Join(bin, "postgres")
	// Not t.TempDir: its parents are closed to other users, and sockets want short paths.
	dir, err := os.MkdirTemp("", "lifeboat-pg-")
	if err != nil {
		t.Fatal(err)
	}
	s.dir = dir
	t.Cleanup(func() {
		s.Kill()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatalf("%v; scripts/deps test installs postgresql", err)
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := s.command(filepath.Join(bin, "initdb"), "--pgdata="+s.data(), "--username=lifeboat", "--auth=trust",
		"--encoding=UTF8", "--locale=C", "--no-sync")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.Run()
	return s
}

// binaries finds the newest PostgreSQL; Debian keeps it out of PATH.
func binaries(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		if path, err := exec.LookPath("initdb"); err == nil {
			return filepath.Dir(path)
		}
		t.Fatal("there is no PostgreSQL; scripts/deps test installs it")
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1])
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	// The server ends with the test, however that ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Pdeathsig: syscall.SIGQUIT, Setpgid: true}
	return cmd
}

// Run starts the server, again after Kill, and waits until it answers.
func (s *Server) Run() {
	s.t.Helper()
	var log bytes.Buffer
	cmd := s.command(s.program, "-D", s.data(), "-c", "port="+port, "-c", "listen_addresses=",
		"-c", "unix_socket_directories="+s.dir, "-c", "shared_buffers=16MB", "-c", "max_connections=100",
		"-c", "dynamic_shared_memory_type=mmap", "-c", "timezone=Pacific/Auckland", "-c", "synchronous_commit=off",
		"-c", "fsync=off", "-c", "full_page_writes=off") // what the kernel has survives Kill
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait()
	}()
	s.process, s.done = cmd, done
	db, err := sql.Open("pgx", s.url("postgres"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	for {
		err := db.PingContext(context.Background())
		if err == nil {
			return
		}
		select {
		case <-done:
			s.t.Fatalf("PostgreSQL ended: %v\n%s", err, log.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Kill ends the server at once, as a crash would.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	// SIGQUIT is PostgreSQL's immediate shutdown: no checkpoint, recovery at the start.
	_ = s.process.Process.Signal(syscall.SIGQUIT)
	<-s.done
	s.process = nil
}

// Database makes an empty database and gives its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("fleet%d", s.count.Add(1))
	db := s.Admin(t, "postgres")
	if _, err := db.Exec(`CREATE DATABASE ` + name); err != nil {
		t.Fatal(err)
	}
	return s.url(name)
}

// Admin gives a connection pool to a database.
func (s *Server) Admin(t testing.TB, name string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", s.url(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Socket is where the server listens.
func (s *Server) Socket() string { return filepath.Join(s.dir, ".s.PGSQL."+port) }

func (s *Server) url(name string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User("lifeboat"), Path: "/" + name,
		RawQuery: url.Values{"host": {s.dir}, "port": {port}, "sslmode": {"disable"}}.Encode(),
	}
	return u.String()
}

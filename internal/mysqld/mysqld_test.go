package mysqld_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"lifeboat/internal/host"
	"lifeboat/internal/mysqld"
)

const childDir = "MYSQLD_TEST_CHILD_DIR"

// TestMain is also the parent that dies in TestEndsWithItsParent.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		s, err := mysqld.Start(context.Background(), mysqld.Options{Dir: dir})
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(s.PID())
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	os.Exit(m.Run())
}

func need(t *testing.T) {
	t.Helper()
	if _, err := host.Local().Look("mariadbd", "mysqld"); err != nil {
		t.Skip("needs mariadb-server")
	}
}

// reachable makes a short directory that user mysql can reach.
func reachable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mysqld-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestStartQueryStopStartAgain(t *testing.T) {
	need(t)
	ctx := t.Context()
	dir := reachable(t)
	for round := range 2 {
		s, err := mysqld.Start(ctx, mysqld.Options{Dir: dir, Durable: true, Confined: true})
		if err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("mysql", s.DSN(""))
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			mustExec(t, db, "CREATE DATABASE kept")
			mustExec(t, db, "CREATE TABLE kept.t (a INT) ENGINE=InnoDB")
			mustExec(t, db, "INSERT INTO kept.t VALUES (7)")
		}
		var n int
		if err := db.QueryRow("SELECT a FROM kept.t").Scan(&n); err != nil || n != 7 {
			t.Fatalf("round %d: %d, %v", round, n, err)
		}
		if _, err := db.Exec("SELECT a FROM kept.t INTO OUTFILE '/tmp/mysqld-test-outfile'"); err == nil {
			t.Error("a confined server wrote a file outside")
		}
		var networking string
		if err := db.QueryRow("SELECT @@skip_networking").Scan(&networking); err != nil || networking != "1" {
			t.Errorf("skip_networking is %s, %v", networking, err)
		}
		db.Close()
		for range 2 {
			if err := s.Stop(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestTemporaryDirectoryIsRemoved(t *testing.T) {
	need(t)
	s, err := mysqld.Start(t.Context(), mysqld.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", s.Dir(), err)
	}
}

func TestBadOptionIsReportedWithTheLog(t *testing.T) {
	need(t)
	_, err := mysqld.Start(t.Context(), mysqld.Options{Args: []string{"--no-such-option-at-all"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-option-at-all") {
		t.Fatalf("error does not name the cause: %v", err)
	}
}

func TestLongSocketPathIsRefused(t *testing.T) {
	need(t)
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 100))
	if _, err := mysqld.Start(t.Context(), mysqld.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "socket path") {
		t.Fatalf("got %v", err)
	}
}

func TestOtherRootIsRefused(t *testing.T) {
	h, err := host.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mysqld.Start(t.Context(), mysqld.Options{Host: h}); err == nil {
		t.Fatal("started below another root")
	}
}

func TestEndsWithItsParent(t *testing.T) {
	need(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+reachable(t))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	_ = cmd.Wait()
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("child said %q", line)
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if gone(pid) {
			return
		}
	}
	t.Fatalf("server %d outlived its parent", pid)
}

// gone is true for a process that is no more, or a zombie nobody waits for.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func mustExec(t *testing.T, db *sql.DB, query string) {
	t.Helper()
	if _, err := db.Exec(query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// A server that is thrown away does not wait for what a client has it do.
func TestStopOfABusyPrivateServer(t *testing.T) {
	need(t)
	s, err := mysqld.Start(t.Context(), mysqld.Options{})
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("mysql", s.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := conn.ExecContext(context.Background(), "DO SLEEP(1e9)")
		ended <- err
	}()
	for range 2 {
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := <-ended; err == nil {
		t.Error("the statement ended well")
	}
	if _, err := os.Stat(s.Dir()); !os.IsNotExist(err) {
		t.Errorf("left: %v", err)
	}
}

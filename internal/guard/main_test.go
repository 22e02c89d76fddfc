package guard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// victimEnv makes the test program a process that protects, stops and releases
// the services of its directory, until it is killed.
const victimEnv = "GUARD_TEST_VICTIM"

func TestMain(m *testing.M) {
	Main()
	if dir := os.Getenv(victimEnv); dir != "" {
		fmt.Println(victim(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func victim(dir string) error {
	fmt.Println("begin")
	g, err := Protect(context.Background(), options(dir, started(dir)))
	if err != nil {
		return err
	}
	if err := g.Stop(context.Background(), []string{"sh", "-c", stopped(dir)}); err != nil {
		return err
	}
	fmt.Println("stopped")
	if _, err := os.Stat(filepath.Join(dir, "stay")); err == nil {
		select {}
	}
	fmt.Println("release")
	if err := g.Release(context.Background()); err != nil {
		return err
	}
	fmt.Println("released")
	select {}
}

// options guard the system smt with shell lines that start it.
func options(dir string, lines ...string) Options {
	o := Options{Dir: dir, System: "smt", Run: "run-1", Retries: 2, Wait: time.Millisecond}
	for _, line := range lines {
		o.Start = append(o.Start, []string{"sh", "-c", line})
	}
	return o
}

// started is a shell line that notes a start.
func started(dir string) string { return "echo start >>" + dir + "/notes" }

// stopped is a shell line that notes a stop. It takes its time when there is a
// file slow, and says so.
func stopped(dir string) string {
	return "cd " + dir + "; if [ -e slow ]; then echo stopping >>notes; sleep 60; fi; echo stop >>notes"
}

func notes(dir string) string {
	data, _ := os.ReadFile(filepath.Join(dir, "notes"))
	return strings.Join(strings.Fields(string(data)), " ")
}

func wantNotes(t *testing.T, dir, want string) {
	t.Helper()
	if got := notes(dir); got != want {
		log, _ := os.ReadFile(logPath(dir, "smt"))
		t.Fatalf("notes %q, want %q; log:\n%s", got, want, log)
	}
}

// settle waits until no guard of the directory lives.
func settle(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(recordDir(dir)); errors.Is(err, fs.ErrNotExist) {
		return
	}
	until(t, func() bool {
		lock, err := lockRecord(dir, "smt")
		if err == nil {
			lock.Close()
		}
		return err == nil
	})
}

func until(t *testing.T, holds func() bool) {
	t.Helper()
	for range 3000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("waited in vain")
}

// process is a victim that is running.
type running struct {
	*exec.Cmd
	out *bufio.Scanner
}

func start(t *testing.T, dir string, attr *syscall.SysProcAttr, tty *os.File) *running {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), victimEnv+"="+dir)
	cmd.SysProcAttr = attr
	cmd.Stderr = os.Stderr
	if tty != nil {
		cmd.Stdin, cmd.Stderr = tty, tty
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return &running{Cmd: cmd, out: bufio.NewScanner(out)}
}

// reaches reads the victim's output up to a line.
func (r *running) reaches(t *testing.T, line string) {
	t.Helper()
	for r.out.Scan() {
		if r.out.Text() == line {
			return
		}
		if strings.Contains(r.out.Text(), " ") {
			t.Fatal(r.out.Text())
		}
	}
	t.Fatalf("the victim ended before %q", line)
}

// gone reads the output to its end: the process is dead then.
func (r *running) gone() {
	for r.out.Scan() {
	}
	_ = r.Wait()
}

func (r *running) kill(sig syscall.Signal) { _ = unix.Kill(r.Process.Pid, sig) }

// guardPID returns the process of the living guard.
func guardPID(t *testing.T, dir string) int {
	t.Helper()
	r, err := readRecord(dir, "smt")
	if err != nil {
		t.Fatal(err)
	}
	return r.PID
}

func records(t *testing.T, dir string) []Record {
	t.Helper()
	all, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

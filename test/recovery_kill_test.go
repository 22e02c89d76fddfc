package test

import (
	"bufio"
	"bytes"
	"encoding/json"
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

	"golang.org/x/sys/unix"
)

// event is what a kill looks at of `lifeboat --json`: events are told when they
// stand in the journal.
type event struct {
	Seq               int64
	Type, Step, Stage string
}

// boundary names the place of an event in a runbook.
func (e event) boundary() string { return e.Type + " " + e.Step }

// machine is a lab system on which lifeboat is killed.
type machine struct {
	labs
	t    *testing.T
	name string
}

// clone makes a machine with everything done that comes before the restore.
func clone(t *testing.T, schema string) machine {
	t.Helper()
	s, err := servers[schema]()
	if err != nil {
		t.Fatal(err)
	}
	from, err := s.prepared()
	if err != nil {
		t.Fatal(err)
	}
	m := machine{labs{t.TempDir()}, t, "new"}
	t.Cleanup(func() {
		if _, err := m.run("lab", "destroy", filepath.Join(m.dir, m.name)); err != nil {
			t.Error(err)
		}
	})
	if err := m.clone(from, m.name); err != nil {
		t.Fatal(err)
	}
	return m
}

// tool runs a program of ours that takes the machine's name.
func (m machine) tool(name string) string {
	m.t.Helper()
	out, err := m.run(name, m.name)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

func (m machine) sh(text string) string {
	m.t.Helper()
	out, err := m.in(m.name, text)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

func (m machine) lab(verb string) {
	m.t.Helper()
	if _, err := m.run("lab", verb, filepath.Join(m.dir, m.name)); err != nil {
		m.t.Fatal(err)
	}
}

// lifeboat runs lifeboat inside and kills it, with nothing it has started, when
// an event is told for which kill says so. It returns that event, or the exit
// code of a run that came to its end.
func (m machine) lifeboat(kill func(event) bool, args ...string) (killed *event, code int) {
	m.t.Helper()
	cmd := m.command("lab", append([]string{"exec", filepath.Join(m.dir, m.name), "--", "lifeboat", "--json"}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, in := narrowPipe(m.t)
	defer out.Close()
	cmd.Stdout = in
	err := cmd.Start()
	in.Close()
	if err != nil {
		m.t.Fatal(err)
	}
	var told []string
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		told = append(told, lines.Text())
		var e event
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Seq > 0 && killed == nil && kill != nil && kill(e) {
			if pid := childOf(m.t, cmd.Process.Pid); pid > 0 && syscall.Kill(pid, syscall.SIGKILL) == nil {
				killed = &e
			}
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case killed != nil:
		return killed, -1
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		m.t.Fatal(err)
	}
	if code == 1 || code == 2 {
		m.t.Logf("lifeboat %s: exit code %d\n%s%s", strings.Join(args, " "), code, strings.Join(told[max(0, len(told)-12):], "\n"), errs.String())
	}
	return nil, code
}

// narrowPipe is a pipe that holds one write at a time: who writes events to it is
// never more than one ahead of who reads them, and is killed where it is meant.
func narrowPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var ends [2]int
	err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC|syscall.O_DIRECT) // packets, pipe(2)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(ends[0]), unix.F_SETPIPE_SZ, os.Getpagesize())
	}
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(ends[0]), "events"), os.NewFile(uintptr(ends[1]), "events")
}

// childOf is the one child of a process: lifeboat, as the outer machine sees it;
// 0 when it has ended.
func childOf(t *testing.T, pid int) int {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range tasks {
		text, _ := os.ReadFile(file) // a thread may have ended
		if child, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return child
		}
	}
	return 0
}

// state is what `lifeboat runs list` says of the last run.
func (m machine) state() string {
	m.t.Helper()
	lines := strings.Split(strings.TrimSpace(m.sh("lifeboat --json runs list")), "\n")
	var run struct{ State string }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &run); err != nil {
		m.t.Fatal(err)
	}
	return run.State
}

// begin is a recovery on a machine that reaches the repository.
var begin = []string{"recover", "smt", "--repository", repository, "--password-file", "/root/key", "--yes"}

// finish goes on with a run until only a client is waited for, plays that, and
// compares the server with the lost one.
func (m machine) finish(s *server) {
	m.t.Helper()
	if _, code := m.lifeboat(nil, "recover", "smt", "--resume"); code != 5 {
		m.t.Fatalf("resumed: exit code %d, not 5", code)
	}
	if _, err := m.run("lab", "refresh", filepath.Join(m.dir, m.name), "--as", s.client); err != nil {
		m.t.Fatal(err)
	}
	if _, code := m.lifeboat(nil, "recover", "smt", "--resume"); code != 3 {
		m.t.Fatalf("resumed after the client's refresh: exit code %d, not 3", code)
	}
	if _, code := m.lifeboat(nil, "recover", "smt", "--discard-old"); code != 0 { // kept, as there are warnings
		m.t.Fatalf("--discard-old: exit code %d", code)
	}
	m.like(s)
}

// like compares the server with the lost one. The trees of the fresh machine that
// the lost one did not have are still there: nothing is deleted unasked.
func (m machine) like(s *server) {
	m.t.Helper()
	before, err := os.ReadFile(s.before)
	if err != nil {
		m.t.Fatal(err)
	}
	var got strings.Builder
	for line := range strings.Lines(m.tool("portrait")) {
		if !strings.Contains(line, "./fresh") {
			got.WriteString(line)
		}
	}
	m.same(string(before), got.String())
}

// same fails the test with the lines in which two texts differ.
func (m machine) same(want, got string) {
	m.t.Helper()
	if want == got {
		return
	}
	dir := m.t.TempDir()
	for name, text := range map[string]string{"want": want, "got": got} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			m.t.Fatal(err)
		}
	}
	out, _ := exec.Command("diff", "-U0", filepath.Join(dir, "want"), filepath.Join(dir, "got")).Output()
	m.t.Fatalf("it is not the same:\n%s", out)
}

// TestRecoverKilledEverywhere kills one recovery at every boundary of its
// journal, one after the other: each pass is killed at the first one at which
// none was before. In the end it has come to its end all the same.
func TestRecoverKilledEverywhere(t *testing.T) {
	needsLab(t)
	t.Parallel()
	m := clone(t, "3.09")
	s, _ := servers["3.09"]()
	seen := map[string]bool{}
	next := begin
	held, started := false, false
	for pass := 0; ; pass++ {
		if pass > 300 {
			t.Fatal("the recovery does not come to its end")
		}
		killed, code := m.lifeboat(func(e event) bool {
			switch e.Type {
			case "step.started", "step.log", "step.finished", "stage.finished", "run.started":
			default:
				return false
			}
			if e.Step == "" {
				e.Step = e.Stage
			}
			if seen[e.boundary()] {
				return false
			}
			seen[e.boundary()] = true
			// Some are killed when the step has gone on a little.
			time.Sleep(time.Duration(pass*13%60) * time.Millisecond)
			return true
		}, next...)
		if killed == nil {
			if code != 5 {
				t.Fatalf("pass %d: exit code %d, not 5", pass, code)
			}
			break
		}
		next = []string{"recover", "smt", "--resume"}
		held = held || killed.boundary() == "step.finished restore/hold"
		started = started || killed.Step == "start/release"
		if held && !started {
			m.tool("held")
		}
		got := m.state()
		if got == "waiting" { // the last word of a run is written before the one before it is read
			break
		}
		if got != "interrupted" && got != "failed" {
			t.Fatalf("killed at %s: the run is called %s", killed.boundary(), got)
		}
	}
	t.Logf("killed at %d places", len(seen))
	if len(seen) < 45 {
		t.Errorf("killed at %d places only", len(seen))
	}
	m.finish(s)
}

// TestRecoverKilledRolledBack kills recoveries on one machine, each at another
// place, and takes each back: what was there before is there again, byte for
// byte, and runs.
func TestRecoverKilledRolledBack(t *testing.T) {
	needsLab(t)
	t.Parallel()
	m := clone(t, "3.09")
	before := m.tool("digest")
	for i, place := range []string{
		"step.finished restore/identity", "step.started restore/hold", "step.started restore/hold", "step.finished restore/hold",
		"step.started restore/restore-certificate-authority", "step.finished restore/restore-server-certificate",
		"step.started restore/restore-package-tree", "step.finished restore/restore-package-tree",
		"step.started restore/restore-database", "step.finished restore/restore-database",
		"step.started restore/merge-configuration", "step.finished restore/merge-apache",
		"step.started start/release", "step.finished start/release", "step.finished start/system-start",
	} {
		killed, code := m.lifeboat(func(e event) bool {
			if e.boundary() != place {
				return false
			}
			time.Sleep(time.Duration(i*37%150) * time.Millisecond)
			return true
		}, begin...)
		if killed == nil {
			t.Fatalf("%s: not come to, exit code %d", place, code)
		}
		if i%4 == 3 && i < 12 {
			m.lab("reboot")
		}
		if i >= 4 && i < 12 {
			m.tool("held")
		}
		if _, code := m.lifeboat(nil, begin...); code != 4 {
			t.Errorf("%s: a second recovery ended with exit code %d, not 4", place, code)
		}
		if _, code := m.lifeboat(nil, "recover", "smt", "--rollback", "--yes"); code != 0 && code != 3 {
			t.Fatalf("%s: the rollback ended with exit code %d", place, code)
		}
		if got := m.state(); got != "rolled back" && got != "rolled-back" {
			t.Errorf("%s: the run is called %q", place, got)
		}
		m.same(before, m.tool("digest"))
	}
}

// TestRecoverKilledRebootedResumed kills recoveries, cuts power or restarts the
// machine, and goes on.
func TestRecoverKilledRebootedResumed(t *testing.T) {
	needsLab(t)
	for _, c := range []struct{ schema, place string }{
		{"3.09", "step.started restore/restore-package-tree"},
		{"3.09", "step.started restore/restore-database"},
		{"3.09", "step.finished restore/merge-configuration"},
		{"0.14", "step.started restore/restore-database"},
		{"0.09", "step.finished restore/restore-database"},
	} {
		t.Run(c.schema+" "+strings.ReplaceAll(c.place, "/", " "), func(t *testing.T) {
			t.Parallel()
			m := clone(t, c.schema)
			s, _ := servers[c.schema]()
			killed, code := m.lifeboat(func(e event) bool {
				if e.boundary() != c.place {
					return false
				}
				time.Sleep(90 * time.Millisecond)
				return true
			}, begin...)
			if killed == nil {
				t.Fatalf("not come to, exit code %d", code)
			}
			m.tool("held")
			m.lab("kill")
			m.lab("start")
			m.tool("held")
			m.finish(s)
			m.lab("reboot")
			m.sh("rcsmt status")
		})
	}
}

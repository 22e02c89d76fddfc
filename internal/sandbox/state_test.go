package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lower makes a directory that a sandbox sees through its overlay; /tmp would
// be a fresh one inside.
func lower(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "sandbox-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

// outside is what a sandbox must not change on this machine.
func outside(t *testing.T, dir string) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := exec.Command("find", dir, "-printf", "%P %y %m %U %G %s %n %T@ %l\\n").CombinedOutput()
	if err != nil {
		t.Fatal(err, string(tree))
	}
	// Tests of other packages mount what they need meanwhile, below directories of theirs.
	var kept []string
	for line := range strings.Lines(string(mounts)) {
		at, _, _ := parseMount(line)
		foreign := within(os.TempDir(), at) || within("/var/tmp", at)
		if !foreign || within(dir, at) || strings.Contains(at, t.Name()) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "") + string(tree)
}

func TestNothingOutsideIsTouched(t *testing.T) {
	dir := lower(t)
	write(t, dir+"/a/file", "outer")
	write(t, dir+"/b/file", "outer")
	s := create(t, Options{Empty: []string{dir + "/b"}})
	before := outside(t, dir)
	hostname, _ := os.Hostname()
	start(t, s)
	sh(t, s, "hostname inner; echo inner > "+dir+"/a/file; rm -r "+dir+"/b; mkdir "+dir+"/c; chown 7:7 "+dir+
		"; touch /etc/lifeboat-was-here; mkdir -p /mnt/x; mount -t tmpfs none /mnt/x; ip link set lo down")
	if after := outside(t, dir); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if now, _ := os.Hostname(); now != hostname {
		t.Error("the host name changed to", now)
	}
	if _, err := os.Lstat("/etc/lifeboat-was-here"); err == nil {
		t.Error("a file in /etc reached this machine")
	}
	for _, line := range []string{"echo 1 > /proc/sys/vm/drop_caches", "date -s '2001-01-01'", "echo h > /proc/sysrq-trigger"} {
		if out, err := try(t, s, line); err == nil {
			t.Errorf("%s worked: %s", line, out)
		}
	}
}

func TestEmptyPathsDoNotShineThrough(t *testing.T) {
	dir := lower(t)
	write(t, dir+"/db/live", "x")
	write(t, dir+"/db/sub/live", "x")
	write(t, dir+"/conf", "x")
	write(t, dir+"/keep/file", "x")
	write(t, dir+"/elsewhere/live", "x")
	for link, target := range map[string]string{"abs": dir + "/elsewhere", "door": "keep"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chown(dir+"/db", 12, 34), os.Chmod(dir+"/db", 0o750)); err != nil {
		t.Fatal(err)
	}
	s := started(t, Options{Empty: []string{
		dir + "/db", dir + "/conf", dir + "/abs", dir + "/none/at/all", dir + "/conf/below-a-file", dir + "/door/file",
	}})
	for line, want := range map[string]string{
		"find db":               "db",
		"stat -c '%u %g %a' db": "12 34 750",
		"ls -A . | xargs":       "db door elsewhere keep",
		"ls -A elsewhere keep":  "elsewhere:\n\nkeep:",
		"stat -c %a .":          "755",
	} {
		if got := sh(t, s, "cd "+dir+"; "+line); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	sh(t, s, "cd "+dir+"; echo new > db/live; cat db/live; rm -r db; mkdir db; echo 2 > conf")
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	start(t, s)
	if got := sh(t, s, "cd "+dir+"; find db; cat conf"); got != "db\n2" {
		t.Errorf("after a new start: %q", got)
	}
}

func TestLowerLinksAndRenames(t *testing.T) {
	dir := lower(t)
	write(t, dir+"/tree/sub/one", "same\n")
	if err := os.Link(dir+"/tree/sub/one", dir+"/tree/two"); err != nil {
		t.Fatal(err)
	}
	s := started(t, Options{})
	for line, want := range map[string]string{
		"stat -c %h tree/two": "2",
		"echo changed >> tree/two; cat tree/sub/one; test tree/two -ef tree/sub/one && echo linked": "same\nchanged\nlinked",
	} {
		if got := sh(t, s, "cd "+dir+"; "+line); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	// rename(2) itself, not mv, which copies on EXDEV.
	sh(t, s, "cd "+dir+`; perl -e 'rename("tree","moved") or die $!'; cat moved/sub/one; test ! -e tree`)
	if raw, err := os.ReadFile(dir + "/tree/sub/one"); err != nil || string(raw) != "same\n" {
		t.Errorf("outside: %q, %v", raw, err)
	}
}

func TestSizeLimit(t *testing.T) {
	s := started(t, Options{Size: 64 << 20})
	out, err := try(t, s, "dd if=/dev/zero of=/var/tmp/big bs=1M count=200 2>&1")
	if err == nil || !strings.Contains(out, "No space left") {
		t.Errorf("%v: %s", err, out)
	}
	sh(t, s, "rm /var/tmp/big; echo small > /var/tmp/small")
}

func TestPlainLayerAndBinds(t *testing.T) {
	shared, box := lower(t), lower(t)
	write(t, shared+"/in/file", "outer")
	s := started(t, Options{Plain: true, Dir: box + "/box", Binds: []Bind{
		{Source: shared + "/in", Target: "/srv/in", ReadOnly: true},
		{Source: shared, Target: "/srv/deep/out"},
		{Source: shared + "/in/file", Target: "/etc/a/file", ReadOnly: true},
	}})
	if got := sh(t, s, "ls -A "+s.Dir()); got != "" {
		t.Errorf("the sandbox sees its own directory: %s", got)
	}
	if got := sh(t, s, "cat /srv/in/file /etc/a/file; echo inner > /srv/deep/out/new"); got != "outerouter" {
		t.Errorf("%q", got)
	}
	if _, err := try(t, s, "echo x > /srv/in/file"); err == nil {
		t.Error("a read-only share was written to")
	}
	if raw, err := os.ReadFile(shared + "/new"); err != nil || string(raw) != "inner\n" {
		t.Errorf("%q %v", raw, err)
	}
}

func TestRebootInsideAndRestart(t *testing.T) {
	s := started(t, Options{
		Boot:     []string{"/bin/sh", "-c", "echo up >> /var/tmp/boots"},
		Shutdown: []string{"/bin/sh", "-c", "echo down >> /var/tmp/boots"},
	})
	for _, c := range []struct {
		line string
		want Ending
	}{{"reboot", Reboot}, {"shutdown -r now", Reboot}, {"/run/sandbox/bin/poweroff", Poweroff}, {"shutdown -h now", Poweroff}} {
		err := s.Run(t.Context(), Command{Args: []string{"sh", "-c", c.line + "; sleep 60"}})
		if !errors.Is(err, ErrEnded) {
			t.Errorf("%s: %v, want ErrEnded", c.line, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		if got := s.Ending(); got != c.want {
			t.Errorf("%s: ending %q, want %q", c.line, got, c.want)
		}
		if err := s.Run(t.Context(), Command{Args: []string{"true"}}); !errors.Is(err, ErrNotRunning) {
			t.Errorf("run on a sandbox that is down: %v", err)
		}
		start(t, s)
	}
	if got := sh(t, s, "xargs < /var/tmp/boots"); got != "up down up down up down up down up" {
		t.Errorf("boots: %q", got)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if got := s.Ending(); got != Killed {
		t.Errorf("after Kill: %q", got)
	}
	start(t, s)
	if err := s.Start(t.Context()); !errors.Is(err, ErrRunning) {
		t.Errorf("second start: %v", err)
	}
	if got := sh(t, s, "tail -n1 /var/tmp/boots"); got != "up" {
		t.Errorf("after Kill: %q", got)
	}
}

// A disk that somebody unmounts between two starts, or before the first, keeps no
// sandbox from starting.
func TestFileSystemThatIsGone(t *testing.T) {
	dir := lower(t)
	image := filepath.Join(t.TempDir(), "disk")
	disk := func() {
		t.Helper()
		if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	}
	for _, args := range [][]string{{"truncate", "-s", "16M", image}, {"mkfs.ext4", "-q", image}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", args[0], err, out)
		}
	}
	write(t, dir+"/below", "below")
	disk()
	write(t, dir+"/file", "on the disk")
	write(t, dir+"/emptied/file", "on the disk")
	for name, early := range map[string]bool{"between": false, "before": true} {
		if early {
			disk()
		}
		s := create(t, Options{Empty: []string{dir + "/emptied"}})
		if !early {
			start(t, s)
			if got := sh(t, s, "cat "+dir+"/file; ls "+dir+"/emptied"); got != "on the disk" {
				t.Errorf("%s: %q", name, got)
			}
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.Unmount(dir, 0); err != nil {
			t.Fatal(err)
		}
		start(t, s)
		if got := sh(t, s, "cd "+dir+"; ls"); got != "below" {
			t.Errorf("%s: %q", name, got)
		}
		if !early {
			disk()
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			start(t, s)
			if got := sh(t, s, "cat "+dir+"/file; ls "+dir+"/emptied"); got != "on the disk" {
				t.Errorf("%s, mounted again: %q", name, got)
			}
			if err := errors.Join(s.Kill(), unix.Unmount(dir, 0)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What is mounted where a sandbox has something of its own does not concern it.
func TestFileSystemThatNobodySees(t *testing.T) {
	image, dir := filepath.Join(t.TempDir(), "disk"), t.TempDir()
	for _, args := range [][]string{{"truncate", "-s", "16M", image}, {"mkfs.ext4", "-q", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", args[0], err, out)
		}
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	rec, err := plan(Options{Dir: t.TempDir(), Root: "/"})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range rec.Layers {
		if within("/tmp", l.Mount) {
			t.Errorf("%+v", l)
		}
	}
}

func TestBootFailure(t *testing.T) {
	s := create(t, Options{Boot: []string{"/bin/sh", "-c", "echo a reason; exit 7"}})
	err := s.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "exit code 7") {
		t.Errorf("%v", err)
	}
	if s.Running() {
		t.Error("it runs")
	}
	if raw, _ := os.ReadFile(s.Console()); !strings.Contains(string(raw), "a reason") {
		t.Errorf("console: %s", raw)
	}
}

// parentProcess is a process that creates and starts a sandbox and waits to be killed.
func parentProcess(dir string) {
	s, err := Create(context.Background(), Options{Dir: dir, Size: 256 << 20, DieWithParent: os.Getenv("SANDBOX_TEST_DIE") != ""})
	if err == nil {
		err = s.Start(context.Background())
	}
	fmt.Println(err)
	select {}
}

// orphan starts a sandbox from another process and kills that process.
func orphan(t *testing.T, dir string, env ...string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), append(env, "SANDBOX_TEST_PARENT="+dir)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 200)
	n, _ := out.Read(line)
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	if got := string(line[:n]); got != "<nil>\n" {
		t.Fatal(got)
	}
}

func TestParentKilledThenDestroy(t *testing.T) {
	create(t, Options{}) // skips where none can be made
	dir := filepath.Join(t.TempDir(), "box")
	orphan(t, dir)
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Running() {
		t.Fatal("the sandbox ended with its parent")
	}
	sh(t, s, "sleep 100 > /dev/null 2>&1 &")
	pid, _ := s.Pid()
	if err := s.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("the directory is still there:", err)
	}
	// Its new parent may be slow to collect it, so a zombie is as good as gone.
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(stat), ") Z ") {
		t.Error("the init lives:", string(stat))
	}
	if loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file"); len(loops) > 0 {
		for _, l := range loops {
			if raw, _ := os.ReadFile(l); strings.HasPrefix(string(raw), dir) {
				t.Errorf("%s: %s", l, raw)
			}
		}
	}
	if err := s.Destroy(t.Context()); err != nil {
		t.Error("again:", err)
	}
}

func TestDieWithParent(t *testing.T) {
	create(t, Options{})
	dir := filepath.Join(t.TempDir(), "box")
	orphan(t, dir, "SANDBOX_TEST_DIE=1")
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Wait(ctx); err != nil {
		t.Error(err)
	}
	if err := s.Destroy(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRunStreams(t *testing.T) {
	s := started(t, Options{})
	var out, errs bytes.Buffer
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	err = s.Run(t.Context(), Command{
		Args: []string{"sh", "-c", "cat; echo err >&2; echo $A $0 >&3; pwd; exit 3"}, Name: "other", Dir: "/etc", Env: []string{"A=b c"},
		Stdin: strings.NewReader("in\n"), Stdout: &out, Stderr: &errs, Files: []*os.File{w},
	})
	w.Close()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("%v", err)
	}
	third := make([]byte, 100)
	n, _ := r.Read(third)
	if out.String() != "in\n/etc\n" || errs.String() != "err\n" || string(third[:n]) != "b c other\n" {
		t.Errorf("%q %q %q", out.String(), errs.String(), third[:n])
	}
	if err := s.Run(t.Context(), Command{Args: []string{"no-such-program"}}); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestRunOnTerminal(t *testing.T) {
	s := started(t, Options{})
	var out bytes.Buffer
	err := s.Run(t.Context(), Command{
		Args: []string{"sh", "-c", "test -t 0 -a -t 1 && tty && read x < /dev/tty && echo got $x"},
		TTY:  true, Stdin: strings.NewReader("answer\n"), Stdout: &out,
	})
	if err != nil || !strings.Contains(out.String(), "/dev/pts/") || !strings.Contains(out.String(), "got answer") {
		t.Errorf("%v: %q", err, out.String())
	}
}

func TestCancelledCommand(t *testing.T) {
	s := started(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := s.Spawn(ctx, Command{Args: []string{"sh", "-c", "echo ready; sleep 1000"}, Stdout: w})
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = r.Read(make([]byte, 10))
	cancel()
	if err := p.Wait(); err == nil {
		t.Error("it ended well")
	}
	if out, err := try(t, s, "ps -e -o args= | grep -c '[s]leep 1000'"); err == nil {
		t.Errorf("the command's child lives: %s", out)
	}
}

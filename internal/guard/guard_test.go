package guard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReleaseStartsOnce(t *testing.T) {
	dir := t.TempDir()
	g, err := Protect(t.Context(), options(dir, started(dir), "echo second >>"+dir+"/notes"))
	if err != nil {
		t.Fatal(err)
	}
	all := records(t, dir)
	if len(all) != 1 || !all[0].Guarded || all[0].Run != "run-1" || len(all[0].Start) != 2 || all[0].Boot == "" {
		t.Fatalf("records %+v", all)
	}
	if info, err := os.Stat(recordPath(dir, "smt")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	wantNotes(t, dir, "")
	for range 2 { // the second does nothing
		if err := g.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, dir)
	wantNotes(t, dir, "start second")
	if all := records(t, dir); len(all) != 0 {
		t.Errorf("records left: %+v", all)
	}
}

func TestOneGuardASystem(t *testing.T) {
	dir := t.TempDir()
	g, err := Protect(t.Context(), options(dir, started(dir)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Protect(t.Context(), options(dir, started(dir))); !errors.Is(err, ErrGuarded) {
		t.Errorf("second guard: %v", err)
	}
	if started, err := Recover(t.Context(), dir, nil); err != nil || len(started) != 0 {
		t.Errorf("a living guard was disturbed: %v %v", started, err)
	}
	unix.Kill(guardPID(t, dir), unix.SIGKILL)
	settle(t, dir)
	if _, err := Protect(t.Context(), options(dir, started(dir))); !errors.Is(err, ErrStale) {
		t.Errorf("guard over a stale record: %v", err)
	}
	if err := g.Release(t.Context()); err != nil { // without its guard
		t.Fatal(err)
	}
	wantNotes(t, dir, "start")
	for name, o := range map[string]Options{
		"system": {Dir: dir, System: "../smt", Start: [][]string{{"true"}}},
		"none":   {Dir: dir, System: "smt"},
		"empty":  {Dir: dir, System: "smt", Start: [][]string{{}}},
	} {
		if _, err := Protect(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestKilledAtAnyMoment kills a process at growing times after its begin.
func TestKilledAtAnyMoment(t *testing.T) {
	ends := map[string]int{}
	for i := range 40 {
		dir := t.TempDir()
		v := start(t, dir, nil, nil)
		v.reaches(t, "begin")
		time.Sleep(time.Duration(i) * 400 * time.Microsecond)
		v.kill(unix.SIGKILL)
		v.gone()
		settle(t, dir)
		// A record is left when it died before its guard took it over.
		if _, err := Recover(t.Context(), dir, nil); err != nil {
			t.Fatal(err)
		}
		settle(t, dir)
		ends[notes(dir)]++
		switch got := notes(dir); got {
		case "", "start", "stop start": // "start" alone: nothing was stopped yet, which does no harm
		default:
			t.Fatalf("round %d: %q", i, got)
		}
		if all := records(t, dir); len(all) != 0 {
			t.Fatalf("round %d: records left: %+v", i, all)
		}
	}
	t.Logf("what was left: %v", ends)
}

func TestKilledWhileStopped(t *testing.T) {
	for name, c := range map[string]struct {
		attr *syscall.SysProcAttr
		kill func(*running)
	}{
		"kill":  {nil, func(r *running) { r.kill(unix.SIGKILL) }},
		"group": {&syscall.SysProcAttr{Setpgid: true}, func(r *running) { unix.Kill(-r.Process.Pid, unix.SIGKILL) }},
		"^C":    {&syscall.SysProcAttr{Setpgid: true}, func(r *running) { unix.Kill(-r.Process.Pid, unix.SIGINT) }},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "stay"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			v := start(t, dir, c.attr, nil)
			v.reaches(t, "stopped")
			wantNotes(t, dir, "stop")
			guard := guardPID(t, dir)
			for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE} {
				if err := unix.Kill(guard, sig); err != nil {
					t.Fatal(err)
				}
			}
			wantNotes(t, dir, "stop")
			c.kill(v)
			v.gone()
			settle(t, dir)
			wantNotes(t, dir, "stop start")
			if all := records(t, dir); len(all) != 0 {
				t.Errorf("records left: %+v", all)
			}
		})
	}
}

func TestTerminalIsClosed(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("needs a pseudo terminal: ", err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("needs a pseudo terminal: ", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "stay"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// Under nohup the signal is ignored, and children inherit that; not what is heard.
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, syscall.SIGHUP)
	defer signal.Stop(heard)
	v := start(t, dir, &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}, slave)
	v.reaches(t, "stopped")
	slave.Close()
	master.Close() // hangs up: SIGHUP ends the session
	v.gone()
	settle(t, dir)
	wantNotes(t, dir, "stop start")
}

func TestKilledDuringRelease(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	g, err := Protect(t.Context(), options(dir, started(dir)+"; read x <"+fifo+"; echo end >>"+dir+"/notes"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, giveUp := context.WithCancel(t.Context())
	go func() {
		for notes(dir) == "" {
			time.Sleep(time.Millisecond)
		}
		giveUp() // for the guard the same as a death: the stream ends
	}()
	if err := g.Release(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(w)
	w.Close()
	settle(t, dir)
	wantNotes(t, dir, "start end")
	if err := g.Release(t.Context()); err != nil { // nothing is left to do
		t.Error(err)
	}
	wantNotes(t, dir, "start end")
}

func TestGuardKilledHalfWay(t *testing.T) {
	dir := t.TempDir()
	g, err := Protect(t.Context(), options(dir, started(dir), "test -e "+dir+"/second || kill -9 $PPID; echo second >>"+dir+"/notes"))
	if err != nil {
		t.Fatal(err)
	}
	// Each guard is killed by the second command: Release reports that at last.
	if err := g.Release(t.Context()); err == nil {
		t.Fatal("no error although the guard was killed twice")
	}
	settle(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "second"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := g.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := notes(dir); strings.Count(got, "start") != 1 || !strings.HasSuffix(got, "second") {
		t.Errorf("notes %q: what had started was started again", got)
	}
}

func TestFailingStartIsRetried(t *testing.T) {
	dir := t.TempDir()
	flaky := "n=$(cat " + dir + "/n 2>/dev/null || echo 0); echo $((n+1)) >" + dir + "/n; test $n -ge 2 || { echo no luck >&2; exit 7; }; "
	g, err := Protect(t.Context(), options(dir, flaky+started(dir), "echo other >>"+dir+"/notes"))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantNotes(t, dir, "other start")
}

func TestFailingStartIsRecorded(t *testing.T) {
	dir := t.TempDir()
	g, err := Protect(t.Context(), options(dir, "test -e "+dir+"/disk || { echo no disk >&2; exit 7; }; "+started(dir)))
	if err != nil {
		t.Fatal(err)
	}
	err = g.Release(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no disk") || !strings.Contains(err.Error(), "exit status 7") {
		t.Fatalf("%v", err)
	}
	all := records(t, dir)
	if len(all) != 1 || len(all[0].Errors) != 1 || !strings.Contains(all[0].Errors[0], "no disk") || all[0].Tried.IsZero() {
		t.Fatalf("%+v", all)
	}
	g.mu.Lock()
	g.drop() // as if this process had died now
	g.mu.Unlock()
	settle(t, dir)
	if _, err := Recover(t.Context(), dir, nil); err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Errorf("recover: %v", err)
	}
	settle(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "disk"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	held := func(system string) string { return "a recovery of " + system + " is not finished" }
	if started, err := Recover(t.Context(), dir, held); err != nil || len(started) != 0 {
		t.Errorf("a held system was started: %v %v", started, err)
	}
	wantNotes(t, dir, "")
	if started, err := Recover(t.Context(), dir, nil); err != nil || len(started) != 1 || started[0] != "smt" {
		t.Errorf("recover: %v %v", started, err)
	}
	wantNotes(t, dir, "start")
	log, err := os.ReadFile(logPath(dir, "smt"))
	if err != nil || !strings.Contains(string(log), "no disk") || !strings.Contains(string(log), "done: sh") {
		t.Errorf("log %s %v", log, err)
	}
}

// TestStartedProcessesAreUsual: services get no ignored or blocked signals,
// umask, secrets or descriptors of ours or of who called us, and one that keeps
// its output open does not block.
func TestStartedProcessesAreUsual(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("RESTIC_PASSWORD", "hidden")
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	leak, err := unix.Dup(2) // without close-on-exec, as flock(1) passes a lock
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	o := options(dir, "sleep 1000 & echo $! >"+dir+"/pid; echo umask $(umask), secret ${RESTIC_PASSWORD-none}")
	o.Start = append(o.Start, []string{"grep", "-E", "SigIgn|SigBlk", "/proc/self/status"}, []string{"ls", "-m", "/proc/self/fd"})
	g, err := Protect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(filepath.Join(dir, "pid"))
	if pid, err := strconv.Atoi(strings.TrimSpace(string(data))); err != nil || unix.Kill(pid, unix.SIGKILL) != nil {
		t.Errorf("the daemon is gone: %v", err)
	}
	log, _ := os.ReadFile(logPath(dir, "smt"))
	for _, want := range []string{
		"umask 0022, secret none\n", "SigBlk:\t0000000000000000\n",
		"\n0, 1, 2, 3\n", // 3 is the directory that ls reads
	} {
		if !strings.Contains(string(log), want) {
			t.Errorf("no %q in what start commands see:\n%s", want, log)
		}
	}
	// GNU make ignores signals 32 and 33, which belong to the C library, in all
	// that it starts.
	if !regexp.MustCompile(`SigIgn:\t0000000[01][08]0000000\n`).Match(log) {
		t.Errorf("start commands begin with ignored signals:\n%s", log)
	}
}

func TestAnotherBootStartsAllAgain(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(recordDir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	o := options(dir, started(dir))
	r := Record{Version: version, System: "smt", Start: o.Start, Boot: "before", Started: []bool{true}, Timeout: time.Minute}
	if err := r.write(dir); err != nil {
		t.Fatal(err)
	}
	if started, err := Recover(t.Context(), dir, nil); err != nil || len(started) != 1 {
		t.Fatalf("%v %v", started, err)
	}
	wantNotes(t, dir, "start")
}

func TestHungStartIsEnded(t *testing.T) {
	dir := t.TempDir()
	o := options(dir, "test -e "+dir+"/hung && exec true; touch "+dir+"/hung; sleep 1000")
	o.Timeout = 100 * time.Millisecond
	g, err := Protect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a small tmpfs")
	}
	disk, out := t.TempDir(), t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=256k"); err != nil {
		t.Skip("needs a mount of its own: ", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })
	fill := func() {
		t.Helper()
		f, err := os.Create(filepath.Join(disk, "filler"))
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = f.Write(make([]byte, 4096))
		}
		if f.Close(); !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
	fill()
	if _, err := Protect(t.Context(), options(disk, started(out))); err == nil {
		t.Fatal("protected without a record")
	}
	if err := os.Remove(filepath.Join(disk, "filler")); err != nil {
		t.Fatal(err)
	}
	settle(t, disk)
	g, err := Protect(t.Context(), options(disk, started(out), started(out)))
	if err != nil {
		t.Fatal(err)
	}
	fill()
	if err := g.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, disk)
	wantNotes(t, out, "start start")
	if all := records(t, disk); len(all) != 0 {
		t.Errorf("records left: %+v", all)
	}
}

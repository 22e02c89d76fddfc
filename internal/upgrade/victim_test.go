package upgrade

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lifeboat/internal/lab/sles"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/wayback"
	"lifeboat/internal/zypper"
)

// orders are what a process that is to be killed is told.
type orders struct {
	State, Copy string
	Request     Request
	Run         string   // to go on with; "" begins
	Back        bool     // take it back
	Passed      []string // boundaries at which it is not killed any more
	Only        []string // steps at whose boundaries it is killed; nil is all
}

// boundary names an event at whose record a process is killed.
func boundary(e runbook.Event) string {
	switch e.Type {
	case runbook.StepStarted, runbook.StepFinished, runbook.ValueKept, runbook.UndoStarted, runbook.UndoFinished:
		return string(e.Type) + " " + e.Step + " " + e.Key
	}
	return ""
}

// victim does what it is told until it comes to a boundary that is new.
func victim(plan string) {
	var o orders
	err := json.Unmarshal([]byte(plan), &o)
	var u *Upgrade
	if err == nil {
		var set Setup
		if set, err = setup(o.State, o.Copy, o.Request.Root); err == nil {
			u, err = New("lab", o.Request, set)
		}
	}
	engine := runbook.New(runbook.Options{Dir: o.State, Observers: []runbook.Observer{runbook.ObserverFunc(func(e runbook.Event) {
		if b := boundary(e); b != "" && (o.Only == nil || slices.Contains(o.Only, e.Step)) && o.Passed != nil && !slices.Contains(o.Passed, b) {
			_, _ = os.Stdout.WriteString("killed at " + b + "\n")
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})}})
	ctx := context.Background()
	var run *runbook.Run
	if err == nil && o.Run != "" {
		run, err = runbook.Load(o.State, o.Run)
	}
	switch {
	case err != nil:
	case o.Run == "":
		_, err = u.Start(ctx, engine)
	case o.Back:
		_, err = u.Rollback(ctx, engine, run)
	default:
		_, err = u.Resume(ctx, engine, run)
	}
	if err != nil {
		_, _ = os.Stdout.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Exit(0)
}

// child starts a process that is to be killed.
func (s *site) child(o orders) (*exec.Cmd, *strings.Builder) {
	s.t.Helper()
	o.State, o.Copy, o.Request = s.state, s.copy, s.req
	plan, err := json.Marshal(o)
	if err != nil {
		s.t.Fatal(err)
	}
	cmd, out := exec.Command(os.Args[0]), new(strings.Builder)
	cmd.Env = append(os.Environ(), "UPGRADE_VICTIM="+string(plan))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = time.Minute // what it leaves behind may have its output
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return cmd, out
}

func (s *site) only() string {
	s.t.Helper()
	runs, err := runbook.List(s.state)
	if err != nil || len(runs) != 1 {
		s.t.Fatalf("%d runs, %v", len(runs), err)
	}
	return runs[0].ID
}

// everywhere kills one process after the other, each a boundary later than the one
// before, until one comes to its end.
func (s *site) everywhere(o orders) (boundaries int) {
	s.t.Helper()
	o.Passed = []string{}
	for range 200 {
		if o.Run == "" && boundaries > 0 {
			o.Run = s.only()
		}
		cmd, out := s.child(o)
		err := cmd.Wait()
		at, killed := strings.CutPrefix(strings.TrimSpace(out.String()), "killed at ")
		if !killed {
			if err != nil {
				s.t.Fatalf("after %q: %v: %s", o.Passed, err, out)
			}
			return boundaries
		}
		boundaries++
		o.Passed = append(o.Passed, at, at+" ")
	}
	s.t.Fatal("it does not come to its end")
	return 0
}

// However often it is killed, the upgrade ends with exactly the new packages, and the
// way back with exactly the old tree.
func TestAcceptance08KilledAtEveryBoundary(t *testing.T) {
	t.Parallel()
	s := at(t, sles.SLES12)
	before := s.fingerprint()
	if n := s.everywhere(orders{}); n < 20 {
		t.Errorf("only %d boundaries", n)
	}
	if got := strings.Join(s.packages(), " "); got != wanted {
		t.Errorf("installed: %s", got)
	}
	if on := s.enabled(); on != newRepositories {
		t.Errorf("package repositories that are on: %s", on)
	}
	if n := s.everywhere(orders{Run: s.only(), Back: true}); n < 6 {
		t.Errorf("only %d boundaries on the way back", n)
	}
	s.same(before)
	if on := s.enabled(); on != oldRepositories {
		t.Errorf("package repositories that are on: %s", on)
	}
}

// On btrfs the root changes places with its snapshot, the journals inside it not, however
// often it is killed there.
func TestAcceptance08KilledOnBtrfs(t *testing.T) {
	t.Parallel()
	s := at(t, sles.SLES12)
	s.onBtrfs()
	s.req.Unrehearsed, s.req.WayBack = true, onBtrfs
	if err := wayback.Separate(t.Context(), wayback.Target{Root: s.lab.Root, State: s.state}); err != nil {
		t.Fatal(err)
	}
	before := s.fingerprint()
	only := []string{stepSecure, stepPass, stepUpgrade}
	if n := s.everywhere(orders{Only: only}); n < 6 {
		t.Errorf("only %d boundaries", n)
	}
	if got := strings.Join(s.packages(), " "); got != wanted {
		t.Errorf("installed: %s", got)
	}
	if n := s.everywhere(orders{Run: s.only(), Back: true, Only: only}); n < 4 {
		t.Errorf("only %d boundaries on the way back", n)
	}
	s.same(before)
	if on := s.enabled(); on != oldRepositories {
		t.Errorf("package repositories that are on: %s", on)
	}
}

// onBtrfs puts the root on a subvolume of a btrfs of its own, with the journals in it.
func (s *site) onBtrfs() {
	s.t.Helper()
	dir := s.t.TempDir()
	err := shell(`
		truncate -s 512M "$2/disk"
		mkfs.btrfs -q "$2/disk"
		mkdir "$2/top"
		mount -o loop "$2/disk" "$2/top"
		btrfs subvolume create "$2/top/@" >/dev/null
		cp -a "$1/." "$2/top/@"
		mkdir -p "$2/top/@/var/lib/lifeboat"
		mount -o noatime,subvol=@ "$(findmnt -n -o SOURCE --nofsroot "$2/top")" "$1"
	`, s.lab.Root, dir)
	s.t.Cleanup(func() { _ = shell(`umount "$1"; umount "$2/top"`, s.lab.Root, dir) })
	if err != nil {
		s.t.Fatal(err)
	}
	s.state, s.copy = filepath.Join(s.lab.Root, "var/lib/lifeboat"), onBtrfs
}

// Lifeboat and zypper are killed in the middle of an rpm, which goes on. Nothing works
// beside it, and both ways end where they have to.
func TestAcceptance08KilledInTheMiddleOfAnRPM(t *testing.T) {
	t.Parallel()
	for _, back := range []bool{false, true} {
		t.Run(map[bool]string{false: "resume", true: "rollback"}[back], func(t *testing.T) {
			t.Parallel()
			s := at(t, sles.SLES12, sles.FaultSlow)
			// The overlay of a rehearsal has its own device, and does not wait.
			if err := s.lab.Hold(true); err != nil {
				t.Fatal(err)
			}
			before := s.fingerprint()
			cmd, out := s.child(orders{})
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			for !s.lab.Waiting() {
				select {
				case err := <-ended:
					t.Fatalf("it did not wait: %v: %s", err, out)
				case <-time.After(10 * time.Millisecond):
				}
			}
			z, err := zypper.New(zypper.Options{Root: s.lab.Root})
			if err != nil {
				t.Fatal(err)
			}
			_ = cmd.Process.Kill()
			killed := 0
			for _, pid := range z.Active() {
				line, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
				if program, _, _ := strings.Cut(string(line), "\x00"); filepath.Base(program) == "zypper" {
					killed++
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
			<-ended
			if killed != 1 {
				t.Fatalf("%d zypper were killed", killed)
			}
			rpm := installers(s.lab.Root)
			if len(rpm) != 1 {
				t.Fatalf("%v install packages, and one was expected to be left", rpm)
			}
			again, said := s.child(orders{Run: s.only(), Back: back})
			done := make(chan error, 1)
			go func() { done <- again.Wait() }()
			// It has taken the run up, and the rpm that was left is still the only one.
			for !takenUp(s, 2) {
				select {
				case err := <-done:
					t.Fatalf("it did not wait: %v: %s", err, said)
				case <-time.After(10 * time.Millisecond):
				}
			}
			if now := installers(s.lab.Root); !slices.Equal(now, rpm) {
				t.Errorf("%v install packages beside %v", now, rpm)
			}
			if err := s.lab.Release(); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			if back {
				// What held it up was there before, and has gone back with all else.
				s.same(before)
			} else if got := s.packages(); !slices.Contains(got, "sles-release-12.1-1.331") || !slices.Contains(got, "acme-agent-2.0-1") || len(got) != len(strings.Fields(wanted)) {
				t.Errorf("installed: %v", got)
			}
		})
	}
}

// takenUp tells whether the only run has had so many passes.
func takenUp(s *site, passes int) bool {
	runs, err := runbook.List(s.state)
	return err == nil && len(runs) == 1 && runs[0].Passes >= passes
}

// installers are the rpm processes that change packages of a root, without what they
// have forked for scripts.
func installers(root string) []int {
	line := func(pid string) string {
		text, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		return strings.ReplaceAll(string(text), "\x00", " ")
	}
	var found []int
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, name := range names {
		pid := filepath.Base(name)
		if text := line(pid); !strings.HasPrefix(text, "rpm --root "+root+" ") || !strings.Contains(text, " -U ") {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(name, "stat"))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		if f := strings.Fields(rest); len(f) > 1 && line(f[1]) != line(pid) {
			n, _ := strconv.Atoi(pid)
			found = append(found, n)
		}
	}
	slices.Sort(found)
	return found
}

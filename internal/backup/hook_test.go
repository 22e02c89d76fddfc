package backup_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/backup"
	"lifeboat/internal/backup/backuptest"
	"lifeboat/internal/component"
	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// shell is a hook that a shell makes of text, with DIR for the site's directory.
func shell(s *backuptest.Site, text string) config.Hook {
	return config.Hook{Command: []string{"/bin/sh", "-c", strings.ReplaceAll(text, "DIR", s.Dir)}, Timeout: 5 * time.Minute}
}

// noting is a hook that writes down when it ran, whether the system ran, and how the
// backup stood.
func noting(s *backuptest.Site) config.HookList {
	return config.HookList{shell(s, `running=stopped; [ ! -e DIR/running ] || running=running
		echo $LIFEBOAT_HOOK $LIFEBOAT_COMPONENT $running $LIFEBOAT_RESULT >>DIR/notes; echo "this is $LIFEBOAT_SYSTEM"`)}
}

func notes(s *backuptest.Site) []string {
	return strings.Split(strings.TrimSpace(s.Read("notes")), "\n")
}

// logged is what a run's journal holds of a step's log.
func logged(t *testing.T, run *runbook.Run) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(run.Dir, "journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestHooksAroundABackup(t *testing.T) {
	t.Setenv("LIFEBOAT_PASSWORD", "a secret of the environment")
	s := backuptest.New(t, "")
	s.Hooks.Before, s.Hooks.After = noting(s), append(noting(s), shell(s, "env >DIR/environment"))
	s.Hooks.Components = map[string]config.Hooks{
		"configuration": {Before: noting(s), After: noting(s)},
		"data":          {After: noting(s)},
		"extra":         {Before: noting(s)}, // not chosen
	}
	b, run, err := s.Backup(t)
	if err != nil || run.State != runbook.StateDone {
		t.Fatalf("%v, %+v", err, run.Warnings)
	}
	want := []string{"before running", "before configuration stopped", "after configuration stopped done", "after data running done", "after running done"}
	if got := notes(s); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if !strings.Contains(logged(t, run), "this is app") {
		t.Error("the journal has nothing of what the hooks print")
	}
	env := s.Read("environment")
	if !strings.Contains(env, "LIFEBOAT_POINT="+b.Point().ID()) || !strings.Contains(env, "LIFEBOAT_RUN="+run.ID) || strings.Contains(env, "secret") {
		t.Error(env)
	}
}

func TestFailingHooks(t *testing.T) {
	for name, c := range map[string]struct {
		set   func(s *backuptest.Site)
		exit  int
		point bool
		says  string
		notes string // of the hooks that note
	}{
		"before which refuses": {
			set:  func(s *backuptest.Site) { s.Hooks.Before = config.HookList{shell(s, "echo no room >&2; exit 3")} },
			exit: runbook.ExitRefused, says: "hook before the backup: sh: exit code 3: no room; nothing was stopped", notes: "after running failed",
		},
		"before which warns": {
			set: func(s *backuptest.Site) {
				h := shell(s, "exit 3")
				h.OnFailure = config.HookWarn
				s.Hooks.Before = config.HookList{h}
			},
			exit: runbook.ExitWarnings, point: true, says: "exit code 3", notes: "after running done",
		},
		"before killed": {
			set:  func(s *backuptest.Site) { s.Hooks.Before = config.HookList{shell(s, "kill -9 $$")} },
			exit: runbook.ExitRefused, says: "hook before the backup: sh: ", notes: "after running failed",
		},
		"before not there": {
			set:  func(s *backuptest.Site) { s.Hooks.Before = config.HookList{{Command: []string{"/nowhere/hook"}}} },
			exit: runbook.ExitRefused, says: "the program /nowhere/hook is not there", notes: "after running failed",
		},
		"before in a directory of all": {
			set: func(s *backuptest.Site) {
				open := filepath.Join(s.Dir, "open")
				if err := errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o777), os.WriteFile(filepath.Join(open, "hook"), []byte("#!/bin/sh\n"), 0o700)); err != nil {
					panic(err)
				}
				s.Hooks.Before = config.HookList{{Command: []string{filepath.Join(open, "hook")}, OnFailure: config.HookWarn}}
			},
			exit: runbook.ExitRefused, says: "hook before the backup: it is not run: everybody can write /", // and the hooks after it do not run,
		},
		"of a component without the right to run": {
			set: func(s *backuptest.Site) {
				s.Hooks.Components = map[string]config.Hooks{"configuration": {Before: config.HookList{{Command: []string{"/etc/passwd"}}}}}
			},
			exit: runbook.ExitRefused, says: "hook before configuration: /etc/passwd is not executable (chmod +x /etc/passwd); nothing was stopped", notes: "after running failed",
		},
		"before in vain": {
			set: func(s *backuptest.Site) {
				h := shell(s, "echo $$ >DIR/pid; sleep 1000 & wait")
				h.Timeout = time.Second
				s.Hooks.Before = config.HookList{h}
			},
			exit: runbook.ExitRefused, says: "took longer than 1s", notes: "after running failed",
		},
		"after": {
			set: func(s *backuptest.Site) {
				s.Hooks.After = append(config.HookList{shell(s, "exit 3")}, s.Hooks.After...)
			},
			exit: runbook.ExitWarnings, point: true, says: "hook after the backup: sh: exit code 3", notes: "after running done",
		},
		"after which counts": {
			set: func(s *backuptest.Site) {
				h := shell(s, "exit 3")
				h.OnFailure = config.HookStop
				s.Hooks.After = append(config.HookList{h}, s.Hooks.After...)
			},
			exit: runbook.ExitFailed, point: true, says: "hook after the backup: sh: exit code 3", notes: "after running done",
		},
		"of a critical component": {
			set: func(s *backuptest.Site) {
				s.Hooks.Components = map[string]config.Hooks{"configuration": {Before: config.HookList{shell(s, "exit 3")}, After: noting(s)}}
			},
			exit: runbook.ExitFailed, says: "hook before configuration: sh: exit code 3", notes: "after configuration stopped failed\nafter running failed",
		},
		"of a recommended component": {
			set: func(s *backuptest.Site) {
				s.Hooks.Components = map[string]config.Hooks{"data": {Before: config.HookList{shell(s, "exit 3")}}}
			},
			exit: runbook.ExitWarnings, point: true, says: "hook before data: sh: exit code 3", notes: "after running incomplete",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := backuptest.New(t, "")
			s.Hooks.After = noting(s)
			c.set(s)
			_, run, err := s.Backup(t)
			if got := runbook.ExitCode(run, err); got != c.exit {
				t.Errorf("exit code %d: %v", got, err)
			}
			if !strings.Contains(fmt.Sprint(err, run.Warnings), c.says) {
				t.Errorf("%v, %+v", err, run.Warnings)
			}
			got, err := os.ReadFile(filepath.Join(s.Dir, "notes"))
			if errors.Is(err, os.ErrNotExist) {
				err = nil
			}
			if err != nil || strings.TrimSpace(string(got)) != c.notes {
				t.Errorf("hooks after it: %q, %v", got, err)
			}
			if s.Read("running") != "content of running" {
				t.Error("the system does not run")
			}
			points, err := s.Vault.Points(t.Context(), vault.Filter{})
			if err != nil || (len(points) == 1) != c.point {
				t.Errorf("%d points, %v", len(points), err)
			}
			if backup.Sealed(run) != c.point {
				t.Errorf("the run is said to have made a point: %v", !c.point)
			}
			if _, err := os.Stat(filepath.Join(s.Dir, "state", "hooks", "app.json")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a hook is owed: %v", err)
			}
			if c.exit == runbook.ExitRefused {
				if step := run.Step("quiesce/stop"); step != nil && step.Attempts > 0 {
					t.Error("the system was stopped")
				}
			}
		})
	}
}

// A hook that does not listen is ended together with what it has started.
func TestStubbornHook(t *testing.T) {
	t.Parallel()
	s := backuptest.New(t, "")
	h := shell(s, `trap "" TERM; sleep 1000 & echo $! $$ >DIR/pids.new; mv DIR/pids.new DIR/pids; while :; do sleep 1000; done`)
	h.Timeout = 3 * time.Second
	s.Hooks.Before = config.HookList{h}
	_, run, err := s.Backup(t)
	if runbook.ExitCode(run, err) != runbook.ExitRefused || !strings.Contains(err.Error(), "took longer") {
		t.Fatal(err)
	}
	for _, pid := range strings.Fields(s.Read("pids")) {
		for end := time.Now().Add(time.Minute); alive(pid); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("process %s of the hook still runs", pid)
			}
		}
	}
	s.Hooks.Before = nil
	if _, _, err := s.Backup(t); err != nil {
		t.Errorf("the next backup: %v", err)
	}
}

// What has put away its session goes with the hook whose time is up; at the end of one
// that ends by itself it lives on, and its hold on the output keeps nobody waiting.
func TestHookWithSessions(t *testing.T) {
	t.Parallel()
	s := backuptest.New(t, "")
	in := shell(s, `trap "" TERM; setsid sh -c 'trap "" TERM; setsid -f sleep 1000; while :; do sleep 1000; done' & echo $! >DIR/pids.new
		env -i setsid sh -c 'echo $$ >DIR/plain; exec sleep 1000' & setsid -f sh -c 'echo $$ >>DIR/far; exec sleep 1000'
		while [ ! -s DIR/far ] || [ ! -s DIR/plain ]; do sleep 0.1; done; cat DIR/far DIR/plain >>DIR/pids.new; mv DIR/pids.new DIR/pids; wait; while :; do sleep 1000; done`)
	in.Timeout = 5 * time.Second
	s.Hooks.Before = config.HookList{in}
	_, run, err := s.Backup(t)
	if runbook.ExitCode(run, err) != runbook.ExitRefused || !strings.Contains(err.Error(), "took longer") || strings.Contains(err.Error(), "could not be ended") {
		t.Fatal(err)
	}
	for _, pid := range strings.Fields(s.Read("pids")) {
		if alive(pid) {
			t.Errorf("process %s of the hook still runs", pid)
		}
	}
	s.Hooks.Before = config.HookList{shell(s, `setsid -f sh -c 'echo $$ >DIR/daemon; exec sleep 1000'; while [ ! -s DIR/daemon ]; do sleep 0.1; done`)}
	_, run, err = s.Backup(t)
	if err != nil || run.State != runbook.StateDone || !strings.Contains(logged(t, run), "still holds its output") {
		t.Errorf("%v, %+v", err, run.Warnings)
	}
	daemon := strings.TrimSpace(s.Read("daemon"))
	if !alive(daemon) {
		t.Error("a daemon was ended")
	}
	if p, err := os.FindProcess(atoi(daemon)); err == nil {
		_ = p.Kill()
	}
}

// alive tells whether a process runs; one that nobody has waited for does not.
func alive(pid string) bool {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(text), ") Z ")
}

// What a hook prints is kept in part, however much it is.
func TestFloodingHook(t *testing.T) {
	t.Parallel()
	s := backuptest.New(t, "")
	s.Hooks.Before = config.HookList{shell(s, `echo first; head -c 3000000 /dev/zero | tr '\0' x; echo; yes 'another line' | head -c 3000000; printf 'no newline\377'`)}
	_, run, err := s.Backup(t)
	if err != nil || run.State != runbook.StateDone {
		t.Fatalf("%v, %+v", err, run.Warnings)
	}
	text := logged(t, run)
	if len(text) > 1<<20 || !strings.Contains(text, `"text":"first"`) || !strings.Contains(text, "another line") || !strings.Contains(text, "bytes more were printed and are left out") {
		t.Errorf("%d bytes", len(text))
	}
}

// What a hook makes is saved with the rest, and a daemon that it starts does not keep
// the next backup from being made.
func TestWhatAHookLeaves(t *testing.T) {
	t.Parallel()
	s := backuptest.New(t, "")
	s.Lose(t, "etc")
	s.Hooks.Before = config.HookList{shell(s, "mkdir -p DIR/etc; echo made >DIR/etc/app.conf; sleep 1000 >/dev/null 2>&1 & echo $! >>DIR/pids")}
	s.Hooks.After = config.HookList{shell(s, "for p in $(cat DIR/pids); do kill -0 $p || exit 1; done")}
	t.Cleanup(func() {
		for _, pid := range strings.Fields(s.Read("pids")) {
			if p, err := os.FindProcess(atoi(pid)); err == nil {
				_ = p.Kill()
			}
		}
	})
	for range 2 {
		b, run, err := s.Backup(t)
		if err != nil || run.State != runbook.StateDone {
			t.Fatalf("%v, %+v", err, run.Warnings)
		}
		for _, c := range b.Point().Manifest.Components {
			if c.Name == "configuration" && (c.Status != component.StatusCaptured || c.Items == 0) {
				t.Errorf("%+v", c)
			}
		}
	}
}

func atoi(text string) (n int) {
	_, _ = fmt.Sscan(text, &n)
	return n
}

func TestHookOfAUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs a hook as another user")
	}
	s := backuptest.New(t, "")
	h := shell(s, "id -un; id -G; echo $HOME $USER; cat DIR/state/runs/*/run.json >/dev/null 2>&1 && echo reads everything; true")
	h.User = "nobody"
	s.Hooks.Before = config.HookList{h}
	_, run, err := s.Backup(t)
	if err != nil {
		t.Fatal(err)
	}
	text := logged(t, run)
	if !strings.Contains(text, `"text":"nobody"`) || !strings.Contains(text, "/nonexistent nobody") || strings.Contains(text, `"text":"reads everything"`) {
		t.Error(text)
	}
	h.User = "nobody-here"
	s.Hooks.Before = config.HookList{h}
	if _, _, err := s.Backup(t); err == nil || !strings.Contains(err.Error(), "nobody-here") {
		t.Error(err)
	}
}

// An interrupt ends the hook that is at work; those after the backup run all the same.
func TestInterruptedHook(t *testing.T) {
	t.Parallel()
	s := backuptest.New(t, "")
	s.Hooks.Before, s.Hooks.After = config.HookList{shell(s, "touch DIR/runs; sleep 1000")}, noting(s)
	b, err := backup.New(t.Context(), backup.Options{
		System: "app", Profile: s.Profile, Catalog: s.Catalog, Host: host.Local(), Vault: s.Vault,
		Hooks: s.Hooks, StateDir: filepath.Join(s.Dir, "state"), Trigger: vault.Manual, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		for s.Read("runs") != "" && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		interrupt()
	}()
	run, err := s.Engine(nil).Start(ctx, b.Runbook(), runbook.Meta{ID: b.RunID()})
	if !errors.Is(err, runbook.ErrInterrupted) || run.State != runbook.StateInterrupted {
		t.Errorf("%v", err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := notes(s); !slices.Equal(got, []string{"after running failed"}) {
		t.Errorf("%q", got)
	}
	if owed, err := backup.OwedHooks(filepath.Join(s.Dir, "state"), "app"); owed != nil || err != nil {
		t.Errorf("%+v, %v", owed, err)
	}
}

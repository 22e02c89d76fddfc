package hook

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
)

// site is a root with a shell in it, and hooks.
type site struct {
	*testing.T
	root string
	Runner
}

func newSite(t *testing.T) *site {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: runs hooks in a root of their own")
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatalf("%v (scripts/deps test installs busybox-static)", err)
	}
	s := &site{T: t, root: t.TempDir()}
	if err := os.Chmod(s.root, 0o755); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	s.write("/bin/busybox", string(program), 0o755)
	for _, name := range []string{"sh", "sleep"} {
		if err := os.Symlink("busybox", filepath.Join(s.root, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	s.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\n", 0o644)
	s.write("/etc/group", "root:x:0:\n", 0o644)
	if s.Host, err = host.At(s.root); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) write(path, text string, mode os.FileMode) {
	s.Helper()
	path = filepath.Join(s.root, path)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		s.Fatal(err)
	}
}

// hook puts a hook in place that notes its name and then does what body says.
func (s *site) hook(name, body string) {
	s.Helper()
	if !strings.HasPrefix(name, "/") {
		name = filepath.Join(Dir, name)
	}
	s.write(name, "#!/bin/sh\necho \"$LIFEBOAT_HOOK ${0##*/}\" >>/trace\n"+body+"\n", 0o755)
}

// trace is what hooks have noted until now.
func (s *site) trace() []string {
	s.Helper()
	text, err := os.ReadFile(filepath.Join(s.root, "trace"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.Fatal(err)
	}
	_ = os.Remove(filepath.Join(s.root, "trace"))
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// play runs the hooks of occasions as an upgrade does: as steps of a run.
func (s *site) play(occasions ...Occasion) (*runbook.Run, string, error) {
	s.Helper()
	rb := runbook.Runbook{Kind: "upgrade", System: "host"}
	for i, o := range occasions {
		id := strconv.Itoa(i)
		rb.Stages = append(rb.Stages, runbook.Stage{Name: "s" + id, Steps: []runbook.Step{s.Step("s"+id+"/hooks", "Run hooks", o)}})
	}
	var told strings.Builder
	engine := runbook.New(runbook.Options{Dir: s.TempDir(), Observers: []runbook.Observer{runbook.ObserverFunc(func(e runbook.Event) {
		told.WriteString(e.Text + "\n")
	})}})
	run, err := engine.Start(s.Context(), rb, runbook.Meta{})
	return run, told.String(), err
}

func TestAcceptance10OrderOfHooks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, o := range Occasions() {
		s.hook(string(o)+"_20_site_second", "")
		s.hook(string(o)+"_05_site_first", "")
	}
	s.hook(obsoleteInit, "")
	s.hook(obsoleteFinish, "")
	part := func(parts ...Part) (occasions []Occasion) {
		for _, c := range Calls() {
			if slices.Contains(parts, c.Part) {
				occasions = append(occasions, c.Occasion)
			}
		}
		return occasions
	}
	for name, c := range map[string]struct {
		calls []Occasion
		want  string
	}{
		"a good run that restarts": {part(Prepare, Restart, Finish), `
			wagon_hook_init before_init before_welcome after_welcome before_registration_check after_registration_check
			before_custom_url after_custom_url before_self_update after_self_update
			before_installing_migration_products after_installing_migration_products
			before_selecting_migration_source after_selecting_migration_source
			before_registration after_registration before_repo_selection after_repo_selection
			before_set_migration_repo after_set_migration_repo before_package_migration
			before_restart wagon_hook_finish before_exit wagon_hook_init before_init after_restart
			before_registration after_registration before_congratulate after_congratulate wagon_hook_finish before_exit`},
		"given up": {append([]Occasion{BeforeInit}, part(Abort)...), `
			wagon_hook_init before_init before_abort before_abort_rollback after_abort_rollback wagon_hook_finish before_exit`},
	} {
		t.Run(name, func(t *testing.T) {
			run, _, err := s.play(c.calls...)
			if err != nil || run.State != runbook.StateDone {
				t.Fatal(run, err)
			}
			var want []string
			for _, word := range strings.Fields(c.want) {
				switch word {
				case "wagon_hook_init":
					want = append(want, "before_init "+word)
				case "wagon_hook_finish":
					want = append(want, "before_exit "+word)
				default:
					want = append(want, word+" "+word+"_05_site_first", word+" "+word+"_20_site_second")
				}
			}
			if got := s.trace(); !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestAcceptance10HooksOfOtherStepsDoNotRun(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.hook("before_registration_check_10_site_one", "")
	s.hook("before_registration_10_site_one", "")
	s.hook("xbefore_registration_10_site_one", "exit 1")
	s.hook("before_registration_9_site_one", "")
	for _, c := range []struct {
		policy Policy
		want   []string
		fails  bool
	}{
		{Strict, []string{"before_registration before_registration_10_site_one"}, true}, // one digit stops it
		{Wagon, []string{"before_registration before_registration_10_site_one", "before_registration before_registration_9_site_one"}, false},
	} {
		s.Policy = c.policy
		_, _, err := s.play(BeforeRegistration)
		if got := s.trace(); !slices.Equal(got, c.want) || (err != nil) != c.fails {
			t.Errorf("%s: %q, %v", c.policy, got, err)
		}
	}
}

// Wagon ran its hooks by a shell, to which a script without a first line is its own.
func TestAcceptance10ScriptWithoutAFirstLine(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.write(filepath.Join(Dir, "before_registration_10_site_bare"), "echo bare >>/trace\n", 0o755)
	s.write(filepath.Join(Dir, "before_registration_20_site_empty"), "", 0o755)
	if _, _, err := s.play(BeforeRegistration); err != nil || !slices.Equal(s.trace(), []string{"bare"}) {
		t.Error(err)
	}
}

func TestAcceptance10RetryIgnoreCancel(t *testing.T) {
	t.Parallel()
	const failing = `echo "no room for $0"; [ -e /good ] || exit 7`
	for name, c := range map[string]struct {
		policy    Policy
		onFailure Answer
		answers   []Answer // of a person; "-" is nobody
		heals     bool     // the hook is good once a person was asked
		want      string   // last parts of names
		state     runbook.State
		says      string
	}{
		"strict":             {policy: Strict, want: "a", state: runbook.StateFailed, says: "exit code 7; not run: before_package_migration_01_site_b"},
		"by default":         {want: "a", state: runbook.StateFailed, says: "exit code 7"},
		"wagon":              {policy: Wagon, want: "a next", state: runbook.StateWarnings, says: "goes on, as it does with Wagon"},
		"ignored":            {policy: Strict, onFailure: Ignore, want: "a b next", state: runbook.StateWarnings, says: "that is ignored"},
		"tried again":        {policy: Strict, onFailure: Retry, want: "a a a", state: runbook.StateFailed, says: "it is run again"},
		"asked: retry":       {policy: Strict, answers: []Answer{Retry}, heals: true, want: "a a b next", state: runbook.StateDone, says: "it is run again"},
		"asked: ignore":      {policy: Strict, answers: []Answer{Retry, Ignore}, want: "a a b next", state: runbook.StateWarnings, says: "that is ignored"},
		"asked: cancel":      {policy: Strict, onFailure: Ignore, answers: []Answer{Cancel}, want: "a", state: runbook.StateFailed},
		"asked with Wagon":   {policy: Wagon, answers: []Answer{Cancel}, want: "a next", state: runbook.StateWarnings},
		"nobody to be asked": {policy: Strict, onFailure: Ignore, answers: []Answer{"-"}, want: "a b next", state: runbook.StateWarnings},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.hook("before_package_migration_00_site_a", failing)
			s.hook("before_package_migration_01_site_b", "")
			s.hook("before_congratulate_00_site_next", "")
			s.Policy, s.OnFailure = c.policy, c.onFailure
			if c.answers != nil {
				s.Ask = func(_ context.Context, q Question) (Answer, error) {
					if q.Occasion != BeforePackageMigration || !slices.Equal(q.Left, []string{"before_package_migration_01_site_b"}) || !strings.Contains(q.Err.Error(), "no room for") && !strings.Contains(q.Err.Error(), "exit code 7") {
						t.Errorf("%+v", q)
					}
					if c.heals {
						s.write("/good", "", 0o600)
					}
					answer := c.answers[0]
					c.answers = c.answers[1:]
					if answer == "-" {
						return "", runbook.ErrNoTerminal
					}
					return answer, nil
				}
			}
			run, told, err := s.play(BeforePackageMigration, BeforeCongratulate)
			if run.State != c.state || !strings.Contains(told+run.Error, c.says) || !strings.Contains(told, "no room for "+Dir) {
				t.Errorf("%s: %v\n%s", run.State, err, told)
			}
			var got []string
			for _, line := range s.trace() {
				got = append(got, line[strings.LastIndex(line, "_")+1:])
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestAcceptance10NoInputAndATimeLimit(t *testing.T) {
	t.Run("no input", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.hook("before_init_00_site_asks", `read line && exit 1; (: </dev/tty) 2>/dev/null && exit 1; echo "it was: $line."`)
		run, told, err := s.play(BeforeInit)
		if err != nil || run.State != runbook.StateDone || !strings.Contains(told, "it was: .") {
			t.Errorf("%v\n%s", err, told)
		}
	})
	t.Run("hanging", func(t *testing.T) {
		t.Parallel()
		s := newSite(t)
		s.Limit = time.Second
		s.hook("before_init_00_site_hangs", `trap "" TERM; sleep 100000 & echo $! >/child; sleep 100000`)
		run, _, err := s.play(BeforeInit)
		if run.State != runbook.StateFailed || !strings.Contains(run.Error, "took longer than 1s") {
			t.Errorf("%s, %v", run.State, err)
		}
		if pid, err := os.ReadFile(filepath.Join(s.root, "child")); err == nil { // it had come so far
			line, _ := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/cmdline") // empty for one that is gone
			if strings.Contains(string(line), "100000") {
				t.Errorf("what the hook had started lives on: %s", pid)
			}
		}
	})
}

func TestLook(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.hook("before_init_00_site_good", "")
	s.hook("before_init_1_site_digit", "")
	s.hook("before_init_00_site", "")
	s.hook("before_init_00_site_good.rpmsave", "")
	s.hook("before_init_00_site_good~", "")
	s.hook("before_init_site_good", "")
	s.hook("after_package_migration_00_site_good", "")
	s.hook("before_pakage_migration_00_site_good", "")
	s.hook("README", "")
	s.hook("before_exit_00_site_crlf", "")
	s.write(Dir+"/before_exit_00_site_crlf", "#!/bin/sh\r\n", 0o755)
	s.write(Dir+"/before_exit_01_site_still", "#!/bin/sh\n", 0o644)
	s.write(Dir+"/before_exit_02_site_open", "#!/bin/sh\n", 0o757)
	s.write(Dir+"/before_exit_03_site_perl", "#!/usr/bin/perl\n", 0o755)
	s.write(Dir+"/before_exit_04_site_foreign", "#!/bin/sh\n", 0o755)
	s.write(Dir+"/before_exit_05_site_dir/file", "", 0o644)
	s.write("/elsewhere", "#!/bin/sh\n", 0o755)
	for target, name := range map[string]string{"/nowhere": "before_exit_06_site_lost", "/elsewhere": "before_exit_07_site_link", "../../../../../elsewhere": "before_exit_08_site_link"} {
		if err := os.Symlink(target, filepath.Join(s.root, Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(filepath.Join(s.root, Dir, "before_exit_04_site_foreign"), 1234, 0); err != nil {
		t.Fatal(err)
	}
	flat := func(hooks []Hook) (lines []string) {
		for _, h := range hooks {
			lines = append(lines, strings.TrimSpace(h.Name+" "+string(h.Reason)))
		}
		return lines
	}
	same := func(what string, hooks []Hook, want ...string) {
		t.Helper()
		if got := flat(hooks); !slices.Equal(got, want) {
			t.Errorf("%s:\n%s", what, strings.Join(got, "\n"))
		}
	}
	l, err := Look(t.Context(), s.Host, "", Strict)
	if err != nil {
		t.Fatal(err)
	}
	same("before_init", l.Of(BeforeInit), "before_init_00_site odd-name", "before_init_00_site_good", "before_init_1_site_digit odd-name")
	same("before_exit", l.Of(BeforeExit),
		"before_exit_00_site_crlf cannot-run", "before_exit_01_site_still not-executable", "before_exit_02_site_open unsafe",
		"before_exit_03_site_perl cannot-run", "before_exit_04_site_foreign unsafe", "before_exit_05_site_dir cannot-run",
		"before_exit_06_site_lost cannot-run", "before_exit_07_site_link", "before_exit_08_site_link")
	same("others", l.Others, "README unknown-occasion", "after_package_migration_00_site_good unknown-occasion", "before_init_00_site_good.rpmsave copy",
		"before_init_00_site_good~ copy", "before_init_site_good wrong-name", "before_pakage_migration_00_site_good unknown-occasion")
	if len(l.Problems()) != 9 {
		t.Errorf("%q", flat(l.Problems()))
	}
	if why := l.Others[5].Why; !strings.Contains(why, "did you mean before_package_migration?") {
		t.Error(why)
	}
	if l, err = Look(t.Context(), s.Host, "", Wagon); err != nil {
		t.Fatal(err)
	}
	same("Wagon's before_init", l.Of(BeforeInit), "before_init_00_site", "before_init_00_site_good", "before_init_00_site_good.rpmsave", "before_init_00_site_good~", "before_init_1_site_digit")
}

func TestNoDirectory(t *testing.T) {
	h, err := host.At(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l, err := Look(t.Context(), h, "", Strict)
	if err != nil || len(l.Calls) != len(Calls()) || len(l.Problems()) > 0 || len(l.Others) > 0 {
		t.Errorf("%+v, %v", l, err)
	}
	r := Runner{Host: h}
	if applies, why, err := r.Step("before/hooks", "Run hooks", BeforeInit, BeforeExit).When(t.Context()); applies || err != nil || !strings.Contains(why, Dir) {
		t.Errorf("%v, %q, %v", applies, why, err)
	}
}

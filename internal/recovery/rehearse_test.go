package recovery_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
)

const reachesOut = `recovery:
  prepare:
    - id: medium
      title: Put the medium in
      confirm: Put the medium in.
      done: {file: DIR/medium}
    - id: there
      title: See that it is there
      confirm: See that it is there.
      done: {dir: DIR/etc}
  restore:
    - restore: configuration
    - restore: data
  repair:
    - id: again
      title: Restart
      reboot: it must be
  start:
    - id: register
      title: Register
      run: [touch, DIR/registered]
      drill: {run: [touch, DIR/pretended]}
    - id: here
      title: Not replaced here
      run: [touch, DIR/here]
      drill: {when: 'file("DIR/no-such-file")', run: [touch, DIR/replaced]}
    - id: mirror
      title: Mirror
      run: {command: [touch, DIR/mirrored], background: true, log: DIR/mirror.log}
    - system: start
`

func exists(s string) bool {
	_, err := os.Lstat(s)
	return err == nil
}

// The same runbook is carried out; what reaches out, asks or restarts is replaced or left
// out, and told.
func TestRehearsal(t *testing.T) {
	s := lost(t, reachesOut)
	r, book := s.Recovery(t, func(o *recovery.Options) { o.Rehearsal = &recovery.Rehearsal{Services: true} })
	run, err := s.Engine(nil).Start(t.Context(), book, runbook.Meta{})
	if runbook.ExitCode(run, err) != runbook.ExitWarnings { // a person would be needed
		t.Fatalf("exit %d: %v", runbook.ExitCode(run, err), err)
	}
	checkRecovered(t, s)
	for name, want := range map[string]bool{"registered": false, "pretended": true, "here": true, "replaced": false, "mirrored": false} {
		if exists(filepath.Join(s.Dir, name)) != want {
			t.Errorf("%s: want %v", name, want)
		}
	}
	var told []string
	for _, p := range r.Replaced() {
		told = append(told, p.Title)
	}
	if want := []string{"Put the medium in", "See that it is there", "Restart", "Register", "Mirror"}; !slices.Equal(told, want) {
		t.Errorf("replaced: %v", told)
	}
	checks := run.Checks()
	needed := func(title string) bool {
		return slices.ContainsFunc(checks, func(c runbook.Check) bool { return c.Name == title && !c.OK && c.Warning })
	}
	if !needed("Put the medium in") || needed("See that it is there") {
		t.Errorf("%+v", checks)
	}
	if got := r.Restores(); got["restore/restore-data"] != "data" || len(got) != 2 {
		t.Errorf("restores %v", got)
	}
}

// Where services cannot be run nothing is stopped or started, and all of that is told.
func TestRehearsalWithoutServices(t *testing.T) {
	s := lost(t, reachesOut)
	r, book := s.Recovery(t, func(o *recovery.Options) { o.Rehearsal = &recovery.Rehearsal{} })
	run, err := s.Engine(nil).Start(t.Context(), book, runbook.Meta{})
	if runbook.ExitCode(run, err) != runbook.ExitWarnings {
		t.Fatalf("exit %d: %v", runbook.ExitCode(run, err), err)
	}
	if s.Read("stopped") != "content of running" || s.Read("data/a") != "content of data/a" {
		t.Error("the system was started, or the data is not there")
	}
	var told []string
	for _, p := range r.Replaced() {
		if strings.Contains(p.Why, "services") {
			told = append(told, p.Step)
		}
	}
	if want := []string{"start/register", "start/here", "start/mirror", "start/system-start"}; !slices.Equal(told, want) {
		t.Errorf("told: %v", told)
	}
}

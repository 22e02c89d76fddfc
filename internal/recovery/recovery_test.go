package recovery_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeboat/internal/backup/backuptest"
	"lifeboat/internal/component"
	"lifeboat/internal/guard"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

func TestMain(m *testing.M) {
	guard.Main()
	recovery.JobMain()
	os.Exit(m.Run())
}

// lost is a site that was backed up and lost: fresh configuration, no data,
// system stopped.
func lost(t *testing.T, recoveryText string) *backuptest.Site {
	t.Helper()
	s := backuptest.New(t, recoveryText)
	if _, _, err := s.Backup(t); err != nil {
		t.Fatal(err)
	}
	s.Write(t, "etc/app.conf", "fresh")
	s.Lose(t, "data")
	s.Rename(t, "running", "stopped")
	return s
}

func checkRecovered(t *testing.T, s *backuptest.Site) {
	t.Helper()
	for _, f := range []string{"etc/app.conf", "data/a", "data/b", "running"} {
		if got := s.Read(f); got != "content of "+f {
			t.Errorf("%s holds %q", f, got)
		}
	}
}

func checkNothingAside(t *testing.T, s *backuptest.Site) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(s.Dir, ".lifeboat*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestRecoverWhatWasLost(t *testing.T) {
	s := lost(t, "")
	_, book := s.Recovery(t, nil)
	run, err := s.Engine(nil).Start(t.Context(), book, runbook.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	checkRecovered(t, s)
	checkNothingAside(t, s)
	report, err := recovery.NewReport(run)
	if err != nil || report.State != "recovered" || report.RTO <= 0 {
		t.Errorf("report %+v, %v", report, err)
	}
}

func TestRollbackBringsBackWhatWasThere(t *testing.T) {
	s := lost(t, "")
	_, book := s.Recovery(t, func(o *recovery.Options) { o.KeepOld = true })
	run, err := s.Engine(nil).Start(t.Context(), book, runbook.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	checkRecovered(t, s)
	if _, err := s.Engine(nil).Rollback(t.Context(), run.ID, book); err != nil {
		t.Fatal(err)
	}
	if s.Read("etc/app.conf") != "fresh" {
		t.Errorf("etc/app.conf holds %q", s.Read("etc/app.conf"))
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "data")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("data is there: %v", err)
	}
	if s.Read("stopped") != "content of running" {
		t.Error("the system was not running before and runs now")
	}
}

func TestIdentity(t *testing.T) {
	s := lost(t, "")
	point, err := s.Vault.Find(t.Context(), "", vault.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	alter := func(force ...string) func(*recovery.Options) {
		return func(o *recovery.Options) {
			o.Point = point
			o.Force = force
			point.Manifest.Identity["hostname"] = "lost-server"
		}
	}
	_, book := s.Recovery(t, alter())
	run, err := s.Engine(nil).Start(t.Context(), book, runbook.Meta{})
	if runbook.ExitCode(run, err) != runbook.ExitRefused || !strings.Contains(err.Error(), "--force hostname") {
		t.Fatalf("exit %d: %v", runbook.ExitCode(run, err), err)
	}
	if s.Read("etc/app.conf") != "fresh" {
		t.Error("something was changed")
	}
	_, book = s.Recovery(t, alter("hostname"))
	run, err = s.Engine(nil).Start(t.Context(), book, runbook.Meta{})
	if runbook.ExitCode(run, err) != runbook.ExitWarnings {
		t.Fatalf("exit %d: %v", runbook.ExitCode(run, err), err)
	}
	checkRecovered(t, s)
}

const manual = `recovery:
  prepare:
    - id: medium
      confirm: Put the medium in.
      done: {file: DIR/medium}
  restore:
    - restore: configuration
    - restore: data
  start:
    - system: start
`

// A manual step without a terminal waits; the run goes on when it is seen done.
func TestManualStepWaitsAndResumes(t *testing.T) {
	s := lost(t, manual)
	_, book := s.Recovery(t, nil)
	run, err := s.Engine(nil).Start(t.Context(), book, runbook.Meta{})
	if runbook.ExitCode(run, err) != runbook.ExitWaiting {
		t.Fatalf("exit %d: %v", runbook.ExitCode(run, err), err)
	}
	if s.Read("etc/app.conf") != "fresh" {
		t.Error("something was restored before the step was done")
	}
	s.Write(t, "medium", "")
	_, book = s.Recovery(t, nil)
	if _, err := s.Engine(nil).Resume(t.Context(), run.ID, book); err != nil {
		t.Fatal(err)
	}
	checkRecovered(t, s)
}

// liar says done at once.
type liar struct{ asked int }

func (l *liar) Ask(context.Context, runbook.Question) (runbook.Answer, error) {
	l.asked++
	if l.asked > 3 {
		return runbook.AnswerStop, nil
	}
	return runbook.AnswerDone, nil
}

// A person's word is not enough where the effect can be seen.
func TestManualStepIsNotBelieved(t *testing.T) {
	s := lost(t, manual)
	_, book := s.Recovery(t, nil)
	l := &liar{}
	run, err := s.Engine(l).Start(t.Context(), book, runbook.Meta{})
	if runbook.ExitCode(run, err) != runbook.ExitWaiting || l.asked < 2 {
		t.Fatalf("exit %d after %d questions: %v", runbook.ExitCode(run, err), l.asked, err)
	}
}

// A failing step leaves the system stopped, and the cause mended, the run goes on.
func TestFailureAndResume(t *testing.T) {
	s := lost(t, `recovery:
  restore:
    - restore: configuration
    - run: [test, -e, DIR/mended]
    - restore: data
  start:
    - system: start
`)
	_, book := s.Recovery(t, nil)
	run, err := s.Engine(nil).Start(t.Context(), book, runbook.Meta{})
	if runbook.ExitCode(run, err) != runbook.ExitFailed {
		t.Fatalf("exit %d: %v", runbook.ExitCode(run, err), err)
	}
	if s.Read("stopped") != "content of running" {
		t.Error("the system was started on half-restored data")
	}
	s.Write(t, "mended", "")
	_, book = s.Recovery(t, nil)
	if _, err := s.Engine(nil).Resume(t.Context(), run.ID, book); err != nil {
		t.Fatal(err)
	}
	checkRecovered(t, s)
	checkNothingAside(t, s)
}

func TestBackgroundJob(t *testing.T) {
	s := lost(t, strings.Replace(backuptest.DefaultRecovery, "  verify:\n", `  verify:
    - title: Mirror
      run: {command: [sh, -c, "while test -e DIR/wait; do sleep 0.05; done; echo mirrored > DIR/mirrored"], background: true, log: DIR/mirror.log}
`, 1))
	s.Write(t, "wait", "")
	_, book := s.Recovery(t, nil)
	run, err := s.Engine(nil).Start(t.Context(), book, runbook.Meta{})
	if err != nil {
		t.Fatal(err)
	}
	var report *recovery.Report
	for range 100 { // the supervisor records itself after its start
		if report, err = recovery.NewReport(run); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(report.State, "pending") {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if report.State != "recovered, Mirror pending" || report.RTOWithJobs != 0 {
		t.Errorf("state %q, RTO with jobs %v", report.State, report.RTOWithJobs)
	}
	s.Lose(t, "wait")
	if err := report.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if report.State != "recovered" || report.RTOWithJobs < report.RTO || s.Read("mirrored") != "mirrored\n" {
		t.Errorf("state %q, RTO %v and %v with jobs", report.State, report.RTO, report.RTOWithJobs)
	}
}

// Recovering one component touches neither the others nor the system.
func TestOnly(t *testing.T) {
	s := lost(t, "")
	_, book := s.Recovery(t, func(o *recovery.Options) { o.Only = []string{"data"} })
	if _, err := s.Engine(nil).Start(t.Context(), book, runbook.Meta{}); err != nil {
		t.Fatal(err)
	}
	if s.Read("etc/app.conf") != "fresh" || s.Read("data/a") != "content of data/a" || s.Read("stopped") != "content of running" {
		t.Errorf("conf %q, data %q, stopped %q", s.Read("etc/app.conf"), s.Read("data/a"), s.Read("stopped"))
	}
}

// What a finished recovery has set aside is gone: rolling it back would only
// take a healthy system down.
func TestNoWayBack(t *testing.T) {
	for name, keep := range map[string]bool{"discarded": false, "kept": true} {
		t.Run(name, func(t *testing.T) {
			s := lost(t, "")
			r, book := s.Recovery(t, func(o *recovery.Options) { o.KeepOld = keep })
			run, err := s.Engine(nil).Start(t.Context(), book, runbook.Meta{})
			if err != nil {
				t.Fatal(err)
			}
			if recovery.NoWayBack(run) == keep {
				t.Errorf("no way back: %v", !keep)
			}
			if err := r.Discard(t.Context(), run); err != nil {
				t.Fatal(err)
			}
			if !recovery.NoWayBack(run) {
				t.Error("a way back after --discard-old")
			}
		})
	}
}

// A point without something critical never counts as the whole system.
func TestPointWithoutSomethingCritical(t *testing.T) {
	s := lost(t, "")
	point, err := s.Vault.Find(t.Context(), "", vault.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	without := func(force ...string) func(*recovery.Options) {
		return func(o *recovery.Options) {
			o.Point, o.Force = point, force
			for i := range point.Manifest.Components {
				if c := &point.Manifest.Components[i]; c.Name == "configuration" {
					c.Status, c.Reason = component.StatusSkipped, "left out by configuration"
				}
			}
		}
	}
	_, book := s.Recovery(t, without())
	run, err := s.Engine(nil).Start(t.Context(), book, runbook.Meta{})
	if runbook.ExitCode(run, err) != runbook.ExitRefused || !strings.Contains(err.Error(), "--force complete") {
		t.Fatalf("exit %d: %v", runbook.ExitCode(run, err), err)
	}
	r, book := s.Recovery(t, without("complete"))
	run, err = s.Engine(nil).Start(t.Context(), book, runbook.Meta{})
	if runbook.ExitCode(run, err) != runbook.ExitWarnings {
		t.Fatalf("exit %d: %v", runbook.ExitCode(run, err), err)
	}
	// With warnings there is a way back, until somebody takes it.
	if recovery.NoWayBack(run) || len(recovery.Holds(run)) == 0 {
		t.Errorf("nothing is held")
	}
	if err := r.Discard(t.Context(), run); err != nil || !recovery.NoWayBack(run) || len(recovery.Holds(run)) > 0 {
		t.Errorf("%v, still held: %v", err, recovery.Holds(run))
	}
}

// A fact that must agree and was never recorded is no agreement.
func TestUnknownIdentityIsRefused(t *testing.T) {
	s := lost(t, "")
	point, err := s.Vault.Find(t.Context(), "", vault.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	delete(point.Manifest.Identity, "hostname")
	_, book := s.Recovery(t, func(o *recovery.Options) { o.Point = point })
	run, err := s.Engine(nil).Start(t.Context(), book, runbook.Meta{})
	if runbook.ExitCode(run, err) != runbook.ExitRefused {
		t.Fatalf("exit %d: %v", runbook.ExitCode(run, err), err)
	}
}

// Parts of a system that runs: it is stopped before and started after, and the
// way back does the same.
func TestOnlyAround(t *testing.T) {
	s := lost(t, "")
	s.Rename(t, "stopped", "running")
	s.Write(t, "running", "content of running")
	_, book := s.Recovery(t, func(o *recovery.Options) { o.Only, o.Around, o.KeepOld = []string{"data"}, true, true })
	var ids []string
	for _, stage := range book.Stages {
		for _, step := range stage.Steps {
			ids = append(ids, step.ID)
		}
	}
	if got, want := strings.Join(ids, " "), "preflight/identity restore/identity restore/hold restore/restore-data start/system-start"; got != want {
		t.Errorf("steps %s, want %s", got, want)
	}
	run, err := s.Engine(nil).Start(t.Context(), book, runbook.Meta{})
	if err != nil {
		t.Fatalf("%v\n%+v", err, run)
	}
	if s.Read("data/a") != "content of data/a" || s.Read("etc/app.conf") != "fresh" || s.Read("running") != "content of running" {
		t.Errorf("data/a %q, etc/app.conf %q, running %q", s.Read("data/a"), s.Read("etc/app.conf"), s.Read("running"))
	}
	if _, err := s.Engine(nil).Rollback(t.Context(), run.ID, book); err != nil {
		t.Fatal(err)
	}
	if s.Read("running") != "content of running" {
		t.Errorf("running %q", s.Read("running"))
	}
}

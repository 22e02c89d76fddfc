package backup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/backup/backuptest"
	"lifeboat/internal/component"
	"lifeboat/internal/guard"
	"lifeboat/internal/profile"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

func TestMain(m *testing.M) {
	guard.Main()
	os.Exit(m.Run())
}

func TestBackupMakesAPoint(t *testing.T) {
	s := backuptest.New(t, "")
	b, run, err := s.Backup(t)
	if err != nil {
		t.Fatal(err)
	}
	if run.State != runbook.StateDone {
		t.Errorf("run is %s: %+v", run.State, run.Warnings)
	}
	if s.Read("running") != "content of running" {
		t.Error("the system does not run again")
	}
	p, err := s.Vault.Find(t.Context(), "latest", vault.Filter{System: "app"})
	if err != nil {
		t.Fatal(err)
	}
	if p.ID() != b.Point().ID() {
		t.Error("the newest point is another one")
	}
	m := p.Manifest
	want := map[string]component.Status{"configuration": component.StatusCaptured, "data": component.StatusCaptured, "extra": component.StatusSkipped}
	for _, c := range m.Components {
		if c.Status != want[c.Name] {
			t.Errorf("%s is %s, want %s", c.Name, c.Status, want[c.Name])
		}
	}
	if m.Incomplete || len(m.Records["a"]) != 1 {
		t.Errorf("incomplete %v, records %v", m.Incomplete, m.Records)
	}
	book, err := p.Text(t.Context(), vault.RunbookPath)
	if err != nil || !strings.Contains(string(book), "restic -r \"$REPOSITORY\" restore") {
		t.Errorf("runbook: %v\n%s", err, book)
	}
	result, err := s.Vault.Verify(t.Context(), vault.VerifyOptions{Check: repository.CheckOptions{ReadData: true}})
	if err != nil || !result.OK() {
		t.Errorf("verify: %v %+v", err, result)
	}
}

func TestSecondBackupStoresOnlyChanges(t *testing.T) {
	s := backuptest.New(t, "")
	s.Write(t, "data/big", strings.Repeat("0123456789abcdef", 1<<16))
	if _, _, err := s.Backup(t); err != nil {
		t.Fatal(err)
	}
	s.Write(t, "data/a", "changed")
	b, _, err := s.Backup(t)
	if err != nil {
		t.Fatal(err)
	}
	if _, stored := b.Stats(); stored > 64<<10 {
		t.Errorf("%d bytes stored for a change of a few", stored)
	}
}

// A system that was not running is neither stopped nor started.
func TestStoppedSystemStaysStopped(t *testing.T) {
	s := backuptest.New(t, "")
	if err := os.Rename(filepath.Join(s.Dir, "running"), filepath.Join(s.Dir, "off")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Backup(t); err != nil {
		t.Fatal(err)
	}
	if s.Read("off") != "content of running" {
		t.Error("the system was touched")
	}
}

func TestMissingCriticalComponent(t *testing.T) {
	s := backuptest.New(t, "")
	if err := os.RemoveAll(filepath.Join(s.Dir, "etc")); err != nil {
		t.Fatal(err)
	}
	_, run, err := s.Backup(t)
	if err == nil || !strings.Contains(err.Error(), "configuration") {
		t.Fatalf("error %v", err)
	}
	if runbook.ExitCode(run, err) != runbook.ExitFailed {
		t.Errorf("exit code %d", runbook.ExitCode(run, err))
	}
	if points, _ := s.Vault.Points(t.Context(), vault.Filter{}); len(points) != 0 {
		t.Errorf("%d points without a critical component", len(points))
	}
	if s.Read("running") != "content of running" {
		t.Error("the system does not run")
	}
}

// When stopping fails half-way the system is started again and there is no point.
func TestFailingStop(t *testing.T) {
	s := backuptest.New(t, "")
	s.Profile.Quiesce.Stop = append(s.Profile.Quiesce.Stop, profile.Command{Run: []string{"false"}})
	_, _, err := s.Backup(t)
	if err == nil {
		t.Fatal("no error")
	}
	if s.Read("running") != "content of running" {
		t.Error("the system does not run again")
	}
	if points, _ := s.Vault.Points(t.Context(), vault.Filter{}); len(points) != 0 {
		t.Errorf("%d points", len(points))
	}
}

// A component that reaches a file through a link does not take it away from the
// one in whose tree it lies. SMT's cron table is such a file, and stopping SMT
// removes the link.
func TestFileBehindAnotherComponentsLink(t *testing.T) {
	s := backuptest.New(t, "")
	s.Write(t, "etc/table", "5 4 * * *")
	if err := os.Symlink("etc/table", filepath.Join(s.Dir, "extra")); err != nil {
		t.Fatal(err)
	}
	b, _, err := s.Backup(t)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := b.Point().Text(t.Context(), filepath.Join(s.Dir, "etc/table")); err != nil || string(text) != "5 4 * * *" {
		t.Errorf("%q, %v", text, err)
	}
}

// A point without something critical is marked, warned of, and not the latest
// while there is a whole one.
func TestLeavingOutSomethingCritical(t *testing.T) {
	s := backuptest.New(t, "")
	if _, _, err := s.Backup(t); err != nil {
		t.Fatal(err)
	}
	whole, err := s.Vault.Find(t.Context(), "", vault.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	s.Choose = map[string]bool{"configuration": false}
	b, run, err := s.Backup(t)
	if runbook.ExitCode(run, err) != runbook.ExitWarnings {
		t.Fatalf("exit %d: %v", runbook.ExitCode(run, err), err)
	}
	if m := b.Point().Manifest; !m.Incomplete || len(m.Lacks()) != 1 || len(m.Warnings) == 0 {
		t.Errorf("incomplete %v, lacks %v, warnings %q", m.Incomplete, m.Lacks(), m.Warnings)
	}
	if p, err := s.Vault.Find(t.Context(), "latest", vault.Filter{}); err != nil || p.ID() != whole.ID() {
		t.Errorf("latest is %v, %v", p, err)
	}
}

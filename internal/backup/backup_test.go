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

// What was chosen, or was in the last point, and is gone now is told: a disk may
// not be mounted.
func TestGoneComponents(t *testing.T) {
	s := backuptest.New(t, "")
	s.Write(t, "extra/a", "a")
	s.Choose = map[string]bool{"extra": true}
	if _, run, err := s.Backup(t); err != nil || run.State != runbook.StateDone {
		t.Fatal(run.State, err)
	}
	s.Lose(t, "extra")
	s.Lose(t, "data")
	told := func(parts ...string) {
		t.Helper()
		b, run, err := s.Backup(t)
		if err != nil || run.State != runbook.StateWarnings {
			t.Fatal(run.State, err)
		}
		all := strings.Join(b.Point().Manifest.Warnings, "\n")
		for _, part := range parts {
			if !strings.Contains(all, part) {
				t.Errorf("no warning %q in %q", part, all)
			}
		}
	}
	told("extra was chosen in the configuration, and is not on this machine", "data is not on this machine, and the point before")
	told("extra was chosen") // until it is no longer chosen
	s.Choose = nil
	if b, _, err := s.Backup(t); err != nil || len(b.Point().Manifest.Warnings) > 0 {
		t.Error(b.Point().Manifest.Warnings, err)
	}
	s.Write(t, "data/a", "a")
	if _, _, err := s.Backup(t); err != nil {
		t.Fatal(err)
	}
	s.Lose(t, "data/a")
	told("data is empty, and the point before")
}

// A component behind a link that another one captures is refused while the system
// runs, and the message says what to do.
func TestPathBehindACapturedLink(t *testing.T) {
	s := backuptest.New(t, "")
	s.Write(t, "mirror/keys/a", "a")
	if err := os.Symlink("mirror", filepath.Join(s.Dir, "extra")); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(s.Profile.Text), "components:", "components:\n  - {name: keys, kind: files, paths: ["+s.Dir+"/extra/keys], importance: recommended, loss: keys}", 1)
	p, err := s.Catalog.Profile.Load("app.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s.Profile = p
	if _, _, err := s.Backup(t); err != nil {
		t.Fatal("without the link:", err)
	}
	s.Choose = map[string]bool{"extra": true}
	_, run, err := s.Backup(t)
	if err == nil || !strings.Contains(err.Error(), "extra is a symbolic link to mirror that component extra captures") {
		t.Fatal(err)
	}
	if step := run.Step("quiesce/stop"); step != nil && step.Attempts > 0 {
		t.Error("the system was stopped")
	}
	s.Choose["keys"] = false
	if _, _, err := s.Backup(t); err != nil {
		t.Error(err)
	}
}

// A directory of a setting may be called like a pattern.
func TestSettingsAreNoPatterns(t *testing.T) {
	s := backuptest.New(t, "")
	place := `srv/it's $x "y" [1]{a,b}*?`
	s.Write(t, place+"/repo/a", "a")
	text := strings.Replace(string(s.Profile.Text), "components:", "settings:\n  place: {value: /nowhere}\ncomponents:\n  - {name: tree, kind: files, paths: [\"${place}/repo\"], exclude: [\"${place}/repo/x\"], importance: recommended, loss: all}", 1)
	p, err := s.Catalog.Profile.Load("app.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s.Profile, s.Settings = p, map[string]string{"place": filepath.Join(s.Dir, place)}
	b, _, err := s.Backup(t)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := b.Point().Manifest.Component("tree"); err != nil || len(r.Paths) != 1 || r.Paths[0] != filepath.Join(s.Dir, place, "repo") {
		t.Errorf("%+v, %v", r, err)
	}
}

// What is described of a tree that has not changed at all is taken over from
// the point before; any change has it looked at again.
func TestUnchangedTreesKeepTheirDescription(t *testing.T) {
	s := backuptest.New(t, "")
	details := func() map[string]string {
		t.Helper()
		b, _, err := s.Backup(t)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]string{}
		for _, c := range b.Point().Manifest.Components {
			all[c.Name] = string(c.Detail)
		}
		return all
	}
	first := details()
	if first["data"] == "" {
		t.Fatal("nothing is described")
	}
	if again := details(); again["data"] != first["data"] || again["configuration"] != first["configuration"] {
		t.Errorf("first  %s\nagain  %s", first, again)
	}
	if err := os.Chmod(filepath.Join(s.Dir, "data", "a"), 0o640); err != nil {
		t.Fatal(err)
	}
	if changed := details(); changed["data"] == first["data"] {
		t.Error("another mode was not noticed")
	}
}

package backup_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/backup/backuptest"
	"lifeboat/internal/component"
	"lifeboat/internal/runbook"
)

// A notice that refuses keeps a backup from being made, before anything stops.
func TestANoticeRefuses(t *testing.T) {
	s := backuptest.New(t, "")
	load := func(text string) {
		t.Helper()
		p, err := s.Catalog.Profile.Load("app.yaml", []byte(strings.Replace(string(s.Profile.Text), "components:", text+"components:", 1)))
		if err != nil {
			t.Fatal(err)
		}
		s.Profile = p
	}
	load("notices:\n  - {when: {file: " + s.Dir + "/bad}, refuse: true, say: it is bad., hint: Mend it.}\n")
	if _, _, err := s.Backup(t); err != nil {
		t.Fatal(err)
	}
	s.Write(t, "bad", "")
	_, run, err := s.Backup(t)
	if !errors.Is(err, runbook.ErrRefused) || !strings.Contains(err.Error(), "it is bad. Mend it.") {
		t.Error(err)
	}
	if step := run.Step("quiesce/stop"); step != nil && step.Attempts > 0 {
		t.Error("the system was stopped")
	}
}

// A job that leaves no pid file is known by its name.
func TestAJobIsWaitedForByItsName(t *testing.T) {
	s := backuptest.New(t, "")
	job := filepath.Join(t.TempDir(), fmt.Sprintf("import-%d", os.Getpid()))
	text := strings.Replace(string(s.Profile.Text), "quiesce:\n", "quiesce:\n  wait_for: [{process: "+filepath.Base(job)+", timeout: 1ms}]\n", 1)
	p, err := s.Catalog.Profile.Load("app.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s.Profile = p
	if err := os.WriteFile(job, []byte("read line\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", job)
	input, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	_, run, err := s.Backup(t)
	if err == nil || !strings.Contains(err.Error(), filepath.Base(job)+") still runs after 1ms: nothing was stopped") {
		t.Error(err)
	}
	if step := run.Step("quiesce/stop"); step != nil && step.Attempts > 0 {
		t.Error("the system was stopped")
	}
	input.Close()
	_ = cmd.Wait()
	if _, _, err := s.Backup(t); err != nil {
		t.Error(err)
	}
}

// What a machine does not use takes no path from others, and is not looked at.
func TestANeedlessComponentTakesNothing(t *testing.T) {
	s := backuptest.New(t, "")
	s.Write(t, "data/inner/a", "a")
	text := strings.Replace(string(s.Profile.Text), "components:", "components:\n  - {name: inner, kind: files, paths: ["+s.Dir+"/data/inner], importance: critical, when: facts.hostname == '', loss: all}", 1)
	text = strings.Replace(text, "  restore:\n", "  restore:\n    - restore: inner\n", 1)
	p, err := s.Catalog.Profile.Load("app.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s.Profile = p
	b, _, err := s.Backup(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range b.Point().Manifest.Components {
		if c.Name == "data" && c.Items < 3 || c.Name == "inner" && c.Status != component.StatusInapplicable {
			t.Errorf("%s: %s, %d entries", c.Name, c.Status, c.Items)
		}
	}
}

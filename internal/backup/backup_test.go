package backup

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/component"
	"lifeboat/internal/component/files"
	"lifeboat/internal/guard"
	"lifeboat/internal/host"
	"lifeboat/internal/product"
	"lifeboat/internal/profile"
	"lifeboat/internal/recovery"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/storage"
	"lifeboat/internal/vault"
)

func TestMain(m *testing.M) {
	guard.Main()
	os.Exit(m.Run())
}

// site is a small product in a temporary directory: two commands that switch
// it off and on, a configuration and data.
type site struct {
	dir     string
	catalog *recovery.Catalog
	profile *profile.Profile
	vault   *vault.Vault
}

func newSite(t *testing.T, extra string) *site {
	t.Helper()
	s := &site{dir: t.TempDir()}
	kinds := map[string]component.Kind{"files": files.Kind()}
	registry := profile.NewRegistry()
	registry.Kinds["files"] = kinds["files"].Definition
	steps := recovery.Steps()
	for name, step := range steps {
		registry.Steps[name] = step.Definition
	}
	s.catalog = &recovery.Catalog{Profile: registry, Kinds: kinds, Products: product.Make(), Steps: steps}
	for _, f := range []string{"etc/app.conf", "data/a", "data/b", "running"} {
		s.write(t, f, "content of "+f)
	}
	text := strings.ReplaceAll(`
profile: app
title: An application
detect: {file: DIR/etc/app.conf}
identity: {must_match: [hostname], warn: [os]}
quiesce:
  running: {file: DIR/running}
  stop: [[mv, DIR/running, DIR/stopped]]
  start: [[mv, DIR/stopped, DIR/running]]
components:
  - {name: configuration, kind: files, paths: [DIR/etc], importance: critical, loss: everything}
  - {name: data, kind: files, paths: [DIR/data], importance: recommended, capture: live, loss: data}
  - {name: extra, kind: files, paths: [DIR/extra], importance: optional, loss: little}
recovery:
  restore:
    - restore: configuration
    - restore: data
  start:
    - system: start
  verify:
    - check: {command: {run: [cat, DIR/data/a], records: a}}
`+extra, "DIR", s.dir)
	p, err := registry.Load("app.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s.profile = p
	store, err := storage.Open(t.Context(), filepath.Join(s.dir, "repository"), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	repo, err := repository.Create(t.Context(), store, []byte("secret"), repository.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	s.vault = vault.New(repo)
	return s
}

func (s *site) write(t *testing.T, name, text string) {
	t.Helper()
	p := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s *site) read(name string) string {
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func (s *site) backup(t *testing.T) (*Backup, *runbook.Run, error) {
	t.Helper()
	b, err := New(t.Context(), Options{
		System: "app", Profile: s.profile, Catalog: s.catalog, Host: host.Local(), Vault: s.vault,
		StateDir: filepath.Join(s.dir, "state"), Trigger: vault.Manual, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	engine := runbook.New(runbook.Options{Dir: filepath.Join(s.dir, "state")})
	run, err := engine.Start(t.Context(), b.Runbook(), runbook.Meta{ID: b.RunID()})
	if closeErr := b.Close(context.WithoutCancel(t.Context())); closeErr != nil {
		t.Error(closeErr)
	}
	return b, run, err
}

func TestBackupMakesAPoint(t *testing.T) {
	s := newSite(t, "")
	b, run, err := s.backup(t)
	if err != nil {
		t.Fatal(err)
	}
	if run.State != runbook.StateDone {
		t.Errorf("run is %s: %+v", run.State, run.Warnings)
	}
	if s.read("running") != "content of running" {
		t.Error("the system does not run again")
	}
	p, err := s.vault.Find(t.Context(), "latest", vault.Filter{System: "app"})
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
	result, err := s.vault.Verify(t.Context(), vault.VerifyOptions{Check: repository.CheckOptions{ReadData: true}})
	if err != nil || !result.OK() {
		t.Errorf("verify: %v %+v", err, result)
	}
}

func TestSecondBackupStoresOnlyChanges(t *testing.T) {
	s := newSite(t, "")
	s.write(t, "data/big", strings.Repeat("0123456789abcdef", 1<<16))
	if _, _, err := s.backup(t); err != nil {
		t.Fatal(err)
	}
	s.write(t, "data/a", "changed")
	b, _, err := s.backup(t)
	if err != nil {
		t.Fatal(err)
	}
	if _, stored := b.Stats(); stored > 64<<10 {
		t.Errorf("%d bytes stored for a change of a few", stored)
	}
}

// A system that was not running is neither stopped nor started.
func TestStoppedSystemStaysStopped(t *testing.T) {
	s := newSite(t, "")
	if err := os.Rename(filepath.Join(s.dir, "running"), filepath.Join(s.dir, "off")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.backup(t); err != nil {
		t.Fatal(err)
	}
	if s.read("off") != "content of running" {
		t.Error("the system was touched")
	}
}

func TestMissingCriticalComponent(t *testing.T) {
	s := newSite(t, "")
	if err := os.RemoveAll(filepath.Join(s.dir, "etc")); err != nil {
		t.Fatal(err)
	}
	_, run, err := s.backup(t)
	if err == nil || !strings.Contains(err.Error(), "configuration") {
		t.Fatalf("error %v", err)
	}
	if runbook.ExitCode(run, err) != runbook.ExitFailed {
		t.Errorf("exit code %d", runbook.ExitCode(run, err))
	}
	if points, _ := s.vault.Points(t.Context(), vault.Filter{}); len(points) != 0 {
		t.Errorf("%d points without a critical component", len(points))
	}
	if s.read("running") != "content of running" {
		t.Error("the system does not run")
	}
}

// When stopping fails half-way the system is started again and there is no point.
func TestFailingStop(t *testing.T) {
	s := newSite(t, "")
	s.profile.Quiesce.Stop = append(s.profile.Quiesce.Stop, profile.Command{Run: []string{"false"}})
	_, _, err := s.backup(t)
	if err == nil {
		t.Fatal("no error")
	}
	if s.read("running") != "content of running" {
		t.Error("the system does not run again")
	}
	if points, _ := s.vault.Points(t.Context(), vault.Filter{}); len(points) != 0 {
		t.Errorf("%d points", len(points))
	}
}

func TestRecoverWhatWasLost(t *testing.T) {
	s := newSite(t, "")
	if _, _, err := s.backup(t); err != nil {
		t.Fatal(err)
	}
	s.write(t, "etc/app.conf", "fresh")
	if err := os.RemoveAll(filepath.Join(s.dir, "data")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(s.dir, "running"), filepath.Join(s.dir, "stopped")); err != nil {
		t.Fatal(err)
	}
	point, err := s.vault.Find(t.Context(), "", vault.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := recovery.New(recovery.Options{System: "app", Profile: s.profile, Catalog: s.catalog, Host: host.Local(), Point: point})
	if err != nil {
		t.Fatal(err)
	}
	book, err := r.Runbook()
	if err != nil {
		t.Fatal(err)
	}
	run, err := runbook.New(runbook.Options{Dir: filepath.Join(s.dir, "state")}).Start(t.Context(), book, runbook.Meta{Point: point.ID()})
	if err != nil {
		t.Fatalf("%v\n%+v", err, run)
	}
	for _, f := range []string{"etc/app.conf", "data/a", "data/b", "running"} {
		if got := s.read(f); got != "content of "+f {
			t.Errorf("%s holds %q", f, got)
		}
	}
	left, err := filepath.Glob(filepath.Join(s.dir, ".lifeboat*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// Package backuptest is a small product that tests back up and recover: files,
// and two commands that switch it off and on. It is linked into tests only.
package backuptest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/backup"
	"lifeboat/internal/component"
	"lifeboat/internal/component/files"
	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/product"
	"lifeboat/internal/profile"
	"lifeboat/internal/recovery"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/storage"
	"lifeboat/internal/vault"
)

// DefaultRecovery restores everything and starts the system.
const DefaultRecovery = `recovery:
  restore:
    - restore: configuration
    - restore: data
  start:
    - system: start
  verify:
    - check: {command: {run: [cat, DIR/data/a], records: a}}
`

// Site is a small product in a temporary directory: two commands that switch
// it off and on, a configuration and data.
type Site struct {
	Dir     string
	Catalog *recovery.Catalog
	Profile *profile.Profile
	Vault   *vault.Vault
	Choose  map[string]bool // components taken in or left out
	// Settings are those of the site's configuration.
	Settings map[string]string
	Hooks    config.SystemHooks
	// SavedElsewhere are places to which links lead on purpose.
	SavedElsewhere []string
}

// New makes a site whose profile ends in recoveryText, with DIR for the
// site's directory; "" is DefaultRecovery.
func New(t *testing.T, recoveryText string) *Site {
	t.Helper()
	if recoveryText == "" {
		recoveryText = DefaultRecovery
	}
	s := &Site{Dir: t.TempDir()}
	kinds := map[string]component.Kind{"files": files.Kind()}
	registry := profile.NewRegistry()
	registry.Kinds["files"] = kinds["files"].Definition
	steps := recovery.Steps()
	for name, step := range steps {
		registry.Steps[name] = step.Definition
	}
	s.Catalog = &recovery.Catalog{Profile: registry, Kinds: kinds, Products: product.Make(), Steps: steps}
	for _, f := range []string{"etc/app.conf", "data/a", "data/b", "running"} {
		s.Write(t, f, "content of "+f)
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
`+recoveryText, "DIR", s.Dir)
	p, err := registry.Load("app.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s.Profile = p
	store, err := storage.Open(t.Context(), filepath.Join(s.Dir, "repository"), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	repo, err := repository.Create(t.Context(), store, []byte("secret"), repository.Options{Scrypt: repository.ScryptParams{N: 2, R: 8, P: 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	s.Vault = vault.New(repo)
	return s
}

// Write writes a file of the site.
func (s *Site) Write(t *testing.T, name, text string) {
	t.Helper()
	p := filepath.Join(s.Dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Read reads a file of the site, or says why not.
func (s *Site) Read(name string) string {
	data, err := os.ReadFile(filepath.Join(s.Dir, name))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// Backup makes a recovery point.
func (s *Site) Backup(t *testing.T) (*backup.Backup, *runbook.Run, error) {
	t.Helper()
	b, err := backup.New(t.Context(), backup.Options{
		System: "app", Profile: s.Profile, Catalog: s.Catalog, Host: host.Local(), Vault: s.Vault,
		Choose: s.Choose, Settings: s.Settings, Hooks: s.Hooks, SavedElsewhere: s.SavedElsewhere, StateDir: filepath.Join(s.Dir, "state"), Trigger: vault.Manual, Version: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	engine := runbook.New(runbook.Options{Dir: filepath.Join(s.Dir, "state")})
	run, err := engine.Start(t.Context(), b.Runbook(), runbook.Meta{ID: b.RunID()})
	if closeErr := b.Close(context.WithoutCancel(t.Context())); closeErr != nil {
		t.Error(closeErr)
	}
	return b, run, err
}

// Recovery prepares a recovery from the newest point.
func (s *Site) Recovery(t *testing.T, change func(*recovery.Options)) (*recovery.Recovery, runbook.Runbook) {
	t.Helper()
	point, err := s.Vault.Find(t.Context(), "", vault.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	opts := recovery.Options{System: "app", Profile: s.Profile, Catalog: s.Catalog, Host: host.Local(), Point: point}
	if change != nil {
		change(&opts)
	}
	r, err := recovery.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	book, err := r.Runbook()
	if err != nil {
		t.Fatal(err)
	}
	return r, book
}

// Engine executes the site's runs.
func (s *Site) Engine(prompter runbook.Prompter) *runbook.Engine {
	return runbook.New(runbook.Options{Dir: filepath.Join(s.Dir, "state"), Prompter: prompter})
}

// Rename moves a file of the site.
func (s *Site) Rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(s.Dir, from), filepath.Join(s.Dir, to)); err != nil {
		t.Fatal(err)
	}
}

// Lose removes an entry of the site.
func (s *Site) Lose(t *testing.T, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(s.Dir, name)); err != nil {
		t.Fatal(err)
	}
}

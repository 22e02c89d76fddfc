// Package server is a system with a profile of its own on a host that is upgraded: an
// SMT on it, say. It is checked before and after, stands still while the host's way back
// is made and its packages change, and is saved beside it. When each of this is done, and
// what becomes of the host, must not enter here.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"lifeboat/internal/backup"
	"lifeboat/internal/component"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// Server is one system. Not safe for concurrent use.
type Server struct {
	System   string // as configured
	Profile  *profile.Profile
	Catalog  *recovery.Catalog
	Host     *host.Host // that runs
	Vault    *vault.Vault
	Settings map[string]string // overrides from the site's configuration
	Choose   map[string]bool   // components that the site takes in or leaves out
	// SavedElsewhere are places whose content no point needs to have.
	SavedElsewhere []string
	Version        string // of this program
}

// standing is what a system was before it was stopped. It is in the run's directory.
type standing struct {
	Ran     bool                  `json:"ran"`
	Records map[string][][]string `json:"records,omitempty"` // what it answered
	// Census is what was in its databases once it was stopped; nil before.
	Census map[string]component.Census `json:"census,omitempty"`
}

// dir is the system's own directory in that of a run.
func (s *Server) dir(task runbook.Task) string { return filepath.Join(task.Dir(), "servers", s.System) }

const standingName = "standing.json"

func (s *Server) was(task runbook.Task) (*standing, error) {
	text, err := os.ReadFile(filepath.Join(s.dir(task), standingName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	st := new(standing)
	if err == nil {
		err = json.Unmarshal(text, st)
	}
	if err != nil {
		return nil, fmt.Errorf("what %s was before: %w", s.System, err)
	}
	return st, nil
}

func (s *Server) remember(task runbook.Task, st *standing) error {
	text, err := json.Marshal(st)
	if err == nil {
		err = os.MkdirAll(s.dir(task), 0o700)
	}
	if err == nil {
		err = renameio.WriteFile(filepath.Join(s.dir(task), standingName), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write down what %s is: %w", s.System, err)
	}
	return nil
}

// recovery is the system as it is now, looked at as a recovery looks at it when it is
// done. Records are what it once answered.
func (s *Server) recovery(ctx context.Context, records map[string][][]string) (*recovery.Recovery, error) {
	scope := profile.Scope{Host: s.Host}
	settings, err := s.Catalog.Profile.Resolve(ctx, s.Profile, scope, s.Settings)
	if err != nil {
		return nil, fmt.Errorf("read the settings of %s: %w", s.System, err)
	}
	scope.Settings = settings
	if scope.Facts, err = s.Catalog.Profile.Facts(ctx, s.Profile, scope); err != nil {
		return nil, err
	}
	m := &vault.Manifest{System: s.System, Profile: s.Profile.Name, Identity: scope.Facts, Settings: settings, Records: records}
	for _, c := range s.Profile.Components {
		record := component.Record{Name: c.Name, Kind: c.Kind, Importance: c.Importance, Status: component.StatusCaptured}
		if c.When != "" {
			holds, err := profile.Expr(c.When, scope)
			if err != nil {
				return nil, fmt.Errorf("component %s: %w", c.Name, err)
			}
			if !holds {
				record.Status, record.Reason = component.StatusAbsent, c.When+" does not hold"
			}
		}
		m.Components = append(m.Components, record)
	}
	return recovery.New(recovery.Options{
		System: s.System, Profile: s.Profile, Catalog: s.Catalog, Host: s.Host, Manifest: m, Settings: s.Settings, Still: true,
	})
}

// Secrets are values that must not be told, as far as they can be read now.
func (s *Server) Secrets(ctx context.Context) []string {
	r, err := s.recovery(ctx, nil)
	if err != nil {
		return nil
	}
	return r.Secrets(ctx)
}

// options are those of its backup.
func (s *Server) options(dir string) backup.Options {
	return backup.Options{
		System: s.System, Profile: s.Profile, Catalog: s.Catalog, Host: s.Host, Vault: s.Vault, Settings: s.Settings, Choose: s.Choose,
		SavedElsewhere: s.SavedElsewhere, StateDir: dir, Version: s.Version, Trigger: vault.BeforeUpgrade,
	}
}

// Check runs the profile's checks on the system as it is, compared with what it answered
// before it was stopped, if it was. Names of checks begin with that of the system. A
// system that does not run is one check that is not OK.
func (s *Server) Check(ctx context.Context, task runbook.Task) ([]runbook.Check, error) {
	st, err := s.was(task)
	if err != nil {
		return nil, err
	}
	if st != nil && !st.Ran {
		return []runbook.Check{{Name: s.System + ": runs", Skipped: true, Found: "it did not run before either, and is not checked"}}, nil
	}
	if st == nil {
		st = new(standing)
	}
	r, err := s.recovery(ctx, st.Records)
	if err != nil {
		return nil, err
	}
	runs, err := r.Runs(ctx)
	if err != nil {
		return nil, err
	}
	if !runs {
		return []runbook.Check{{Name: s.System + ": runs", Expected: "it runs", Found: "it does not run"}}, nil
	}
	all, err := r.Examine(ctx, task)
	if err == nil && st.Census != nil {
		var counted []runbook.Check
		counted, err = compare(ctx, r, task, st.Census)
		all = append(all, counted...)
	}
	for i := range all {
		all[i].Name = s.System + ": " + all[i].Name
	}
	return all, err
}

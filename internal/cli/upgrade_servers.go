package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
	"lifeboat/internal/scratch"
	"lifeboat/internal/upgrade"
	"lifeboat/internal/upgrade/preflight"
	"lifeboat/internal/upgrade/server"
)

// serversOn names the systems of the configuration that are on a host and not the host
// itself. A root that is only mounted serves nobody.
func (a *app) serversOn(conf *config.Config, root, whole string, without []string) ([]string, error) {
	for _, name := range without {
		if _, ok := conf.System(name); !ok {
			return nil, screen.Usagef("--without: no system %q in %s; it has %v", name, a.configFile, conf.SystemNames())
		}
	}
	var names []string
	for _, s := range conf.Systems {
		if root != "/" || s.Name == whole || slices.Contains(without, s.Name) {
			continue
		}
		p, err := a.catalogue().Load(s.Profile)
		if err != nil {
			return nil, screen.Usage(fmt.Errorf("system %s: %w", s.Name, err))
		}
		if p.Upgrade == nil {
			names = append(names, s.Name)
		}
	}
	return names, nil
}

// served are systems with what was opened for them.
type served struct {
	list   []*server.Server
	closed []func() error
}

func (s *served) close() {
	for _, f := range s.closed {
		_ = f()
	}
}

// after is one function after the other.
func after(first, second func()) func() { return func() { first(); second() } }

// servers opens what systems need that an upgrade stops and saves.
func (a *app) servers(ctx context.Context, conf *config.Config, names []string) (_ *served, err error) {
	all := new(served)
	defer func() {
		if err != nil {
			all.close()
		}
	}()
	for _, name := range names {
		s, ok := conf.System(name)
		if !ok {
			return all, screen.Usagef("the upgrade was begun with system %q, and it is not in %s any more", name, a.configFile)
		}
		one, err := a.serverOf(s)
		if err != nil {
			return all, err
		}
		repo, err := a.openRepository(ctx, conf, name)
		if err != nil {
			return all, errors.Join(err, fmt.Errorf("system %s (--without %s leaves it out)", name, name))
		}
		all.closed = append(all.closed, repo.Close)
		one.Vault = a.vaultOf(conf, repo)
		all.list = append(all.list, one)
	}
	return all, nil
}

func (a *app) serverOf(s config.System) (*server.Server, error) {
	p, err := a.catalogue().Load(s.Profile)
	if err == nil {
		err = a.checkNames(s, p)
	}
	if err != nil {
		return nil, screen.Usage(fmt.Errorf("system %s: %w", s.Name, err))
	}
	return &server.Server{
		System: s.Name, Profile: p, Catalog: catalog(), Host: host.Local(), Settings: s.Settings, Choose: s.Components,
		SavedElsewhere: s.SavedElsewhere, Version: screen.Version,
	}, nil
}

// soundness asks the systems on this host how they are, outside of any run.
func (a *app) soundness(ctx context.Context, f checkFlags) (all []preflight.Server, err error) {
	if f.facts != "" {
		return nil, nil
	}
	conf, err := a.loadOrEmpty()
	if err != nil {
		return nil, err
	}
	names, err := a.serversOn(conf, string(f.root), "", f.without)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	place, err := scratch.Make("")
	if err != nil {
		return nil, err
	}
	defer place.Remove()
	for _, name := range names {
		s, _ := conf.System(name)
		one, err := a.serverOf(s)
		if err != nil {
			return nil, err
		}
		all = append(all, upgrade.Sound(ctx, one, looking{place.Path()}))
	}
	return all, ctx.Err()
}

// looking is the task of somebody who only looks.
type looking struct{ dir string }

func (looking) Logf(string, ...any)            {}
func (looking) Warnf(string, ...any)           {}
func (looking) Progress(int64, int64)          {}
func (looking) Check(runbook.Check)            {}
func (looking) Keep(string, any) error         { return nil }
func (looking) Kept(string, any) (bool, error) { return false, nil }
func (l looking) Dir() string                  { return l.dir }
func (looking) RunID() string                  { return "check" }

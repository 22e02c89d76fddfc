package cli

import (
	"context"
	"errors"
	"fmt"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/routine"
	"lifeboat/internal/upgrade"
	"lifeboat/internal/upgrade/boot"
	"lifeboat/internal/upgrade/path"
	"lifeboat/internal/upgrade/preflight"
	"lifeboat/internal/upgrade/wayback"
	"lifeboat/internal/vault"
)

// upgradeOf makes an upgrade with everything that this machine has for it.
func (a *app) upgradeOf(ctx context.Context, conf *config.Config, name, system string, r upgrade.Request, c *path.Catalogue) (*upgrade.Upgrade, func(), error) {
	target := wayback.Target{Root: r.Root, State: a.state(conf)}
	set := upgrade.Setup{State: target.State, Catalogue: c, Ask: a.askHook, Ways: []wayback.Means{wayback.NewBtrfs(target)}}
	done := func() {}
	var saved config.System
	var vaulted *vault.Vault
	var closed func()
	var err error
	if a.mounted == "" { // else the way back lies in the root, and what is configured here is not for it
		saved, vaulted, closed, err = a.savedHost(ctx, conf, system)
	}
	switch {
	case err != nil:
		return nil, nil, err
	case vaulted == nil:
		set.Ways = append(set.Ways, wayback.NewPoint(wayback.PointOptions{Target: target}))
	default:
		done = closed
		p, err := a.catalogue().Load(saved.Profile)
		if err != nil {
			return nil, nil, errors.Join(err, fmt.Errorf("system %s", saved.Name))
		}
		set.Ways = append(set.Ways, wayback.NewPoint(wayback.PointOptions{
			Target: target, System: saved.Name, Profile: p, Catalog: catalog(), Vault: vaulted, Settings: saved.Settings, Version: screen.Version,
		}))
		r.System = saved.Name
	}
	served, err := a.servers(ctx, conf, r.Servers)
	if err != nil {
		done()
		return nil, nil, err
	}
	set.Servers, done = served.list, after(done, served.close)
	set.Point = func(ctx context.Context) preflight.Point { return a.pointOf(ctx, conf, saved, vaulted, set.Ways, r) }
	h, err := hostBelow(screen.Path(r.Root))
	if err != nil {
		done()
		return nil, nil, err
	}
	set.Entry = bootEntry{&boot.Menu{Host: h}}
	u, err := upgrade.New(name, r, set)
	if err != nil {
		done()
	}
	return u, done, err
}

// savedHost is the configured system whose recovery points hold the host itself, and
// its vault; nil when there is none.
func (a *app) savedHost(ctx context.Context, conf *config.Config, name string) (config.System, *vault.Vault, func(), error) {
	for _, s := range conf.Systems {
		p, err := a.catalogue().Load(s.Profile)
		if name != "" && s.Name != name || name == "" && (err != nil || p.Upgrade == nil) {
			continue
		}
		// Without one lock over all of it: to take a way back away takes another one.
		repo, err := a.openRepository(ctx, conf, s.Name)
		if err != nil {
			return s, nil, nil, err
		}
		return s, a.vaultOf(conf, repo), func() { _ = repo.Close() }, nil
	}
	if name != "" {
		return config.System{}, nil, nil, screen.Usagef("no system %q in %s; it has %v", name, a.configFile, conf.SystemNames())
	}
	return config.System{}, nil, func() {}, nil
}

// pointOf is what the preflight checks are told of recovery points.
func (a *app) pointOf(ctx context.Context, conf *config.Config, s config.System, v *vault.Vault, ways []wayback.Means, r upgrade.Request) preflight.Point {
	p := preflight.Point{System: s.Name}
	if v == nil {
		return p
	}
	p.Repository = v.Repository().Location()
	diskOf(&p, p.Repository, r.Root)
	if m, _, err := wayback.Choose(ctx, ways, r.WayBack); err == nil && m.Name() == (*wayback.Point)(nil).Name() {
		p.Planned = true // and verified before the point of no return
		return p
	}
	latest, err := v.Find(ctx, "latest", vault.Filter{System: s.Name})
	if err != nil {
		p.Error = err.Error()
		return p
	}
	p.ID, p.Time = latest.ID(), latest.Time()
	chosen, err := a.chooseRepository(conf, s.Name)
	if err != nil {
		p.Error = err.Error()
		return p
	}
	if seen, err := routine.NewBook(a.state(conf)).Verified(s.Name, chosen.Name); err == nil && seen.Bytes > 0 && seen.Read >= seen.Bytes {
		p.Verified = seen.Time
	}
	return p
}

// bootEntry makes the boot entry of an upgrade.
type bootEntry struct{ menu *boot.Menu }

func (e bootEntry) request(r upgrade.Request) boot.Request {
	b := boot.Request{From: r.Medium, Arch: r.From.Arch, Auto: r.Auto, Append: r.Append}
	if r.Control != "" {
		b.Control = []byte(r.Control)
	}
	return b
}

func (e bootEntry) Try(ctx context.Context, r upgrade.Request) error {
	return e.menu.Try(ctx, e.request(r))
}

func (e bootEntry) Add(ctx context.Context, r upgrade.Request) (string, error) {
	made, err := e.menu.Add(ctx, e.request(r))
	if errors.Is(err, boot.ErrPresent) {
		// Of this run: another one would have been removed with its own.
		made, err = e.menu.Show(ctx)
	}
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%s in %s, selection: %s", made.Title, made.Config, made.Selection)
	if made.Why != "" {
		text += " (" + made.Why + ")"
	}
	return text, nil
}

func (e bootEntry) Remove(ctx context.Context) error {
	_, err := e.menu.Remove(ctx)
	return err
}

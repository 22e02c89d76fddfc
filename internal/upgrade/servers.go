package upgrade

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/preflight"
	"lifeboat/internal/upgrade/server"
	"lifeboat/internal/upgrade/wayback"
)

// The steps of systems on the host.
const (
	stepServersStop  = "servers/stop"
	stepServersStart = "servers/start"
)

// serversStill has the systems on the host stand still, before the way back is made.
func (u *Upgrade) serversStill() []runbook.Step {
	if len(u.Setup.Servers) == 0 {
		return nil
	}
	names := u.serverNames()
	return []runbook.Step{
		{
			ID: stepServersStop, Title: "Stop " + names + ", and keep it stopped", Repeat: runbook.RepeatSafe, Run: u.stopServers, Undo: u.serversBack,
			Effects: []string{"stops " + names + " until the upgrade is done, or taken back"},
		},
		{ID: "servers/save", Title: "Save " + names, Repeat: runbook.RepeatSafe, Run: u.saveServers, Undo: u.letServersGo},
	}
}

// serversAgain starts them on the upgraded host and checks them.
func (u *Upgrade) serversAgain() []runbook.Step {
	if len(u.Setup.Servers) == 0 {
		return nil
	}
	names := u.serverNames()
	return []runbook.Step{
		{
			ID: stepServersStart, Title: "Start " + names, Repeat: runbook.RepeatSafe, Run: u.startServers, Undo: u.holdServers,
			Effects: []string{"starts " + names + ", which may change its data for its new version"},
		},
		{ID: "servers/check", Title: "See that " + names + " does its work, with all data", Repeat: runbook.RepeatSafe, Run: u.checkServers},
	}
}

func (u *Upgrade) serverNames() string {
	var names []string
	for _, s := range u.Setup.Servers {
		names = append(names, s.System)
	}
	return strings.Join(names, ", ")
}

func (u *Upgrade) eachServer(f func(*server.Server) error) error {
	for _, s := range u.Setup.Servers {
		if err := f(s); err != nil {
			return err
		}
	}
	return nil
}

func (u *Upgrade) stopServers(ctx context.Context, task runbook.Task) error {
	return u.eachServer(func(s *server.Server) error { return s.Stop(ctx, task) })
}

func (u *Upgrade) saveServers(ctx context.Context, task runbook.Task) error {
	return u.eachServer(func(s *server.Server) error { return s.Save(ctx, task) })
}

func (u *Upgrade) letServersGo(ctx context.Context, task runbook.Task) error {
	return u.eachServer(func(s *server.Server) error { s.LetGo(ctx, task); return nil })
}

func (u *Upgrade) startServers(ctx context.Context, task runbook.Task) error {
	return u.eachServer(func(s *server.Server) error { return s.Start(ctx, task) })
}

func (u *Upgrade) holdServers(ctx context.Context, task runbook.Task) error {
	return u.eachServer(func(s *server.Server) error { return s.Hold(ctx, task) })
}

func (u *Upgrade) checkServers(ctx context.Context, task runbook.Task) error {
	var before preflight.Report
	if err := load(task, reportName, &before); err != nil {
		return err
	}
	accepted, _ := before.Find(preflight.ServerFails)
	var failed []string
	err := u.eachServer(func(s *server.Server) error {
		checks, err := s.Check(ctx, task)
		for _, c := range checks {
			c.Warning = c.Warning || slices.Contains(accepted.Items, c.Name) // it failed before, too
			task.Check(c)
			if bad(c) {
				failed = append(failed, checkText(c))
			}
		}
		return err
	})
	if err == nil && len(failed) > 0 {
		err = errors.New(strings.Join(failed, "; "))
	}
	return err
}

func bad(c runbook.Check) bool { return !c.OK && !c.Warning && !c.Skipped }

func checkText(c runbook.Check) string {
	return fmt.Sprintf("%s: expected %s, found %s", c.Name, c.Expected, c.Found)
}

// serversBack starts the systems again once the host is what it was, and looks whether
// they work. What they say then is a warning: there is nothing left to take back.
func (u *Upgrade) serversBack(ctx context.Context, task runbook.Task) error {
	if err := u.abort(ctx, task); err != nil {
		return err
	}
	return u.eachServer(func(s *server.Server) error {
		if err := s.Start(ctx, task); err != nil {
			return err
		}
		checks, err := s.Check(ctx, task)
		for _, c := range checks {
			c.Warning = c.Warning || !c.OK
			task.Check(c)
		}
		if err != nil {
			return err
		}
		return s.Forget(task)
	})
}

// sound asks the systems on the host how they are, for the preflight checks.
func (u *Upgrade) sound(ctx context.Context, task runbook.Task) []preflight.Server {
	var all []preflight.Server
	_, fit, choice := wayback.Choose(ctx, u.Ways, u.WayBack)
	for _, s := range u.Setup.Servers {
		p := Sound(ctx, s, task)
		if choice == nil { // the step that makes the way back says why there is none
			p.Stays = stays(ctx, s, task, fit)
		}
		all = append(all, p)
	}
	return all
}

// stays says which databases of a system would not go back. One that cannot be asked
// fails its checks.
func stays(ctx context.Context, s *server.Server, task runbook.Task, fit wayback.Fit) []string {
	all, err := s.Databases(ctx, task)
	if errors.Is(err, runbook.ErrRefused) {
		return []string{s.System + ": " + err.Error()}
	}
	var list []string
	for _, d := range all {
		if left, ok := outside(d.Files, fit); ok {
			list = append(list, fmt.Sprintf("%s: its database is in %s, and %s stays as it is (%s)", s.System, d.Files, left.Path, left.Why))
		}
	}
	return list
}

// conceal keeps what the systems have for themselves out of journals.
func (u *Upgrade) conceal(ctx context.Context, engine *runbook.Engine) {
	for _, s := range u.Setup.Servers {
		engine.Conceal(s.Secrets(ctx)...)
	}
}

// Sound asks a system how it is.
func Sound(ctx context.Context, s *server.Server, task runbook.Task) preflight.Server {
	p := preflight.Server{System: s.System, Title: s.Profile.Title}
	checks, err := s.Check(ctx, task)
	if err != nil {
		p.Failed = append(p.Failed, s.System+": "+err.Error())
	}
	for _, c := range checks {
		switch {
		case bad(c):
			p.Failed = append(p.Failed, c.Name)
			p.Found = append(p.Found, checkText(c))
		case c.OK:
			p.Passed++
		}
	}
	return p
}

// databasesName is the file of a run's directory with the services that were stopped
// while the way back was made.
const databasesName = "databases.json"

// still has no database server of the systems write while f makes the way back: what is
// copied of the files of one that runs fits together nowhere. It runs again when f has
// ended, however that was.
func (u *Upgrade) still(ctx context.Context, task runbook.Task, fit wayback.Fit, f func() error) (err error) {
	if len(u.Setup.Servers) == 0 {
		return f()
	}
	services, err := u.databases(ctx, task, fit)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.wake(context.WithoutCancel(ctx), task)) }()
	for _, name := range services {
		if err := u.host.StopService(ctx, name); err != nil {
			return err
		}
	}
	if err := u.eachServer(func(s *server.Server) error { return s.Silent(ctx, task) }); err != nil {
		return err
	}
	return f()
}

// databases writes down which services have to stop, and refuses where what they keep
// would not go back with the root. Repeated, it reads what was written down.
func (u *Upgrade) databases(ctx context.Context, task runbook.Task, fit wayback.Fit) ([]string, error) {
	services := []string{}
	if _, err := os.Stat(filepath.Join(task.Dir(), databasesName)); err == nil {
		err := load(task, databasesName, &services)
		return services, err
	}
	err := u.eachServer(func(s *server.Server) error {
		all, err := s.Databases(ctx, task)
		for _, d := range all {
			if left, ok := outside(d.Files, fit); ok {
				return runbook.Refuse("", "the database of %s is in %s, and %s would not go back (%s): choose another --way-back", s.System, d.Files, left.Path, left.Why)
			}
			services = append(services, d.Services...)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(services)
	services = slices.Compact(services)
	return services, save(task, databasesName, services)
}

// outside tells whether a directory lies in what does not go back.
func outside(dir string, fit wayback.Fit) (wayback.Left, bool) {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	for _, l := range fit.Left {
		at := strings.TrimSuffix(l.Path, "/*")
		if within, err := filepath.Rel(at, filepath.Clean(dir)); err == nil && within != ".." && !strings.HasPrefix(within, "../") {
			return l, true
		}
	}
	return wayback.Left{}, false
}

// wake starts the database servers that still has stopped.
func (u *Upgrade) wake(ctx context.Context, task runbook.Task) error {
	var services []string
	if _, err := os.Stat(filepath.Join(task.Dir(), databasesName)); err != nil {
		return nil //nolint:nilerr // none was stopped
	}
	if err := load(task, databasesName, &services); err != nil {
		return err
	}
	for _, name := range services {
		if err := u.host.StartService(ctx, name); err != nil {
			return fmt.Errorf("start what was stopped for the way back: %w", err)
		}
	}
	return nil
}

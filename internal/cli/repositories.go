package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeboat/internal/backup"
	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
	"lifeboat/internal/storage/redact"
	"lifeboat/internal/vault"
)

// called is what a repository is called in messages.
func called(r config.Repository) string { return firstOf(r.Name, redact.URL(r.URL)) }

// vaultWith opens a repository beside the one in use, as its configuration says
// and with the password that these flags name, if any.
func (a *app) vaultWith(ctx context.Context, c *config.Config, r config.Repository, flags passwordFlags) (*vault.Vault, func(), error) {
	repo, err := a.openWith(ctx, r, flags)
	if err != nil {
		return nil, nil, err
	}
	return a.lockedVault(ctx, c, repo)
}

// targets are the repositories that a verb about repositories acts on: the one
// that --repository names, else those of the system, else all of the configuration.
func (a *app) targets(c *config.Config, system string) ([]config.Repository, error) {
	if a.repository == "" {
		if s, ok := c.System(system); ok {
			return c.RepositoriesOf(s), nil
		}
		if system == "" && len(c.Repositories) > 0 {
			return c.Repositories, nil
		}
	}
	r, err := a.chooseRepository(c, system)
	return []config.Repository{r}, err
}

// onTargets does something to each repository that a verb is about.
func (a *app) onTargets(ctx context.Context, do func(r config.Repository, repo *repository.Repository) error) error {
	conf, err := a.loadOrEmpty()
	if err != nil {
		return err
	}
	list, err := a.targets(conf, "")
	if err != nil {
		return err
	}
	return a.onEach(ctx, list, do)
}

// onEach does something to one repository after the other. The ones after a
// failure have their turn too; it is an error when none succeeds, else a warning.
func (a *app) onEach(ctx context.Context, list []config.Repository, do func(r config.Repository, repo *repository.Repository) error) error {
	if len(list) > 1 && (a.password != (passwordFlags{}) || len(a.storeOptions) > 0) {
		return screen.Usagef("flags that say how a repository is opened are about one of them: name it with --repository")
	}
	var errs []error
	for _, r := range list {
		err := func() error {
			repo, err := a.openOne(ctx, r)
			if err != nil {
				return err
			}
			err = do(r, repo)
			if err == nil {
				a.warnIndex(repo)
			}
			return errors.Join(err, repo.Close())
		}()
		if err == nil {
			continue
		}
		if len(list) > 1 {
			err = fmt.Errorf("repository %s: %w", called(r), err)
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	if err := errors.Join(errs...); len(errs) == len(list) || ctx.Err() != nil || errors.Is(err, screen.ErrDeclined) {
		return err
	}
	for _, err := range errs {
		if err := a.warn(err); err != nil {
			return err
		}
	}
	return nil
}

// warn tells of something that failed while the rest went on, those too who were not
// there.
func (a *app) warn(err error) error {
	a.account.problem(err.Error())
	return a.Warn(err)
}

// warnIndex warns of index files that could not be read when something was looked
// for. The exit code of a failure stays.
func (a *app) warnIndex(repo *repository.Repository) {
	code := a.Code
	for _, err := range repo.Damage() {
		_ = a.warn(fmt.Errorf("%w; what only this file lists is not found until lifeboat repository repair%s has written a new index", err, repo.Flag()))
	}
	if code != runbook.ExitDone {
		a.Code = code
	}
}

// stateView is how a repository stands, as --json shows it.
type stateView struct {
	Type       string    `json:"type"`
	System     string    `json:"system"`
	Repository string    `json:"repository"`
	Points     int       `json:"points"`
	Newest     string    `json:"newest,omitempty"`
	Time       time.Time `json:"time,omitzero"`
	AgeSeconds int64     `json:"age_seconds,omitempty"`
	Lacks      int       `json:"lacks"`
	Error      string    `json:"error,omitempty"`
}

// states looks at every repository of a system that has several. What is known
// of one already need not be asked: the points of the first one, errors of others.
func (a *app) states(ctx context.Context, c *config.Config, s config.System, first []*vault.Point, known func(name string) error) []stateView {
	list := c.RepositoriesOf(s)
	if len(list) < 2 {
		return nil
	}
	var views []stateView
	now := time.Now()
	for i, r := range list {
		view := stateView{Type: "repository", System: s.Name, Repository: r.Name}
		points, err := first, known(r.Name)
		if i > 0 || first == nil {
			points = nil
			if err == nil {
				points, err = a.pointsIn(ctx, c, r, s.Name)
			}
		}
		if i == 0 {
			first = points
		}
		if err != nil {
			view.Error = err.Error()
		}
		state := vault.StateOf(points, first, c.Retention(s, r.Name), now)
		if view.Points = state.Points; i > 0 && err == nil {
			view.Lacks = state.Lacks
		}
		if state.Newest != nil {
			view.Newest, view.Time = state.Newest.ID(), state.Newest.Time()
			view.AgeSeconds = int64(state.Newest.Age(now).Seconds())
		}
		views = append(views, view)
	}
	return views
}

// showBackupStates ends a backup into the first of several repositories.
func (a *app) showBackupStates(ctx context.Context, c *config.Config, b *backup.Backup) error {
	s, ok := c.System(b.System)
	if !ok || !a.first(c, s) || len(c.RepositoriesOf(s)) < 2 {
		return nil
	}
	first, err := b.Vault.Points(ctx, vault.Filter{System: s.Name})
	if len(first) == 0 {
		return err
	}
	return a.showStates(a.states(ctx, c, s, first, b.Unreached))
}

// first tells whether the flags leave a verb in the first repository of a system.
func (a *app) first(c *config.Config, s config.System) bool {
	r, err := a.chooseRepository(c, s.Name)
	list := c.RepositoriesOf(s)
	return err == nil && len(list) > 0 && r.Name == list[0].Name
}

// further are the repositories that get a copy of what a backup makes.
func (a *app) further(c *config.Config, s config.System) []backup.Further {
	if !a.first(c, s) {
		return nil
	}
	var further []backup.Further
	for _, r := range c.RepositoriesOf(s)[1:] {
		further = append(further, backup.Further{
			Name: r.Name, Retention: c.Retention(s, r.Name),
			Open: func(ctx context.Context) (*vault.Vault, func(), error) {
				return a.vaultWith(ctx, c, r, passwordFlags{})
			},
		})
	}
	return further
}

// lookPatience is how long a store that fails is borne with where only its state
// is to be told.
const lookPatience = 10 * time.Second

// pointsIn lists a system's points in another repository than the one in use, with
// that one's own password.
func (a *app) pointsIn(ctx context.Context, c *config.Config, r config.Repository, system string) ([]*vault.Point, error) {
	if r.Store.RetryFor == 0 || r.Store.RetryFor > lookPatience {
		r.Store.RetryFor = lookPatience
	}
	v, done, err := a.vaultWith(ctx, c, r, passwordFlags{})
	if err != nil {
		return nil, err
	}
	defer done()
	points, err := v.Points(ctx, vault.Filter{System: system})
	if vault.Unread(err) != nil {
		err = nil // what cannot be read there is the affair of verify
	}
	return points, err
}

func (a *app) showStates(views []stateView) error {
	if a.JSON {
		for _, v := range views {
			if err := a.Emit(v); err != nil {
				return err
			}
		}
		return nil
	}
	if len(views) == 0 {
		return nil
	}
	var rows [][]string
	for _, v := range views {
		row := []string{v.System, v.Repository, "none", "", ""}
		if v.Newest != "" {
			row[2], row[3] = fmt.Sprintf("%s (%s)", screen.When(v.Time), v.Newest[:8]), ago(v.Time)
		}
		switch {
		case v.Error != "":
			row[2], row[4] = "?", screen.PainterFor(a.Out).Yellow("cannot be read")
		case v.Lacks > 0:
			row[4] = screen.PainterFor(a.Out).Yellow("lacks " + screen.Count(v.Lacks, "point", "points"))
		}
		rows = append(rows, row)
	}
	a.Printf("\n")
	a.Table([]string{"system", "repository", "newest point", "age", ""}, rows)
	for _, v := range views {
		if v.Error != "" {
			a.Printf("%s: %s\n", v.Repository, screen.Clean(v.Error))
		}
	}
	return nil
}

// listStates tells how the repositories stand of the systems that have several,
// where no single repository was asked for. The points are of the one in use.
func (a *app) listStates(ctx context.Context, c *config.Config, system string, points []*vault.Point) error {
	if a.repository != "" {
		return nil
	}
	opened, err := a.chooseRepository(c, system)
	if err != nil {
		return err
	}
	unknown := func(string) error { return nil }
	var views []stateView
	for _, s := range c.Systems {
		list := c.RepositoriesOf(s)
		if len(list) < 2 || (system != "" && system != s.Name) {
			continue
		}
		var first []*vault.Point
		if list[0].Name == opened.Name {
			first = []*vault.Point{}
			for _, p := range points {
				if p.System() == s.Name {
					first = append(first, p)
				}
			}
		}
		views = append(views, a.states(ctx, c, s, first, unknown)...)
	}
	return a.showStates(views)
}

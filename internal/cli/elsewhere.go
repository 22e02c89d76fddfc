package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/repository"
)

// elsewherePatience is how long another repository may take to say what it has when
// the first one has just failed.
const elsewherePatience = 2 * time.Second

// elsewhereError is a repository that cannot be used, and what others have.
type elsewhereError struct {
	error
	others string
}

func (e *elsewhereError) Error() string { return e.error.Error() + "; " + e.others }
func (e *elsewhereError) Unwrap() error { return e.error }

// elsewhere adds to an error what the other repositories of a system have, of all
// systems if it is "": they are used only when that is asked for.
func (a *app) elsewhere(ctx context.Context, c *config.Config, system string, err error) error {
	if a.repository != "" || ctx.Err() != nil {
		return err
	}
	failed, chooseErr := a.chooseRepository(c, system)
	if chooseErr != nil {
		return err
	}
	seen := map[string]looked{}
	var others []string
	for _, s := range c.Systems {
		list := c.RepositoriesOf(s)
		if len(list) < 2 || list[0].Name != failed.Name || system != "" && system != s.Name {
			continue
		}
		of := "its points"
		if system == "" {
			of = "the points of " + s.Name
		}
		for _, r := range list[1:] {
			if _, known := seen[r.Name]; !known {
				seen[r.Name] = a.silent().lookAt(ctx, c, r, nil, elsewherePatience)
			}
			others = append(others, seen[r.Name].copies(s.Name, r.Name, of))
		}
	}
	if len(others) == 0 {
		return err
	}
	return &elsewhereError{err, strings.Join(others, "; ")}
}

// silent looks without asking or telling anybody.
func (a *app) silent() *app {
	look := &app{Screen: screen.Screen{Out: io.Discard, Err: io.Discard}, hard: a.hard, configFile: a.configFile, stateDir: a.stateDir, loaded: a.loaded, noCache: a.noCache, unattended: true}
	look.notices.err = io.Discard
	return look
}

// copies says whether a repository has points of a system.
func (l looked) copies(system, name, of string) string {
	switch {
	case errors.Is(l.err, repository.ErrNoRepository):
		return fmt.Sprintf("where repository %s should be there is none either", name)
	case l.err != nil:
		return fmt.Sprintf("repository %s may have copies of %s (%s): lifeboat list -r %s", name, of, screen.FirstLine(l.err.Error()), name)
	case len(l.pointsOf(system)) == 0:
		return fmt.Sprintf("repository %s has no copies of %s", name, of)
	}
	return fmt.Sprintf("repository %s has copies of %s: --repository %s uses them", name, of, name)
}

// lostStates shows how the repositories stand where the first one cannot be opened.
func (a *app) lostStates(ctx context.Context, system string, failure error) error {
	var usage screen.UsageError
	conf := a.known()
	if a.repository != "" || ctx.Err() != nil || errors.As(failure, &usage) {
		return nil
	}
	var more *elsewhereError
	if errors.As(failure, &more) {
		failure = more.error // the rest ends the call
	}
	lost, err := a.chooseRepository(conf, system)
	if err != nil {
		return nil //nolint:nilerr // the failure says it
	}
	var views []stateView
	for _, s := range conf.Systems {
		if system != "" && system != s.Name {
			continue
		}
		views = append(views, a.states(ctx, conf, s, nil, func(name string) error {
			if name == lost.Name {
				return failure
			}
			return nil
		})...)
	}
	return a.showStates(views)
}

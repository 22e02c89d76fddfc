package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/kit"
	"lifeboat/internal/repository"
)

// kitView is a recovery kit as --json shows it.
type kitView struct {
	Type         string    `json:"type"`
	ID           string    `json:"id"`
	Created      time.Time `json:"created"`
	Repository   string    `json:"repository,omitempty"`
	RepositoryID string    `json:"repository_id"`
	Key          string    `json:"key"`
	Systems      []string  `json:"systems,omitempty"`
	Shares       int       `json:"shares,omitempty"`
	Threshold    int       `json:"threshold,omitempty"`
	State        kit.State `json:"state"`
	Revoked      time.Time `json:"revoked,omitzero"`
	Recorded     bool      `json:"recorded"`
	Files        []string  `json:"files,omitempty"`
	Unassigned   []string  `json:"unassigned,omitempty"`
	Pointless    []string  `json:"without_points,omitempty"`
}

func (a *app) kitListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the recovery kits, and whether their keys are still there",
		Long: `Lists the kits that were made on this machine, and those that only their keys in a
repository tell of. Every repository of the configuration is looked at.`,
		Example: "  lifeboat kit list\n  lifeboat kit list --repository sftp:backup@store.example.com:/lifeboat",
		Args:    screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			conf, err := a.loadOrEmpty()
			if err != nil {
				return err
			}
			records, err := kit.Records(a.state(conf))
			if err != nil {
				if err := a.warn(err); err != nil {
					return err
				}
			}
			repositories := conf.Repositories
			if a.repository != "" || len(repositories) == 0 {
				r, err := a.chooseRepository(conf, "")
				if err != nil {
					return err
				}
				repositories = []config.Repository{r}
			}
			keys, where := map[string][]repository.Key{}, map[string]string{}
			for _, r := range repositories {
				repo, err := a.openOne(c.Context(), r)
				if err == nil {
					where[repo.ID()] = repo.Location()
					var damage error
					keys[repo.ID()], damage = repo.Keys(c.Context())
					err = errors.Join(damage, repo.Close())
				}
				if c.Context().Err() != nil {
					return c.Context().Err()
				}
				if err != nil {
					if err := a.warn(fmt.Errorf("repository %s: %w", called(r), err)); err != nil {
						return err
					}
				}
			}
			return a.showKits(kit.Look(records, keys), where)
		},
	}
	a.repositoryFlags(c)
	return c
}

func (a *app) showKits(list []kit.Status, where map[string]string) error {
	var rows [][]string
	for _, s := range list {
		location := firstOf(s.Location, where[s.RepositoryID])
		if a.JSON {
			if err := a.Emit(kitView{
				Type: "kit", ID: s.ID, Created: s.Created, Repository: location, RepositoryID: s.RepositoryID, Key: s.Key, Systems: s.Systems,
				Shares: s.Shares, Threshold: s.Threshold, State: s.State, Revoked: s.Revoked, Recorded: s.Recorded,
			}); err != nil {
				return err
			}
			continue
		}
		opens := "password"
		if s.Shares > 0 {
			opens = fmt.Sprintf("%d of %d shares", s.Threshold, s.Shares)
		}
		state := string(s.State)
		switch s.State {
		case kit.KeyRemoved:
			state = screen.PainterFor(a.Out).Yellow("key removed: the paper is useless")
		case kit.Unknown:
			state = screen.PainterFor(a.Out).Yellow("not known: its repository was not looked at")
		}
		if !s.Recorded {
			opens, state = "?", state+" (not made here)"
		}
		rows = append(rows, []string{s.ID, screen.When(s.Created), ago(s.Created), opens, s.Key[:min(8, len(s.Key))], screen.Printable(location), state})
	}
	if a.JSON {
		return nil
	}
	if len(rows) == 0 {
		a.Printf("There is no recovery kit yet: lifeboat kit --output DIR makes one.\n")
		return nil
	}
	a.Table([]string{"kit", "made", "age", "opened by", "key", "repository", ""}, rows)
	return nil
}

package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/repository"
)

func (a *app) unlockCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "unlock",
		Short: "Remove locks that nobody holds any more",
		Long: `A backup, a prune and every other use of a repository leaves a lock in it for as
long as it runs. One that is killed leaves its lock behind, which others pass
over when half an hour has gone by, or at once on the same machine. This removes
such locks now, and lock files that cannot be read, and says whose they were.

With --remove-all every lock goes, after a question. Somebody who is at work then
loses what he has done so far, and a prune beside a backup can remove what the
backup needs: see first that no lifeboat or restic uses the repository, on any
machine. Without --repository every repository of the configuration is unlocked.`,
		Example: `  lifeboat repository unlock
  lifeboat repository unlock --repository /backup/lifeboat --remove-all`,
		Args: screen.Args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.onTargets(c.Context(), func(r config.Repository, repo *repository.Repository) error {
				return a.unlock(c.Context(), r, repo, all)
			})
		},
	}
	c.Flags().BoolVar(&all, "remove-all", false, "remove the locks of those too who may be at work")
	c.Flags().BoolVarP(&a.yes, "yes", "y", false, "do not ask")
	a.repositoryFlags(c)
	return c
}

// lockView is a lock as --json shows it.
type lockView struct {
	ID        string    `json:"id"`
	Host      string    `json:"host,omitempty"`
	User      string    `json:"user,omitempty"`
	PID       int       `json:"pid,omitempty"`
	Exclusive bool      `json:"exclusive,omitempty"`
	Time      time.Time `json:"time,omitzero"`
	Age       int64     `json:"age_seconds,omitempty"` // negative when its clock is ahead
	Damage    string    `json:"damage,omitempty"`
}

func lockViews(locks []repository.Lock) []lockView {
	views := []lockView{}
	for _, l := range locks {
		v := lockView{ID: l.ID.String(), Host: l.Hostname, User: l.Username, PID: l.PID, Exclusive: l.Exclusive, Time: l.Since()}
		if !v.Time.IsZero() {
			v.Age = int64(time.Since(v.Time).Seconds())
		}
		if l.Damage != nil {
			v.Damage = l.Damage.Error()
		}
		views = append(views, v)
	}
	return views
}

// lockText says in a line whose lock that is, and how old.
func lockText(l repository.Lock) string {
	s := "lock " + l.ID.Short()
	if l.Damage != nil {
		s += ", which cannot be read (" + l.Damage.Error() + ")"
	} else {
		s += " of " + l.Owner()
		if l.Exclusive {
			s += ", exclusive"
		}
	}
	if at := l.Since(); !at.IsZero() {
		s += fmt.Sprintf(", of %s (%s)", screen.When(at), ago(at))
	}
	return screen.Clean(s)
}

func (a *app) unlock(ctx context.Context, r config.Repository, repo *repository.Repository, all bool) error {
	if all {
		locks, err := repo.Locks(ctx)
		if err != nil {
			return err
		}
		var held []string
		for _, l := range locks {
			if !repo.Abandoned(l) {
				held = append(held, "  "+lockText(l))
			}
		}
		if len(held) > 0 {
			question := fmt.Sprintf("These may be at work in repository %s; what they do is lost, or a prune beside them removes what they need:\n%s\nRemove their locks?", called(r), strings.Join(held, "\n"))
			if err := screen.Confirm(ctx, question, a.yes); err != nil {
				return err
			}
		}
	}
	removed, err := repo.Unlock(ctx, all)
	if err != nil && len(removed) == 0 {
		return err
	}
	left, lerr := repo.Locks(ctx)
	if err == nil {
		err = lerr
	}
	if a.JSON {
		if jerr := a.Emit(map[string]any{"type": "unlock", "repository": called(r), "removed": lockViews(removed), "left": lockViews(left)}); err == nil {
			err = jerr
		}
		return err
	}
	a.Printf("%s %s removed.\n", screen.PainterFor(a.Out).Bold("Repository "+called(r)+":"), screen.Count(len(removed), "lock", "locks"))
	for _, l := range removed {
		a.Printf("  removed %s\n", lockText(l))
	}
	for _, l := range left {
		a.Printf("  stays: %s\n", lockText(l))
	}
	if len(left) > 0 && !all {
		a.Printf("To remove those too, if their processes are known to be gone: --remove-all\n")
	}
	return err
}

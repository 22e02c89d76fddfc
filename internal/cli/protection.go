package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/backup"
	"lifeboat/internal/config"
	"lifeboat/internal/guard"
	"lifeboat/internal/kit"
	"lifeboat/internal/repository"
	"lifeboat/internal/routine"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// protection looks at everything that tells how protected the systems are.
func (a *app) protection(ctx context.Context, names []string, limit time.Duration) ([]statusView, error) {
	conf, err := a.load()
	if err != nil {
		return nil, err
	}
	systems, err := a.scheduled(conf, names)
	if err != nil {
		return nil, err
	}
	i, err := a.installer(conf, scheduleFlags{})
	if err != nil {
		return nil, err
	}
	seen := map[string]looked{}
	for _, s := range systems {
		for _, r := range conf.RepositoriesOf(s) {
			if _, done := seen[r.Name]; !done {
				seen[r.Name] = a.lookAt(ctx, conf, r, limit)
			}
		}
	}
	stopped, err := guard.List(a.state(conf))
	if err != nil {
		return nil, err
	}
	runs, err := runbook.List(a.state(conf))
	if err != nil {
		return nil, err
	}
	records, unread := kit.Records(a.state(conf))
	kits := kit.Look(records, keysOf(seen))
	now := time.Now()
	var views []statusView
	for _, s := range systems {
		v := statusView{Type: "status", Status: routine.Status{System: s.Name}, Findings: []routine.Finding{}}
		var forgotten error
		if v.Stores, forgotten, err = a.stores(conf, i.Book, s, seen, now); err != nil {
			return nil, err
		}
		if forgotten != nil {
			v.Unread = append(v.Unread, firstLine(forgotten.Error()))
		}
		v.Held = slices.ContainsFunc(stopped, func(r guard.Record) bool { return r.System == s.Name && !r.Guarded })
		for _, r := range runs {
			if r.System == s.Name && r.Resumable() && r.Hint != "" && r.Kind != "backup" {
				v.Unfinished = append(v.Unfinished, r.ID)
			}
		}
		attempt, err := i.Book.Attempt(s.Name)
		if err != nil {
			return nil, err
		}
		v.Broken = brokenBackup(runs, attempt, s.Name, v.Stores)
		if v.Gaps, err = i.Book.Gaps(s.Name); err != nil {
			return nil, err
		}
		if v.Jobs, err = a.jobs(conf, i, s, now); err != nil {
			return nil, err
		}
		for _, j := range v.Jobs {
			if word := j.last(); word != "" && word != "running" && !strings.HasPrefix(word, "done") {
				v.Failed = append(v.Failed, j.Job)
			}
		}
		if unread != nil {
			v.Unread = append(v.Unread, firstLine(unread.Error()))
		}
		v.Kit = kitOf(conf, s, kits, seen)
		a.rehearsed(conf, s, seen, &v.Status)
		a.certificates(ctx, conf, s, seen, &v.Status)
		findings, measures := routine.Judge(v.Status, s.Objectives, now)
		v.Findings, v.measures = append(v.Findings, findings...), measures
		if owed, err := backup.OwedHooks(a.state(conf), s.Name); err != nil {
			return nil, err
		} else if owed != nil {
			v.Findings = append(v.Findings, routine.Finding{
				Level: routine.Warning, Word: routine.Warning.String(),
				Text: fmt.Sprintf("%s: backup %s died before its hooks after it; lifeboat resume-services runs them", s.Name, owed.Run),
			})
		}
		untold, err := a.noticeFindings(conf, i.Book, s.Name)
		if err != nil {
			return nil, err
		}
		v.Findings = append(v.Findings, untold...)
		views = append(views, v)
	}
	return views, nil
}

// stores tells how the repositories of a system stand, and remembers it as far as it
// can: forgotten says why it could not.
func (a *app) stores(conf *config.Config, book routine.Book, s config.System, seen map[string]looked, now time.Time) (stores []routine.Store, forgotten, err error) {
	var first []*vault.Point
	for n, r := range conf.RepositoriesOf(s) {
		found := seen[r.Name]
		points := found.pointsOf(s.Name)
		store := routine.Store{Name: r.Name, Points: len(points), Doubts: found.doubts, Space: found.space}
		if found.err != nil {
			store.Error, store.Gone = firstLine(found.err.Error()), errors.Is(found.err, repository.ErrNoRepository)
		}
		if n == 0 {
			first = points
		} else if found.err == nil {
			store.Lacks = vault.StateOf(points, first, conf.Retention(s, r.Name), now).Lacks
		}
		if newest := found.newest(s.Name); newest != nil {
			store.Newest, store.Time, store.Damaged = newest.ID(), newest.Time(), newest.Damage != nil
			if newest.Damage == nil {
				store.Incomplete, store.Bytes = newest.Manifest.Incomplete, newest.Manifest.Bytes()
			}
		}
		if store.Newest != "" {
			forgotten = errors.Join(forgotten, book.SetKnown(s.Name, r.Name, routine.Known{Point: store.Newest, Time: store.Time}))
		}
		if store.Known, err = book.Known(s.Name, r.Name); err != nil {
			return nil, forgotten, err
		}
		if store.Verified, err = book.Verified(s.Name, r.Name); err != nil {
			return nil, forgotten, err
		}
		stores = append(stores, store)
	}
	return stores, forgotten, nil
}

// brokenBackup is the last backup of a system, where it came to no point.
func brokenBackup(runs []*runbook.Run, attempt routine.Attempt, system string, stores []routine.Store) *routine.Broken {
	var newest time.Time
	if len(stores) > 0 {
		newest = cmp.Or(stores[0].Time, stores[0].Known.Time)
	}
	if attempt.Started.After(newest) && !attemptIsOver(runs, attempt, system) {
		return &routine.Broken{Error: attempt.Error, Time: attempt.Started, State: string(runbook.StateFailed)}
	}
	for _, r := range slices.Backward(runs) {
		if r.System != system || r.Kind != "backup" {
			continue
		}
		failed := r.State == runbook.StateFailed || r.State == runbook.StateInterrupted
		if !failed || !newest.IsZero() && !r.Started.After(newest) {
			return nil
		}
		return &routine.Broken{Run: r.ID, Time: r.Started, State: string(r.State)}
	}
	return nil
}

// attemptIsOver tells whether a backup came later that was a run.
func attemptIsOver(runs []*runbook.Run, attempt routine.Attempt, system string) bool {
	return slices.ContainsFunc(runs, func(r *runbook.Run) bool {
		return r.System == system && r.Kind == config.JobBackup && !r.Started.Before(attempt.Started)
	})
}

func keysOf(seen map[string]looked) map[string][]repository.Key {
	keys := map[string][]repository.Key{}
	for _, found := range seen {
		if found.keys != nil {
			keys[found.id] = found.keys
		}
	}
	return keys
}

// kitOf is the recovery kit of a system.
func kitOf(conf *config.Config, s config.System, kits []kit.Status, seen map[string]looked) *routine.Kit {
	var places []routine.Place
	all := true
	for _, r := range conf.RepositoriesOf(s) {
		found := seen[r.Name]
		if found.keys == nil {
			all = false
			continue
		}
		places = append(places, routine.Place{ID: found.id, Location: found.location})
	}
	return routine.KitOf(kits, s.Name, places, all)
}

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
	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/guard"
	"lifeboat/internal/kit"
	"lifeboat/internal/recovery"
	"lifeboat/internal/repository"
	"lifeboat/internal/routine"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// protection looks at everything that tells how protected the systems are.
func (a *app) protection(ctx context.Context, names []string, limit time.Duration) ([]statusView, error) {
	conf, systems, gone, i, err := a.planned(scheduleFlags{}, names)
	var ledger error
	if errors.Is(err, routine.ErrLedger) { // the systems can be looked at all the same
		ledger = err
		systems, err = a.scheduled(conf, names)
	}
	if err != nil {
		return nil, err
	}
	seen := a.lookAll(ctx, conf, systems, limit)
	// What cannot be read concerns one system, and the others are judged all the same.
	stopped, unreadStopped := guard.List(a.state(conf))
	runs, unreadRuns := runbook.List(a.state(conf))
	records, unread := kit.Records(a.state(conf))
	kits := kit.Look(records, keysOf(seen))
	now := time.Now()
	var views []statusView
	for _, s := range systems {
		v := statusView{Type: "status", Status: routine.Status{System: s.Name}, Findings: []routine.Finding{}}
		unknown := func(err error) { // of one thing, which keeps nobody from the others
			for _, e := range each(err) {
				v.Unread = append(v.Unread, screen.FirstLine(e.Error()))
			}
		}
		unknown(ledger)
		unknown(ofSystem(unreadStopped, s.Name, runs))
		unknown(ofSystem(unreadRuns, s.Name, runs))
		var err error
		v.Stores, err = a.stores(conf, i.Book, s, seen, now)
		unknown(err)
		v.Held = slices.ContainsFunc(stopped, func(r guard.Record) bool { return r.System == s.Name && !r.Guarded })
		for _, r := range runs {
			if r.System == s.Name && r.Resumable() && r.Hint != "" && r.Kind != "backup" {
				v.Unfinished = append(v.Unfinished, r.ID)
			}
		}
		attempt, err := i.Book.Attempt(s.Name)
		unknown(err)
		v.Broken = brokenBackup(runs, attempt, s.Name, v.Stores)
		v.Gaps, err = i.Book.Gaps(s.Name)
		unknown(err)
		tasks, err := a.tasks(conf, s)
		if err != nil {
			return nil, err
		}
		v.Jobs, v.Schedule, err = a.jobs(ctx, conf, i, s, tasks, now)
		if ledger == nil { // which would be told twice
			unknown(err)
		}
		for _, j := range v.Jobs {
			if word := j.last(); word != "" && !j.Running && !j.Unknown && !strings.HasPrefix(word, "done") {
				v.Failed = append(v.Failed, j.Job)
			}
		}
		unknown(unread)
		v.Kit = kitOf(conf, s, kits, seen)
		a.rehearsed(conf, i.Book, s, seen, &v.Status)
		a.certificates(ctx, conf, s, seen, &v.Status)
		owed, err := backup.OwedHooks(a.state(conf), s.Name)
		unknown(err)
		untold, err := a.noticeFindings(conf, i.Book, s.Name)
		unknown(err)
		v.Aside = recovery.HoldingRuns(runs, s.Name)
		findings, measures := routine.Judge(v.Status, s.Objectives, now)
		v.Findings, v.measures = append(v.Findings, findings...), measures
		if owed != nil {
			v.Findings = append(v.Findings, routine.Finding{
				Level: routine.Warning, Word: routine.Warning.String(),
				Text: fmt.Sprintf("%s: backup %s died before its hooks after it; lifeboat resume-services runs them", s.Name, owed.Run),
			})
		}
		v.Findings = append(v.Findings, untold...)
		views = append(views, v)
	}
	for _, name := range gone {
		v := statusView{Type: "status", Status: routine.Status{System: name, Orphaned: true}}
		v.Findings, _ = routine.Judge(v.Status, config.Objectives{}, now)
		views = append(views, v)
	}
	return views, nil
}

// ofSystem are the errors that concern a system, or nobody knows which.
func ofSystem(err error, system string, runs []*runbook.Run) error {
	return errors.Join(slices.DeleteFunc(each(err), func(e error) bool {
		var stopped *guard.UnreadError
		if errors.As(e, &stopped) {
			return stopped.System != system
		}
		return slices.ContainsFunc(runs, func(r *runbook.Run) bool { return r.System != system && r.Error == e.Error() })
	})...)
}

// each takes errors apart that were joined, as errors.Join writes them.
func each(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var list []error
		var texts []string
		for _, e := range joined.Unwrap() {
			list, texts = append(list, each(e)...), append(texts, e.Error())
		}
		if err.Error() == strings.Join(texts, "\n") {
			return list
		}
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// stores tells how the repositories of a system stand, and remembers it. The errors are
// of what could not be remembered, or not be read.
func (a *app) stores(conf *config.Config, book routine.Book, s config.System, seen map[string]looked, now time.Time) (stores []routine.Store, err error) {
	var first []*vault.Point
	for n, r := range conf.RepositoriesOf(s) {
		found := seen[r.Name]
		points := found.pointsOf(s.Name)
		store := routine.Store{Name: r.Name, Points: len(points), Doubts: found.doubts, Space: found.space}
		if found.err != nil {
			store.Error, store.Gone = screen.FirstLine(found.err.Error()), errors.Is(found.err, repository.ErrNoRepository)
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
			err = errors.Join(err, book.SetKnown(s.Name, r.Name, routine.Known{Point: store.Newest, Time: store.Time}))
		}
		var known, verified error
		store.Known, known = book.Known(s.Name, r.Name)
		store.Verified, verified = book.Verified(s.Name, r.Name)
		err = errors.Join(err, known, verified)
		stores = append(stores, store)
	}
	return stores, err
}

// brokenBackup is the last backup of a system, where it came to no point, or did
// not come to its end.
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
		return &routine.Broken{Run: r.ID, Time: r.Started, State: string(r.State), Sealed: backup.Sealed(r)}
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

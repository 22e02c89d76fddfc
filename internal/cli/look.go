package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/component"
	"lifeboat/internal/component/certificates"
	"lifeboat/internal/config"
	"lifeboat/internal/drill"
	"lifeboat/internal/host"
	"lifeboat/internal/profile"
	"lifeboat/internal/repository"
	"lifeboat/internal/routine"
	"lifeboat/internal/storage"
	"lifeboat/internal/vault"
	"lifeboat/internal/vault/head"
)

// looked is what a repository showed.
type looked struct {
	id, location string
	points       []*vault.Point
	doubts       []string
	drills       []*drill.Kept
	unread       map[string][]string // reports that could not be read, by system
	keys         []repository.Key    // nil where they could not be listed
	space        *storage.Space      // nil where that is not known
	err          error
}

func (l looked) pointsOf(system string) []*vault.Point {
	return slices.DeleteFunc(slices.Clone(l.points), func(p *vault.Point) bool { return p.System() != system })
}

// newest is the newest point of a system, nil without one.
func (l looked) newest(system string) *vault.Point {
	points := l.pointsOf(system)
	if len(points) == 0 {
		return nil
	}
	return slices.MaxFunc(points, func(x, y *vault.Point) int { return x.Time().Compare(y.Time()) })
}

// lookAll looks at the repositories of systems side by side, within one time limit
// for all of them: a watcher waits for the answer. A password that a person must type
// is asked for before that time begins.
func (a *app) lookAll(ctx context.Context, conf *config.Config, systems []config.System, limit time.Duration) map[string]looked {
	seen := map[string]looked{}
	passwords := map[string][]byte{}
	var list []config.Repository
	for _, s := range systems {
		for _, r := range conf.RepositoriesOf(s) {
			if slices.ContainsFunc(list, func(known config.Repository) bool { return known.Name == r.Name }) {
				continue
			}
			list = append(list, r)
			if from, err := passwordFrom(r, passwordFlags{}); err != nil || !from.IsZero() {
				continue // found out about below
			}
			password, err := a.passwordOf(ctx, r, passwordFlags{})
			if err != nil {
				seen[r.Name] = looked{err: err}
				continue
			}
			defer clear(password)
			passwords[r.Name] = password
		}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, r := range list {
		if _, failed := seen[r.Name]; failed {
			continue
		}
		group.Go(func() {
			found := a.lookAt(ctx, conf, r, passwords[r.Name], limit)
			mu.Lock()
			defer mu.Unlock()
			seen[r.Name] = found
		})
	}
	group.Wait()
	return seen
}

// lookAt looks at a repository within a time limit, also where a file system hangs
// and nothing ends its calls. Without a password it is had from where the
// configuration says.
func (a *app) lookAt(ctx context.Context, conf *config.Config, r config.Repository, password []byte, limit time.Duration) looked {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	password = slices.Clone(password) // the caller's is cleared, and this may go on
	answers := make(chan looked, 1)
	go func() {
		defer func() { clear(password) }()
		// A store that fails is given up while there is time to say why.
		r.RetryFor = min(limit/2, lookPatience)
		var err error
		if len(password) == 0 {
			if password, err = a.passwordOf(ctx, r, passwordFlags{}); err != nil {
				answers <- looked{err: err}
				return
			}
		}
		repo, err := a.openKnowing(ctx, r, password)
		if err != nil {
			answers <- looked{err: err}
			return
		}
		defer repo.Close()
		v := a.vaultOf(conf, repo)
		survey := v.Survey(ctx, vault.Filter{})
		if survey.Unread != nil && vault.Unread(survey.Unread) == nil {
			answers <- looked{err: survey.Unread}
			return
		}
		found := looked{id: repo.ID(), location: repo.Location(), points: survey.Points, doubts: survey.Warnings()}
		found.readDrills(ctx, v, head.New(a.state(conf)), survey.Reports)
		if keys, err := repo.Keys(ctx); len(keys) > 0 || err == nil {
			found.keys = append([]repository.Key{}, keys...)
		}
		if space, err := repo.Space(ctx); err == nil {
			found.space = &space
		}
		answers <- found
	}()
	select {
	case found := <-answers:
		return found
	case <-ctx.Done():
		return looked{err: fmt.Errorf("it did not answer within %s", limit)}
	}
}

// maxReports bounds how many reports of one system's drills are read.
const maxReports = 12

// readDrills reads the newest reports of each system, as far as older ones matter.
func (l *looked) readDrills(ctx context.Context, v *vault.Vault, keeper *head.Keeper, reports []*vault.Report) {
	l.unread = map[string][]string{}
	read := map[string][]*drill.Kept{}
	tried := map[string]int{}
	for _, r := range slices.Backward(reports) {
		if r.Kind != drill.Kind || tried[r.System] == maxReports || routine.Settled(read[r.System]) {
			continue
		}
		tried[r.System]++
		k, err := drill.Load(ctx, v, keeper, r)
		if err == nil && k.Signature == drill.SignedNobody {
			err = fmt.Errorf("report %s: its signature is wrong", r.ID.Short())
		}
		if err == nil && k.System != r.System {
			err = fmt.Errorf("report %s is of another system, %s", r.ID.Short(), screen.Printable(k.System))
		}
		if err != nil {
			l.unread[r.System] = append(l.unread[r.System], err.Error())
			continue
		}
		read[r.System] = append(read[r.System], k)
		l.drills = append(l.drills, k)
	}
}

// rehearsed puts together what the drills of a system have shown, wherever their
// reports are. A repository that cannot be looked at counts with what was seen in it:
// a drill that failed is not made up for by a network that fails too.
func (a *app) rehearsed(conf *config.Config, book routine.Book, s config.System, seen map[string]looked, status *routine.Status) {
	var reports []*drill.Kept
	away := false
	for _, r := range conf.RepositoriesOf(s) {
		found := seen[r.Name]
		shown := slices.DeleteFunc(slices.Clone(found.drills), func(k *drill.Kept) bool { return k.System != s.Name })
		for _, text := range found.unread[s.Name] {
			status.Unread = append(status.Unread, "a drill in repository "+r.Name+" does not count: "+screen.FirstLine(text))
		}
		all, err := book.DrillsOf(s.Name, r.Name, shown, found.err == nil && len(found.unread[s.Name]) == 0)
		if err != nil {
			status.Unread = append(status.Unread, screen.FirstLine(err.Error()))
		}
		reports = append(reports, all...)
		away = away || found.err != nil
	}
	status.Drill = routine.Rehearsed(reports)
	status.Drill.Unknown = away
	for job := range conf.ScheduleOf(s) {
		status.Drill.Scheduled = status.Drill.Scheduled || config.JobKind(job) == config.JobDrill
	}
}

// certificates finds those of this machine and those of its newest point.
func (a *app) certificates(ctx context.Context, conf *config.Config, s config.System, seen map[string]looked, status *routine.Status) {
	here, err := a.certificatesHere(ctx, s)
	if err != nil {
		status.Unread = append(status.Unread, "whether certificates of this machine end soon is not known: "+screen.FirstLine(err.Error()))
	}
	var held []certificates.Held
	if list := conf.RepositoriesOf(s); len(list) > 0 {
		if p := seen[list[0].Name].newest(s.Name); p != nil && p.Damage == nil {
			held = certificatesOf(p.Manifest)
		}
	}
	status.Certificates = routine.Watched(here, held)
}

// certificatesOf are those that a point's manifest tells of.
func certificatesOf(m *vault.Manifest) []certificates.Held {
	var held []certificates.Held
	for _, r := range m.Components {
		var detail certificates.Detail
		if r.Kind == certificatesKind && r.Status == component.StatusCaptured && json.Unmarshal(r.Detail, &detail) == nil {
			held = append(held, detail.Certificates...)
		}
	}
	return held
}

const certificatesKind = "certificates"

// certificatesHere are those of the system's components of that kind, and those in
// files that its settings name.
func (a *app) certificatesHere(ctx context.Context, s config.System) ([]certificates.Held, error) {
	p, err := a.catalogue().Load(s.Profile)
	if err != nil {
		return nil, err
	}
	h := host.Local()
	scope := profile.Scope{Host: h}
	if scope.Settings, err = catalog().Profile.Resolve(ctx, p, scope, s.Settings); err != nil {
		return nil, err
	}
	var held []certificates.Held
	for _, spec := range p.Components {
		if chosen, said := s.Components[spec.Name]; spec.Kind != certificatesKind || said && !chosen {
			continue
		}
		if spec.When != "" {
			if holds, err := profile.Expr(spec.When, scope); err == nil && !holds { // what cannot be decided is looked at
				continue
			}
		}
		c, err := component.Make(catalog().Kinds, component.Env{Host: h, Settings: scope.Settings}, spec)
		if err != nil {
			return held, err
		}
		if holder, ok := c.(interface {
			Held(context.Context) []certificates.Held
		}); ok {
			held = append(held, holder.Held(ctx)...)
		}
	}
	for _, name := range sorted(scope.Settings) {
		for file := range strings.Lines(scope.Settings[name]) {
			file = strings.TrimSpace(file)
			known := slices.ContainsFunc(held, func(c certificates.Held) bool { return c.Path == file })
			if path.IsAbs(file) && slices.Contains([]string{".pem", ".crt", ".cer"}, path.Ext(file)) && !known {
				held = append(held, certificates.HeldIn(h, file)...)
			}
		}
	}
	return held, ctx.Err()
}

package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/standing"
	"lifeboat/internal/notice"
)

// job is something to be done from time to time, by one server of those that share a
// database: the one that has its lease.
type job struct {
	name  string
	every time.Duration
	do    func(context.Context) error
}

// eventsFor is how long the lines of a run are kept; its report stays.
const eventsFor = 30 * 24 * time.Hour

func (s *Server) jobs() []job {
	return []job{
		{"sweep", max(time.Hour, s.Every), s.sweep},
		{"watch", s.Every, s.watch},
		{"prune", max(24*time.Hour, s.Every), s.prune},
	}
}

// leases outlast some looks, so that a server that is slow keeps its own, and another
// takes over soon when one is gone.
const leaseLooks = 3

// work does the jobs until ctx ends. Every server looks whether a job is due and
// nobody has it; who has it did it last, and knows when it is due again.
func (s *Server) work(ctx context.Context) {
	jobs := s.jobs()
	last := make([]time.Time, len(jobs))
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	for {
		for i, j := range jobs {
			held, err := s.Desk.Store.Hold(ctx, j.name, s.holder, leaseLooks*s.Every)
			switch {
			case ctx.Err() != nil:
			case err != nil:
				s.Log.Warn("a periodic job could not be looked at", "job", j.name, "error", err)
			case held && time.Since(last[i]) >= j.every:
				last[i] = time.Now()
				s.perform(ctx, j)
			}
		}
		select {
		case <-ctx.Done():
			s.leave(ctx, jobs)
			return
		case <-tick.C:
		}
	}
}

// perform does a job, for not longer than its lease holds.
func (s *Server) perform(ctx context.Context, j job) {
	ctx, cancel := context.WithTimeout(ctx, (leaseLooks-1)*s.Every)
	defer cancel()
	err := j.do(ctx)
	s.metrics.job(j.name, err)
	if err != nil && !errors.Is(err, context.Canceled) {
		s.Log.Error("a periodic job failed", "job", j.name, "error", err)
	}
}

// leave gives the leases up, so that another server need not wait for their end.
func (s *Server) leave(ctx context.Context, jobs []job) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, j := range jobs {
		if err := s.Desk.Store.Release(ctx, j.name, s.holder); err != nil {
			s.Log.Warn("a lease was not given up; it ends by itself", "job", j.name, "error", err)
		}
	}
}

// sweep removes what has expired.
func (s *Server) sweep(ctx context.Context) error {
	now := s.Desk.Now().UTC()
	return s.Desk.Store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		_, err := tx.Sweep(now, now.Add(-eventsFor))
		return nil, err
	})
}

// prune forgets the history that nobody wants any more, and says so in the log.
func (s *Server) prune(ctx context.Context) error {
	if s.Keep == nil {
		return nil
	}
	before := s.Keep(s.Desk.Now()).UTC()
	for ctx.Err() == nil {
		var p record.Pruned
		err := s.Desk.Store.Change(ctx, func(tx record.Tx) (_ []record.Entry, err error) {
			if p, err = tx.Prune(before, s.KeepVersions); err != nil || p == (record.Pruned{}) {
				return nil, err
			}
			return []record.Entry{{
				Time: s.Desk.Now(), Actor: "server", Action: "history.prune", Object: "before " + before.Format(time.RFC3339),
				Detail: fmt.Sprintf("%d versions of configurations, %d reports, %d runs", p.Versions, p.Reports, p.Runs),
			}}, nil
		})
		if err != nil || p == (record.Pruned{}) {
			return err
		}
	}
	return ctx.Err()
}

// watchSetting keeps which systems those that are told know to be in a bad way.
const watchSetting = "watch-told"

// watch notices systems that are late: a host that has fallen silent tells nobody
// itself. Each is told of once, and again when it got worse. A message is sent before
// that is remembered: told twice is better than not at all.
func (s *Server) watch(ctx context.Context) error {
	hosts, err := s.standing(ctx)
	if err != nil {
		return err
	}
	s.metrics.standing(hosts)
	if len(s.Notices) == 0 {
		return nil
	}
	told := map[string]standing.State{}
	err = s.Desk.Store.Read(ctx, func(r record.Reader) error {
		text, err := r.Setting(watchSetting)
		if errors.Is(err, record.ErrNotFound) {
			return nil
		}
		if err == nil && json.Unmarshal(text, &told) != nil {
			told = map[string]standing.State{} // written anew
		}
		return err
	})
	if err != nil {
		return err
	}
	now := bad(hosts)
	if maps.Equal(now, told) {
		return nil
	}
	s.tell(ctx, hosts, now, told)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	text, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return s.Desk.Store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		return nil, tx.PutSetting(watchSetting, text)
	})
}

// bad are the systems, and hosts without any, that somebody should look at. What has
// failed the host has told itself; here it counts once it leaves the system late.
func bad(hosts []standing.Host) map[string]standing.State {
	list := map[string]standing.State{}
	for _, h := range hosts {
		if !h.Revoked.IsZero() {
			continue
		}
		for _, system := range h.Systems {
			if system.State == standing.Late || system.State == standing.Failing {
				list[key(h, system.System)] = system.State
			}
		}
	}
	return list
}

func key(h standing.Host, system string) string { return string(h.ID) + "/" + system }

// tell sends what is new, in one message: when a network fails, many hosts are late.
func (s *Server) tell(ctx context.Context, hosts []standing.Host, now, told map[string]standing.State) {
	m := notice.Message{
		Type: notice.AboutStatus, Job: "status", Result: notice.Failed, State: "late in the fleet", Exit: 1,
		Scheduled: true, Started: s.Desk.Now(), Version: s.Version,
	}
	m.Host, _ = os.Hostname()
	for _, h := range hosts {
		for _, system := range h.Systems {
			state, is := now[key(h, system.System)]
			if !is || told[key(h, system.System)] == state {
				continue
			}
			m.Systems = append(m.Systems, system.System)
			for _, why := range system.Reasons {
				m.Problems = append(m.Problems, fmt.Sprintf("%s of host %s: %s", system.System, h.Name, why))
			}
			m.Next = append(m.Next, "lifeboat host show "+h.Name)
		}
	}
	if len(m.Systems) == 0 {
		return
	}
	slices.Sort(m.Systems)
	m.Systems = slices.Compact(m.Systems)
	for _, o := range (notice.Sender{Notices: s.Notices}).Send(ctx, m) {
		if o.Err != nil {
			s.Log.Error("a notice was not sent", "notice", o.Name, "error", o.Err)
		}
	}
}

// standing judges all hosts.
func (s *Server) standing(ctx context.Context) ([]standing.Host, error) {
	return judge(ctx, s.Desk.Store, s.Desk.Now())
}

func judge(ctx context.Context, store record.Store, now time.Time) ([]standing.Host, error) {
	var all []record.Host
	var systems []record.Protection
	err := store.Read(ctx, func(r record.Reader) error {
		const part = 1000
		for after := ""; ; {
			hosts, err := r.Hosts("", record.Page{After: after, Limit: part})
			if err != nil {
				return err
			}
			all = append(all, hosts...)
			if len(hosts) < part {
				break
			}
			after = hosts[len(hosts)-1].Name
		}
		var err error
		systems, err = r.Protections("")
		return err
	})
	if err != nil {
		return nil, err
	}
	of := map[record.HostID][]record.Protection{}
	for _, p := range systems {
		of[p.Host] = append(of[p.Host], p)
	}
	judged := make([]standing.Host, 0, len(all))
	for _, h := range all {
		own := of[h.ID]
		slices.SortFunc(own, func(a, b record.Protection) int { return cmp.Compare(a.System, b.System) })
		judged = append(judged, standing.OfHost(h, own, now))
	}
	return judged, nil
}

package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/standing"
	"lifeboat/internal/runbook"
)

// rows is how many hosts a page shows.
const rows = 50

// fresh is how long one look at the whole fleet serves everybody who asks for it.
const fresh = 2 * time.Second

// overview remembers the last look at the whole fleet: with 10,000 hosts it is some
// work, and everybody wants the same.
type overview struct {
	mu     sync.Mutex
	at     time.Time
	hosts  []standing.Host // the worst first; never changed
	counts standing.Counts
	groups []string
}

// look gives how all hosts stand.
func (c *Console) look(ctx context.Context) ([]standing.Host, standing.Counts, []string, error) {
	o := &c.overall
	o.mu.Lock()
	defer o.mu.Unlock()
	now := c.Now()
	if d := now.Sub(o.at); o.at.IsZero() || d < 0 || d > fresh {
		hosts, err := c.judge(ctx, now)
		if err != nil {
			return nil, standing.Counts{}, nil, err
		}
		groups := map[string]bool{}
		for _, h := range hosts {
			groups[h.Group] = true
		}
		delete(groups, "")
		o.groups = o.groups[:0:0]
		for g := range groups {
			o.groups = append(o.groups, g)
		}
		slices.Sort(o.groups)
		o.hosts, o.counts, o.at = hosts, standing.Count(hosts), now
	}
	return o.hosts, o.counts, o.groups, nil
}

// forget makes the next look a new one, after a change that a person expects to see.
func (c *Console) forget() {
	c.overall.mu.Lock()
	c.overall.at = time.Time{}
	c.overall.mu.Unlock()
}

func (c *Console) judge(ctx context.Context, now time.Time) ([]standing.Host, error) {
	var all []standing.Host
	err := c.Store.Read(ctx, func(r record.Reader) error {
		all = nil
		systems := map[record.HostID][]record.Protection{}
		protections, err := r.Protections("")
		if err != nil {
			return fmt.Errorf("read how the systems are protected: %w", err)
		}
		for _, p := range protections {
			systems[p.Host] = append(systems[p.Host], p)
		}
		for page := (record.Page{Limit: 1000}); ; {
			hosts, err := r.Hosts("", page)
			if err != nil {
				return fmt.Errorf("read the hosts: %w", err)
			}
			for _, h := range hosts {
				all = append(all, standing.OfHost(h, systems[h.ID], now))
			}
			if len(hosts) < page.Limit {
				return nil
			}
			page.After = hosts[len(hosts)-1].Name
		}
	})
	standing.Sort(all)
	return all, err
}

// filter is which hosts a person wants to see.
type filter struct {
	Name, Group, State string
	Page               int
}

// neverDrilled is a filter beside the states: a protected host may be it too.
const neverDrilled = "never drilled"

func readFilter(q url.Values) filter {
	f := filter{Name: strings.TrimSpace(q.Get("name")), Group: q.Get("group"), State: q.Get("state")}
	f.Page, _ = strconv.Atoi(q.Get("page"))
	return f
}

// to is the address of the same hosts, another page of them or another state.
func (f filter) to(state string, page int) string {
	q := url.Values{}
	for key, value := range map[string]string{"name": f.Name, "group": f.Group, "state": state} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if page > 1 {
		q.Set("page", strconv.Itoa(page))
	}
	if len(q) == 0 {
		return "/"
	}
	return "/?" + q.Encode()
}

func (f filter) fits(h standing.Host) bool {
	if f.Group != "" && h.Group != f.Group {
		return false
	}
	if f.State == neverDrilled && !h.NeverDrilled || f.State != "" && f.State != neverDrilled && string(h.State) != f.State {
		return false
	}
	return f.Name == "" || likeName(h.Host, f.Name)
}

// likeName finds a host by what a person has at hand: a part of its name, or its
// serial number, MAC or UUID whole.
func likeName(h record.Host, want string) bool {
	want = strings.ToLower(want)
	return strings.Contains(strings.ToLower(h.Name), want) || strings.Contains(h.Identity.Hostname, want) ||
		strings.ToLower(h.Identity.Serial) == want || h.Identity.UUID == want || slices.Contains(h.Identity.MACs, want)
}

// glanceView is what the first page shows.
type glanceView struct {
	filter
	Counts  standing.Counts
	Groups  []string
	Hosts   []standing.Host // of this page
	Found   int
	Pages   int
	Running []running
}

// tile is one number on top of the page, and the way to the hosts it counts.
type tile struct {
	State, Name, Tone string
	Count             int
}

func (g glanceView) tiles() []tile {
	tiles := []tile{
		{"", "All hosts", "calm", g.Counts.All},
		{string(standing.Protected), "Protected", "good", g.Counts.By[standing.Protected]},
		{string(standing.Late), "Late", "warn", g.Counts.By[standing.Late]},
		{string(standing.Failing), "Failing", "bad", g.Counts.By[standing.Failing]},
		{string(standing.NoPoint), "No point", "bad", g.Counts.By[standing.NoPoint]},
		{neverDrilled, "Never drilled", "warn", g.Counts.NeverDrilled},
	}
	for _, s := range []standing.State{standing.RearOnly, standing.Waiting, standing.Revoked} {
		if n := g.Counts.By[s]; n > 0 {
			tiles = append(tiles, tile{string(s), strings.ToUpper(string(s[:1])) + string(s[1:]), "calm", n})
		}
	}
	for i := range tiles {
		if tiles[i].Count == 0 {
			tiles[i].Tone = "calm"
		}
	}
	return tiles
}

func (c *Console) glance(w http.ResponseWriter, r *http.Request, v *visit) error {
	g := glanceView{filter: readFilter(r.URL.Query())}
	hosts, counts, groups, err := c.look(r.Context())
	if err != nil {
		return err
	}
	g.Counts, g.Groups = counts, groups
	var fit []standing.Host
	for _, h := range hosts {
		// Who left and who has not come are shown when they are asked for.
		if g.fits(h) && (g.State != "" || g.Name != "" || h.State != standing.Revoked) {
			fit = append(fit, h)
		}
	}
	g.Found = len(fit)
	g.Pages = max(1, (len(fit)+rows-1)/rows)
	g.Page = min(max(g.Page, 1), g.Pages)
	g.Hosts = fit[(g.Page-1)*rows : min(len(fit), g.Page*rows)]
	if g.Running, err = c.runningNow(r.Context(), ""); err != nil {
		return err
	}
	return v.show(w, r, http.StatusOK, glancePage(v, g))
}

// running is a run that goes on now, with the name of its host.
type running struct {
	record.Run
	Name string
}

// latest bounds how many runs are looked at to find those that go on.
const latest = 500

// runningNow lists runs of a kind ("" is all) that go on, the newest first.
func (c *Console) runningNow(ctx context.Context, kind string) ([]running, error) {
	var list []running
	err := c.Store.Read(ctx, func(r record.Reader) error {
		list = nil
		runs, err := r.Runs("", record.Page{Limit: latest})
		if err != nil {
			return fmt.Errorf("read the runs: %w", err)
		}
		names := map[record.HostID]string{}
		for _, run := range runs {
			if run.State != string(runbook.StateRunning) && run.State != string(runbook.StateWaiting) || kind != "" && run.Kind != kind {
				continue
			}
			if names[run.Host] == "" {
				h, err := r.Host(run.Host)
				if err != nil {
					continue // removed meanwhile
				}
				names[run.Host] = h.Name
			}
			list = append(list, running{run, names[run.Host]})
		}
		return nil
	})
	return list, err
}

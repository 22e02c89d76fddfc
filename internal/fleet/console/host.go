package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/standing"
	"lifeboat/internal/rescue/disks"
	"lifeboat/internal/runbook"
)

// runRows is how many runs a host's page lists at a time.
const runRows = 20

// hostView is what a host's page shows.
type hostView struct {
	standing.Host
	Running  []*runPageView // step by step
	Runs     []record.Run
	Reports  map[string]record.Report // by run
	Older    string                   // the run after which older ones are listed; "" is none
	Paged    bool
	Drills   []drillChart
	Versions []record.Version
	Disks    []string // of the newest version, a line each
	Gaps     []gapView
	Missing  []string // in the newest recovery configuration
}

// gapView is what a system's recovery points would lack.
type gapView struct {
	System string
	At     time.Time
	Likely int
	All    int
	Paths  []gapPath
}

type gapPath struct{ Path, Why string }

// detail is what the console reads of a report's details; the rest is not its
// business.
type detail struct {
	Problems []string `json:"problems"`
	Next     []string `json:"next"`
	Gaps     *struct {
		Likely int       `json:"likely"`
		All    int       `json:"all"`
		Time   time.Time `json:"time"`
		Gaps   []struct {
			Path string `json:"path"`
			Why  string `json:"why"`
		} `json:"gaps"`
	} `json:"gaps"`
}

func (c *Console) host(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := record.HostID(r.PathValue("host"))
	after := r.URL.Query().Get("runs")
	var view hostView
	err := c.Store.Read(r.Context(), func(rd record.Reader) error {
		view = hostView{Paged: after != "", Reports: map[string]record.Report{}}
		if err := view.look(rd, id, after, v.At); err != nil {
			return err
		}
		reports, err := rd.Reports(id, record.Page{Limit: 1000})
		if err != nil {
			return fmt.Errorf("read the reports of host %s: %w", id, err)
		}
		for _, report := range reports {
			view.Reports[report.ID] = report
		}
		view.Drills = drillCharts(reports, view.protections())
		view.Gaps, view.Missing = gapsOf(reports), standing.Missing(reports)
		if view.Versions, err = rd.Versions(id); err != nil || len(view.Versions) == 0 {
			return err
		}
		newest, err := rd.OpenVersion(id)
		view.Disks = disksOf(newest.Open)
		return err
	})
	if err != nil {
		return err
	}
	if err := c.followAll(r.Context(), &view); err != nil {
		return err
	}
	return v.show(w, r, http.StatusOK, hostPage(v, view))
}

// look reads how a host stands and what runs it had, after one or the newest.
func (h *hostView) look(rd record.Reader, id record.HostID, after string, now time.Time) error {
	host, err := rd.Host(id)
	if err != nil {
		return found(err, "host")
	}
	protections, err := rd.Protections(id)
	if err != nil {
		return fmt.Errorf("read how the systems of host %s are protected: %w", id, err)
	}
	slices.SortFunc(protections, func(a, b record.Protection) int { return strings.Compare(a.System, b.System) })
	h.Host = standing.OfHost(host, protections, now)
	runs, err := rd.Runs(id, record.Page{After: after, Limit: runRows + 1})
	if err != nil {
		return found(err, "run")
	}
	if h.Older = ""; len(runs) > runRows {
		runs = runs[:runRows]
		h.Older = runs[runRows-1].ID
	}
	h.Runs = runs
	return nil
}

func (h *hostView) protections() (list []record.Protection) {
	for _, s := range h.Systems {
		list = append(list, s.Protection)
	}
	return list
}

func going(r record.Run) bool {
	return r.State == string(runbook.StateRunning) || r.State == string(runbook.StateWaiting)
}

// disksOf shows what a recovery configuration says of the host's disks.
func disksOf(open []byte) []string {
	var o struct {
		Layout json.RawMessage `json:"layout"`
	}
	if len(open) > maxShown || json.Unmarshal(open, &o) != nil || len(o.Layout) == 0 {
		return nil
	}
	l, err := disks.Parse(o.Layout)
	if err != nil {
		return nil
	}
	return l.Lines()
}

// gapsOf takes what each system's newest report that says something of gaps says.
func gapsOf(reports []record.Report) []gapView {
	var list []gapView
	seen := map[string]bool{}
	for _, report := range reports {
		var d detail
		if seen[report.System] || len(report.Detail) == 0 || json.Unmarshal(report.Detail, &d) != nil || d.Gaps == nil {
			continue
		}
		seen[report.System] = true
		g := gapView{System: report.System, At: d.Gaps.Time, Likely: d.Gaps.Likely, All: d.Gaps.All}
		if g.At.IsZero() {
			g.At = report.Ended
		}
		for _, one := range d.Gaps.Gaps[:min(len(d.Gaps.Gaps), 50)] {
			g.Paths = append(g.Paths, gapPath{one.Path, one.Why})
		}
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b gapView) int { return strings.Compare(a.System, b.System) })
	return list
}

// known lists what a host is recognised by, for people.
func known(i record.Identity) [][2]string {
	var list [][2]string
	for _, one := range [][2]string{{"Hostname", i.Hostname}, {"Serial number", i.Serial}, {"UUID", i.UUID}, {"MAC addresses", strings.Join(i.MACs, ", ")}} {
		if one[1] != "" {
			list = append(list, [2]string{one[0], plain(one[1], 400, false)})
		}
	}
	return list
}

func (h hostView) olderURL() string {
	return hostURL(h.ID) + "?runs=" + url.QueryEscape(h.Older) + "#runs"
}

// lasted is how long a run took, or takes yet.
func (h hostView) lasted(r record.Run, now time.Time) time.Duration {
	if report, ok := h.Reports[r.ID]; ok {
		return report.Ended.Sub(report.Started)
	}
	if going(r) {
		return now.Sub(r.Started)
	}
	return r.Updated.Sub(r.Started)
}

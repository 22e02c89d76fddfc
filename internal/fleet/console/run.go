package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/runbook"
)

// batch is how many events are read at a time.
const batch = 1000

// runPageView is a run with what stands around it.
type runPageView struct {
	*runView
	HostName string
	Report   record.Report // zero until it came
}

// told is what the host's report says in words: what went wrong, and what to do.
func (p *runPageView) told() (d detail) {
	if json.Unmarshal(p.Report.Detail, &d) != nil {
		return detail{}
	}
	const most = 20
	d.Problems, d.Next = d.Problems[:min(len(d.Problems), most)], d.Next[:min(len(d.Next), most)]
	return d
}

// follow reads a run's new events into its view.
func (c *Console) follow(ctx context.Context, p *runPageView) error {
	return c.Store.Read(ctx, func(r record.Reader) error {
		run, err := r.Run(p.Host, p.ID)
		if err != nil {
			return found(err, "run")
		}
		for {
			events, err := r.Events(p.Host, p.ID, p.Seq, batch)
			if err != nil {
				return fmt.Errorf("read the events of run %s: %w", p.ID, err)
			}
			for _, e := range events {
				if e.Seq > p.Seq { // a transaction that runs again brings some twice
					p.add(e)
				}
			}
			if len(events) < batch {
				break
			}
		}
		p.Run = run
		if !going(run) && p.Report.ID == "" {
			if p.Report, err = r.Report(p.Host, p.ID); err != nil && found(err, "report") == err {
				return fmt.Errorf("read the report of run %s: %w", p.ID, err)
			}
		}
		return nil
	})
}

// readRun reads a run from its beginning.
func (c *Console) readRun(r *http.Request) (*runPageView, error) {
	p := &runPageView{}
	host, id := record.HostID(r.PathValue("host")), r.PathValue("run")
	err := c.Store.Read(r.Context(), func(rd record.Reader) error {
		h, err := rd.Host(host)
		if err != nil {
			return found(err, "host")
		}
		p.HostName = h.Name
		run, err := rd.Run(host, id)
		if err != nil {
			return found(err, "run")
		}
		p.runView = newRunView(run)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return p, c.follow(r.Context(), p)
}

func (c *Console) run(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := c.readRun(r)
	if err != nil {
		return err
	}
	return v.show(w, r, http.StatusOK, runPage(v, p))
}

// liveURL is where the news of a run come from, and what the page knows already.
func (p *runPageView) liveURL() string {
	return runURL(p.Host, p.ID) + "/live?" + url.Values{"after": {strconv.FormatInt(p.Seq, 10)}}.Encode()
}

// runLive sends a page what has changed of a run, until that is over. Each piece is
// whole, so that a page which missed some, or gets one twice, shows the same.
func (c *Console) runLive(w http.ResponseWriter, r *http.Request, v *visit) error {
	p, err := c.readRun(r)
	if err != nil {
		return err
	}
	s, err := c.stream(w, r, v)
	if err != nil {
		return err
	}
	defer s.end()
	known, ok := lastSeen(r)
	for first := true; ; first = false {
		seq := p.Seq
		if !first {
			if err := c.follow(r.Context(), p); err != nil {
				return s.fail(err)
			}
		}
		// A page that was made from the same events knows all but the time.
		id := strconv.FormatInt(p.Seq, 10)
		news := p.Seq != seq || first && (!ok || known != p.Seq) || !going(p.Run)
		if news || s.idle() {
			if s.send(id, "state", runState(v, p)) != nil {
				return nil
			}
		}
		if news && (s.send(id, "steps", runSteps(p)) != nil || s.send(id, "log", runLog(p)) != nil) {
			return nil
		}
		if !going(p.Run) {
			return s.over()
		}
		if !s.wait(v) {
			return nil
		}
	}
}

// lastSeen is the newest event that the browser has shown: after a lost connection
// it says so itself, before that the page's address for news does.
func lastSeen(r *http.Request) (int64, bool) {
	word := r.Header.Get("Last-Event-ID")
	if word == "" {
		word = r.URL.Query().Get("after")
	}
	n, err := strconv.ParseInt(word, 10, 64)
	return n, err == nil
}

// times says when a run began and how long it took or takes.
func (v *visit) times(p *runPageView) string {
	words := "began " + when(p.Started)
	switch {
	case going(p.Run):
		return words + ", running for " + took(v.At.Sub(p.Started)) + ", last heard of " + v.ago(p.Updated)
	case p.Report.ID != "":
		return words + ", took " + took(p.Report.Ended.Sub(p.Report.Started))
	}
	return words + ", took " + took(p.Updated.Sub(p.Started))
}

// now names the steps that go on; some do at a time.
func (p *runPageView) now() string {
	var names []string
	for _, stage := range p.Stages {
		for _, s := range stage.Steps {
			if going(p.Run) && s.State == string(runbook.StepStateRunning) && len(names) < 4 {
				names = append(names, shown(s.Title))
			}
		}
	}
	return strings.Join(names, ", ")
}

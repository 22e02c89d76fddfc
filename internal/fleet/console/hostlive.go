package console

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"

	"lifeboat/internal/fleet/record"
)

// mostFollowed is how many runs of one host are shown step by step at a time.
const mostFollowed = 4

// followAll follows the runs of a host that go on.
func (c *Console) followAll(ctx context.Context, h *hostView) error {
	known := h.Running
	h.Running = nil
	for _, run := range h.Runs {
		if !going(run) || len(h.Running) == mostFollowed {
			continue
		}
		i := slices.IndexFunc(known, func(p *runPageView) bool { return p.ID == run.ID })
		p := &runPageView{runView: newRunView(run), HostName: h.Name}
		if i >= 0 {
			p = known[i]
		}
		if err := c.follow(ctx, p); err != nil {
			return err
		}
		h.Running = append(h.Running, p)
	}
	return nil
}

// hostPiece is a part of a host's page that changes while somebody looks at it.
type hostPiece struct {
	event string
	state string // what it shows, but for how long ago that was
	page  func(*visit, hostView) templ.Component
}

// pieces are the parts of the page that live.
func (h *hostView) pieces() []hostPiece {
	var runs, steps strings.Builder
	for _, r := range h.Runs {
		fmt.Fprintln(&runs, r.ID, r.State, r.Started, h.Reports[r.ID].Ended)
	}
	for _, p := range h.Running {
		fmt.Fprintln(&steps, p.ID, p.Run.State, p.Seq)
	}
	return []hostPiece{
		{"standing", fmt.Sprint(h.Host.Host.Name, h.Group, h.Identity, h.Key, h.Revoked, h.Seen.Truncate(time.Minute), h.State, h.NeverDrilled, h.Reasons), hostStanding},
		{"going", steps.String(), hostGoing},
		{"systems", fmt.Sprint(h.protections()), hostSystems},
		{"runs", runs.String(), hostRuns},
	}
}

// digest tells whether two pages show the same.
func digest(pieces []hostPiece) string {
	sum := sha256.New()
	for _, p := range pieces {
		fmt.Fprintf(sum, "%q", p.state)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// liveURL is where the news of a host come from, and what the page shows already.
func (h hostView) liveURL() string {
	return hostURL(h.ID) + "/live?" + url.Values{"as": {digest(h.pieces())}}.Encode()
}

// hostLive sends a page what has changed of a host: runs that begin, their steps, and how
// it stands when they have ended. Each piece is whole.
func (c *Console) hostLive(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := record.HostID(r.PathValue("host"))
	h := hostView{Reports: map[string]record.Report{}}
	if err := c.lookAgain(r.Context(), &h, id, v.At); err != nil {
		return err
	}
	s, err := c.stream(w, r, v)
	if err != nil {
		return err
	}
	defer s.end()
	sent := map[string]string{}
	as := r.Header.Get("Last-Event-ID")
	if as == "" {
		as = r.URL.Query().Get("as")
	}
	if now := h.pieces(); as == digest(now) {
		for _, p := range now {
			sent[p.event] = p.state
		}
	}
	for {
		now := h.pieces()
		idle := s.idle()
		for _, p := range now {
			if before, ok := sent[p.event]; ok && before == p.state && (!idle || p.event != "going") {
				continue
			}
			sent[p.event] = p.state
			if s.send(digest(now), p.event, p.page(v, h)) != nil {
				return nil
			}
		}
		if !s.wait(v) {
			return nil
		}
		if err := c.lookAgain(r.Context(), &h, id, v.At); err != nil {
			return s.fail(err)
		}
	}
}

// lookAgain reads what the living parts of a host's page show.
func (c *Console) lookAgain(ctx context.Context, h *hostView, id record.HostID, now time.Time) error {
	before := h.Runs
	err := c.Store.Read(ctx, func(rd record.Reader) error {
		if err := h.look(rd, id, "", now); err != nil {
			return err
		}
		for _, run := range h.Runs {
			if _, ok := h.Reports[run.ID]; ok || slices.Contains(before, run) {
				continue
			}
			report, err := rd.Report(id, run.ID)
			if errors.Is(err, record.ErrNotFound) {
				continue
			}
			if err != nil {
				return fmt.Errorf("read the report of run %s: %w", run.ID, err)
			}
			h.Reports[run.ID] = report
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.followAll(ctx, h)
}

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"lifeboat/internal/fleet/client"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/runbook"
)

const (
	// liveEvery is how often events are sent together.
	liveEvery = 500 * time.Millisecond
	// livePause follows a server that did not answer.
	livePause = 15 * time.Second
	// liveTime bounds sending them, and lastTime the last ones at the end of a run.
	liveTime = 10 * time.Second
	lastTime = 3 * time.Second
	mostLive = 2000 // events that wait; what comes beyond is not told
	// progressEvery is how often the progress of one step is told.
	progressEvery = time.Second
)

// Live tells the server of a run while it goes on. It never waits: what the server
// does not take in time is not told, and nothing depends on it.
type Live struct {
	agent *Agent

	mu       sync.Mutex
	waiting  []runbook.Event
	progress map[string]time.Time
	last     int64

	wake chan struct{}
	end  chan struct{}
	done chan struct{}
}

// Live begins to tell. Close must follow.
func (a *Agent) Live(ctx context.Context) *Live {
	l := &Live{agent: a, progress: map[string]time.Time{}, wake: make(chan struct{}, 1), end: make(chan struct{}), done: make(chan struct{})}
	go l.run(context.WithoutCancel(ctx))
	return l
}

// Observe takes an event; values that a run keeps for itself are left out.
func (l *Live) Observe(e runbook.Event) {
	if e.Type == runbook.ValueKept || e.Run == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Type == runbook.StepProgress {
		if e.Time.Sub(l.progress[e.Step]) < progressEvery {
			return
		}
		l.progress[e.Step] = e.Time
	}
	if len(l.waiting) >= mostLive {
		return
	}
	// Numbers grow within a run and its resumes, which other processes tell of.
	l.last = max(l.last+1, e.Time.UnixMicro())
	e.Seq = l.last
	l.waiting = append(l.waiting, e)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Close sends what is left, if the server answers soon.
func (l *Live) Close() {
	close(l.end)
	<-l.done
}

func (l *Live) run(ctx context.Context) {
	defer close(l.done)
	var silent time.Time // until when the server is left alone
	for {
		select {
		case <-l.end:
			if time.Now().After(silent) {
				ctx, cancel := context.WithTimeout(ctx, lastTime)
				defer cancel()
				l.flush(ctx)
			}
			return
		case <-l.wake:
		}
		select { // others come along
		case <-l.end:
			continue
		case <-time.After(max(liveEvery, time.Until(silent))):
		}
		sending, cancel := context.WithTimeout(ctx, liveTime)
		stop := make(chan struct{})
		go func() { // at the end of a run nobody waits for long
			select {
			case <-l.end:
				select {
				case <-time.After(lastTime):
					cancel()
				case <-stop:
				}
			case <-stop:
			}
		}()
		if !l.flush(sending) {
			silent = time.Now().Add(livePause)
			select {
			case l.wake <- struct{}{}: // it is tried again, whether more comes or not
			default:
			}
		}
		close(stop)
		cancel()
	}
}

// flush sends what waits, in calls of bounded size.
func (l *Live) flush(ctx context.Context) bool {
	for {
		l.mu.Lock()
		events, rest := part(l.waiting)
		l.waiting = rest
		l.mu.Unlock()
		if len(events) == 0 {
			return true
		}
		err := l.send(ctx, events)
		var refused *client.Problem
		if errors.As(err, &refused) && refused.Permanent() {
			continue // the same would be refused again
		}
		if err != nil {
			l.mu.Lock() // they are tried again; what has come twice counts once
			l.waiting = append(events, l.waiting...)
			l.waiting = l.waiting[:min(len(l.waiting), mostLive)]
			l.mu.Unlock()
			return false
		}
	}
}

// part takes events of one run that fit into one call.
func part(all []runbook.Event) (first, rest []runbook.Event) {
	size, n := 0, 0
	for n < len(all) && n < wire.MaxEventCount && all[n].Run == all[0].Run {
		size += 1024 + 2*(len(all[n].Text)+len(all[n].Error)) // about what it has in JSON
		if size > wire.MaxEvents/2 && n > 0 {
			break
		}
		n++
	}
	return all[:n:n], all[n:]
}

// send tells of some events; what is too large for the server is left out.
func (l *Live) send(ctx context.Context, events []runbook.Event) error {
	call := wire.RunEvents{System: events[0].System, Kind: events[0].Kind, Started: events[0].Time, Events: []wire.RunEvent{}}
	for _, e := range events {
		if e.Kind != "" {
			call.Kind = e.Kind
		}
		text, err := json.Marshal(e)
		if err != nil || len(text) > 100<<10 {
			continue
		}
		call.Events = append(call.Events, wire.RunEvent{Seq: e.Seq, Time: e.Time, Data: text})
	}
	if call.Kind == "" {
		call.Kind = "run"
	}
	return l.agent.client.Do(ctx, http.MethodPost, "/agent"+client.Path("runs", events[0].Run, "events"), call, nil)
}

package action

import (
	"context"
	"encoding/json"
	"errors"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/wire"
	"lifeboat/internal/rescue/configuration"
	"lifeboat/internal/runbook"
)

// maxEvent bounds one event, in bytes of JSON.
const maxEvent = 128 << 10

// AddEvents takes lines of a run that is under way. Some may come twice, and some
// never: they show what happens and nothing depends on them.
func (d *Desk) AddEvents(ctx context.Context, h record.Host, id string, e wire.RunEvents) error {
	if !runID.MatchString(id) || !word32.MatchString(e.Kind) || !configuration.Name(e.System) {
		return invalid("run, kind or system are malformed")
	}
	if len(e.Events) > wire.MaxEventCount {
		return invalid("at most %d events at once", wire.MaxEventCount)
	}
	now := d.now()
	events := make([]record.Event, 0, len(e.Events))
	state := ""
	for _, one := range e.Events {
		if len(one.Data) == 0 || len(one.Data) > maxEvent || one.Seq < 1 {
			return invalid("an event is empty or too large, or has no number")
		}
		var told runbook.Event
		if err := json.Unmarshal(one.Data, &told); err != nil {
			return invalid("an event is none of a run")
		}
		switch told.Type {
		case runbook.RunStarted, runbook.RunResumed, runbook.RunRollback:
			state = string(runbook.StateRunning)
		case runbook.RunFinished:
			state = string(told.State)
		}
		if one.Time.After(now) {
			one.Time = now
		}
		events = append(events, record.Event{Run: id, Host: h.ID, Seq: one.Seq, Time: one.Time.UTC(), Data: scrubbed(one.Data)})
	}
	if err := checkText("the state", state, 64); err != nil {
		return err
	}
	return d.Store.Change(ctx, func(tx record.Tx) ([]record.Entry, error) {
		if _, err := own(tx, h); err != nil {
			return nil, err
		}
		run, err := tx.Run(h.ID, id)
		switch {
		case errors.Is(err, record.ErrNotFound):
			run = record.Run{ID: id, Host: h.ID, System: e.System, Kind: e.Kind, State: string(runbook.StateRunning), Started: e.Started.UTC()}
			if run.Started.IsZero() || run.Started.After(now) {
				run.Started = now
			}
		case err != nil:
			return nil, err
		}
		if state != "" {
			run.State = state
		}
		run.Updated = now
		if err := tx.PutRun(run); err != nil {
			return nil, err
		}
		if err := tx.SawHost(h.ID, now); err != nil {
			return nil, err
		}
		return nil, tx.AddEvents(events)
	})
}

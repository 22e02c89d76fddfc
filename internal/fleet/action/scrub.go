package action

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/runbook"
	"lifeboat/internal/storage/redact"
)

const (
	// runs begins the line that tells of a hook, and of what stops a system.
	runs = "run "
	// stops is the step whose commands a profile names: those may be seen with all that
	// they are given.
	stops = "quiesce/stop"
)

// bare is a command as hosts tell of it since they keep hooks' arguments for themselves.
var bare = regexp.MustCompile(`^\S+( \((arguments: [0-9]+|its arguments are left out)\))?$`)

// scrubbed is an event without who signs in to repositories, and without the arguments
// of a hook, which hosts with an older lifeboat tell: somebody may have put a password
// among them.
func scrubbed(data []byte) []byte {
	data = redact.Text(data)
	var told runbook.Event
	if !bytes.Contains(data, []byte(runs)) || json.Unmarshal(data, &told) != nil || told.Type != runbook.StepLog || told.Step == stops {
		return data
	}
	command, found := strings.CutPrefix(told.Text, runs)
	if !found || bare.MatchString(command) {
		return data
	}
	program, _, _ := strings.Cut(command, " ")
	fields := map[string]json.RawMessage{}
	if json.Unmarshal(data, &fields) != nil {
		return data
	}
	text, err := json.Marshal(runs + program + " (its arguments are left out)")
	if err != nil {
		return data
	}
	for key := range fields { // encoding/json reads it in any case of its letters
		if strings.EqualFold(key, "text") {
			fields[key] = text
		}
	}
	out, err := json.Marshal(fields)
	if err != nil {
		return data
	}
	return out
}

// scrub takes out of all events what they should not tell.
func (d *Desk) scrub(ctx context.Context) error {
	const limit = 1000
	for after := (record.Event{}); ; {
		var events []record.Event
		if err := d.Store.Read(ctx, func(r record.Reader) (err error) { events, err = r.AllEvents(after, limit); return err }); err != nil {
			return err
		}
		last := len(events) < limit
		if !last {
			after = events[limit-1]
		}
		var telling []record.Event
		for _, e := range events {
			if text := scrubbed(e.Data); !bytes.Equal(text, e.Data) {
				e.Data = text
				telling = append(telling, e)
			}
		}
		if len(telling) > 0 {
			err := d.rewrite(ctx, func(tx record.Tx) error {
				for _, e := range telling {
					if err := tx.PutEvent(e); err != nil && !errors.Is(err, record.ErrNotFound) {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		if last {
			return nil
		}
	}
}

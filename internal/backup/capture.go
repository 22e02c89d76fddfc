package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync/atomic"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/profile"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// captures makes a step for every chosen component of one capture state.
func (b *Backup) captures(state profile.Capture) []runbook.Step {
	var steps []runbook.Step
	for _, p := range b.parts {
		if p.spec.Capture != state && !(p.spec.Capture == "" && state == profile.Quiesced) {
			continue
		}
		title := p.spec.Title
		if title == "" {
			title = p.spec.Name
		}
		if left, status := p.leftOut(); left && (b.Still || b.Narrow) {
			b.note(p, status, p.reason)
			continue // what was saved, or is asked for, is told; not all that there could be
		}
		steps = append(steps, runbook.Step{
			ID:       string(state) + "/" + p.spec.Name,
			Title:    title,
			EachTime: true,
			Warn:     p.spec.Importance != profile.Critical,
			When: func(context.Context) (bool, string, error) {
				left, status := p.leftOut()
				switch {
				case left:
					b.note(p, status, p.reason)
					return false, p.reason, nil
				case !p.inspection.Present:
					b.note(p, component.StatusAbsent, "not on this machine")
					return false, "not on this machine", nil
				}
				return true, "", nil
			},
			Run: func(ctx context.Context, task runbook.Task) error {
				return b.capture(ctx, task, p)
			},
		})
	}
	return steps
}

// leftOut tells whether a component is not captured whatever is there, and as what
// it is noted.
func (p *part) leftOut() (bool, component.Status) {
	if p.needless {
		return true, component.StatusInapplicable
	}
	return !p.chosen, component.StatusSkipped
}

func (b *Backup) note(p *part, status component.Status, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p.record = component.Record{
		Name: p.spec.Name, Kind: p.spec.Kind, Title: p.spec.Title, Importance: p.spec.Importance,
		Capture: p.spec.Capture, Loss: p.spec.Loss, Secret: p.spec.Secret, Status: status, Reason: reason,
	}
}

// capture captures a component, with the site's hooks around it.
func (b *Backup) capture(ctx context.Context, task runbook.Task, p *part) error {
	b.note(p, component.StatusFailed, "interrupted")
	err := b.around(ctx, task, p.spec.Name, func() error { return b.captureNow(ctx, task, p) })
	if err != nil {
		b.note(p, component.StatusFailed, err.Error())
	}
	return err
}

func (b *Backup) captureNow(ctx context.Context, task runbook.Task, p *part) error {
	started := time.Now()
	var done atomic.Int64
	task.Progress(0, p.inspection.Bytes)
	sink := b.draft.Sink(p.spec.Name, func(n int64) {
		task.Progress(done.Add(n), max(p.inspection.Bytes, done.Load()))
	})
	captured, err := p.component.Capture(ctx, sink)
	if err != nil {
		return err
	}
	for _, w := range captured.Warnings {
		task.Warnf("%s", w)
	}
	var detail json.RawMessage
	if captured.Detail != nil {
		if detail, err = json.Marshal(captured.Detail); err != nil {
			return fmt.Errorf("record %s: %w", p.spec.Name, err)
		}
	}
	if len(captured.Paths)+len(captured.Streams) == 0 && p.spec.Importance != profile.Critical {
		// A link, say, that the system makes when it starts.
		task.Logf("nothing of it is there while the system is stopped")
		b.note(p, component.StatusAbsent, "not there while the system is stopped")
		return nil
	}
	b.note(p, component.StatusCaptured, "")
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &p.record
	r.Bytes, r.Items, r.Paths, r.Streams = captured.Bytes, captured.Items, captured.Paths, captured.Streams
	r.UIDs, r.GIDs = sink.IDs()
	r.Warnings, r.Detail, r.Started, r.Finished = captured.Warnings, detail, started, time.Now()
	r.Astray, r.Elsewhere = p.astray, p.elsewhere
	for tool, version := range captured.Tools {
		if b.tools == nil {
			b.tools = map[string]string{}
		}
		b.tools[tool] = version
	}
	for _, text := range b.correct(ctx, *r) {
		task.Warnf("%s", text)
	}
	return nil
}

func (b *Backup) seal() []runbook.Step {
	return []runbook.Step{{
		ID: sealStep, Title: "Seal the recovery point", EachTime: true,
		Run: func(ctx context.Context, task runbook.Task) error {
			m := b.manifest(task.RunID())
			book, err := recovery.New(recovery.Options{
				System: b.System, Profile: b.Profile, Catalog: b.Catalog, Host: b.Host, Manifest: b.draft.Owned(m),
			})
			if err != nil {
				return err
			}
			text, err := book.Handbook(ctx)
			if err != nil {
				return fmt.Errorf("write the runbook out: %w", err)
			}
			point, err := b.draft.Seal(ctx, m, text, b.Profile.Text)
			if err != nil {
				return err
			}
			b.mu.Lock()
			b.point = point
			b.mu.Unlock()
			task.Logf("recovery point %s", point.Short())
			if point.Unnoted != nil {
				task.Warnf("the recovery point is sealed, but this machine cannot remember it: %v", point.Unnoted)
			}
			if m.Incomplete {
				task.Warnf("the recovery point is incomplete")
			}
			return nil
		},
	}}
}

func (b *Backup) manifest(run string) *vault.Manifest {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := &vault.Manifest{
		Version: b.Version, System: b.System, Profile: b.Profile.Name, ProfileDigest: b.Profile.Digest(),
		Trigger: b.Trigger, Run: run, Started: b.started, Moment: b.moment, Finished: time.Now(),
		Identity: b.identity, Host: b.facts, Settings: b.Profile.Public(b.scope.Settings), Records: b.records,
		Tools: maps.Clone(b.tools), Warnings: b.warnings, Unusable: b.unusable,
	}
	if m.Moment.IsZero() {
		m.Moment = b.started
	}
	for _, p := range b.parts {
		m.Components = append(m.Components, p.record)
		if p.record.Status == component.StatusFailed && p.record.Importance == profile.Recommended {
			m.Incomplete = true
		}
	}
	m.Incomplete = m.Incomplete || b.partial || len(m.Lacks()) > 0
	return m
}

// Close gives up what the run has left open: an unsealed draft, a system still
// stopped. It may be called in any case.
func (b *Backup) Close(ctx context.Context) error {
	b.mu.Lock()
	draft, g, open := b.draft, b.guard, b.point == nil && !b.closed
	b.guard, b.closed = nil, true
	b.mu.Unlock()
	var errs []error
	if g != nil {
		errs = append(errs, g.Release(ctx))
	}
	if draft != nil && open {
		errs = append(errs, draft.Abort(ctx))
	}
	errs = append(errs, os.RemoveAll(b.state()))
	return errors.Join(errs...)
}

const sealStep = "seal/point"

// Sealed tells whether the run of a backup has made its recovery point, whatever
// became of the run then.
func Sealed(run *runbook.Run) bool {
	step := run.Step(sealStep)
	return step != nil && step.State == runbook.StepStateFinished
}

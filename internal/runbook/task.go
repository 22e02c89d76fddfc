package runbook

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
)

// progressEvery is the shortest time between two progress events of a step.
const progressEvery = 200 * time.Millisecond

// task is the Task of one step.
type task struct {
	pass               *pass
	stage, step, title string
	began              time.Time

	mu       sync.Mutex
	progress time.Time
	bad      []Check
	skipped  []Check
	checks   int
}

func (t *task) about(e Event) Event {
	e.Stage, e.Step, e.Title = t.stage, t.step, t.title
	return e
}

func (t *task) Logf(format string, args ...any) {
	t.pass.tell(t.about(Event{Type: StepLog, Text: fmt.Sprintf(format, args...)}))
}

func (t *task) Warnf(format string, args ...any) {
	t.pass.tell(t.about(Event{Type: StepWarning, Text: fmt.Sprintf(format, args...)}))
}

func (t *task) Progress(done, total int64) {
	now := t.pass.engine.o.Clock()
	t.mu.Lock()
	if done != total && now.Sub(t.progress) < progressEvery {
		t.mu.Unlock()
		return
	}
	t.progress = now
	t.mu.Unlock()
	t.pass.tell(t.about(Event{Type: StepProgress, Bytes: done, Total: total}))
}

func (t *task) Check(check Check) {
	t.mu.Lock()
	t.checks++
	switch {
	case check.Skipped:
		t.skipped = append(t.skipped, check)
	case !check.OK && !check.Warning:
		t.bad = append(t.bad, check)
	}
	t.mu.Unlock()
	t.pass.tell(t.about(Event{Type: StepCheck, Check: &check}))
}

// untried tells why nothing that the step was to check could be tried; "" if anything was.
func (t *task) untried() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.skipped) == 0 || len(t.skipped) < t.checks {
		return ""
	}
	return t.skipped[0].Found
}

// failedChecks returns an error that lists the checks that failed, or nil.
func (t *task) failedChecks() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.bad) == 0 {
		return nil
	}
	var b strings.Builder
	for i, c := range t.bad {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(c.Text())
	}
	return fmt.Errorf("%d checks failed: %s", len(t.bad), b.String())
}

func (t *task) Keep(key string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("keep %s: %w", key, err)
	}
	if len(data) > maxKept {
		return fmt.Errorf("keep %s: %d bytes are too many", key, len(data))
	}
	if err := t.pass.emit(t.about(Event{Type: ValueKept, Key: key, Value: data})); err != nil {
		return fmt.Errorf("keep %s: %w", key, err)
	}
	return nil
}

func (t *task) Kept(key string, into any) (bool, error) {
	t.pass.mu.Lock()
	defer t.pass.mu.Unlock()
	found, err := t.pass.run.Value(key, into)
	if err != nil {
		err = fmt.Errorf("kept value %s: %w", key, err)
	}
	return found, err
}

func (t *task) Dir() string   { return t.pass.run.Dir }
func (t *task) RunID() string { return t.pass.run.ID }

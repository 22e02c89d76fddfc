package upgrade

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/wayback"
)

// Reached is what a host is after its upgrade was taken back, by looking.
type Reached struct {
	// Compared is how many entries the root was compared with; 0 when the upgrade had
	// not come to a way back, so that there was nothing to compare it with.
	Compared int64 `json:"compared"`
	Differ   int64 `json:"differ,omitempty"`
	// First are some of those that differ.
	First []string `json:"first,omitempty"`
}

// String says it in words, as the end of a sentence.
func (r Reached) String() string {
	switch {
	case r.Compared == 0:
		return "no package was changed; there was no record yet to compare the host with"
	case r.Differ == 0:
		return fmt.Sprintf("the host is what it was before: %d entries compared equal", r.Compared)
	}
	text := fmt.Sprintf("of %d entries of the host %d are not what they were before:\n  %s", r.Compared, r.Differ, strings.Join(r.First, "\n  "))
	if more := r.Differ - int64(len(r.First)); more > 0 {
		text += fmt.Sprintf("\n  and %d more", more)
	}
	return text
}

// Back is what a run that was taken back has reached; the zero value before.
func Back(run *runbook.Run) Reached {
	var r Reached
	if _, err := run.Value(keptReached, &r); err != nil {
		return Reached{}
	}
	return r
}

// mostNamed bounds the entries that are named.
const mostNamed = 10

// look sees what the host is now that all was taken back, and goes back itself where
// hooks or others have written to a root that nothing works in. What runs writes by
// itself, and to have it go back would take its work away: there it is only told. So are
// changes by the hooks that follow going back.
func (u *Upgrade) look(ctx context.Context, task runbook.Task, m wayback.Means, b wayback.Baseline) error {
	var seen Reached
	if found, err := task.Kept(keptReached, &seen); err != nil || found {
		return err
	}
	var went bool
	if _, err := task.Kept(keptWent, &went); err != nil {
		return err
	}
	seen.Compared = b.Entries
	quiet := u.Root != "/" && len(u.Setup.Servers) == 0
	if went && !quiet { // going back has proved it, and what runs goes on since
		return task.Keep(keptReached, seen)
	}
	err := m.Look(ctx, task, b)
	var unequal *wayback.UnequalError
	switch {
	case err == nil:
		return task.Keep(keptReached, seen)
	case !errors.As(err, &unequal):
		return fmt.Errorf("see whether the host is what it was: %w", err)
	case quiet && !went:
		task.Logf("it goes back, for it is not what it was: %v", unequal)
		if err := m.Back(ctx, task, b); err != nil {
			return err
		}
		return task.Keep(keptReached, seen)
	}
	seen.Differ = unequal.Count
	for _, d := range unequal.First[:min(len(unequal.First), mostNamed)] {
		seen.First = append(seen.First, d.String())
	}
	task.Warnf("%v", seen)
	return task.Keep(keptReached, seen)
}

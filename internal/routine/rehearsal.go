package routine

import (
	"cmp"
	"slices"
	"time"

	"lifeboat/internal/drill"
)

// Drill is what the drills of a system have shown.
type Drill struct {
	Passed time.Time   `json:"passed,omitzero"` // the newest that passed, with warnings or without
	Depth  drill.Depth `json:"depth,omitempty"` // of that one
	State  drill.State `json:"state,omitempty"`
	// RTO is what the newest full drill has measured, else the newest that passed.
	RTO time.Duration `json:"rto_ns,omitempty"`
	RPO time.Duration `json:"rpo_ns,omitempty"` // when the newest that passed began
	// Failed is the newest that failed, unless one that rehearsed as much or more
	// has passed since; Finding is the first that it found.
	Failed  time.Time `json:"failed,omitzero"`
	Finding string    `json:"finding,omitempty"`
	// Invalid is a drill that proved nothing, and that none came after.
	Invalid time.Time `json:"invalid,omitzero"`
	// Unknown says that a repository could not be looked at, so that this is what is
	// remembered of it.
	Unknown bool `json:"unknown,omitempty"`
	// Scheduled says that the system's schedule has a drill.
	Scheduled bool `json:"scheduled,omitempty"`
}

// reach orders depths by how much of a recovery they rehearse.
var reach = map[drill.Depth]int{drill.Quick: 1, drill.Subset: 2, drill.Full: 3}

// Settled tells whether reports that are older than these would change nothing.
func Settled(reports []*drill.Kept) bool {
	return slices.ContainsFunc(reports, func(k *drill.Kept) bool { return passed(k) && k.Depth == drill.Full && k.RTO > 0 })
}

func passed(k *drill.Kept) bool { return k.State == drill.Passed || k.State == drill.Warnings }

// Rehearsed sums up the reports of a system's drills.
func Rehearsed(reports []*drill.Kept) Drill {
	reports = slices.Clone(reports)
	slices.SortStableFunc(reports, func(a, b *drill.Kept) int { return b.Started.Compare(a.Started) })
	var d Drill
	var full time.Duration
	most := 0 // that has passed since
	for i, k := range reports {
		switch {
		case k.State == drill.Invalid && i == 0:
			d.Invalid = k.Started
		case passed(k):
			most = max(most, reach[k.Depth])
			if d.Passed.IsZero() {
				d.Passed, d.Depth, d.State, d.RTO, d.RPO = k.Started, k.Depth, k.State, k.RTO, k.RPO
			}
			if k.Depth == drill.Full && full == 0 {
				full = k.RTO
			}
		case k.State == drill.Failed && reach[k.Depth] > most && d.Failed.IsZero():
			d.Failed = k.Started
			if len(k.Findings) > 0 {
				d.Finding = k.Findings[0]
			}
		}
	}
	d.RTO = cmp.Or(full, d.RTO)
	return d
}

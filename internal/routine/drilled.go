package routine

import (
	"errors"
	"path/filepath"
	"slices"
	"time"

	"lifeboat/internal/drill"
)

// maxDrilled bounds how many drills are remembered for each repository.
const maxDrilled = 12

// drilled is what is remembered of a drill: as much as Rehearsed asks for.
type drilled struct {
	Started time.Time     `json:"started"`
	State   drill.State   `json:"state"`
	Depth   drill.Depth   `json:"depth"`
	RTO     time.Duration `json:"rto_ns,omitempty"`
	RPO     time.Duration `json:"rpo_ns,omitempty"`
	Finding string        `json:"finding,omitempty"`
}

func drilledPath(system, repository string) string {
	return filepath.Join("drills", plain(system), plain(repository)+".json")
}

// Drills reads the drills of a system that a repository was known to keep reports of,
// each with what Rehearsed asks for alone.
func (b Book) Drills(system, repository string) ([]*drill.Kept, error) {
	var list []drilled
	err := b.read(drilledPath(system, repository), &list)
	var reports []*drill.Kept
	for _, d := range list {
		r := &drill.Report{System: system, Started: d.Started, State: d.State, Depth: d.Depth, RTO: d.RTO, RPO: d.RPO}
		if d.Finding != "" {
			r.Findings = []string{d.Finding}
		}
		reports = append(reports, &drill.Kept{Report: r})
	}
	return reports, err
}

// SetDrills remembers them, for the day on which nobody can look. What is known already
// is not written again.
func (b Book) SetDrills(system, repository string, reports []*drill.Kept) error {
	var list, old []drilled
	for _, k := range reports {
		d := drilled{Started: k.Started.UTC(), State: k.State, Depth: k.Depth, RTO: k.RTO, RPO: k.RPO}
		if len(k.Findings) > 0 {
			d.Finding = short(k.Findings[0])
		}
		list = append(list, d)
	}
	slices.SortStableFunc(list, func(a, b drilled) int { return b.Started.Compare(a.Started) })
	list = list[:min(len(list), maxDrilled)]
	if err := b.read(drilledPath(system, repository), &old); err == nil && slices.Equal(old, list) {
		return nil
	}
	return b.write(drilledPath(system, repository), list)
}

// AddDrill remembers one more. What cannot be read is written anew.
func (b Book) AddDrill(system, repository string, r *drill.Report) error {
	known, err := b.Drills(system, repository)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	if err != nil {
		known = nil
	}
	return b.SetDrills(system, repository, append(known, &drill.Kept{Report: r}))
}

// DrillsOf are the drills that a repository of a system has shown, which are
// remembered; where it could not be looked at, or shows less than it keeps, those that
// are remembered count as well.
func (b Book) DrillsOf(system, repository string, shown []*drill.Kept, whole bool) ([]*drill.Kept, error) {
	if whole {
		return shown, b.SetDrills(system, repository, shown)
	}
	known, err := b.Drills(system, repository)
	return append(slices.Clone(shown), known...), err
}

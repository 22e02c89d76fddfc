package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/repository"
)

// Missing lists the points of from, oldest first, that to lacks and that rules
// would let stay there: what a second repository has forgotten is not brought back
// again and again. Rules without any want everything. Damaged points are not wanted.
func Missing(from, to []*Point, rules config.Retention, now time.Time) []*Point {
	there := byTree(to)
	var wanted []*Point
	for _, p := range from {
		if there[p.Tree()] == nil && p.Damage == nil {
			wanted = append(wanted, p)
		}
	}
	if rules.IsZero() || len(wanted) == 0 {
		return wanted
	}
	all := append(append([]*Point{}, to...), wanted...)
	verdicts, err := Retain(all, rules, now)
	if err != nil {
		return wanted
	}
	var missing []*Point
	for _, v := range verdicts[len(to):] {
		if v.Keep {
			missing = append(missing, v.Point)
		}
	}
	return missing
}

func byTree(points []*Point) map[repository.ID]*Point {
	m := make(map[repository.ID]*Point, len(points))
	for _, p := range points {
		if old := m[p.Tree()]; old == nil || old.Pin == nil {
			m[p.Tree()] = p
		}
	}
	return m
}

// State is how a repository stands towards the first one of a system.
type State struct {
	Points int    // that can be used
	Newest *Point // of those; nil without one
	Lacks  int    // points of the first one, see Missing
}

// StateOf compares what a repository has of a system with what the first one has.
func StateOf(points, first []*Point, rules config.Retention, now time.Time) State {
	s := State{Lacks: len(Missing(first, points, rules, now))}
	for _, p := range points {
		if p.Damage != nil {
			continue
		}
		s.Points++
		if s.Newest == nil || p.Time().After(s.Newest.Time()) {
			s.Newest = p
		}
	}
	return s
}

// Copy copies points of this vault into another one, oldest first, and the pins of
// all points that are in both. What is there already is left out, what is damaged is
// left out and named in the report, and a copy that was broken off goes on where it
// was. The report is valid with an error too.
func (v *Vault) Copy(ctx context.Context, to *Vault, points []*Point, progress func(repository.CopyProgress)) (repository.CopyReport, error) {
	report, err := v.repo.Copy(ctx, to.repo, snapshots(points), repository.CopyOptions{Progress: progress})
	var made []repository.ID
	for _, s := range report.Snapshots {
		made = append(made, s.Copy)
	}
	if err := errors.Join(err, to.Copied(context.WithoutCancel(ctx), made...)); err != nil {
		return report, err
	}
	return report, v.carryPins(ctx, to)
}

// Uncopied is a point that could not be copied, and why.
type Uncopied struct {
	*Point
	Err error
}

// UncopiedOf are the points that a report names as damaged, in the report's order.
func UncopiedOf(report repository.CopyReport, points []*Point) []Uncopied {
	var list []Uncopied
	for _, d := range report.Damaged {
		for _, p := range points {
			if p.Snapshot.ID == d.ID {
				list = append(list, Uncopied{p, d.Err})
				break
			}
		}
	}
	return list
}

// Warning tells a person what is damaged and what can be done. The option is what
// names the repository to a verb, empty for the first one.
func (u Uncopied) Warning(option string) error {
	why := u.Err.Error()
	var hint *repository.HintError
	if errors.As(u.Err, &hint) {
		why = strings.TrimSuffix(why, "; "+hint.Hint) // which says less than this
	}
	return fmt.Errorf("point %s is damaged and is not copied: %s; lifeboat verify%s tells what of it is lost and what may heal it, lifeboat forget%s --point %s gives it up",
		u.Short(), why, option, option, u.Short())
}

// PlanCopy tells what Copy would store.
func (v *Vault) PlanCopy(ctx context.Context, to *Vault, points []*Point) (repository.CopyReport, error) {
	return v.repo.PlanCopy(ctx, to.repo, snapshots(points))
}

func snapshots(points []*Point) []*repository.Snapshot {
	list := make([]*repository.Snapshot, len(points))
	for i, p := range points {
		list[i] = p.Snapshot
	}
	return list
}

// carryPins pins in another vault what is pinned in this one.
func (v *Vault) carryPins(ctx context.Context, to *Vault) error {
	// What cannot be read, here or there, is the affair of verify.
	here, err := v.Pins(ctx)
	if err != nil && Unread(err) == nil {
		return err
	}
	if len(here) == 0 {
		return nil
	}
	points, err := to.Points(ctx, Filter{})
	if err != nil && Unread(err) == nil {
		return fmt.Errorf("carry pins over: %w", err)
	}
	there := byTree(points)
	for _, pin := range here {
		p := there[pin.Tree]
		if p == nil || p.Pin != nil {
			continue
		}
		if p.Pin, err = to.Pin(ctx, p, pin.Note); err != nil {
			return fmt.Errorf("carry pins over: %w", err)
		}
		if p.Pin.Unnoted != nil {
			return fmt.Errorf("the point is pinned there, but this machine cannot remember it: %w", p.Pin.Unnoted)
		}
	}
	return nil
}

package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeboat/internal/host"
)

// Latest is what "the newest point" comes to, with what a person should know of it.
type Latest struct {
	Point *Point
	// Damaged points are newer than Point: it is the newest one no more.
	Damaged []*Point
	// Unread says which snapshots cannot be read, so that nobody can tell whether
	// one of them was a newer point; nil when there are none.
	Unread error
	// Others are newer points of other machines under the same name of a system.
	Others []*Point
}

// Doubt says why Point may not be what was meant by the newest; nil when it is.
func (l *Latest) Doubt() error {
	var all []error
	for _, p := range l.Damaged {
		all = append(all, fmt.Errorf("the newest recovery point of %s, %s of %s, is damaged: %w", p.System(), p.Short(), p.Time().UTC().Format("2006-01-02 15:04 UTC"), p.Damage))
	}
	if l.Unread != nil {
		all = append(all, fmt.Errorf("what cannot be read may be a newer recovery point: %w", l.Unread))
	}
	return errors.Join(all...)
}

// MachinesError says that a repository has points of several machines, and that
// none of them is this one: which is meant must be said.
type MachinesError struct{ Newest []*Point }

func (e *MachinesError) Error() string {
	var list []string
	for _, p := range e.Newest {
		list = append(list, fmt.Sprintf("%s (newest %s of %s)", p.Hostname(), p.Short(), p.Time().UTC().Format("2006-01-02 15:04 UTC")))
	}
	return "the repository has points of several machines and none is this one: " + strings.Join(list, ", ")
}

// Hostname is the name of the machine that the point was made of; "" when that is
// not known.
func (p *Point) Hostname() string {
	if p.Manifest != nil && p.Manifest.Identity["hostname"] != "" {
		return p.Manifest.Identity["hostname"]
	}
	return p.Snapshot.Hostname
}

// of tells whether the point was made of a machine with these facts: by its name,
// or with byID by its machine-id(5), which clones share and a new name leaves alone.
func (p *Point) of(m host.Facts, byID bool) bool {
	if byID {
		return p.Manifest != nil && m.MachineID != "" && p.Manifest.Host.MachineID == m.MachineID
	}
	return slices.ContainsFunc([]string{m.Hostname, m.FQDN}, func(name string) bool { return host.SameName(p.Hostname(), name) })
}

// Latest returns the newest point of the filter: one that is whole and was made of
// the running system; only when there is none, one that lacks something critical or
// was imported. Machine are the facts of the machine that asks: its own points go
// first, and of several other machines none is chosen (MachinesError). With no
// facts all machines are one.
func (v *Vault) Latest(ctx context.Context, filter Filter, machine host.Facts) (*Latest, error) {
	points, unread := v.Points(ctx, filter)
	if len(points) == 0 && unread != nil {
		return nil, unread
	}
	if len(points) == 0 {
		return nil, fmt.Errorf("%w for %s in this repository", ErrNoPoint, orAny(filter.System))
	}
	l := &Latest{Unread: unread}
	own, others, err := ownPoints(points, machine)
	if err != nil {
		return nil, err
	}
	var second *Point
	for _, p := range slices.Backward(own) {
		switch {
		case p.Damage != nil:
			l.Damaged = append(l.Damaged, p)
			continue
		case len(p.Manifest.Lacks()) == 0 && p.Trigger() != Imported:
			l.Point = p
		case second == nil:
			second = p
		}
		if l.Point != nil {
			break
		}
	}
	if l.Point == nil {
		l.Point = second
	}
	if l.Point == nil {
		return nil, fmt.Errorf("all %d recovery points are damaged, the newest: %w", len(own), own[len(own)-1].Damage)
	}
	l.Damaged = slices.DeleteFunc(l.Damaged, func(p *Point) bool { return p.Trigger() == Imported || !p.Time().After(l.Point.Time()) })
	l.Others = slices.DeleteFunc(others, func(p *Point) bool { return p.Damage != nil || !p.Time().After(l.Point.Time()) })
	return l, nil
}

// ownPoints are those of the machine, or of the only other one there is.
func ownPoints(points []*Point, machine host.Facts) (own, others []*Point, err error) {
	if machine.Hostname == "" && machine.FQDN == "" && machine.MachineID == "" {
		return points, nil, nil
	}
	for _, byID := range []bool{false, true} {
		own, others = nil, nil
		for _, p := range points {
			if p.Hostname() == "" || p.of(machine, byID) {
				own = append(own, p)
			} else {
				others = append(others, p)
			}
		}
		// Clones have one id and several names.
		if machines := newestOfEach(own); len(machines) == 1 || len(machines) > 1 && !byID {
			return own, others, nil
		}
	}
	if machines := newestOfEach(points); len(machines) > 1 {
		return nil, nil, &MachinesError{machines}
	}
	return points, nil, nil
}

// newestOfEach are the newest points of each machine that is known by name.
func newestOfEach(points []*Point) []*Point {
	var newest []*Point
	for _, p := range slices.Backward(points) {
		if p.Hostname() != "" && !slices.ContainsFunc(newest, func(q *Point) bool { return host.SameName(p.Hostname(), q.Hostname()) }) {
			newest = append(newest, p)
		}
	}
	return newest
}

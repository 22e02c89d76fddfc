package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lifeboat/internal/repository"
	"lifeboat/internal/vault/head"
)

// Remember has the vault note in this machine's head record what is sealed and
// forgotten, and compare it in Verify. Without it nothing is noted.
func (v *Vault) Remember(k *head.Keeper) { v.head = k }

func (v *Vault) headOf() head.Repository {
	return head.Repository{ID: v.repo.ID(), Location: v.repo.Location()}
}

// sealed notes points that were made or copied into this repository.
func (v *Vault) sealed(points ...*Point) error {
	if v.head == nil || len(points) == 0 {
		return nil
	}
	known := make([]head.Point, len(points))
	for i, p := range points {
		known[i] = headPoint(p.Snapshot)
	}
	return v.head.Sealed(v.headOf(), known...)
}

// Copied notes points that were copied into this repository by snapshot.
func (v *Vault) Copied(ctx context.Context, ids ...repository.ID) error {
	if v.head == nil || len(ids) == 0 {
		return nil
	}
	var known []head.Point
	for _, id := range ids {
		s, err := v.repo.LoadSnapshot(ctx, id)
		if err != nil {
			return err
		}
		if _, ok := tag(s, tagSystem); ok {
			known = append(known, headPoint(s))
		}
	}
	return v.head.Sealed(v.headOf(), known...)
}

// remove removes the snapshots that choose returns, and notes what became of them:
// before, that they are about to go, for this process may die in between; then
// what went, and what was refused and so stays. Where the store's answer did not
// come the first note stands until the next look settles it.
func (v *Vault) remove(ctx context.Context, choose func(context.Context) ([]repository.ID, error)) error {
	var ids []repository.ID
	done, err := v.repo.ForgetChosen(ctx, func(ctx context.Context) ([]repository.ID, error) {
		chosen, err := choose(ctx)
		if err != nil || v.head == nil || len(chosen) == 0 {
			return chosen, err
		}
		if err := v.head.Forgetting(v.headOf(), names(chosen)...); err != nil {
			return nil, err
		}
		ids = chosen
		return chosen, nil
	})
	if len(ids) == 0 {
		return err
	}
	kept := slices.DeleteFunc(slices.Clone(ids), func(id repository.ID) bool {
		return slices.Contains(done.Gone, id) || slices.Contains(done.Doubt, id)
	})
	return errors.Join(err, v.head.Forgotten(v.headOf(), names(done.Gone), names(kept)))
}

func names(ids []repository.ID) []string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = id.String()
	}
	return list
}

func headPoint(s *repository.Snapshot) head.Point {
	system, _ := tag(s, tagSystem)
	trigger, _ := tag(s, tagTrigger)
	p := head.Point{ID: s.ID.String(), System: system, Trigger: trigger, Time: s.Time, Tree: s.Tree.String()}
	if s.Original != nil {
		p.Original = s.Original.String()
	}
	return p
}

// viewOf is what the repository holds, for the head record: all points and pins of
// all systems, whole or not. err is what listing the snapshots said.
func viewOf(snapshots []*repository.Snapshot, err error) (head.View, error) {
	view := head.View{Unreadable: map[string]error{}}
	for _, s := range snapshots {
		if _, ok := tag(s, tagSystem); ok {
			view.Points = append(view.Points, headPoint(s))
		}
		if isPin(s) {
			view.Pins = append(view.Pins, headPin(pinOf(s)))
		}
	}
	// Damage of single snapshots is told apart; anything else prevented the look.
	unread := repository.Unread(err)
	for _, damage := range unread {
		view.Unreadable[damage.ID.String()] = damage.Err
	}
	if unread != nil {
		err = nil
	}
	return view, err
}

// look compares the snapshots that the repository holds with this machine's head
// record. Nil where none is kept.
func (v *Vault) look(snapshots []*repository.Snapshot, err error) (*head.Findings, error) {
	if v.head == nil {
		return nil, nil
	}
	view, err := viewOf(snapshots, err)
	if err != nil {
		return nil, err
	}
	found, err := v.head.Look(v.headOf(), view)
	if found != nil {
		found.Name(v.repo.Flag())
	}
	return found, err
}

// Survey is what there is, and what changed behind this machine's back.
type Survey struct {
	Points []*Point
	Unread error // as of Points
	// Head is what a look at the head record says; nil where none is kept.
	// HeadError says why it could not be compared.
	Head      *head.Findings
	HeadError error
	Reports   []*Report // of every kind, oldest first

	lost []head.Pin
}

// Survey lists the points as Points does, and compares the repository with this
// machine's head record, which then knows what is new.
func (v *Vault) Survey(ctx context.Context, filter Filter) *Survey {
	snapshots, err := v.repo.Snapshots(ctx)
	s := &Survey{}
	s.Head, s.HeadError = v.look(snapshots, err)
	s.Points, s.Unread = v.pointsOf(ctx, snapshots, err, filter)
	s.lost = v.lostPins(snapshots)
	s.Reports = reportsOf(snapshots, "", filter.System)
	return s
}

// All are the points, and behind them those that are Unread. An error says that not
// even the others are known.
func (s *Survey) All() ([]*Point, error) {
	unread := Unread(s.Unread)
	if s.Unread != nil && unread == nil {
		return nil, s.Unread
	}
	for _, p := range unread {
		if i := slices.IndexFunc(s.lost, func(pin head.Pin) bool { return pin.ID == p.ID() }); i >= 0 {
			p.LostPin = &s.lost[i] // it is a pin, and cannot be read
		}
	}
	return append(slices.Clone(s.Points), unread...), nil
}

// Warnings are what of a survey a person must hear of, whatever was asked for.
func (s *Survey) Warnings() []string {
	if s.HeadError != nil {
		return []string{fmt.Sprintf("whether points vanished cannot be told: %v", s.HeadError)}
	}
	if s.Head == nil {
		return nil
	}
	return s.Head.Alarms()
}

// Remarks are what is worth a line and no problem.
func (s *Survey) Remarks() []string {
	if s.Head == nil {
		return nil
	}
	return s.Head.Remarks()
}

// Accept makes what the repository holds now the state that Verify expects.
func (v *Vault) Accept(ctx context.Context) error {
	if v.head == nil {
		return nil
	}
	view, err := viewOf(v.repo.Snapshots(ctx))
	if err != nil {
		return err
	}
	return v.head.Accept(v.headOf(), view)
}

// lostPins are the pins that this machine remembers and that are gone or cannot be
// read, unless their point is pinned again. None where the record cannot be read: who
// removes anything notes that in the record first, and fails then.
func (v *Vault) lostPins(snapshots []*repository.Snapshot) []head.Pin {
	if v.head == nil {
		return nil
	}
	known, err := v.head.Pins(v.headOf())
	if err != nil {
		return nil
	}
	there := map[string]bool{}
	for tree := range newestPins(snapshots) {
		there[tree.String()] = true
	}
	return slices.DeleteFunc(known, func(p head.Pin) bool { return there[p.Tree] })
}

func headPin(p *Pin) head.Pin {
	return head.Pin{ID: p.ID.String(), Tree: p.Tree.String(), System: p.System, Time: p.Time, Note: p.Note}
}

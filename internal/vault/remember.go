package vault

import (
	"context"

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

// forgetting notes points that are about to be removed from this repository, and
// forgotten that they were. Whoever removes snapshots of points calls both.
func (v *Vault) forgetting(ids ...repository.ID) error {
	if v.head == nil || len(ids) == 0 {
		return nil
	}
	return v.head.Forgetting(v.headOf(), names(ids)...)
}

func (v *Vault) forgotten(ids ...repository.ID) error {
	if v.head == nil || len(ids) == 0 {
		return nil
	}
	return v.head.Forgotten(v.headOf(), names(ids)...)
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

// view is what the repository holds, for the head record: all points of all
// systems, whole or not.
func (v *Vault) view(ctx context.Context) (head.View, error) {
	snapshots, err := v.repo.Snapshots(ctx)
	view := head.View{Unreadable: map[string]error{}}
	for _, s := range snapshots {
		if _, ok := tag(s, tagSystem); ok {
			view.Points = append(view.Points, headPoint(s))
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

// look compares the repository with this machine's head record. Nil where none
// is kept.
func (v *Vault) look(ctx context.Context) (*head.Findings, error) {
	if v.head == nil {
		return nil, nil
	}
	view, err := v.view(ctx)
	if err != nil {
		return nil, err
	}
	return v.head.Look(v.headOf(), view)
}

// Accept makes what the repository holds now the state that Verify expects.
func (v *Vault) Accept(ctx context.Context) error {
	if v.head == nil {
		return nil
	}
	view, err := v.view(ctx)
	if err != nil {
		return err
	}
	return v.head.Accept(v.headOf(), view)
}

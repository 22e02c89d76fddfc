package model

import (
	"context"
	"errors"
	"slices"

	"lifeboat/internal/repository"
	"lifeboat/internal/storage"
)

// loss has packs vanish or be cut off, and a client back up: what it says it has
// made is whole, although index and parent know what was lost. Then somebody copies
// the packs back from a copy of the repository, and everything is twice.
func (s *sequence) loss(ctx context.Context, c *client) error {
	rng := s.child()
	packs := slices.DeleteFunc(s.main.Handles(storage.Data), func(h storage.Handle) bool { return s.main.isTorn(h.Path()) })
	slices.SortFunc(packs, func(a, b storage.Handle) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) })
	lost := make(map[storage.Handle][]byte)
	chance := 1 + rng.IntN(4)
	for _, h := range packs {
		if rng.IntN(chance) > 0 {
			continue
		}
		data, there := s.main.Get(h)
		if !there {
			continue
		}
		lost[h] = data
		if err := s.main.Memory.Remove(ctx, h); err != nil {
			return err
		}
		if rng.IntN(3) == 0 {
			s.main.Put(h, data[:rng.IntN(len(data))])
		}
	}
	s.logf("%d of %d packs are lost or cut", len(lost), len(packs))
	s.turn.enter(c)
	made := c.last
	err := c.do(ctx, c.planBackup(rng), true)
	if err == nil && c.repo != nil && c.last != made && s.state.has(c.last) == present {
		err = s.healed(ctx, c.last)
	}
	for h, data := range lost {
		if _, there := s.main.Get(h); there {
			err = errors.Join(err, s.main.Memory.Remove(ctx, h))
		}
		s.main.Put(h, data)
	}
	s.logf("the packs were copied back")
	return err
}

// healed restores a point with the eyes of one who knows nothing of the repository.
func (s *sequence) healed(ctx context.Context, p *point) error {
	valid := s.state.valid()
	r, err := repository.Open(ctx, s.main.Memory, []byte(valid[0]), repository.Options{Hostname: "other", Username: "model", NoLock: true})
	if err != nil {
		return lost("open to restore from what is left: %v", err)
	}
	defer r.Close()
	snap, err := r.LoadSnapshot(ctx, p.id)
	if err == nil {
		err = p.restore(ctx, r, snap, s.dir)
	}
	if err != nil {
		return lost("made while packs were lost, %s: %v", p.tag, err)
	}
	return nil
}

package model

import (
	"context"
	"errors"
	"math/rand/v2"

	"lifeboat/internal/repository"
)

// planKey adds, removes or changes a password. What became of it is found out
// afterwards, by trying.
func (c *client) planKey(rng *rand.Rand) operation {
	s := c.s.state
	valid := s.valid()
	if len(valid) > 2 || len(valid) == 2 && rng.IntN(2) == 0 {
		return c.planRemoveKey(valid[rng.IntN(len(valid))])
	}
	name := "password " + c.s.tag()
	if rng.IntN(2) == 0 {
		return c.planChangePassword(name)
	}
	return operation{text: "adds " + name, run: func(ctx context.Context) error {
		s.password(name, unsure, repository.ID{})
		id, err := c.repo.AddKey(ctx, []byte(name))
		if err == nil {
			s.password(name, present, id)
		}
		return err
	}}
}

func (c *client) planRemoveKey(name string) operation {
	s := c.s.state
	return operation{text: "removes " + name, run: func(ctx context.Context) error {
		if s.is(name) != present {
			return nil
		}
		id := s.key(name)
		s.password(name, unsure, repository.ID{})
		err := c.repo.RemoveKey(ctx, id)
		switch {
		case err == nil:
			s.password(name, absent, repository.ID{})
		case errors.Is(err, repository.ErrLastKey), name == c.password, s.is(c.password) != present:
			return nil // refused, as it should be
		}
		return err
	}}
}

// planChangePassword may be cut off anywhere: one of the two passwords opens the
// repository then.
func (c *client) planChangePassword(name string) operation {
	s := c.s.state
	return operation{text: "changes its password to " + name, run: func(ctx context.Context) error {
		old := c.password
		s.password(name, unsure, repository.ID{})
		if s.is(old) == present {
			s.password(old, unsure, repository.ID{})
		}
		id, err := c.repo.ChangePassword(ctx, []byte(name))
		if !id.IsZero() {
			c.password = name
		}
		if err == nil {
			s.password(name, present, id)
			s.password(old, absent, repository.ID{})
		}
		return err
	}}
}

// resolve finds out which passwords open the repository that may or may not.
// One always does.
func (s *sequence) resolve(ctx context.Context) error {
	for name, c := range s.state.passwords {
		if c != unsure {
			continue
		}
		r, err := repository.Open(ctx, s.main.Memory, []byte(name), repository.Options{Hostname: "model", Username: "model", NoLock: true})
		if err != nil {
			if !errors.Is(err, repository.ErrWrongPassword) {
				return lost("%s: %v", name, err)
			}
			s.state.password(name, absent, repository.ID{})
			continue
		}
		keys, err := r.Keys(ctx)
		if err != nil && !s.main.tornLeft() {
			return lost("list the keys: %v", err)
		}
		for _, k := range keys {
			if k.Current {
				s.state.password(name, present, k.ID)
			}
		}
		r.Close()
	}
	if len(s.state.valid()) == 0 {
		return lost("no password opens the repository any more")
	}
	return nil
}

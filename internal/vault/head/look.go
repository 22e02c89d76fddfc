package head

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// Look compares what a repository holds with what this machine remembers, and
// remembers what is new. What is missing stays in the record until Accept.
func (k *Keeper) Look(repo Repository, view View) (*Findings, error) {
	f := &Findings{Points: len(view.Points)}
	err := k.locked(func() error {
		other, err := k.holder(repo)
		if err != nil {
			return err
		}
		r, err := k.load(repo.ID)
		switch {
		case errors.Is(err, ErrTampered):
			f.Problems = append(f.Problems, Problem{Kind: Tampered, Text: err.Error(), Advice: adviceTampered})
			return nil
		case errors.Is(err, ErrLost):
			f.Problems = append(f.Problems, Problem{Kind: Lost, Text: err.Error(), Advice: adviceLost})
			r = &record{Repository: repo.ID}
		case errors.Is(err, fs.ErrNotExist) && other == nil:
			f.First, r = true, &record{Repository: repo.ID}
		case errors.Is(err, fs.ErrNotExist):
			r = &record{Repository: repo.ID}
		case err != nil:
			return err
		}
		if other != nil {
			f.Problems = append(f.Problems, Problem{Kind: Replaced, Advice: adviceReplaced, Text: fmt.Sprintf(
				"at %s lay repository %s with %d points until %s; now repository %s lies there",
				repo.Location, short(other.Repository), len(other.Points), other.Changed.Local().Format(time.DateTime), short(repo.ID))})
			if len(r.Points) == 0 {
				return nil // nothing is remembered of it before somebody says so
			}
		}
		f.Since = r.Looked
		f.Settled = r.settle(view)
		f.compare(r, view)
		f.comparePins(r, view)
		for _, p := range view.Points {
			if !r.forgot(p.ID) {
				r.add(p)
			}
		}
		if !slices.ContainsFunc(f.Problems, func(p Problem) bool { return p.Kind != Lost }) {
			r.at(repo.Location)
			r.Looked = time.Now()
		}
		return k.save(r)
	})
	if err != nil {
		return nil, fmt.Errorf("compare with the head record of repository %s: %w", short(repo.ID), err)
	}
	return f, nil
}

// Accept makes the present state of a repository the one that is remembered.
func (k *Keeper) Accept(repo Repository, view View) error {
	err := k.locked(func() error {
		r, err := k.load(repo.ID)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrLost) || errors.Is(err, ErrTampered) {
			r, err = &record{Repository: repo.ID}, nil
		}
		if err != nil {
			return err
		}
		r.Points, r.Pins, r.RolledBack = nil, view.Pins, nil
		for _, p := range view.Points {
			r.add(p)
		}
		r.at(repo.Location)
		r.Looked = time.Now()
		return k.save(r)
	})
	if err != nil {
		return fmt.Errorf("keep the head record of repository %s: %w", short(repo.ID), err)
	}
	return nil
}

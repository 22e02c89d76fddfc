package head

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// Kind says what sort of change was noticed.
type Kind string

// The kinds of changes.
const (
	Vanished   Kind = "vanished"    // a point that nobody here removed is gone
	Altered    Kind = "altered"     // a point is not what it was
	RolledBack Kind = "rolled-back" // the repository is in an older state
	Returned   Kind = "returned"    // a point that was forgotten is there again
	Replaced   Kind = "replaced"    // another repository lies at the location
	Tampered   Kind = "tampered"    // the record is not as this machine wrote it
)

// Problem is one change that this machine did not make.
type Problem struct {
	Kind   Kind   `json:"kind"`
	Point  *Point `json:"point,omitempty"`
	Text   string `json:"text"`
	Advice string `json:"advice"`
}

// Findings is what a look noticed.
type Findings struct {
	First    bool      `json:"first,omitempty"` // there was no record; there is one now
	Since    time.Time `json:"since,omitzero"`  // the last look without problems
	Points   int       `json:"points"`          // that are there
	New      int       `json:"new"`             // that the record did not have
	Problems []Problem `json:"problems,omitempty"`
	Accepted bool      `json:"accepted,omitempty"`
}

// View is what a repository holds now.
type View struct {
	Points []Point
	// Unreadable are the ids of snapshots whose files cannot be read, with why.
	Unreadable map[string]error
}

const (
	adviceGone = "If it was removed on purpose on another machine, say so with lifeboat verify --accept. If not, somebody " +
		"has deleted it: change nothing in the repository, read the store's own log, and bring the file back from a " +
		"version that the store keeps, or use the second copy."
	adviceAltered = "If snapshots were rewritten on purpose (restic tag, restic rewrite), say so with lifeboat verify --accept. " +
		"If not, recover from an older point or from the second copy, and read the store's own log."
	adviceRollback = "Somebody may have put an older copy in the repository's place. If that was on purpose (the store was itself " +
		"restored), say so with lifeboat verify --accept, and make a new recovery point now."
	adviceReturned = "An older copy of the repository may have been put in its place; data that was pruned since may be missing. " +
		"Verify with --read-data; forget the point again, or say with lifeboat verify --accept that it may stay."
	adviceReplaced = "If the repository was made anew on purpose, or disks are exchanged in turn, say so with lifeboat verify --accept. " +
		"If not, the repository with the points is gone from here: find out where it is before anything is written."
	adviceTampered = "Somebody has written to this machine's state directory, or it was restored from elsewhere. Find out who; " +
		"compare lifeboat list with what you know, and begin a new record with lifeboat verify --accept."
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
		r.settle(view)
		f.compare(r, view)
		for _, p := range view.Points {
			if !r.forgot(p.ID) {
				r.add(p)
			}
		}
		if len(f.Problems) == 0 {
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
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrTampered) {
			r, err = &record{Repository: repo.ID}, nil
		}
		if err != nil {
			return err
		}
		r.Points = nil
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

// settle finds out what became of removals that were cut short.
func (r *record) settle(view View) {
	var gone []string
	for i, p := range r.Points {
		if !p.Going {
			continue
		}
		r.Points[i].Going = false
		_, unreadable := view.Unreadable[p.ID]
		if !unreadable && !slices.ContainsFunc(view.Points, func(now Point) bool { return now.ID == p.ID }) {
			gone = append(gone, p.ID)
		}
	}
	r.forget(gone...)
}

func (r *record) forgot(id string) bool {
	return slices.ContainsFunc(r.Forgotten, func(f forgotten) bool { return f.ID == id })
}

// compare lists what is not as it was.
func (f *Findings) compare(r *record, view View) {
	present, successors := map[string]Point{}, map[string]Point{}
	for _, p := range view.Points {
		present[p.ID] = p
		if p.Original != "" && p.Original != p.ID {
			successors[p.Original] = p
		}
	}
	known := map[string]bool{}
	var vanished []Point
	var newest time.Time // of the remembered points that are still there
	for _, p := range r.Points {
		known[p.ID] = true
		now, there := present[p.ID]
		broken, unreadable := view.Unreadable[p.ID]
		next, rewritten := successors[p.ID]
		switch {
		case unreadable:
			f.report(Altered, p, adviceAltered, "its snapshot is not what was written: %v", broken)
		case there && now.Tree != p.Tree:
			f.report(Altered, p, adviceAltered, "it holds tree %s and held %s", short(now.Tree), short(p.Tree))
		case there:
			if p.Time.After(newest) {
				newest = p.Time
			}
		case rewritten && next.Tree == p.Tree:
			f.report(Altered, p, adviceAltered, "snapshot %s stands in its place, with the same content", short(next.ID))
		case rewritten:
			f.report(Altered, p, adviceAltered, "snapshot %s stands in its place, with other content", short(next.ID))
		default:
			vanished = append(vanished, p)
		}
	}
	for _, p := range vanished {
		f.report(Vanished, p, adviceGone, "it was there when this machine last looked, and this machine did not forget it")
	}
	older := func(p Point) bool { return !p.Time.After(newest) }
	if len(vanished) > 0 && !newest.IsZero() && !slices.ContainsFunc(vanished, older) {
		f.Problems = append(f.Problems, Problem{Kind: RolledBack, Advice: adviceRollback, Text: fmt.Sprintf(
			"all points after %s are gone: the repository is in the state of that time", newest.Local().Format(time.DateTime))})
	}
	for _, p := range view.Points {
		switch {
		case known[p.ID]:
		case r.forgot(p.ID):
			f.report(Returned, p, adviceReturned, "it was forgotten by this machine and is there again")
		default:
			f.New++
		}
	}
}

func (f *Findings) report(kind Kind, p Point, advice, format string, args ...any) {
	f.Problems = append(f.Problems, Problem{Kind: kind, Point: &p, Text: fmt.Sprintf(format, args...), Advice: advice})
}

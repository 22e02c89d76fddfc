// Package head keeps this machine's own signed record of which recovery points a
// repository held when it was last looked at, so that points that vanish or are
// altered, and repositories that are exchanged or turned back, are noticed even
// by one who has the repository's password. It knows ids, times and trees, never
// the points' content, and decides nothing about the repository.
//
// Whoever changes the repository on purpose tells it: package vault calls Sealed
// for a point that was made or copied, Pinned for a pin, and Forgetting before and
// Forgotten after either is removed.
package head

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Errors of this package, to be tested with errors.Is.
var (
	ErrTampered = errors.New("the head record is not as this machine wrote it")
	ErrLost     = errors.New("the head record that this machine kept of the repository is gone")
)

// Repository says of which repository a record is.
type Repository struct {
	ID       string // 64 hexadecimal digits, from its config file
	Location string // its address without secrets
}

// Point is what is remembered of a recovery point.
type Point struct {
	ID       string    `json:"id"` // of its snapshot: the SHA-256 of the snapshot's file
	System   string    `json:"system"`
	Trigger  string    `json:"trigger"`
	Time     time.Time `json:"time"`
	Tree     string    `json:"tree"`
	Original string    `json:"-"` // the snapshot that this one was made of, if it says so

	// Going says that this machine was about to remove it, and does not know what
	// came of it. The next look does.
	Going bool `json:"going,omitempty"`
}

// Pin is what is remembered of the pin of a recovery point.
type Pin struct {
	ID     string    `json:"id"`   // of its own snapshot
	Tree   string    `json:"tree"` // of the point: the same in all its copies
	System string    `json:"system"`
	Time   time.Time `json:"time"` // when it was pinned
	Note   string    `json:"note,omitempty"`
	Going  bool      `json:"going,omitempty"` // as of a point
}

// Keeper keeps the records below a state directory. Its methods may be called
// from several goroutines and processes at once.
type Keeper struct {
	dir string
}

// New returns the keeper of a state directory. Nothing is written before the
// first call that has something to remember.
func New(stateDir string) *Keeper { return &Keeper{dir: filepath.Join(stateDir, "head")} }

// record is what is remembered of one repository.
type record struct {
	Format     int         `json:"format"`
	Repository string      `json:"repository"`
	Locations  []string    `json:"locations"` // where it was seen and nothing was wrong
	Looked     time.Time   `json:"looked"`    // last look without findings
	Changed    time.Time   `json:"changed"`
	Points     []Point     `json:"points"`
	Pins       []Pin       `json:"pins,omitempty"`
	Forgotten  []forgotten `json:"forgotten,omitempty"`
	// RolledBack are the systems whose newest points were gone at a look, and the
	// time of the newest that was left then. New points made since hide neither.
	RolledBack map[string]time.Time `json:"rolled_back,omitempty"`
}

// forgotten is a point that was removed on purpose.
type forgotten struct {
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
}

// maxForgotten bounds how many removed points are remembered; the oldest go
// first.
const maxForgotten = 20_000

func (r *record) add(p Point) {
	if !slices.ContainsFunc(r.Points, func(known Point) bool { return known.ID == p.ID }) {
		r.Points = append(r.Points, p)
	}
	r.Forgotten = slices.DeleteFunc(r.Forgotten, func(f forgotten) bool { return f.ID == p.ID })
}

func (r *record) addPin(p Pin) {
	if !slices.ContainsFunc(r.Pins, func(known Pin) bool { return known.ID == p.ID }) {
		r.Pins = append(r.Pins, p)
	}
}

func (r *record) at(location string) {
	if !slices.Contains(r.Locations, location) {
		r.Locations = append(r.Locations, location)
	}
}

// Sealed remembers points that were made or copied on purpose. A record that is
// ErrTampered stays as it is, for Look to report.
func (k *Keeper) Sealed(repo Repository, points ...Point) error {
	return k.change(repo, func(r *record) {
		for _, p := range points {
			r.add(p)
		}
	})
}

// Pinned remembers a pin that was made on purpose.
func (k *Keeper) Pinned(repo Repository, p Pin) error {
	return k.change(repo, func(r *record) { r.addPin(p) })
}

// Pins lists the pins that are remembered and that this machine is not about to
// remove. None without a record.
func (k *Keeper) Pins(repo Repository) ([]Pin, error) {
	r, err := k.load(repo.ID)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrLost) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the head record of repository %s: %w", short(repo.ID), err)
	}
	return slices.DeleteFunc(r.Pins, func(p Pin) bool { return p.Going }), nil
}

// Forgetting remembers that points or pins are about to be removed on purpose, so
// that a removal that is cut short is not taken for somebody else's.
func (k *Keeper) Forgetting(repo Repository, ids ...string) error {
	return k.change(repo, func(r *record) { r.mark(true, ids) })
}

// Forgotten remembers what came of that: what was removed, and what was refused and
// so is there as before. What is in neither list stays in doubt.
func (k *Keeper) Forgotten(repo Repository, gone, kept []string) error {
	return k.change(repo, func(r *record) {
		r.forget(gone...)
		r.mark(false, kept)
	})
}

func (r *record) mark(going bool, ids []string) {
	for i, p := range r.Points {
		if slices.Contains(ids, p.ID) {
			r.Points[i].Going = going
		}
	}
	for i, p := range r.Pins {
		if slices.Contains(ids, p.ID) {
			r.Pins[i].Going = going
		}
	}
}

func (r *record) forget(ids ...string) {
	r.Points = slices.DeleteFunc(r.Points, func(p Point) bool { return slices.Contains(ids, p.ID) })
	for _, id := range ids {
		if !slices.ContainsFunc(r.Pins, func(p Pin) bool { return p.ID == id }) {
			r.Forgotten = append(r.Forgotten, forgotten{ID: id, Time: time.Now()})
		}
	}
	r.Pins = slices.DeleteFunc(r.Pins, func(p Pin) bool { return slices.Contains(ids, p.ID) })
	r.Forgotten = r.Forgotten[max(0, len(r.Forgotten)-maxForgotten):]
}

// change loads a record, or begins one, and writes it again.
func (k *Keeper) change(repo Repository, do func(*record)) error {
	err := k.locked(func() error {
		r, err := k.load(repo.ID)
		if errors.Is(err, fs.ErrNotExist) {
			r, err = &record{Repository: repo.ID}, nil
		}
		if err != nil {
			return err
		}
		// A location that belongs to another repository is not taken over in
		// passing: that is what Look reports.
		if other, err := k.holder(repo); err != nil {
			return err
		} else if other == nil {
			r.at(repo.Location)
		}
		do(r)
		return k.save(r)
	})
	if err != nil {
		return fmt.Errorf("keep the head record of repository %s: %w", short(repo.ID), err)
	}
	return nil
}

// holder returns the record of another repository that was last seen at this
// location, unless this repository is known there too: disks that are exchanged
// in turn are mounted at one place.
func (k *Keeper) holder(repo Repository) (*record, error) {
	own, err := k.load(repo.ID)
	if err == nil && slices.Contains(own.Locations, repo.Location) {
		return nil, nil
	}
	entries, err := os.ReadDir(k.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		id, ok := recordOf(e.Name())
		if !ok || id == repo.ID {
			continue
		}
		other, err := k.load(id)
		if err == nil && slices.Contains(other.Locations, repo.Location) {
			return other, nil
		}
	}
	return nil, nil
}

// locked lets one process at a time change the records.
func (k *Keeper) locked(do func() error) error {
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(k.dir, "lock"), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() // and with it the lock
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return do()
}

func short(id string) string { return id[:min(8, len(id))] }

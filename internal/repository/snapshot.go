package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"lifeboat/internal/storage"
)

// Snapshot is one state of one or more trees.
type Snapshot struct {
	Time           time.Time `json:"time"`
	Parent         *ID       `json:"parent,omitempty"`
	Tree           *ID       `json:"tree"`
	Paths          []string  `json:"paths"`
	Hostname       string    `json:"hostname,omitempty"`
	Username       string    `json:"username,omitempty"`
	UID            uint32    `json:"uid,omitempty"`
	GID            uint32    `json:"gid,omitempty"`
	Excludes       []string  `json:"excludes,omitempty"`
	Tags           []string  `json:"tags,omitempty"`
	Original       *ID       `json:"original,omitempty"`
	ProgramVersion string    `json:"program_version,omitempty"`

	ID ID `json:"-"` // the name of its file
}

func parseSnapshot(text []byte) (*Snapshot, error) {
	s := new(Snapshot)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, err
	}
	if s.Tree == nil {
		return nil, errors.New("it names no tree")
	}
	return s, nil
}

// Snapshots returns all snapshots, oldest first. Those that cannot be read are
// reported in the error, beside the others: see Unread.
func (r *Repository) Snapshots(ctx context.Context) ([]*Snapshot, error) {
	ids, err := r.listIDs(ctx, storage.Snapshot)
	if err != nil {
		return nil, err
	}
	var list []*Snapshot
	var errs error
	for _, id := range ids {
		s, err := r.LoadSnapshot(ctx, id)
		switch {
		case errors.Is(err, ErrNoSnapshot): // forgotten meanwhile
		case err != nil && !errors.Is(err, ErrDamaged):
			return nil, err
		case err != nil:
			errs = errors.Join(errs, err)
		default:
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b *Snapshot) int { return a.Time.Compare(b.Time) })
	return list, errs
}

// Unread are the snapshot files that an error of Snapshots says cannot be read,
// however it is wrapped. It is nil for an error that says anything else: then not
// even the others are known.
func Unread(err error) []*DamageError {
	switch e := err.(type) { //nolint:errorlint // taken apart here
	case *DamageError:
		if e.What == storage.Snapshot.String() && !e.ID.IsZero() {
			return []*DamageError{e}
		}
	case interface{ Unwrap() []error }:
		var all []*DamageError
		for _, part := range e.Unwrap() {
			unread := Unread(part)
			if unread == nil {
				return nil
			}
			all = append(all, unread...)
		}
		return all
	case interface{ Unwrap() error }:
		return Unread(e.Unwrap())
	}
	return nil
}

// LoadSnapshot returns one snapshot, or ErrNoSnapshot.
func (r *Repository) LoadSnapshot(ctx context.Context, id ID) (*Snapshot, error) {
	text, err := r.loadJSON(ctx, storage.Snapshot, id, nil)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("snapshot %s: %w", id.Short(), ErrNoSnapshot)
	}
	if err != nil {
		return nil, err
	}
	s, err := parseSnapshot(text)
	if err != nil {
		return nil, &DamageError{What: storage.Snapshot.String(), ID: id, Err: err}
	}
	s.ID = id
	return s, nil
}

// Label makes a snapshot of a tree that another snapshot has: it stays when that
// one is forgotten. info.Time must be set.
func (r *Repository) Label(ctx context.Context, tree ID, info SnapshotInfo) (id ID, err error) {
	lock, err := r.Lock(ctx, false)
	if err != nil {
		return ID{}, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if _, err := r.LoadTree(ctx, tree); err != nil {
		return ID{}, err
	}
	if err := lock.Verify(ctx); err != nil {
		return ID{}, err
	}
	s := info.snapshot(r.opts)
	s.Tree = &tree
	return r.saveJSON(ctx, storage.Snapshot, s)
}

// Forget removes a snapshot. Its data stays until a prune.
func (r *Repository) Forget(ctx context.Context, id ID) error {
	_, err := r.ForgetChosen(ctx, func(context.Context) ([]ID, error) { return []ID{id}, nil })
	return err
}

// Removal says what became of snapshots that were to go. What is in neither list
// was left as it was.
type Removal struct {
	Gone  []ID
	Doubt []ID // the store's answer did not come: gone or not
}

// ForgetChosen removes the snapshots that choose returns. It is called under the
// lock, so that what it decides on cannot change meanwhile; it may read but not
// lock. Their data stays until a prune. Those that the store keeps from being
// removed for now are left, and the error is a *KeptError. The removal is
// valid with an error too.
//
// In a store that is too full for the lock the first snapshot goes without one, to
// make room for it: nobody else gets a lock there either, and no data goes.
func (r *Repository) ForgetChosen(ctx context.Context, choose func(context.Context) ([]ID, error)) (done Removal, err error) {
	lock, err := r.Lock(ctx, true)
	full := errors.Is(err, storage.ErrNoSpace)
	if full {
		lock, err = &HeldLock{keeper: &r.locks}, r.alone(ctx)
	}
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	ids, err := choose(ctx)
	if err != nil {
		return done, err
	}
	retained := &KeptError{}
	for i, id := range ids {
		if full && i > 0 {
			held, err := r.Lock(ctx, true)
			if err != nil && !errors.Is(err, storage.ErrNoSpace) {
				return done, err
			}
			if err == nil {
				lock, full = held, false
			}
		}
		if err := lock.Verify(ctx); err != nil {
			return done, err
		}
		err := r.removeFile(ctx, storage.Snapshot, id)
		switch {
		case errors.Is(err, storage.ErrRetained):
			retained.add(id, err)
			continue
		case errors.Is(err, storage.ErrNotFound):
			err = ErrNoSnapshot
			done.Gone = append(done.Gone, id)
		case err == nil:
			done.Gone = append(done.Gone, id)
		case !errors.Is(err, fs.ErrPermission) && !errors.Is(err, storage.ErrReadOnly):
			done.Doubt = append(done.Doubt, id)
		}
		if err != nil {
			return done, elsewhere(fmt.Errorf("forget snapshot %s: %w", id.Short(), err))
		}
	}
	if len(retained.Kept) == 0 {
		return done, nil
	}
	retained.Gone = len(done.Gone)
	return done, retained
}

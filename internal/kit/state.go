package kit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/kit/typed"
	"lifeboat/internal/repository"
)

// State is what has become of a kit.
type State string

// The states of a kit.
const (
	Valid      State = "valid"       // its key opens the repository
	Revoked    State = "revoked"     // by kit revoke
	KeyRemoved State = "key removed" // otherwise: the paper is useless
	Unknown    State = "unknown"     // its repository was not looked at
)

// Status is a kit with its state.
type Status struct {
	Record
	State State
	// Recorded is false for a kit that only its key in the repository tells of:
	// it was made on another machine, or the state directory was lost.
	Recorded bool
}

// Look compares what this machine remembers with the keys of the repositories that
// could be opened, by their ids. Oldest first.
func Look(records []Record, keys map[string][]repository.Key) []Status {
	var list []Status
	for _, r := range records {
		s := Status{Record: r, State: Unknown, Recorded: true}
		there, looked := keys[r.RepositoryID]
		switch {
		case !r.Revoked.IsZero():
			s.State = Revoked
		case looked && slices.ContainsFunc(there, func(k repository.Key) bool { return k.ID.String() == r.Key }):
			s.State = Valid
		case looked:
			s.State = KeyRemoved
		}
		list = append(list, s)
	}
	for id, there := range keys {
		for _, k := range there {
			kit := ofKey(k)
			if kit == "" || slices.ContainsFunc(records, func(r Record) bool { return r.RepositoryID == id && r.Key == k.ID.String() }) {
				continue
			}
			list = append(list, Status{State: Valid, Record: Record{ID: kit, Created: k.Created, RepositoryID: id, Key: k.ID.String()}})
		}
	}
	slices.SortFunc(list, func(a, b Status) int { return a.Created.Compare(b.Created) })
	return list
}

// ErrNoKit says that no such kit is known.
var ErrNoKit = errors.New("no such recovery kit")

// Find is the kit of a name, in any spelling, in a repository.
func Find(ctx context.Context, repo *repository.Repository, stateDir, id string) (Status, error) {
	id = strings.ToUpper(id)
	if !typed.IsKit(id) {
		return Status{}, fmt.Errorf("%w: %q is no name of one, which has %d signs", ErrNoKit, id, typed.KitSize)
	}
	records, err := Records(stateDir)
	if err != nil {
		return Status{}, err
	}
	keys, err := repo.Keys(ctx)
	if err != nil && len(keys) == 0 {
		return Status{}, err
	}
	for _, s := range Look(records, map[string][]repository.Key{repo.ID(): keys}) {
		if s.ID == id && s.RepositoryID == repo.ID() {
			return s, nil
		}
	}
	return Status{}, fmt.Errorf("%w: %s is not one of repository %s", ErrNoKit, id, repo.Location())
}

// Revoke removes a kit's key, so that its paper opens nothing any more, and
// remembers that. A key that is gone already is no error.
func Revoke(ctx context.Context, repo *repository.Repository, stateDir string, s Status) error {
	if s.State == Valid {
		id, err := repo.FindKey(ctx, s.Key)
		if err == nil {
			err = repo.RemoveKey(ctx, id)
		}
		if err != nil {
			return fmt.Errorf("revoke recovery kit %s: %w", s.ID, err)
		}
	}
	if !s.Recorded || s.State == Revoked {
		return nil
	}
	s.Revoked = time.Now()
	return s.save(stateDir)
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/repository"
	"lifeboat/internal/vault"
)

// keptPoints are those that were to go, and that object lock keeps for now.
type keptPoints struct {
	list []repository.Kept
	err  error // of a removal; a dry run has none
}

// failure is the error without those of locks: nil where nothing else went wrong.
func (k keptPoints) failure() error {
	if onlyKept(k.err) {
		return nil
	}
	return k.err
}

func onlyKept(err error) bool {
	if _, ok := err.(*repository.KeptError); ok || err == nil {
		return true
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		inner := e.Unwrap()
		return inner != nil && onlyKept(inner)
	case interface{ Unwrap() []error }:
		return !slices.ContainsFunc(e.Unwrap(), func(e error) bool { return !onlyKept(e) })
	}
	return false
}

// remark says that points stay for now that the retention does not keep; "" if none do.
func (k keptPoints) remark() string {
	if len(k.list) == 0 {
		return ""
	}
	until, hold, open := time.Time{}, false, false
	for _, kept := range k.list {
		hold, open = hold || kept.Err.Hold, open || kept.Err.Until.IsZero()
		if kept.Err.Until.After(until) {
			until = kept.Err.Until
		}
	}
	what := screen.Count(len(k.list), "recovery point stays", "recovery points stay")
	switch {
	case hold:
		return what + " until a legal hold is lifted (locked)"
	case open:
		return what + " until the locks have ended (locked)"
	}
	return what + " until " + screen.When(until) + " (locked)"
}

// kept finds out which points stay because of their locks: from the error of a
// removal, in a dry run from the store. Another error is returned.
func (f *forgetting) kept(ctx context.Context, repo *repository.Repository, err error, chosen func() []*vault.Point) (keptPoints, error) {
	var kept *repository.KeptError
	switch {
	case errors.As(err, &kept):
		return keptPoints{kept.Kept, err}, nil
	case err != nil || !f.dry:
		return keptPoints{}, err
	}
	var ids []repository.ID
	for _, p := range chosen() {
		ids = append(ids, p.Snapshot.ID)
	}
	list, err := repo.Kept(ctx, ids)
	return keptPoints{list: list}, err
}

// among gives the verdicts with those that stay for now.
func (k keptPoints) among(verdicts []vault.Verdict) []vault.Verdict {
	verdicts = slices.Clone(verdicts)
	for i, v := range verdicts {
		at := slices.IndexFunc(k.list, func(kept repository.Kept) bool { return kept.ID == v.Point.Snapshot.ID })
		if v.Keep || at < 0 {
			continue
		}
		why := "locked"
		switch lock := k.list[at].Err; {
		case lock.Hold:
			why = "under a legal hold"
		case !lock.Until.IsZero():
			why = fmt.Sprintf("locked until %s", screen.When(lock.Until))
		}
		verdicts[i].Keep, verdicts[i].Reasons = true, []string{why}
	}
	return verdicts
}

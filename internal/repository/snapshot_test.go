package repository

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lifeboat/internal/storage"
)

// A label keeps a tree when the snapshot that it was made for is forgotten.
func TestLabel(t *testing.T) {
	r, _ := newRepo(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	snapshot, _ := backup(t, r, nil, dir)
	when := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	id, err := r.Label(t.Context(), *snapshot.Tree, SnapshotInfo{Time: when, Tags: []string{"kept"}, Paths: []string{"/kept"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Forget(t.Context(), snapshot.ID); err != nil {
		t.Fatal(err)
	}
	all, err := r.Snapshots(t.Context())
	if err != nil || len(all) != 1 || all[0].ID != id || *all[0].Tree != *snapshot.Tree || !all[0].Time.Equal(when) || all[0].Hostname != "testhost" {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := r.Label(t.Context(), ID{1}, SnapshotInfo{Time: when}); err == nil {
		t.Error("a tree that there is not was labelled")
	}
	if locks, err := r.Locks(t.Context()); err != nil || len(locks) != 0 {
		t.Errorf("locks left: %v, %v", locks, err)
	}
}

// What is forgotten is decided while nobody else can write.
func TestForgetChosen(t *testing.T) {
	r, dir := newRepo(t)
	from := t.TempDir()
	first, _ := backup(t, r, nil, from)
	second, _ := backup(t, r, nil, from)
	third, _ := backup(t, r, nil, from)
	other := openRepo(t, dir)
	_, err := r.ForgetChosen(t.Context(), func(ctx context.Context) ([]ID, error) {
		if _, err := other.Lock(ctx, false); !errors.Is(err, ErrLocked) {
			t.Errorf("another one locks meanwhile: %v", err)
		}
		return []ID{first.ID, third.ID}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all, err := r.Snapshots(t.Context())
	if err != nil || len(all) != 1 || all[0].ID != second.ID {
		t.Errorf("%+v, %v", all, err)
	}
	declined := errors.New("declined")
	if _, err := r.ForgetChosen(t.Context(), func(context.Context) ([]ID, error) { return []ID{second.ID}, declined }); !errors.Is(err, declined) {
		t.Errorf("%v", err)
	}
	if all, _ := r.Snapshots(t.Context()); len(all) != 1 {
		t.Error("forgotten in spite of an error")
	}
	lock, err := other.Lock(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	if err := r.Forget(t.Context(), second.ID); !errors.Is(err, ErrLocked) {
		t.Errorf("forgotten while another one reads: %v", err)
	}
}

// What became of each snapshot is told, so that whoever keeps a record of them
// notes no more than happened.
func TestRemovalTold(t *testing.T) {
	r, _ := newRepo(t)
	from := t.TempDir()
	first, _ := backup(t, r, nil, from)
	second, _ := backup(t, r, nil, from)
	third, _ := backup(t, r, nil, from)
	store := &stubborn{Store: r.store, on: second.ID.String()}
	r.store = store
	all := func(context.Context) ([]ID, error) { return []ID{first.ID, second.ID, third.ID}, nil }
	store.err = storage.ErrAppendOnly
	done, err := r.ForgetChosen(t.Context(), all)
	if !errors.Is(err, storage.ErrAppendOnly) || !slices.Equal(done.Gone, []ID{first.ID}) || len(done.Doubt) > 0 {
		t.Errorf("refused: %+v, %v", done, err)
	}
	store.err = errors.New("connection reset")
	done, err = r.ForgetChosen(t.Context(), func(context.Context) ([]ID, error) { return []ID{second.ID, third.ID}, nil })
	if !errors.Is(err, store.err) || len(done.Gone) > 0 || !slices.Equal(done.Doubt, []ID{second.ID}) {
		t.Errorf("no answer: %+v, %v", done, err)
	}
}

// stubborn does not remove one file.
type stubborn struct {
	storage.Store
	on  string
	err error
}

func (s *stubborn) Remove(ctx context.Context, h storage.Handle) error {
	if h.Name == s.on {
		return s.err
	}
	return s.Store.Remove(ctx, h)
}

// What forgetting would free is known before anything is forgotten.
func TestPruneWithout(t *testing.T) {
	r, _ := newRepo(t)
	pruneRepo(t, r)
	all, err := r.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	without := []ID{all[0].ID, all[1].ID}
	if _, err := r.Prune(t.Context(), PruneOptions{Without: without}); err == nil {
		t.Error("pruned as if snapshots were forgotten that are not")
	}
	plan, err := r.Prune(t.Context(), PruneOptions{DryRun: true, Without: without})
	if err != nil {
		t.Fatal(err)
	}
	now, err := r.Prune(t.Context(), PruneOptions{DryRun: true})
	if err != nil || now.Freed >= plan.Freed {
		t.Errorf("now %d bytes, without two snapshots %d: %v", now.Freed, plan.Freed, err)
	}
	if _, err := r.ForgetChosen(t.Context(), func(context.Context) ([]ID, error) { return without, nil }); err != nil {
		t.Fatal(err)
	}
	done, err := r.Prune(t.Context(), PruneOptions{})
	if err != nil || done.Deleted != plan.Deleted || done.Used != plan.Used || done.Snapshots != plan.Snapshots {
		t.Errorf("planned %+v, done %+v, %v", plan, done, err)
	}
}

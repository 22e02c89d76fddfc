package repository

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"lifeboat/internal/storage"
)

// Several processes back up, forget, prune and copy as they like. Whoever meets a
// lock tries again; every snapshot that was made and not forgotten is whole.
func TestPruneAmongOthers(t *testing.T) {
	t.Parallel()
	m, n := newMemory(t), newMemory(t)
	var mu sync.Mutex
	want := make(map[ID]uint64)
	var running sync.WaitGroup
	for worker := range uint64(3) {
		running.Go(func() {
			random := rand.New(rand.NewPCG(1, worker))
			r := openMemory(t, m) // knows the repository from before, as a long-lived process does
			for range 10 {
				operation := random.IntN(6)
				for {
					err := oneOperation(t, r, n, operation, random, &mu, want)
					if errors.Is(err, ErrLocked) {
						time.Sleep(time.Duration(random.IntN(50)) * time.Millisecond)
						continue
					}
					if err != nil {
						t.Errorf("worker %d: %v", worker, err)
					}
					break
				}
			}
		})
	}
	running.Wait()
	r := openMemory(t, m)
	if _, err := r.Prune(t.Context(), PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	if report := check(t, r, CheckOptions{ReadData: true}); len(report.Findings) > 0 {
		t.Error(report.Findings)
	}
	got := make(map[ID]uint64)
	for _, s := range snapshots(t, r) {
		seed := want[s.ID]
		if string(readAll(t, r, s, "/x")) != string(seeded(seed)) {
			t.Errorf("snapshot %s has other content", s.ID)
		}
		got[s.ID] = seed
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d snapshots, want %d", len(got), len(want))
	}
	copied := openMemory(t, n)
	if report := check(t, copied, CheckOptions{ReadData: true}); report.Err() != nil {
		t.Error(report.Err())
	}
}

func seeded(seed uint64) []byte { return random(seed, 3_000) }

func oneOperation(t *testing.T, r *Repository, second storage.Store, operation int, random *rand.Rand, mu *sync.Mutex, want map[ID]uint64) error {
	ctx := t.Context()
	switch operation {
	case 0, 1:
		s, err := r.Begin(ctx, SessionOptions{})
		if err != nil {
			return err
		}
		seed := random.Uint64N(5) // what others have stored, and may be pruning
		if _, err := s.AddBytes(ctx, "/x", Stream{}, seeded(seed)); err != nil {
			return errors.Join(err, s.Abort(ctx))
		}
		id, err := s.Commit(ctx, SnapshotInfo{Tags: []string{fmt.Sprint(random.Uint64())}})
		if err == nil {
			mu.Lock()
			want[id] = seed
			mu.Unlock()
		}
		return err
	case 2, 3:
		mu.Lock()
		defer mu.Unlock()
		none := random.Uint64N(5) // no snapshot needs this afterwards
		for id, seed := range want {
			if seed != none {
				continue
			}
			if err := r.Forget(ctx, id); err != nil {
				return err
			}
			delete(want, id)
		}
		return nil
	case 4:
		_, err := r.Prune(ctx, PruneOptions{})
		return err
	default:
		list, err := r.Snapshots(ctx)
		if err != nil {
			return err
		}
		report, err := r.Copy(ctx, openMemory(t, second), list, CopyOptions{})
		for _, d := range report.Damaged {
			err = errors.Join(err, d.Err)
		}
		if errors.Is(err, ErrNoSnapshot) {
			return nil // forgotten meanwhile
		}
		return err
	}
}

package repository

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeboat/internal/storage"
)

// leftoverAge is after what time nobody can be writing to an unfinished file any
// more: whoever does holds a lock, and one is stale after half an hour. The rest is
// for clocks that differ.
const leftoverAge = 24 * time.Hour

// Leftovers are files under temporary names that interrupted uploads have left.
type Leftovers struct {
	Files int   `json:"files,omitempty"`
	Bytes int64 `json:"bytes"`
}

// leftovers lists what interrupted uploads have left in the store.
func (r *Repository) leftovers(ctx context.Context, visit func(storage.Leftover) error) error {
	store, ok := storage.AsSweeper(r.store)
	if !ok {
		return nil
	}
	return store.Leftovers(ctx, visit)
}

func (l *Leftovers) add(left storage.Leftover) {
	l.Files++
	l.Bytes += left.Size
}

// sweep removes leftovers that are old enough. What the store does not let go of
// stays.
func (p *prune) sweep(ctx context.Context) error {
	store, ok := storage.AsSweeper(p.r.store)
	if !ok {
		return nil
	}
	var old []storage.Leftover
	err := store.Leftovers(ctx, func(left storage.Leftover) error {
		if time.Since(left.Time) > leftoverAge {
			old = append(old, left)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, left := range old {
		if !p.opts.DryRun {
			err := store.Sweep(ctx, left)
			if errors.Is(err, storage.ErrNotFound) || readOnly(err) {
				continue
			}
			if err != nil {
				return fmt.Errorf("remove what an interrupted upload has left: %w", err)
			}
		}
		p.report.Leftovers.add(left)
	}
	return nil
}

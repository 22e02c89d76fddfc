package repository

import (
	"context"
	"fmt"
	"sync"
)

// forestStep is how many trees are read at once, which bounds the memory that
// their entries take before they are used.
const forestStep = 4096

// forest visits the trees of snapshots, each once, level by level, so that those
// of a level are read in the order they lie in. Since every tree is checked
// against its hash, none can contain itself.
type forest struct {
	mover mover
	// enter tells whether a tree is to be visited, which it is once. It is called
	// from one goroutine at a time.
	enter func(id ID) bool
	// locate finds a tree.
	locate func(id ID) (place, error)
	// visit is called once for every tree, from several goroutines at once.
	visit func(m moved, t *Tree) error
	// pause, unless nil, is called between reads.
	pause func() error
}

// walk visits trees and all below them that were not visited before.
func (f *forest) walk(ctx context.Context, roots ...ID) error {
	var level []ID
	for _, root := range roots {
		if f.enter(root) {
			level = append(level, root)
		}
	}
	for len(level) > 0 {
		var next []ID
		for len(level) > 0 {
			step := level[:min(forestStep, len(level))]
			level = level[len(step):]
			below, err := f.step(ctx, step)
			if err != nil {
				return err
			}
			next = append(next, below...)
			if f.pause != nil {
				if err := f.pause(); err != nil {
					return err
				}
			}
		}
		level = next
	}
	return ctx.Err()
}

// step visits some trees and returns those directly below them.
func (f *forest) step(ctx context.Context, ids []ID) (below []ID, err error) {
	places := make([]place, len(ids))
	for i, id := range ids {
		if places[i], err = f.locate(id); err != nil {
			return nil, err
		}
	}
	var mu sync.Mutex
	err = f.mover.read(ctx, groupPlaces(places), func(m moved) error {
		t, err := parseTree(m.plain)
		if err != nil {
			return fmt.Errorf("tree %s: %w", m.id, err)
		}
		mu.Lock()
		for _, n := range t.Nodes {
			if n.Type == Dir && f.enter(*n.Subtree) {
				below = append(below, *n.Subtree)
			}
		}
		mu.Unlock()
		return f.visit(m, t)
	})
	return below, err
}

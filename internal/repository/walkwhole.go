package repository

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// walkWhole visits a tree and all below it, except for what is known to be whole,
// until something is found that the index does not list. It returns the trees that
// it has visited.
func (r *Repository) walkWhole(ctx context.Context, x *index, known *blobSet, root ID) (*blobSet, error) {
	seen := newBlobSet(x)
	var mu sync.Mutex
	f := forest{mover: mover{repo: r, index: x}}
	f.enter = func(id ID) bool {
		mu.Lock()
		defer mu.Unlock()
		if known.has(TreeBlob, id) {
			return false
		}
		// What is not listed is entered, and not located then.
		return !seen.add(TreeBlob, id)
	}
	f.locate = func(id ID) (place, error) {
		p, ok := x.lookup(TreeBlob, id)
		if !ok {
			return p, lacking(TreeBlob, id)
		}
		return p, nil
	}
	f.visit = func(_ moved, t *Tree) error {
		for _, n := range t.Nodes {
			for _, id := range n.Content {
				if n.Type == File && !x.has(DataBlob, id) {
					return fmt.Errorf("%s: %w", quoted(n.Name), lacking(DataBlob, id))
				}
			}
		}
		return nil
	}
	return seen, f.walk(ctx, root)
}

func lacking(kind BlobType, id ID) error {
	return &DamageError{What: kind.String() + " blob", ID: id, Err: errors.New("its pack is missing or cut short, or no index lists it")}
}

// include adds all that other holds, which is of the same index.
func (s *blobSet) include(other *blobSet) {
	if short := len(other.bits) - len(s.bits); short > 0 {
		s.bits = append(s.bits, make([]uint64, short)...)
	}
	for i, bits := range other.bits {
		s.bits[i] |= bits
	}
}

// Listed tells whether the index that was read last lists a snapshot's topmost
// directory.
func (r *Repository) Listed(s *Snapshot) bool { return r.index.has(TreeBlob, *s.Tree) }

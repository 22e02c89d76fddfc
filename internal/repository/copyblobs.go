package repository

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// copyBatch is how many blobs are collected before they are copied: so many
// are read in the order they lie in, and so many are in memory.
const copyBatch = 100_000

// content gives a tree and everything below it that the destination does not hold
// to the writer.
func (c *copier) content(root ID) (blobs, bytes int64, err error) {
	w := c.writer
	var count, size atomic.Int64
	carry := func(b moved) error {
		n, err := w.carry(b)
		if err != nil {
			return err
		}
		if b.kind == DataBlob {
			c.mu.Lock()
			delete(c.claimed, b.id)
			c.mu.Unlock()
		}
		count.Add(1)
		size.Add(int64(n))
		c.tell(1, int64(n))
		return nil
	}
	m := mover{repo: c.src, index: c.src.index}
	drain := func() error {
		wanted := c.wanted
		c.wanted = nil
		return m.read(w.ctx, groupPlaces(wanted), carry)
	}
	f := forest{mover: m}
	c.entered, c.claimed = nil, make(map[ID]struct{})
	f.enter = func(id ID) bool {
		if _, seen := c.seen[id]; seen {
			return false
		}
		c.seen[id] = struct{}{}
		c.entered = append(c.entered, id)
		return true
	}
	f.locate = func(id ID) (place, error) { return c.locate(w.ctx, TreeBlob, id) }
	f.visit = func(b moved, t *Tree) error {
		if w.claim(TreeBlob, b.id) {
			if err := carry(b); err != nil {
				return err
			}
		}
		for _, n := range t.Nodes {
			if n.Type != File {
				continue
			}
			for _, id := range n.Content {
				if !w.claim(DataBlob, id) {
					continue
				}
				p, err := c.locate(w.ctx, DataBlob, id)
				if err != nil {
					w.release(DataBlob, id)
					return fmt.Errorf("%s: %w", quoted(n.Name), err)
				}
				c.mu.Lock()
				c.claimed[id] = struct{}{}
				c.wanted = append(c.wanted, p)
				c.mu.Unlock()
			}
		}
		return nil
	}
	f.pause = func() error {
		if len(c.wanted) < copyBatch {
			return nil
		}
		return drain()
	}
	err = f.walk(w.ctx, root)
	if err == nil {
		err = drain()
	}
	if cause := context.Cause(w.ctx); cause != nil {
		err = cause // which is why the rest ended
	}
	return count.Load(), size.Load(), err
}

// giveUp forgets what of a snapshot was promised and not stored: one that shares
// parts with it looks at them for itself.
func (c *copier) giveUp() {
	for _, id := range c.entered {
		delete(c.seen, id)
	}
	for id := range c.claimed {
		c.writer.release(DataBlob, id)
	}
	c.wanted = nil
}

// unusable tells damage of what a snapshot needs from failures that say nothing of it.
func unusable(err error) bool { return damaging(err) || errors.Is(err, ErrHostile) }

// missing notes which packs of the source are not there as its index has them, so
// that what lies in them is missed before anything is stored.
func (c *copier) missing(ctx context.Context) error {
	sizes, err := c.src.listPacks(ctx)
	if err != nil {
		return err
	}
	c.lost = make(map[ID]struct{})
	for id, blobs := range c.src.index.byPack() {
		if size, there := sizes[id]; !there || size != packSize(blobs) {
			c.lost[id] = struct{}{}
		}
	}
	return nil
}

// locate finds a blob in a pack of the source that is there.
func (c *copier) locate(ctx context.Context, kind BlobType, id ID) (place, error) {
	first, err := c.src.locate(ctx, kind, id)
	if err != nil {
		return first, err
	}
	for _, p := range append([]place{first}, c.src.index.others(kind, id)...) {
		if _, lost := c.lost[p.pack]; !lost {
			return p, nil
		}
	}
	return first, c.src.damage(first, errPackGone)
}

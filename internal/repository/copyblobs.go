package repository

import (
	"context"
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
	f.enter = func(id ID) bool {
		_, seen := c.seen[id]
		c.seen[id] = struct{}{}
		return !seen
	}
	f.locate = func(id ID) (place, error) { return c.src.locate(w.ctx, TreeBlob, id) }
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
				p, err := c.src.locate(w.ctx, DataBlob, id)
				if err != nil {
					return fmt.Errorf("%s: %w", quoted(n.Name), err)
				}
				c.mu.Lock()
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

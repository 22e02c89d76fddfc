package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lifeboat/internal/storage"
)

// snapshots checks that all trees and blobs of all snapshots are there.
func (c *checker) snapshots(ctx context.Context, ids []ID) error {
	c.report.Snapshots = len(ids)
	for i, id := range ids {
		s, err := c.r.LoadSnapshot(ctx, id)
		switch {
		case errors.Is(err, ErrNoSnapshot):
		case errors.Is(err, ErrDamaged):
			c.add(&Finding{Kind: DamagedSnapshot, File: handle(storage.Snapshot, id).Path(), Err: err, Snapshots: []ID{id}})
		case err != nil:
			return err
		default:
			if _, err := c.tree(ctx, id, "/", *s.Tree, nil); err != nil {
				return err
			}
		}
		if c.opts.Progress != nil && !c.opts.ReadData && c.opts.Subset == "" {
			c.opts.Progress(int64(i+1), int64(len(ids)))
		}
	}
	return nil
}

// tree checks a directory and all below it, once if nothing is wrong in it, and
// again for every snapshot that shares the damage.
func (c *checker) tree(ctx context.Context, snapshot ID, path string, id ID, above []ID) (clean bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if c.clean[id] {
		return true, nil
	}
	if len(above) >= maxDepth || slices.Contains(above, id) {
		c.broken(snapshot, path, id, fmt.Errorf("%w: it contains itself or lies too deep", ErrHostile))
		return false, nil
	}
	if !c.blob(TreeBlob, id, snapshot, path) {
		return false, nil
	}
	text, err := c.load(ctx, id)
	if err != nil {
		return false, err
	}
	if text == nil {
		c.blob(TreeBlob, id, snapshot, path) // now known to be damaged
		return false, nil
	}
	tree, err := parseTree(text)
	if err != nil {
		c.broken(snapshot, path, id, err)
		return false, nil
	}
	above = append(above, id)
	clean = true
	for _, n := range tree.Nodes {
		name := join(path, n.Name)
		switch n.Type {
		case Dir:
			ok, err := c.tree(ctx, snapshot, name, *n.Subtree, above)
			if err != nil {
				return false, err
			}
			clean = clean && ok
		case File:
			for _, blob := range n.Content {
				clean = c.blob(DataBlob, blob, snapshot, name) && clean
			}
		}
	}
	if clean {
		c.clean[id] = true
	}
	return clean, nil
}

// load reads a tree from the first of its places that is not damaged.
func (c *checker) load(ctx context.Context, id ID) ([]byte, error) {
	p, _ := c.index.lookup(TreeBlob, id)
	for _, p := range append([]place{p}, c.index.others(TreeBlob, id)...) {
		text, err := c.r.readBlob(ctx, p, nil)
		if err == nil || !errors.Is(err, ErrDamaged) {
			return text, err
		}
		// Not noticed before: its pack was not read as a whole.
		c.pack(DamagedPack, p.pack, err, []packedBlob{p.blob})
	}
	return nil, nil
}

// blob tells whether a blob can be read as far as is known, and notes the
// snapshot and path if not.
func (c *checker) blob(kind BlobType, id, snapshot ID, path string) bool {
	p, ok := c.index.lookup(kind, id)
	if !ok {
		if c.missing == nil {
			c.missing = c.add(&Finding{Kind: MissingBlobs, Err: hint(&DamageError{What: kind.String() + " blob", ID: id, Err: errMissingBlob}, "%s", c.r.repairIndex())})
		}
		c.missing.affects(snapshot, path)
		return false
	}
	if !c.bad[id] {
		return true
	}
	places := append(c.index.others(kind, id), p)
	for _, other := range places {
		if _, there := c.sizes[other.pack]; there && c.packs[other.pack] == nil {
			return true // this copy is whole
		}
	}
	for _, other := range places {
		if f := c.packs[other.pack]; f != nil {
			f.affects(snapshot, path)
		}
	}
	return false
}

func (c *checker) broken(snapshot ID, path string, id ID, err error) {
	f := &Finding{Kind: DamagedTree, Err: fmt.Errorf("tree %s: %w", id, err)}
	f.affects(snapshot, path)
	c.add(f)
}

package repository

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// PlanCopy tells what Copy would do with these snapshots. It writes nothing; the
// caller holds whatever locks it wants. Copies are without an ID in the report.
// Content is not read: damage inside of packs is found by Copy alone.
func (r *Repository) PlanCopy(ctx context.Context, dst *Repository, snapshots []*Snapshot) (report CopyReport, err error) {
	if err := errors.Join(r.loadIndex(ctx), dst.loadIndex(ctx)); err != nil {
		return report, err
	}
	c := &copier{src: r, dst: dst}
	if err := c.present(ctx); err != nil {
		return report, fmt.Errorf("copy to %s: %w", dst.Location(), err)
	}
	if err := c.missing(ctx); err != nil {
		return report, fmt.Errorf("copy from %s: %w", r.Location(), err)
	}
	var mu sync.Mutex
	var planned [2]map[ID]struct{} // by type of blob
	for kind := range planned {
		planned[kind] = make(map[ID]struct{})
	}
	var step CopiedSnapshot
	var own []packedBlob // that step stores
	plan := func(p place) {
		mu.Lock()
		defer mu.Unlock()
		if _, ok := planned[p.blob.kind][p.blob.id]; ok {
			return
		}
		planned[p.blob.kind][p.blob.id] = struct{}{}
		own = append(own, p.blob)
		step.Blobs++
		step.Bytes += int64(p.blob.length)
	}
	seen := make(map[ID]struct{})
	f := forest{mover: mover{repo: r, index: r.index}}
	var entered []ID
	f.enter = func(id ID) bool {
		if _, known := seen[id]; known {
			return false
		}
		seen[id] = struct{}{}
		entered = append(entered, id)
		return true
	}
	f.locate = func(id ID) (place, error) {
		p, err := c.locate(ctx, TreeBlob, id)
		if err == nil && !dst.index.has(TreeBlob, id) {
			plan(p)
		}
		return p, err
	}
	f.visit = func(_ moved, t *Tree) error {
		for _, n := range t.Nodes {
			if n.Type != File {
				continue
			}
			for _, id := range n.Content {
				if dst.index.has(DataBlob, id) {
					continue
				}
				p, err := c.locate(ctx, DataBlob, id)
				if err != nil {
					return fmt.Errorf("%s: %w", quoted(n.Name), err)
				}
				plan(p)
			}
		}
		return nil
	}
	for _, s := range snapshots {
		step, own, entered = CopiedSnapshot{ID: s.ID}, nil, nil
		for _, t := range c.have {
			step.Present = step.Present || s.sameAs(t)
		}
		if step.Present {
			report.Present++
		} else {
			err := f.walk(ctx, *s.Tree)
			if err != nil && ctx.Err() == nil && unusable(err) {
				report.Damaged = append(report.Damaged, UncopiedSnapshot{ID: s.ID, Err: err})
				for _, id := range entered {
					delete(seen, id)
				}
				for _, b := range own {
					delete(planned[b.kind], b.id)
				}
				continue
			}
			if err != nil {
				return report, fmt.Errorf("copy snapshot %s: %w", s.ID.Short(), err)
			}
			report.Copied++
		}
		report.Blobs += step.Blobs
		report.Bytes += step.Bytes
		report.Snapshots = append(report.Snapshots, step)
	}
	return report, nil
}

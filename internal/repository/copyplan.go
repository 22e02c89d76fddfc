package repository

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// PlanCopy tells what Copy would do with these snapshots. It writes nothing; the
// caller holds whatever locks it wants. Copies are without an ID in the report.
func (r *Repository) PlanCopy(ctx context.Context, dst *Repository, snapshots []*Snapshot) (report CopyReport, err error) {
	if err := errors.Join(r.loadIndex(ctx), dst.loadIndex(ctx)); err != nil {
		return report, err
	}
	c := &copier{src: r, dst: dst}
	if err := c.present(ctx); err != nil {
		return report, fmt.Errorf("copy to %s: %w", dst.Location(), err)
	}
	var mu sync.Mutex
	var planned [2]map[ID]struct{} // by type of blob
	for kind := range planned {
		planned[kind] = make(map[ID]struct{})
	}
	var step CopiedSnapshot
	plan := func(p place) {
		mu.Lock()
		defer mu.Unlock()
		if _, ok := planned[p.blob.kind][p.blob.id]; ok {
			return
		}
		planned[p.blob.kind][p.blob.id] = struct{}{}
		step.Blobs++
		step.Bytes += int64(p.blob.length)
	}
	seen := make(map[ID]struct{})
	f := forest{mover: mover{repo: r, index: r.index}}
	f.enter = func(id ID) bool {
		_, known := seen[id]
		seen[id] = struct{}{}
		return !known
	}
	f.locate = func(id ID) (place, error) {
		p, err := r.locate(ctx, TreeBlob, id)
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
				p, err := r.locate(ctx, DataBlob, id)
				if err != nil {
					return fmt.Errorf("%s: %w", quoted(n.Name), err)
				}
				plan(p)
			}
		}
		return nil
	}
	for _, s := range snapshots {
		step = CopiedSnapshot{ID: s.ID}
		for _, t := range c.have {
			step.Present = step.Present || s.sameAs(t)
		}
		if step.Present {
			report.Present++
		} else {
			if err := f.walk(ctx, *s.Tree); err != nil {
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

package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"lifeboat/internal/storage"
)

// fate is what becomes of a pack.
type fate uint8

const (
	keepPack fate = iota
	repackPack
	deletePack
)

// packState is what is known of one pack. Bytes of blobs are counted with their
// entries in the pack's header.
type packState struct {
	there      bool
	size       int64 // in the store
	listed     int64 // as the index has it
	kinds      [2]int
	used       int // blobs that are needed and counted here
	usedBytes  int64
	extra      int // blobs that are needed and counted elsewhere
	surplus    int // blobs that nobody needs, if there are duplicates
	extraBytes int64
	fate       fate
	locked     bool // the store does not let it be removed for now
}

// whole tells whether blobs can be read from the pack, as far as sizes tell.
func (s *packState) whole() bool { return s.there && s.size == s.listed }

func (s *packState) blobs() int  { return s.kinds[DataBlob] + s.kinds[TreeBlob] }
func (s *packState) mixed() bool { return s.kinds[DataBlob] > 0 && s.kinds[TreeBlob] > 0 }
func (s *packState) trees() bool { return s.kinds[TreeBlob] > 0 }

// kind is that of all blobs, unless they are mixed.
func (s *packState) kind() BlobType {
	if s.trees() {
		return TreeBlob
	}
	return DataBlob
}

// wasted is what repacking would save.
func (s *packState) wasted() int64 {
	if s.used == 0 {
		return s.size
	}
	return s.listed - trailerSize(nil) - s.usedBytes
}

// cost is what a blob takes in a pack, in bytes.
func (b packedBlob) cost() int64 {
	if b.plain != 0 {
		return int64(b.length) + compressedEntrySize
	}
	return int64(b.length) + entrySize
}

// list reads the snapshots, before the index: what one made in between needs
// would seem to be missing.
func (p *prune) list(ctx context.Context) error {
	snapshots, err := p.r.Snapshots(ctx)
	unread := Unread(err)
	if err != nil && unread == nil {
		return err
	}
	for _, damage := range unread {
		if !slices.Contains(p.opts.Without, damage.ID) {
			return hint(fmt.Errorf("%s cannot be read, and what it needs is not known: %w", handle(storage.Snapshot, damage.ID), damage),
				"copy the file back from a copy of the repository, or give up what it alone needs: %s --point %s", p.r.command("forget"), damage.ID.Short())
		}
	}
	snapshots = slices.DeleteFunc(snapshots, func(s *Snapshot) bool { return slices.Contains(p.opts.Without, s.ID) })
	p.report.Snapshots = len(snapshots)
	p.snapshots = make(map[ID]struct{}, len(snapshots))
	for _, s := range snapshots {
		p.snapshots[s.ID] = struct{}{}
		p.roots = append(p.roots, *s.Tree)
	}
	return nil
}

// plan finds out what is needed and decides what becomes of every pack.
func (p *prune) plan(ctx context.Context) error {
	if err := errors.Join(p.index.damage...); err != nil {
		return hint(fmt.Errorf("%s cannot be read: %w", damagedFile(storage.Index, err), err), "%s first", p.r.repairIndex())
	}
	if err := p.survey(ctx); err != nil {
		return err
	}
	if err := p.walk(ctx); err != nil {
		return err
	}
	if err := p.count(ctx); err != nil {
		return err
	}
	if err := p.decide(ctx); err != nil {
		return err
	}
	if err := p.findStale(ctx); err != nil {
		return err
	}
	p.estimate()
	return nil
}

// survey compares the index with the packs that are there.
func (p *prune) survey(ctx context.Context) error {
	sizes, err := p.r.listPacks(ctx)
	if err != nil {
		return err
	}
	for id, size := range sizes {
		p.packs[id] = &packState{there: true, size: size, fate: deletePack}
		p.report.Total.Packs++
		p.report.Total.Bytes += size
	}
	for id, blobs := range p.index.byPack() {
		s := p.packs[id]
		if s == nil {
			s = new(packState)
			p.packs[id] = s
			p.report.Missing++
		}
		s.listed = packSize(blobs)
		for _, b := range blobs {
			s.kinds[b.kind]++
		}
		p.report.Total.Blobs += len(blobs)
	}
	for _, s := range p.packs {
		if s.blobs() == 0 {
			p.report.Unindexed.Packs++
			p.report.Unindexed.Bytes += s.size
		}
	}
	return nil
}

// walk collects what the snapshots need.
func (p *prune) walk(ctx context.Context) error {
	p.used = newBlobSet(p.index)
	var mu sync.Mutex // of p.used
	var trees int64
	f := forest{mover: mover{repo: p.r, index: p.index}}
	f.enter = func(id ID) bool {
		mu.Lock()
		defer mu.Unlock()
		return !p.used.add(TreeBlob, id)
	}
	f.locate = func(id ID) (place, error) { return p.locate(TreeBlob, id) }
	f.visit = func(_ moved, t *Tree) error {
		mu.Lock()
		defer mu.Unlock()
		trees++
		p.opts.Progress(PruneWalk, trees, 0)
		for _, n := range t.Nodes {
			if n.Type != File {
				continue
			}
			for _, id := range n.Content {
				if p.used.add(DataBlob, id) {
					continue
				}
				if _, err := p.locate(DataBlob, id); err != nil {
					return fmt.Errorf("%s: %w", quoted(n.Name), err)
				}
			}
		}
		return nil
	}
	return f.walk(ctx, p.roots...)
}

// locate returns a copy of a blob that may be read, as far as sizes tell.
func (p *prune) locate(kind BlobType, id ID) (place, error) {
	first, ok := p.index.lookup(kind, id)
	if !ok {
		return place{}, hint(&DamageError{What: kind.String() + " blob", ID: id, Err: errMissingBlob},
			"a snapshot needs it; %s, and if that does not help, %s names what is affected", p.r.repairIndex(), p.r.command("verify"))
	}
	for _, c := range append([]place{first}, p.index.others(kind, id)...) {
		if p.packs[c.pack].whole() {
			return c, nil
		}
	}
	return place{}, hint(p.r.damage(first, errPackGone),
		"a snapshot needs it; restore the pack from a copy of the repository, or %s; %s names what is affected", p.r.repairIndex(), p.r.command("verify"))
}

// estimate fills in the report from the plan.
func (p *prune) estimate() {
	r := p.report
	for _, s := range p.packs {
		unused := s.blobs() - s.used - s.extra
		r.Unused.Blobs += unused
		r.Used.Blobs += s.used
		r.Used.Bytes += s.usedBytes
		if !s.there {
			continue
		}
		switch s.fate {
		case keepPack:
			r.Kept.Packs++
			r.Kept.Blobs += s.used
			r.Kept.Bytes += s.size
			r.Left.Blobs += unused + s.extra
			r.Left.Bytes += s.wasted()
			if s.locked && s.wasted() > 0 {
				r.Locked.Packs++
				r.Locked.Bytes += s.wasted()
			}
		case repackPack:
			r.Repacked.Packs++
			r.Repacked.Blobs += s.used
			r.Repacked.Bytes += s.usedBytes
		case deletePack:
			if s.blobs() > 0 {
				r.Unused.Packs++
			}
		}
		if s.blobs() > 0 {
			r.Unused.Bytes += max(0, s.wasted()-s.extraBytes)
		}
		if s.fate != keepPack {
			r.Deleted.Packs++
			r.Deleted.Bytes += s.size
		}
	}
	r.Written = r.Repacked.Bytes
	r.Freed = r.Deleted.Bytes - r.Written
}

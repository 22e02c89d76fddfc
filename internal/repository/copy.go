package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lifeboat/internal/storage"
)

// CopyOptions says how snapshots are copied.
type CopyOptions struct {
	// Progress is told how far the copy is, from several goroutines at once.
	Progress func(CopyProgress)
}

// CopyProgress is the state of a copy that is under way.
type CopyProgress struct {
	Snapshot  ID    `json:"snapshot"`  // that is being copied, as the source names it
	Done      int   `json:"done"`      // snapshots that are finished
	Snapshots int   `json:"snapshots"` // all of them
	Blobs     int64 `json:"blobs"`     // stored so far
	Bytes     int64 `json:"bytes"`     // added to packs so far
}

// CopiedSnapshot is what became of one snapshot.
type CopiedSnapshot struct {
	ID      ID    `json:"id"`      // in the source
	Copy    ID    `json:"copy"`    // in the destination
	Present bool  `json:"present"` // it was there already
	Blobs   int64 `json:"blobs"`   // that the destination did not hold
	Bytes   int64 `json:"bytes"`   // added to packs
}

// CopyReport says what a copy did. Snapshots that are not in it were not copied.
type CopyReport struct {
	Snapshots []CopiedSnapshot `json:"snapshots"`
	Copied    int              `json:"copied"`
	Present   int              `json:"present"`
	Blobs     int64            `json:"blobs"`
	Bytes     int64            `json:"bytes"`
}

const (
	// copyBatch is how many blobs are collected before they are copied: so many
	// are read in the order they lie in, and so many are in memory.
	copyBatch = 100_000
)

// Copy copies snapshots into another repository, with everything they need and
// that it does not hold. Content is neither cut nor compressed again: every blob
// is read, checked, and sealed with the other key. A copied snapshot names the
// first of its line as its original, as the format has it; one that is there
// already is left out.
//
// A copy that is interrupted goes on where it was when it is started again. Both
// repositories are locked, shared with others; the source is not, where it
// cannot be written to. The report is valid with an error too. The error is
// ErrDamaged if a snapshot needs something that cannot be read; those before it
// were copied.
func (r *Repository) Copy(ctx context.Context, dst *Repository, snapshots []*Snapshot, opts CopyOptions) (report CopyReport, err error) {
	if r.config.ID == dst.config.ID {
		return report, fmt.Errorf("copy: %s and %s are the same repository", r.Location(), dst.Location())
	}
	if dst.config.Version != formatVersion {
		return report, hint(fmt.Errorf("copy to repository at %s: %w: %d", dst.Location(), ErrVersion, dst.config.Version),
			"migrate it with restic migrate upgrade_repo_v2, or create a new one")
	}
	from, err := r.ReadLock(ctx)
	if err != nil {
		return report, fmt.Errorf("copy from %s: %w", r.Location(), err)
	}
	defer func() { err = errors.Join(err, from.Release()) }()
	to, err := dst.Lock(ctx, false)
	if err != nil {
		return report, fmt.Errorf("copy to %s: %w", dst.Location(), err)
	}
	defer func() { err = errors.Join(err, to.Release()) }()
	if err := errors.Join(r.loadIndex(ctx), dst.loadIndex(ctx)); err != nil {
		return report, err
	}
	if err := dst.adopt(ctx); err != nil {
		return report, fmt.Errorf("copy to %s: %w", dst.Location(), err)
	}
	c := &copier{src: r, dst: dst, lock: to, opts: opts, report: &report, seen: make(map[ID]struct{})}
	if err := c.present(ctx); err != nil {
		return report, fmt.Errorf("copy to %s: %w", dst.Location(), err)
	}
	c.progress.Snapshots = len(snapshots)
	for _, s := range snapshots {
		c.mu.Lock()
		c.progress.Snapshot = s.ID
		c.mu.Unlock()
		if err := c.snapshot(ctx, s); err != nil {
			return report, fmt.Errorf("copy snapshot %s to %s: %w", s.ID.Short(), dst.Location(), err)
		}
		c.mu.Lock()
		c.progress.Done++
		c.mu.Unlock()
		c.tell(0, 0)
	}
	return report, nil
}

// copier is one copy.
type copier struct {
	src, dst *Repository
	lock     *HeldLock
	opts     CopyOptions
	report   *CopyReport
	have     []*Snapshot     // of the destination
	seen     map[ID]struct{} // trees that were copied, with all below them

	mu       sync.Mutex
	progress CopyProgress
	wanted   []place // content to be copied
}

func (c *copier) present(ctx context.Context) error {
	list, err := c.dst.Snapshots(ctx)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	c.have = list // a damaged one is as good as none
	// What an index lists is not copied, so it must be there.
	sizes, err := c.dst.listPacks(ctx)
	if err != nil {
		return err
	}
	for id := range c.dst.index.byPack() {
		if _, there := sizes[id]; !there {
			return hint(&DamageError{What: "pack", ID: id, Err: storage.ErrNotFound}, "repair the index of the destination, then copy again")
		}
	}
	return nil
}

func (c *copier) tell(blobs, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.progress.Blobs += blobs
	c.progress.Bytes += bytes
	if c.opts.Progress != nil {
		c.opts.Progress(c.progress)
	}
}

// line is the first snapshot that this one is a copy of.
func (s *Snapshot) line() ID {
	if s.Original != nil {
		return *s.Original
	}
	return s.ID
}

// sameAs tells whether two snapshots, of different repositories, are copies.
func (s *Snapshot) sameAs(t *Snapshot) bool {
	tags := func(s *Snapshot) []string { return slices.Sorted(slices.Values(s.Tags)) }
	return s.line() == t.line() && *s.Tree == *t.Tree && s.Time.Equal(t.Time) && s.Hostname == t.Hostname &&
		slices.Equal(s.Paths, t.Paths) && slices.Equal(tags(s), tags(t))
}

func (c *copier) snapshot(ctx context.Context, s *Snapshot) error {
	if s.Tree == nil {
		return errors.New("it names no tree")
	}
	for _, t := range c.have {
		if s.sameAs(t) {
			c.report.Present++
			c.report.Snapshots = append(c.report.Snapshots, CopiedSnapshot{ID: s.ID, Copy: t.ID, Present: true})
			return nil
		}
	}
	done := CopiedSnapshot{ID: s.ID}
	var err error
	done.Blobs, done.Bytes, err = c.content(ctx, *s.Tree)
	c.report.Blobs += done.Blobs
	c.report.Bytes += done.Bytes
	if err != nil {
		return err
	}
	if err := c.lock.Verify(ctx); err != nil {
		return err
	}
	if done.Copy, err = c.save(ctx, s); err != nil {
		return err
	}
	copied, err := c.dst.LoadSnapshot(ctx, done.Copy)
	if err != nil {
		return err
	}
	c.have = append(c.have, copied)
	c.report.Copied++
	c.report.Snapshots = append(c.report.Snapshots, done)
	return nil
}

// content copies a tree and everything below it, until an index file lists it.
func (c *copier) content(ctx context.Context, root ID) (blobs, bytes int64, err error) {
	w, err := newWriter(ctx, c.dst, CompressionOff, 1)
	if err != nil {
		return 0, 0, err
	}
	defer func() {
		w.fail(ErrClosed)
		w.running.Wait()
	}()
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
	if err != nil && context.Cause(w.ctx) == nil {
		_ = w.flush() // what was copied so far is of use to the next copy
	}
	if err = w.finish(err); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		_ = c.dst.flushIndex(ctx)
	} else {
		err = c.dst.flushIndex(ctx)
	}
	return count.Load(), size.Load(), err
}

// save writes the copy's own file: everything the source's says, also what this
// program does not know, but the parent, which is a snapshot of the source.
func (c *copier) save(ctx context.Context, s *Snapshot) (ID, error) {
	text, err := c.src.loadJSON(ctx, storage.Snapshot, s.ID, nil)
	if err != nil {
		return ID{}, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return ID{}, &DamageError{What: "snapshot", ID: s.ID, Err: err}
	}
	delete(fields, "parent")
	if fields["original"], err = json.Marshal(s.line()); err != nil {
		return ID{}, err
	}
	return c.dst.saveJSON(ctx, storage.Snapshot, fields)
}

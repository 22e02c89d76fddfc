package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
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

// UncopiedSnapshot is one that cannot be copied, because something that it needs is
// damaged or missing in the source.
type UncopiedSnapshot struct {
	ID  ID    // in the source
	Err error // ErrDamaged or ErrHostile
}

// CopyReport says what a copy did. Snapshots that are not in it were not copied.
type CopyReport struct {
	Snapshots []CopiedSnapshot   `json:"snapshots"`
	Damaged   []UncopiedSnapshot `json:"-"` // were left out
	Copied    int                `json:"copied"`
	Present   int                `json:"present"`
	// What was stored, of snapshots that turned out damaged too: those that share
	// it need not send it again.
	Blobs int64 `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

// Snapshots of which little is new are completed together, after so many packs or
// so much time: each by itself would leave packs and index files with next to
// nothing in them.
const (
	copyPacks = 4
	copyTime  = 5 * time.Minute
)

// Copy copies snapshots into another repository, with everything they need and
// that it does not hold. Content is neither cut nor compressed again: every blob
// is read, checked, and sealed with the other key. A copied snapshot names the
// first of its line as its original, as the format has it; one that is there
// already is left out.
//
// A copy that is interrupted goes on where it was when it is started again. Both
// repositories are locked, shared with others; the source is not, where it
// cannot be written to. A snapshot that needs something that cannot be read is left
// out and named in the report; that is no error. The report is valid with an error
// too. It is ErrDamaged if the destination lacks what its index lists.
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
	if err := c.missing(ctx); err != nil {
		return report, fmt.Errorf("copy from %s: %w", r.Location(), err)
	}
	if c.writer, err = newWriter(ctx, dst, CompressionOff, 1); err != nil {
		return report, err
	}
	err = c.all(ctx, snapshots)
	return report, errors.Join(err, c.end(ctx))
}

// copier is one copy.
type copier struct {
	src, dst *Repository
	lock     *HeldLock
	opts     CopyOptions
	report   *CopyReport
	writer   *writer
	have     []*Snapshot     // of the destination
	lost     map[ID]struct{} // packs that the source's index lists and that cannot be right
	seen     map[ID]struct{} // trees that were copied, with all below them
	entered  []ID            // of those, the trees of the snapshot that is being copied
	complete []copied        // snapshots whose content is with the writer
	since    time.Time       // when the first of them was
	held     int64           // bytes of them

	mu       sync.Mutex
	progress CopyProgress
	wanted   []place         // content to be copied
	claimed  map[ID]struct{} // content that is promised to the writer
}

// copied is a snapshot that is written once all it needs is in the index.
type copied struct {
	*Snapshot
	done CopiedSnapshot
}

// all copies the snapshots one after the other.
func (c *copier) all(ctx context.Context, snapshots []*Snapshot) error {
	c.progress.Snapshots = len(snapshots)
	for _, s := range snapshots {
		c.mu.Lock()
		c.progress.Snapshot = s.ID
		c.mu.Unlock()
		if err := c.snapshot(ctx, s); err != nil {
			return fmt.Errorf("copy snapshot %s to %s: %w", s.ID.Short(), c.dst.Location(), err)
		}
		c.mu.Lock()
		c.progress.Done++
		c.mu.Unlock()
		c.tell(0, 0)
	}
	return nil
}

// end writes what is complete, after an error too, and makes the rest useful to
// the next copy.
func (c *copier) end(ctx context.Context) error {
	w := c.writer
	var err error
	if context.Cause(w.ctx) == nil {
		err = errors.Join(c.settle(ctx), w.flush())
	}
	w.fail(ErrClosed)
	w.running.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return errors.Join(err, c.dst.flushIndex(ctx))
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
			return hint(&DamageError{What: "pack", ID: id, Err: storage.ErrNotFound}, "repair the index of the destination (%s), then copy again", c.dst.command("repository repair"))
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
	for _, t := range c.complete {
		if s.sameAs(t.Snapshot) { // given twice
			if err := c.settle(ctx); err != nil {
				return err
			}
			break
		}
	}
	for _, t := range c.have {
		if s.sameAs(t) {
			c.report.Present++
			c.report.Snapshots = append(c.report.Snapshots, CopiedSnapshot{ID: s.ID, Copy: t.ID, Present: true})
			return nil
		}
	}
	// It may have been forgotten before there was a lock.
	s, err := c.src.LoadSnapshot(ctx, s.ID)
	if err != nil {
		return err
	}
	done := CopiedSnapshot{ID: s.ID}
	done.Blobs, done.Bytes, err = c.content(*s.Tree)
	c.report.Blobs += done.Blobs
	c.report.Bytes += done.Bytes
	if err != nil && context.Cause(c.writer.ctx) == nil && unusable(err) {
		c.giveUp()
		c.report.Damaged = append(c.report.Damaged, UncopiedSnapshot{ID: s.ID, Err: err})
		return nil
	}
	if err != nil {
		return err
	}
	if len(c.complete) == 0 {
		c.since = time.Now()
	}
	c.complete = append(c.complete, copied{s, done})
	c.held += done.Bytes
	if c.held < copyPacks*int64(c.dst.opts.PackSize) && time.Since(c.since) < copyTime {
		return nil
	}
	return c.settle(ctx)
}

// settle stores what is with the writer, and then the snapshots that need it.
func (c *copier) settle(ctx context.Context) error {
	if len(c.complete) == 0 {
		return nil
	}
	err := c.writer.flush()
	if err == nil {
		err = c.dst.flushIndex(ctx)
	}
	if err == nil {
		var cancel context.CancelFunc
		ctx, cancel, err = c.lock.sealing(ctx)
		defer cancel()
	}
	for err == nil && len(c.complete) > 0 {
		err = c.save(ctx, c.complete[0])
		if err == nil {
			c.complete = c.complete[1:]
		}
	}
	c.held = 0
	return err
}

// save writes the copy's own file: everything the source's says, also what this
// program does not know, but the parent, which is a snapshot of the source.
func (c *copier) save(ctx context.Context, s copied) error {
	text, err := c.src.loadJSON(ctx, storage.Snapshot, s.ID, nil)
	if errors.Is(err, storage.ErrNotFound) {
		return ErrNoSnapshot // forgotten before the source was locked
	}
	if err != nil {
		return err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return &DamageError{What: "snapshot", ID: s.ID, Err: err}
	}
	delete(fields, "parent")
	if fields["original"], err = json.Marshal(s.line()); err != nil {
		return err
	}
	if s.done.Copy, err = c.dst.saveJSON(ctx, storage.Snapshot, fields); err != nil {
		return err
	}
	same := *s.Snapshot
	line := s.line()
	same.ID, same.Original = s.done.Copy, &line
	c.have = append(c.have, &same)
	c.report.Copied++
	c.report.Snapshots = append(c.report.Snapshots, s.done)
	return nil
}

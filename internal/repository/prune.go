package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"lifeboat/internal/storage"
)

// DefaultMaxUnused is the share of unused bytes that is usually left where it
// is: to repack it would cost more than it is worth.
const DefaultMaxUnused = 0.05

// PruneOptions says what a prune may do.
type PruneOptions struct {
	// DryRun only finds out what would be done. It writes nothing, not even a lock.
	DryRun bool
	// Without are snapshots that a dry run takes for forgotten.
	Without []ID
	// MaxUnused is the share of all bytes, from 0 to below 1, that may stay in
	// packs although no snapshot needs them. 0 tolerates none; DefaultMaxUnused
	// is usual. It holds for trees by themselves, too.
	MaxUnused float64
	// MaxRepack bounds the bytes of packs that are repacked; 0 is no bound.
	MaxRepack int64
	// KeepPacks repacks nothing and removes only what is unused as a whole. That
	// needs next to no room, which a full store does not have.
	KeepPacks bool
	// RepackLocked repacks also what the store keeps from being removed for now:
	// what is needed of it is stored twice until a prune after that.
	RepackLocked bool
	// Unsafe is for a store that is so full that not even a lock can be written,
	// or the index: something goes first and without a lock, and index files are
	// removed before they are written anew. What is killed in between leaves packs
	// that no index lists until RepairIndex. It implies KeepPacks.
	Unsafe bool
	// Progress is told what is being done and how much of it is, from several
	// goroutines at once. A total of 0 is not known.
	Progress func(stage PruneStage, done, total int64)
}

// PruneStage is what a prune is doing.
type PruneStage string

// The stages of a prune, in their order, with what their progress counts.
const (
	PruneWalk   PruneStage = "walk"   // trees
	PruneRepack PruneStage = "repack" // bytes
	PruneIndex  PruneStage = "index"  // index files
	PruneDelete PruneStage = "delete" // files
)

// Amount is a number of packs or blobs and the bytes they take in the store.
type Amount struct {
	Packs int   `json:"packs,omitempty"`
	Blobs int   `json:"blobs,omitempty"`
	Bytes int64 `json:"bytes"`
}

// PruneReport says what a prune did, or with DryRun would do.
type PruneReport struct {
	DryRun    bool `json:"dry_run,omitempty"`
	Snapshots int  `json:"snapshots"`

	Total      Amount    `json:"total"`      // everything there was, unindexed packs included
	Used       Amount    `json:"used"`       // blobs that snapshots need, each counted once
	Unused     Amount    `json:"unused"`     // blobs that none needs; packs that hold nothing else
	Duplicates Amount    `json:"duplicates"` // further copies of needed blobs
	Unindexed  Amount    `json:"unindexed"`  // packs that no index lists, left by killed backups
	Leftovers  Leftovers `json:"leftovers"`  // of interrupted uploads, old enough to go
	Missing    int       `json:"missing"`    // packs that an index lists, that are gone and not needed

	Kept     Amount `json:"kept"`             // packs that stay as they are
	Left     Amount `json:"left"`             // of those, what is unused and tolerated
	Locked   Amount `json:"locked"`           // packs that were not repacked because the store keeps them, what is unused in them
	Repacked Amount `json:"repacked"`         // packs that were rewritten, the blobs taken over from them
	Deleted  Amount `json:"deleted"`          // packs
	Refused  Amount `json:"refused"`          // packs that the store would not delete; no index lists them any more
	Reason   string `json:"reason,omitempty"` // why it would not
	// Retained says that all of them are locked for now, and nothing else was refused.
	Retained bool `json:"retained,omitempty"`

	IndexWritten int   `json:"index_written"` // files
	IndexDeleted int   `json:"index_deleted"` // files
	Written      int64 `json:"written"`       // bytes of new packs
	Freed        int64 `json:"freed"`         // bytes of packs deleted, less those written
}

// Prune removes what no snapshot needs, under an exclusive lock: packs that are
// unused as a whole are deleted, packs worth it are repacked, and small ones are
// merged. ErrLocked while anyone else uses the repository.
//
// Anything needed that is missing or damaged, and a snapshot that cannot be
// read, end it before anything was changed, with ErrDamaged. It may be killed at
// any time: new packs are written first, then index files that list them and no
// longer list what goes, then the old index files go, and the packs last; the
// next prune finishes. A store that refuses to delete packs, because they are
// locked against it, is told in the report; one that refuses to delete at all,
// because it only takes additions, is storage.ErrReadOnly.
func (r *Repository) Prune(ctx context.Context, opts PruneOptions) (report *PruneReport, err error) {
	if r.config.Version != formatVersion {
		return nil, hint(fmt.Errorf("prune: %w: %d", ErrVersion, r.config.Version), "use restic prune")
	}
	if opts.MaxUnused < 0 || opts.MaxUnused >= 1 {
		return nil, fmt.Errorf("prune: a share of %g unused bytes makes no sense: it lies between 0 and 1", opts.MaxUnused)
	}
	if len(opts.Without) > 0 && !opts.DryRun {
		return nil, errors.New("prune: only a dry run takes snapshots for forgotten")
	}
	if opts.Progress == nil {
		opts.Progress = func(PruneStage, int64, int64) {}
	}
	p := &prune{r: r, opts: opts, report: &PruneReport{DryRun: opts.DryRun}, packs: make(map[ID]*packState)}
	if opts.DryRun {
		err = p.look(ctx)
	} else {
		err = p.locked(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("prune: %w", err)
	}
	return p.report, nil
}

// prune is one prune.
type prune struct {
	r      *Repository
	opts   PruneOptions
	report *PruneReport
	lock   *HeldLock
	index  *index

	packs     map[ID]*packState
	snapshots map[ID]struct{}   // those whose blobs were counted
	roots     []ID              // their trees
	used      *blobSet          // what they need
	keepers   map[uint32]uint32 // of needed blobs with several copies, the one that counts, by their entries
	files     []ID              // index files
	stale     []ID              // of those, what is to be written anew
	empty     ID                // one that lists nothing, if there is any
	seen      map[ID]struct{}   // packs that are in a file that stays or was written
	verified  time.Time

	early      Amount // packs that were deleted to make room
	earlyIndex int    // index files, likewise
}

// look plans without a lock. What others write meanwhile is not waited for.
func (p *prune) look(ctx context.Context) error {
	if !p.r.opts.NoLock {
		a := acquisition{r: p.r, reading: true}
		if _, err := a.look(ctx, false); err != nil {
			return err
		}
		p.r.tellPassed(a.passed)
	}
	if err := p.list(ctx); err != nil {
		return err
	}
	p.index = newIndex()
	if err := p.r.readIndex(ctx, p.index); err != nil {
		return err
	}
	if err := p.plan(ctx); err != nil {
		return err
	}
	return p.sweep(ctx)
}

// locked prunes under an exclusive lock.
func (p *prune) locked(ctx context.Context) (err error) {
	if p.r.opts.NoLock {
		return errors.New("the repository was opened without locks")
	}
	p.opts.KeepPacks = p.opts.KeepPacks || p.opts.Unsafe
	p.lock, err = p.r.Lock(ctx, true)
	if errors.Is(err, storage.ErrNoSpace) && p.opts.Unsafe {
		p.lock, err = p.lockFull(ctx)
	}
	if errors.Is(err, storage.ErrNoSpace) && !p.opts.Unsafe {
		return p.r.fullHint(err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.lock.Release()) }()
	// What this process knew of the repository may be out of date. No session
	// of it is under way, or there would be a lock.
	p.r.forgetIndex()
	defer p.r.forgetIndex()
	if err := p.list(ctx); err != nil {
		return err
	}
	if err := p.r.loadIndex(ctx); err != nil {
		return err
	}
	p.index = p.r.index
	if err := p.plan(ctx); err != nil {
		return err
	}
	p.report.Total.Packs += p.early.Packs
	p.report.Total.Bytes += p.early.Bytes
	if !p.needed() {
		p.total(Amount{})
		return p.sweep(ctx)
	}
	if err := p.mayDeleteFull(ctx); err != nil {
		return err
	}
	if err := p.repack(ctx); err != nil {
		return err
	}
	if err := p.replaceIndex(ctx); err != nil {
		return err
	}
	if err := p.unchanged(ctx); err != nil {
		return err
	}
	p.r.forgetIndex()
	if err := p.deleteIndex(ctx); err != nil {
		return err
	}
	if err := p.deletePacks(ctx); err != nil {
		return err
	}
	return p.sweep(ctx)
}

// needed tells whether there is anything to do.
func (p *prune) needed() bool {
	if len(p.stale) > 0 {
		return true
	}
	for _, s := range p.packs {
		if s.fate != keepPack && s.there {
			return true
		}
	}
	return false
}

// unchanged makes sure that nobody worked on the repository although it is
// locked: a lock is lost when a machine sleeps for longer than it lasts.
func (p *prune) unchanged(ctx context.Context) error {
	if err := p.lock.Verify(ctx); err != nil {
		return err
	}
	ids, err := p.r.listIDs(ctx, storage.Snapshot)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, known := p.snapshots[id]; !known {
			return hint(fmt.Errorf("snapshot %s was made although the repository was locked; nothing that it may need was deleted", id.Short()), "prune again")
		}
	}
	p.verified = time.Now()
	return nil
}

// mayDelete finds out whether the store deletes at all, before much is written
// to it for nothing: a store may take additions only.
func (p *prune) mayDelete(ctx context.Context) error {
	if store, ok := storage.AsRetainer(p.r.store); ok && store.Retaining() > 0 {
		return nil // such a file would itself be locked; what may be deleted is found out file by file
	}
	id := p.empty // left by one that was refused
	if id.IsZero() {
		var err error
		if id, err = p.r.saveText(ctx, storage.Index, appendIndex(nil, indexFile{})); err != nil {
			return fmt.Errorf("save a file to try whether it can be deleted: %w", err)
		}
	}
	err := p.r.removeFile(ctx, storage.Index, id)
	switch {
	case err == nil, errors.Is(err, storage.ErrNotFound):
		p.stale = slices.DeleteFunc(p.stale, func(stale ID) bool { return stale == id })
		return nil
	case readOnly(err):
		return hint(fmt.Errorf("the store does not delete; nothing was changed: %w", err), "prune with access that may delete, on the machine that keeps the repository say")
	}
	return fmt.Errorf("try whether the store deletes: %w", err)
}

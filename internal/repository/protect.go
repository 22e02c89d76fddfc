package repository

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/storage"
)

// ErrNoRetention says that the store cannot keep files from being removed.
var ErrNoRetention = errors.New("this sort of store cannot lock files against removal")

// ProtectOptions says how files are locked against removal.
type ProtectOptions struct {
	// Period is how long, from now on, at least a day.
	Period time.Duration
	// DryRun only finds out what would be done.
	DryRun bool
	// Without are snapshots that shall be forgotten once their locks have ended:
	// neither they nor what they alone need is locked longer.
	Without []ID
	// Progress is told how many files were looked at, from several goroutines at
	// once.
	Progress func(done, total int)
}

// ProtectReport says what a protection did, or with DryRun would do.
type ProtectReport struct {
	DryRun    bool      `json:"dry_run,omitempty"`
	Until     time.Time `json:"until"`               // when the new locks end
	Files     int       `json:"files"`               // that snapshots need
	Extended  int       `json:"extended"`            // locked anew or longer
	Unchanged int       `json:"unchanged"`           // locked long enough before
	Unlocked  int       `json:"unlocked"`            // of those that were extended, how many had no lock any more
	Unneeded  int       `json:"unneeded"`            // files that no snapshot needs, left alone
	Earliest  time.Time `json:"earliest,omitzero"`   // the lock that would have ended first, of those there were
	Problems  []string  `json:"problems,omitempty"`  // damage; all that is there was protected then
	Missing   []string  `json:"missing,omitempty"`   // files that are gone
	Malformed []string  `json:"malformed,omitempty"` // files of another size than the index says
}

// OK tells whether everything that is needed is there.
func (r *ProtectReport) OK() bool { return len(r.Problems)+len(r.Missing)+len(r.Malformed) == 0 }

// protections is how many files are asked for at once: it is the wait for the
// server that takes the time.
const protections = 16

// Protect locks against removal what the snapshots need: config, keys,
// snapshots, the index files and packs with something of theirs in it. Locks are
// made longer, never shorter. What is locked almost as long is left alone, so
// that a call that was interrupted goes on where it was when it is repeated, and
// one too many costs little. ErrNoRetention where the store cannot do it.
//
// A repository that is damaged is protected as it is, whole, and the report says
// what is wrong.
func (r *Repository) Protect(ctx context.Context, opts ProtectOptions) (report *ProtectReport, err error) {
	store, ok := storage.AsRetainer(r.store)
	if !ok {
		return nil, hint(fmt.Errorf("protect %s: %w", r.Location(), ErrNoRetention), "object storage (s3:) with object lock can")
	}
	if opts.Period < 24*time.Hour {
		return nil, fmt.Errorf("protect %s: %v is too short for a lock", r.Location(), opts.Period)
	}
	if err := store.Retainable(ctx); err != nil {
		return nil, fmt.Errorf("protect %s: %w", r.Location(), err)
	}
	lock, err := r.ReadLock(ctx)
	if err != nil {
		return nil, fmt.Errorf("protect %s: %w", r.Location(), err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	report = &ProtectReport{DryRun: opts.DryRun, Until: time.Now().Add(opts.Period).Truncate(time.Second)}
	files, err := r.precious(ctx, opts.Without, report)
	if err != nil {
		return nil, fmt.Errorf("protect %s: %w", r.Location(), err)
	}
	report.Files = len(files)
	p := &protection{store: store, opts: opts, report: report, enough: report.Until.Add(-min(24*time.Hour, opts.Period/10))}
	if err := p.all(ctx, files); err != nil {
		return report, hint(fmt.Errorf("protect %s: %d of %d files are locked until %s at least: %w", r.Location(),
			report.Extended+report.Unchanged, report.Files, p.enough.Local().Format(time.DateOnly), err), "repeat it: it goes on where it was")
	}
	return report, nil
}

// precious is a file that must stay, and the size it must have where that is
// known.
type precious struct {
	storage.Handle
	size int64
}

// precious lists what the snapshots need, but for those without.
func (r *Repository) precious(ctx context.Context, without []ID, report *ProtectReport) ([]precious, error) {
	files := []precious{{Handle: storage.Handle{Type: storage.Config}}}
	for _, of := range []storage.Type{storage.Key, storage.Snapshot} {
		ids, err := r.listIDs(ctx, of)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if of == storage.Snapshot && slices.Contains(without, id) {
				report.Unneeded++
				continue
			}
			files = append(files, precious{Handle: handle(of, id)})
		}
	}
	p := &prune{r: r, opts: PruneOptions{DryRun: true, KeepPacks: true, Without: without, Progress: func(PruneStage, int64, int64) {}}, report: new(PruneReport), packs: make(map[ID]*packState)}
	err := p.needs(ctx)
	if errors.Is(err, ErrDamaged) {
		// Better too much than to let the locks of what is whole run out.
		report.Problems = append(report.Problems, err.Error())
		for _, s := range p.packs {
			s.fate = keepPack
		}
	} else if err != nil {
		return nil, err
	}
	for id, s := range p.packs {
		if s.fate == keepPack {
			files = append(files, precious{Handle: handle(storage.Data, id), size: s.listed})
		} else {
			report.Unneeded++
		}
	}
	index, err := p.needsIndex(ctx, report)
	if err != nil {
		return nil, err
	}
	for _, id := range index {
		files = append(files, precious{Handle: handle(storage.Index, id)})
	}
	// What is asked for first, is what nothing works without.
	slices.SortStableFunc(files, func(a, b precious) int { return cmp.Compare(a.Type, b.Type) })
	return files, nil
}

// needs finds out which packs the snapshots need. What others write meanwhile is
// locked as it is written.
func (p *prune) needs(ctx context.Context) error {
	p.index = newIndex()
	listed := p.list(ctx)
	if err := p.r.readIndex(ctx, p.index); err != nil {
		return err
	}
	if err := p.survey(ctx); err != nil {
		return err
	}
	if err := errors.Join(append(p.index.damage, listed)...); err != nil {
		return err
	}
	if err := p.walk(ctx); err != nil {
		return err
	}
	return p.count(ctx)
}

// needsIndex chooses index files that list all packs that stay. One whose packs
// others list too, as a prune leaves it that may not remove it yet, is not
// needed: its lock must run out some day. Those that list most of what goes are
// given up first.
func (p *prune) needsIndex(ctx context.Context, report *ProtectReport) ([]ID, error) {
	ids, err := p.r.listIDs(ctx, storage.Index)
	if err != nil {
		return nil, err
	}
	type file struct {
		id    ID
		keeps []ID
		goes  int
	}
	var files []file
	holders := map[ID]int{}
	for _, id := range ids {
		packs, err := p.r.readIndexFile(ctx, id)
		if errors.Is(err, ErrDamaged) {
			files = append(files, file{id: id, goes: -1}) // as it is; needs has told
			continue
		}
		if err != nil {
			return nil, err
		}
		f := file{id: id}
		for pack := range packs {
			if s := p.packs[pack]; s != nil && s.fate == keepPack {
				f.keeps = append(f.keeps, pack)
				holders[pack]++
			} else {
				f.goes++
			}
		}
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b file) int {
		return cmp.Or(cmp.Compare(b.goes, a.goes), cmp.Compare(len(a.keeps), len(b.keeps)), bytes.Compare(a.id[:], b.id[:]))
	})
	var needed []ID
	for _, f := range files {
		alone := func(pack ID) bool { return holders[pack] == 1 }
		if f.goes >= 0 && !slices.ContainsFunc(f.keeps, alone) {
			for _, pack := range f.keeps {
				holders[pack]--
			}
			report.Unneeded++
			continue
		}
		needed = append(needed, f.id)
	}
	return needed, nil
}

// protection is one protection under way.
type protection struct {
	store  storage.Retainer
	opts   ProtectOptions
	report *ProtectReport
	enough time.Time // a lock that lasts so long is left alone

	mu   sync.Mutex
	done int
}

func (p *protection) all(ctx context.Context, files []precious) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(protections)
	for _, f := range files {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error { return p.one(gctx, f) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

func (p *protection) one(ctx context.Context, f precious) error {
	found, err := p.store.Retention(ctx, f.Handle)
	gone := errors.Is(err, storage.ErrNotFound)
	if err != nil && !gone {
		return err
	}
	extend := !gone && found.Until.Before(p.enough)
	if extend && !p.opts.DryRun {
		if err := p.store.Retain(ctx, f.Handle, p.report.Until); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.report
	switch {
	case gone:
		r.Missing = append(r.Missing, f.Path())
	case extend:
		r.Extended++
	default:
		r.Unchanged++
	}
	if extend && !found.Holds() {
		r.Unlocked++
	}
	if !gone && found.Holds() && !found.Until.IsZero() && (r.Earliest.IsZero() || found.Until.Before(r.Earliest)) {
		r.Earliest = found.Until
	}
	if !gone && f.size > 0 && f.size != found.Size {
		r.Malformed = append(r.Malformed, fmt.Sprintf("%s has %d bytes, the index lists %d", f.Path(), found.Size, f.size))
	}
	p.done++
	if p.opts.Progress != nil {
		p.opts.Progress(p.done, r.Files)
	}
	return nil
}

package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lifeboat/internal/storage"
)

// RepairIndex makes the index match the packs again, under an exclusive lock.
// Packs that no index lists rightly are read; those that are gone are dropped;
// of those that are damaged, the blobs that still read back are stored again.
// Packs whose size is right are taken for whole but for those given as damaged,
// which a check that reads all data has found. What cannot be read is in no
// index afterwards, so that the next backup stores it again where it still is.
// The new index is written before the old one goes, so that it may be killed at
// any time. The report lists what was wrong; without findings nothing changed.
// Packs that no index lists and that hold nothing new are left for a prune.
func (r *Repository) RepairIndex(ctx context.Context, damaged ...ID) (report *Report, err error) {
	if r.config.Version != formatVersion {
		return nil, hint(fmt.Errorf("repair the index: %w: %d", ErrVersion, r.config.Version), "use restic rebuild-index")
	}
	lock, err := r.Lock(ctx, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	old, err := r.listIDs(ctx, storage.Index)
	if err != nil {
		return nil, err
	}
	known := newIndex()
	if err := r.readIndex(ctx, known); err != nil {
		return nil, err
	}
	sizes, err := r.listPacks(ctx)
	if err != nil {
		return nil, err
	}
	report = &Report{Packs: len(sizes)}
	for _, err := range known.damage {
		report.Findings = append(report.Findings, &Finding{Kind: DamagedIndex, File: damagedFile(storage.Index, err), Err: err})
	}
	s := &survey{r: r, known: known, fresh: newIndex(), report: report, damaged: damaged}
	s.believe = len(known.damage) > 0 || len(old) == 0
	if err := s.all(ctx, sizes); err != nil {
		return nil, err
	}
	if len(report.Findings) == 0 {
		return report, nil
	}
	if err := lock.Verify(ctx); err != nil { // to read the packs may take long
		return nil, err
	}
	written, err := r.saveIndex(ctx, s.packs, old)
	if err != nil {
		return nil, err
	}
	for _, id := range written {
		s.fresh.read(id, nil)
	}
	r.refresh.Lock()
	r.index.replace(s.fresh)
	r.refresh.Unlock()
	if err := r.salvage(ctx, s.salvage); err != nil {
		return nil, err
	}
	for _, id := range old {
		if slices.Contains(written, id) {
			continue
		}
		if err := r.removeFile(ctx, storage.Index, id); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return nil, fmt.Errorf("the new index is written, but what it replaces still counts; remove index file %s: %w", id.Short(), elsewhere(err))
		}
	}
	return report, nil
}

// salvageable are the blobs that lie within what is left of a pack.
func salvageable(id ID, blobs []packedBlob, size int64) (places []place) {
	for _, b := range blobs {
		if int64(b.offset)+int64(b.length) <= size {
			places = append(places, place{pack: id, blob: b})
		}
	}
	return places
}

// salvage stores the blobs again that can still be read from damaged packs.
func (r *Repository) salvage(ctx context.Context, places []place) error {
	if len(places) == 0 {
		return nil
	}
	w, err := newWriter(ctx, r, CompressionAuto, 1)
	if err != nil {
		return err
	}
	defer w.fail(ErrClosed)
	for _, p := range places {
		data, err := r.readBlob(ctx, p, nil)
		if errors.Is(err, ErrDamaged) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := w.save(p.blob.kind, data); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil {
		return err
	}
	return r.flushIndex(ctx)
}

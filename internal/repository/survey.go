package repository

import (
	"context"
	"errors"
	"slices"
	"sync"

	"lifeboat/internal/storage"
)

// survey compares the packs with what the index knows of them, for a repair.
type survey struct {
	r       *Repository
	known   *index // as it was
	fresh   *index // as it will be
	report  *Report
	damaged []ID // packs that cannot be read in full
	// believe has packs that no index lists taken for whole when their headers can
	// be read: an index was lost, and to read all they hold would be to read the
	// repository. Otherwise they are few, and one may be what an earlier repair let
	// go of.
	believe bool

	packs   []indexPack // for the new index
	salvage []place     // what may be saved from damaged ones
}

func (s *survey) find(kind FindingKind, pack ID, err error) {
	s.report.Findings = append(s.report.Findings, &Finding{Kind: kind, File: handle(storage.Data, pack).Path(), Err: err})
}

// take lists a pack in the new index.
func (s *survey) take(pack ID, blobs []packedBlob) {
	s.packs = append(s.packs, newIndexPack(pack, blobs))
	s.fresh.add(pack, blobs)
	s.report.Blobs += len(blobs)
}

// all looks at every pack; sizes are those in the store.
func (s *survey) all(ctx context.Context, sizes map[ID]int64) error {
	for id := range s.known.byPack() {
		if _, there := sizes[id]; !there {
			s.find(MissingPack, id, storage.ErrNotFound)
		}
	}
	var unlisted []ID
	for id, size := range sizes {
		blobs := s.known.inPack(id)
		if len(blobs) == 0 {
			unlisted = append(unlisted, id)
			continue
		}
		if err := s.listed(ctx, id, size, blobs); err != nil {
			return err
		}
	}
	slices.SortFunc(unlisted, func(a, b ID) int { return slices.Compare(a[:], b[:]) })
	for _, id := range unlisted {
		if err := s.unlisted(ctx, id, sizes[id]); err != nil {
			return err
		}
	}
	slices.SortFunc(s.packs, func(a, b indexPack) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return nil
}

// listed looks at a pack that the index lists.
func (s *survey) listed(ctx context.Context, id ID, size int64, blobs []packedBlob) error {
	if slices.Contains(s.damaged, id) {
		s.find(DamagedPack, id, errors.New("not all of it can be read"))
		s.salvage = append(s.salvage, salvageable(id, blobs, size)...)
		return nil
	}
	if packSize(blobs) == size {
		s.take(id, blobs)
		return nil
	}
	header, err := s.r.packHeader(ctx, id, size)
	if err != nil {
		if !damaging(err) {
			return err
		}
		s.find(DamagedPack, id, err)
		s.salvage = append(s.salvage, salvageable(id, blobs, size)...)
		return nil
	}
	s.find(DamagedIndex, id, errors.New("the index did not list its blobs rightly"))
	s.take(id, header)
	return nil
}

// unlisted looks at a pack that no index lists. A whole one counts, whatever others
// list: they may be damaged. Of one that is not, only what nothing else lists.
func (s *survey) unlisted(ctx context.Context, id ID, size int64) error {
	header, err := s.r.packHeader(ctx, id, size)
	if damaging(err) {
		return nil
	}
	if err != nil {
		return err
	}
	good := header
	if !s.believe || slices.Contains(s.damaged, id) {
		if good, err = s.readable(ctx, id, header); err != nil {
			return err
		}
	}
	if len(good) == len(header) {
		s.find(OrphanPack, id, errors.New("no index listed it"))
		s.take(id, header)
		return nil
	}
	good = slices.DeleteFunc(good, func(b packedBlob) bool { return s.fresh.has(b.kind, b.id) })
	if len(good) == 0 {
		return nil
	}
	s.find(DamagedPack, id, errors.New("no index listed it, and not all of it can be read"))
	for _, b := range good {
		s.salvage = append(s.salvage, place{pack: id, blob: b})
	}
	return nil
}

// readable are those blobs of a pack that are what they should be.
func (s *survey) readable(ctx context.Context, id ID, blobs []packedBlob) (good []packedBlob, err error) {
	var mu sync.Mutex
	m := mover{repo: s.r, index: s.known, damaged: func(place, error) error { return nil }}
	err = m.read(ctx, []packBlobs{{pack: id, blobs: blobs}}, func(b moved) error {
		mu.Lock()
		defer mu.Unlock()
		good = append(good, b.packedBlob)
		return nil
	})
	return good, err
}

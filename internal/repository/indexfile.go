package repository

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/repository/crypto"
	"lifeboat/internal/storage"
)

// indexFile is the JSON of an index file.
type indexFile struct {
	Supersedes []ID        `json:"supersedes,omitempty"`
	Packs      []indexPack `json:"packs"`
}

type indexPack struct {
	ID    ID          `json:"id"`
	Blobs []indexBlob `json:"blobs"`
}

type indexBlob struct {
	ID     ID     `json:"id"`
	Type   string `json:"type"`
	Offset uint64 `json:"offset"`
	Length uint64 `json:"length"`
	Plain  uint64 `json:"uncompressed_length,omitempty"`
}

// maxIndexBlobs is how many blobs one index file lists: the file stays well
// below the 8 MiB that the format suggests.
const maxIndexBlobs = 40_000

func newIndexPack(pack ID, blobs []packedBlob) indexPack {
	p := indexPack{ID: pack, Blobs: make([]indexBlob, len(blobs))}
	for i, b := range blobs {
		p.Blobs[i] = indexBlob{ID: b.id, Type: b.kind.String(), Offset: uint64(b.offset), Length: uint64(b.length), Plain: uint64(b.plain)}
	}
	return p
}

// entries checks a pack's list and turns it into the form used in memory.
func (p indexPack) entries() ([]packedBlob, error) {
	blobs := make([]packedBlob, len(p.Blobs))
	for i, b := range p.Blobs {
		e := packedBlob{id: b.ID}
		switch b.Type {
		case "data":
		case "tree":
			e.kind = TreeBlob
		default:
			return nil, fmt.Errorf("pack %s lists a blob of type %q", p.ID, b.Type)
		}
		if b.Length < crypto.Overhead || b.Offset > math.MaxUint32 || b.Length > math.MaxUint32-b.Offset || b.Plain > maxTreeBlob {
			return nil, fmt.Errorf("pack %s lists blob %s at %d with length %d", p.ID, b.ID, b.Offset, b.Length)
		}
		e.offset, e.length, e.plain = uint32(b.Offset), uint32(b.Length), uint32(b.Plain)
		blobs[i] = e
	}
	return blobs, nil
}

func parseIndex(text []byte) (map[ID][]packedBlob, error) {
	var file indexFile
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	packs := make(map[ID][]packedBlob, len(file.Packs))
	for _, p := range file.Packs {
		blobs, err := p.entries()
		if err != nil {
			return nil, err
		}
		packs[p.ID] = append(packs[p.ID], blobs...)
	}
	return packs, nil
}

// loadIndex reads the index files that were not read yet.
func (r *Repository) loadIndex(ctx context.Context) error {
	r.refresh.Lock()
	defer r.refresh.Unlock()
	return r.readIndex(ctx, r.index)
}

// readIndex adds the index files that x does not know to it. Damaged ones are
// remembered and left out: what they list counts as missing until the index is
// repaired.
func (r *Repository) readIndex(ctx context.Context, x *index) error {
	ids, err := r.listIDs(ctx, storage.Index)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for _, id := range ids {
		if x.knows(id) {
			continue
		}
		g.Go(func() error {
			packs, err := r.readIndexFile(ctx, id)
			if errors.Is(err, storage.ErrNotFound) {
				return nil // replaced meanwhile
			}
			if err != nil && !errors.Is(err, ErrDamaged) {
				return err
			}
			for pack, blobs := range packs {
				x.add(pack, blobs)
			}
			x.read(id, err)
			return nil
		})
	}
	return g.Wait()
}

func (r *Repository) readIndexFile(ctx context.Context, id ID) (map[ID][]packedBlob, error) {
	text, err := r.loadJSON(ctx, storage.Index, id)
	if err != nil {
		return nil, err
	}
	packs, err := parseIndex(text)
	if err != nil {
		return nil, &DamageError{What: "index", ID: id, Err: err}
	}
	return packs, nil
}

// saveIndex writes the packs into as many index files as they need.
func (r *Repository) saveIndex(ctx context.Context, packs []indexPack, supersedes []ID) ([]ID, error) {
	var written []ID
	for len(packs) > 0 {
		blobs, n := 0, 0
		for n < len(packs) && (n == 0 || blobs+len(packs[n].Blobs) <= maxIndexBlobs) {
			blobs += len(packs[n].Blobs)
			n++
		}
		id, err := r.saveJSON(ctx, storage.Index, indexFile{Supersedes: supersedes, Packs: packs[:n]})
		if err != nil {
			return written, fmt.Errorf("save index: %w", err)
		}
		r.index.read(id, nil)
		written = append(written, id)
		packs = packs[n:]
	}
	return written, nil
}

// Damage returns what was found wrong with index files while they were read.
// It is empty before the first use of the index.
func (r *Repository) Damage() []error {
	r.index.mu.RLock()
	defer r.index.mu.RUnlock()
	return append([]error(nil), r.index.damage...)
}

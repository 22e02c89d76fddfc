package repository

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

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
		if err := checkPlace(b.Offset, b.Length, b.Plain); err != nil {
			return nil, fmt.Errorf("pack %s lists blob %s %w", p.ID, b.ID, err)
		}
		e.offset, e.length, e.plain = uint32(b.Offset), uint32(b.Length), uint32(b.Plain)
		blobs[i] = e
	}
	return blobs, nil
}

// loadIndex reads the index files that were not read yet, and all of them if one
// that was is gone.
func (r *Repository) loadIndex(ctx context.Context) error {
	r.refresh.Lock()
	defer r.refresh.Unlock()
	if err := r.dropOutdated(ctx); err != nil {
		return err
	}
	return r.readIndex(ctx, r.index)
}

// Reading index files. Each reader takes a file of the usual size at a time,
// some 15 MB with what is made of it; more of them than cores hide how long a
// distant store takes to answer.
const (
	indexReaders = 3
	// listedBlob is how many bytes of a compressed index file a blob takes, or
	// more; the most that is believed of what a store says on the sizes of files.
	listedBlob  = 44
	mostGuessed = 7 << 20
	// keptBuffer bounds what a reader keeps for its next file.
	keptBuffer = 64 << 20
)

// readIndex adds the index files that x does not know to it. Damaged ones are
// remembered and left out: what they list counts as missing until the index is
// repaired.
func (r *Repository) readIndex(ctx context.Context, x *index) error {
	var ids []ID
	var size int64
	err := r.store.List(ctx, storage.Index, func(info storage.Info) error {
		id, err := ParseID(info.Name)
		if err == nil && !x.knows(id) {
			ids, size = append(ids, id), size+info.Size
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list index files: %w", err)
	}
	slices.SortFunc(ids, func(a, b ID) int { return slices.Compare(a[:], b[:]) })
	x.reserve(int(min(size/listedBlob, mostGuessed)))
	g, ctx := errgroup.WithContext(ctx)
	queue := make(chan ID)
	g.Go(func() error {
		defer close(queue)
		for _, id := range ids {
			select {
			case queue <- id:
			case <-ctx.Done():
				return nil
			}
		}
		return nil
	})
	for range min(indexReaders, len(ids)) {
		g.Go(func() error {
			reader := indexReader{repo: r}
			for id := range queue {
				err := reader.read(ctx, id)
				switch {
				case errors.Is(err, storage.ErrNotFound): // replaced meanwhile
				case err != nil && !errors.Is(err, ErrDamaged):
					return err
				case err != nil:
					x.read(id, err)
				default:
					x.addFile(id, &reader.list)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// indexReader reads one index file after the other.
type indexReader struct {
	repo *Repository
	buf  fileBuffer
	list listing // of the file that was read last
}

func (i *indexReader) read(ctx context.Context, id ID) error {
	i.buf.trim(keptBuffer)
	text, err := i.repo.loadJSON(ctx, storage.Index, id, &i.buf)
	if err != nil {
		return err
	}
	if err := i.list.parse(text); err != nil {
		return &DamageError{What: "index", ID: id, Err: err}
	}
	return nil
}

// readIndexFile returns the packs of one index file.
func (r *Repository) readIndexFile(ctx context.Context, id ID) (map[ID][]packedBlob, error) {
	reader := indexReader{repo: r}
	if err := reader.read(ctx, id); err != nil {
		return nil, err
	}
	packs := make(map[ID][]packedBlob, len(reader.list.packs))
	reader.list.each(func(pack ID, blobs []packedBlob) { packs[pack] = append(packs[pack], blobs...) })
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
		id, err := r.saveText(ctx, storage.Index, appendIndex(nil, indexFile{Supersedes: supersedes, Packs: packs[:n]}))
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

// appendIndex appends the JSON of an index file, as encoding/json writes it.
func appendIndex(text []byte, file indexFile) []byte {
	text = append(text, '{')
	for i, id := range file.Supersedes {
		text = append(text, separator(i, `"supersedes":[`)...)
		text = appendID(text, id)
	}
	if len(file.Supersedes) > 0 {
		text = append(text, "],"...)
	}
	text = append(text, `"packs":[`...)
	for i, p := range file.Packs {
		text = appendID(append(text, separator(i, "")+`{"id":`...), p.ID)
		text = append(text, `,"blobs":[`...)
		for i, b := range p.Blobs {
			text = appendID(append(text, separator(i, "")+`{"id":`...), b.ID)
			text = append(text, `,"type":"`+b.Type+`","offset":`...)
			text = strconv.AppendUint(text, b.Offset, 10)
			text = strconv.AppendUint(append(text, `,"length":`...), b.Length, 10)
			if b.Plain != 0 {
				text = strconv.AppendUint(append(text, `,"uncompressed_length":`...), b.Plain, 10)
			}
			text = append(text, '}')
		}
		text = append(text, "]}"...)
	}
	return append(text, "]}"...)
}

func separator(i int, first string) string {
	if i == 0 {
		return first
	}
	return ","
}

func appendID(text []byte, id ID) []byte {
	return append(hex.AppendEncode(append(text, '"'), id[:]), '"')
}

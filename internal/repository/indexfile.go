package repository

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/sync/errgroup"

	"lifeboat/internal/repository/cache"
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
	var files []indexInfo
	var size int64
	err := r.store.List(ctx, storage.Index, func(info storage.Info) error {
		id, err := ParseID(info.Name)
		if err == nil && !x.knows(id) {
			files, size = append(files, indexInfo{id, info.Size}), size+info.Size
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list index files: %w", err)
	}
	slices.SortFunc(files, func(a, b indexInfo) int { return slices.Compare(a.id[:], b.id[:]) })
	x.reserve(int(max(0, min(size/listedBlob, mostGuessed))))
	g, ctx := errgroup.WithContext(ctx)
	queue := make(chan indexInfo)
	g.Go(func() error {
		defer close(queue)
		for _, f := range files {
			select {
			case queue <- f:
			case <-ctx.Done():
				return nil
			}
		}
		return nil
	})
	for range min(indexReaders, len(files)) {
		g.Go(func() error {
			reader := indexReader{repo: r, cache: x.cache}
			for f := range queue {
				err := reader.read(ctx, f)
				switch {
				case errors.Is(err, storage.ErrNotFound): // replaced meanwhile
				case err != nil && !errors.Is(err, ErrDamaged):
					return err
				case err != nil:
					x.read(f.id, err)
				default:
					x.addFile(f.id, &reader.list)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	x.cache.Keep(cache.Index, func(name string) bool {
		id, err := ParseID(name)
		return err == nil && x.knows(id)
	})
	x.cache.Keep(cache.Tree, func(name string) bool {
		id, err := ParseID(name)
		return err == nil && x.lists(id)
	})
	return nil
}

// indexInfo is an index file as the store lists it.
type indexInfo struct {
	id   ID
	size int64 // bytes
}

// indexReader reads one index file after the other.
type indexReader struct {
	repo  *Repository
	cache *cache.Cache
	buf   fileBuffer
	list  listing // of the file that was read last
}

// read reads a file, or what the cache has of it. Which files there are never
// comes from the cache.
func (i *indexReader) read(ctx context.Context, file indexInfo) error {
	i.buf.trim(keptBuffer)
	name := file.id.String()
	if compiled, ok := i.cache.Get(cache.Index, name, i.buf.stored); ok {
		i.buf.stored = compiled
		if i.list.decode(compiled, file.size) {
			return nil
		}
	}
	if err := i.load(ctx, file.id); err != nil {
		return err
	}
	if i.cache != nil {
		i.buf.text = i.list.encode(i.buf.text[:0], file.size)
		i.buf.stored = i.cache.PutSealed(cache.Index, name, i.buf.text, i.buf.stored)
	}
	return nil
}

func (i *indexReader) load(ctx context.Context, id ID) error {
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
	if err := reader.load(ctx, id); err != nil {
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

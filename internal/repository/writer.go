package repository

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"lifeboat/internal/repository/cache"
	"lifeboat/internal/repository/crypto"
	"lifeboat/internal/storage"
)

// Limits of the writer.
const (
	uploads = 2 // packs being saved at once, each in memory
	// An index file is written after so many new blobs or so much time, so that
	// a backup that is killed leaves what it stored for the next to use.
	indexAfterBlobs = maxIndexBlobs
	indexAfterTime  = 10 * time.Minute
	// worthIt is the part of a blob, in 1/64, that compression has to save.
	worthIt = 1
)

// writer turns content into blobs and blobs into packs. All methods may be
// called from several goroutines. After the first error it takes nothing more.
type writer struct {
	repo *Repository
	zstd *zstd.Encoder // nil: nothing is compressed
	auto bool          // what looks like noise is not compressed either
	ctx  context.Context
	fail context.CancelCauseFunc

	mu      sync.Mutex
	claimed [2]map[ID]struct{} // new blobs that are not in a saved pack yet
	free    [][]byte           // buffers of packs that were saved

	// filling is held while a blob is added to a pack, and while that has to
	// wait for others to be saved: no second pack fills up meanwhile.
	filling sync.Mutex
	open    [2]*openPack

	slots   chan struct{}
	running sync.WaitGroup
	// scratch is room for a blob for each worker: whoever has one may compress.
	scratch chan *[]byte
}

type openPack struct {
	data  []byte
	blobs []packedBlob
}

func newWriter(ctx context.Context, r *Repository, c Compression, workers int) (*writer, error) {
	w := &writer{
		repo:    r,
		auto:    c == CompressionAuto,
		claimed: [2]map[ID]struct{}{make(map[ID]struct{}), make(map[ID]struct{})},
		open:    [2]*openPack{{}, {}},
		slots:   make(chan struct{}, uploads),
		scratch: make(chan *[]byte, workers),
	}
	for range workers {
		w.scratch <- new([]byte)
	}
	w.ctx, w.fail = context.WithCancelCause(ctx)
	if c != CompressionOff {
		var err error
		if w.zstd, err = newEncoder(c, workers); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// saved says what became of a blob.
type saved struct {
	id     ID
	fresh  bool // the repository did not hold it
	stored int  // bytes added to a pack
}

// save stores a blob unless the repository holds it. Data is not kept.
func (w *writer) save(kind BlobType, data []byte) (saved, error) {
	if kind == TreeBlob && len(data) > maxTreeBlob {
		return saved{}, fmt.Errorf("a directory has too many entries: its tree takes %d bytes, %d are the limit", len(data), maxTreeBlob)
	}
	s := saved{id: Hash(data)}
	var err error
	if !w.claim(kind, s.id) {
		return s, nil
	}
	buf := <-w.scratch
	defer func() { w.scratch <- buf }()
	b := packedBlob{id: s.id, kind: kind}
	// The blob is compressed behind the room for its IV and then sealed in place.
	if need := crypto.Overhead + len(data) + len(data)/64 + 64; cap(*buf) < need {
		*buf = make([]byte, 0, need)
	}
	packed := (*buf)[:crypto.IVSize]
	if w.zstd != nil && len(data) > 0 && !(w.auto && noise(data)) {
		packed = w.zstd.EncodeAll(data, packed)
		b.plain = uint32(len(data))
	}
	if b.plain == 0 || len(packed)-crypto.IVSize > len(data)-len(data)/64*worthIt {
		if packed, b.plain, err = appendRaw(packed[:crypto.IVSize], data); err != nil {
			return s, err
		}
	}
	*buf = w.repo.key.SealInPlace(packed)
	b.length = uint32(len(*buf))
	s.fresh, s.stored = true, len(*buf)
	return s, w.append(b, *buf)
}

// appendRaw appends content that is not worth compressing, and returns its size
// if it had to be compressed all the same: what would pass for a file of the
// repository is never stored as it is.
func appendRaw(to, data []byte) ([]byte, uint32, error) {
	if !passesForFile(data) {
		return append(to, data...), 0, nil
	}
	e, err := unpackedEncoder()
	if err != nil {
		return nil, 0, err
	}
	return e.EncodeAll(data, to), uint32(len(data)), nil
}

// claim tells whether the blob is still to be stored, and leaves that to the caller.
func (w *writer) claim(kind BlobType, id ID) bool {
	if w.repo.index.has(kind, id) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, taken := w.claimed[kind][id]; taken {
		return false
	}
	w.claimed[kind][id] = struct{}{}
	return true
}

// release takes a claim back: the blob could not be had.
func (w *writer) release(kind BlobType, id ID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.claimed[kind], id)
}

// append adds a sealed blob to the open pack of its type. A pack that has no
// room for it, or is full with it, is sent off.
func (w *writer) append(b packedBlob, sealed []byte) error {
	w.filling.Lock()
	defer w.filling.Unlock()
	p := w.open[b.kind]
	if len(p.blobs) > 0 && len(p.data)+len(sealed) > w.repo.opts.PackSize {
		w.open[b.kind] = &openPack{}
		if err := w.send(p); err != nil {
			return err
		}
		p = w.open[b.kind]
	}
	if p.data == nil && b.kind == DataBlob {
		p.data = w.buffer()
	}
	b.offset = uint32(len(p.data))
	p.data = append(p.data, sealed...)
	p.blobs = append(p.blobs, b)
	if len(p.data) < w.repo.opts.PackSize {
		return nil
	}
	w.open[b.kind] = &openPack{}
	return w.send(p)
}

// buffer returns a data pack's buffer, with room for the trailer of a usual one;
// a pack of trees is rarely full, and its buffer grows.
func (w *writer) buffer() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.free); n > 0 {
		b := w.free[n-1]
		w.free = w.free[:n-1]
		return b[:0]
	}
	return make([]byte, 0, w.repo.opts.PackSize+w.repo.opts.PackSize/16)
}

// send saves a pack in the background. It waits while enough others are under
// way; w.filling is held.
func (w *writer) send(p *openPack) error {
	select {
	case w.slots <- struct{}{}:
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
	w.running.Go(func() {
		defer func() { <-w.slots }()
		if err := w.upload(p); err != nil {
			w.fail(err)
		}
	})
	return nil
}

func (w *writer) upload(p *openPack) error {
	body := len(p.data)
	p.data = appendHeader(p.data, w.repo.key, p.blobs)
	if err := w.checkHeader(p, body); err != nil {
		return err
	}
	id := Hash(p.data)
	w.repo.uploads.begin(id)
	err := w.repo.store.Save(w.ctx, handle(storage.Data, id), p.data)
	if err != nil {
		if cause := context.Cause(w.ctx); cause != nil {
			return cause
		}
		err = fmt.Errorf("save pack %s: %w", id.Short(), err)
		switch {
		case errors.Is(err, storage.ErrQuota):
			err = hint(err, "raise the quota on the server, or forget and prune there, and run again; what was stored is used then")
		case errors.Is(err, storage.ErrNoSpace):
			err = hint(err, "make room in %s and run again; what was stored is used then", w.repo.store.Location())
		}
		return err
	}
	if p.blobs[0].kind == TreeBlob && w.repo.cache.Trees() {
		w.repo.cache.Put(cache.Tree, id.String(), p.data) // for the next backup
	}
	w.repo.index.add(id, p.blobs)
	due := w.repo.pending.add(newIndexPack(id, p.blobs))
	w.mu.Lock()
	for _, b := range p.blobs {
		delete(w.claimed[b.kind], b.id)
	}
	if len(w.free) < uploads && cap(p.data) >= w.repo.opts.PackSize {
		w.free = append(w.free, p.data)
	}
	w.mu.Unlock()
	if due {
		return w.repo.flushIndex(w.ctx)
	}
	return nil
}

// checkHeader reads back what was just written, as others will.
func (w *writer) checkHeader(p *openPack, body int) error {
	sealed := bytes.Clone(p.data[body : len(p.data)-headerLengthSize])
	header, err := w.repo.key.Open(sealed)
	if err == nil {
		var blobs []packedBlob
		if blobs, err = parseHeader(header, int64(body)); err == nil && len(blobs) != len(p.blobs) {
			err = errPackHeader
		}
	}
	if err != nil {
		return fmt.Errorf("a pack does not read back as it was written; this machine's memory may be faulty: %w", err)
	}
	return nil
}

// flush saves the open packs and waits for all that are under way.
func (w *writer) flush() error {
	w.filling.Lock()
	for kind, p := range w.open {
		w.open[kind] = &openPack{}
		if len(p.blobs) == 0 {
			continue
		}
		if err := w.send(p); err != nil {
			break
		}
	}
	w.filling.Unlock()
	w.running.Wait()
	return context.Cause(w.ctx)
}

// pendingIndex collects packs that are saved but in no index file yet, of all
// sessions of a repository: one may already rely on another's blobs.
type pendingIndex struct {
	saving sync.Mutex // held while index files are written

	mu    sync.Mutex
	packs []indexPack
	blobs int
	since time.Time
}

// add reports whether it is time to write an index file.
func (p *pendingIndex) add(pack indexPack) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.packs) == 0 {
		p.since = time.Now()
	}
	p.packs = append(p.packs, pack)
	p.blobs += len(pack.Blobs)
	return p.blobs >= indexAfterBlobs || time.Since(p.since) >= indexAfterTime
}

// flushIndex writes index files for all packs that were saved before the call.
// If our lock was lost, a prune may have removed them: an index file that lists
// them would have later backups rely on what is gone.
func (r *Repository) flushIndex(ctx context.Context) error {
	p := &r.pending
	p.saving.Lock()
	defer p.saving.Unlock()
	p.mu.Lock()
	packs := p.packs
	p.packs, p.blobs = nil, 0
	p.mu.Unlock()
	var err error
	if len(packs) > 0 {
		err = r.locks.verify(ctx)
	}
	if err == nil {
		_, err = r.saveIndex(ctx, packs, nil)
	}
	if err != nil {
		p.mu.Lock()
		p.packs = append(packs, p.packs...) // a file listed twice does no harm
		p.mu.Unlock()
		return err
	}
	r.uploads.indexed(packs)
	return nil
}

package repository

import (
	"context"
	"sync"

	"lifeboat/internal/repository/cache"
	"lifeboat/internal/storage"
)

// A pack of trees is fetched whole into the cache when so many of its trees were
// asked for: one alone is cheaper, and who reads a few will read more.
const (
	treesBeforePack = 3
	maxCachedPack   = 32 << 20 // bytes
)

// packFetcher counts how often trees of packs were asked for that the cache does
// not hold, and fetches one pack at a time.
type packFetcher struct {
	mu     sync.Mutex
	missed map[ID]int
	busy   chan struct{}
}

func newPackFetcher() *packFetcher {
	return &packFetcher{missed: make(map[ID]int), busy: make(chan struct{}, 1)}
}

// miss tells whether it is time to fetch the pack.
func (f *packFetcher) miss(pack ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.missed[pack]++
	return f.missed[pack] >= treesBeforePack
}

// give up fetching a pack that the cache does not take.
func (f *packFetcher) giveUp(pack ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.missed[pack] = -1 << 30
}

// fetchBlob reads a blob for use. A tree may come from the cache: it is checked
// against its ID like any other, and read from the store if it is not genuine.
func (r *Repository) fetchBlob(ctx context.Context, p place, buf *blobBuffer) ([]byte, error) {
	if p.blob.kind == TreeBlob && r.cache.Trees() && p.blob.length <= maxCachedPack {
		if buf == nil {
			buf = new(blobBuffer)
		}
		if data, ok := r.cachedTree(p, buf); ok {
			return data, nil
		}
		if r.fetcher.miss(p.pack) && r.fetchPack(ctx, p, buf) {
			if data, ok := r.cachedTree(p, buf); ok {
				return data, nil
			}
			r.fetcher.giveUp(p.pack)
		}
	}
	return r.readBlob(ctx, p, buf)
}

func (r *Repository) cachedTree(p place, buf *blobBuffer) ([]byte, bool) {
	buf.sealed = buf.room(buf.sealed, int(p.blob.length))
	sealed := buf.sealed[:p.blob.length]
	if p.blob.size() > maxTreeBlob || !r.cache.ReadAt(cache.Tree, p.pack.String(), sealed, int64(p.blob.offset)) {
		return nil, false
	}
	data, err := r.decodeBlob(p, sealed, buf)
	if err != nil {
		r.cache.Remove(cache.Tree, p.pack.String())
		return nil, false
	}
	return data, true
}

// fetchPack brings a pack into the cache, unless another call just did.
func (r *Repository) fetchPack(ctx context.Context, p place, buf *blobBuffer) bool {
	select {
	case r.fetcher.busy <- struct{}{}:
		defer func() { <-r.fetcher.busy }()
	case <-ctx.Done():
		return false
	}
	if _, there := r.cachedTree(p, buf); there {
		return true
	}
	data, err := storage.ReadAll(ctx, r.store, handle(storage.Data, p.pack), maxCachedPack)
	if err != nil || Hash(data) != p.pack {
		r.fetcher.giveUp(p.pack) // the read that follows tells what is wrong
		return false
	}
	r.cache.Put(cache.Tree, p.pack.String(), data)
	return true
}

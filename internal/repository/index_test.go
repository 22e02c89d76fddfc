package repository

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// plainIndex is the index as maps: slow, large and plain to see.
type plainIndex struct {
	blobs map[BlobType]map[ID][]place
	packs map[ID][]packedBlob
}

func (p *plainIndex) add(pack ID, blobs []packedBlob) {
	for _, b := range blobs {
		at := place{pack, b}
		if slices.Contains(p.blobs[b.kind][b.id], at) {
			continue
		}
		p.blobs[b.kind][b.id] = append(p.blobs[b.kind][b.id], at)
		p.packs[pack] = append(p.packs[pack], b)
	}
}

func TestIndexAgreesWithMaps(t *testing.T) {
	for _, load := range []struct {
		name         string
		blobs, packs uint64
		ids          uint64 // fewer than blobs means duplicates
		reserve      int
	}{
		{"few", 10, 3, 1000, 0},
		{"many", 50_000, 300, 1 << 60, 0},
		{"reserved", 50_000, 300, 1 << 60, 50_000},
		{"duplicates", 20_000, 50, 3000, 0},
		{"one blob", 3000, 40, 1, 0},
	} {
		t.Run(load.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			x := newIndex()
			if load.reserve > 0 {
				x.reserve(load.reserve)
			}
			want := plainIndex{
				blobs: map[BlobType]map[ID][]place{DataBlob: {}, TreeBlob: {}},
				packs: map[ID][]packedBlob{},
			}
			for added := uint64(0); added < load.blobs; {
				pack := testID("pack", rng.Uint64N(load.packs))
				blobs := make([]packedBlob, 1+rng.IntN(200))
				for i := range blobs {
					blobs[i] = packedBlob{
						id: testID("blob", rng.Uint64N(load.ids)), kind: BlobType(rng.IntN(2)),
						offset: rng.Uint32N(4) * 100, length: 100, plain: rng.Uint32N(2) * 300,
					}
				}
				x.add(pack, blobs)
				want.add(pack, blobs)
				added += uint64(len(blobs))
			}
			compareIndex(t, x, want)
			other := newIndex()
			other.replace(x)
			compareIndex(t, other, want)
		})
	}
}

func compareIndex(t *testing.T, x *index, want plainIndex) {
	t.Helper()
	for kind, blobs := range want.blobs {
		for id, places := range blobs {
			first, ok := x.lookup(kind, id)
			if got := append([]place{first}, x.others(kind, id)...); !ok || !x.has(kind, id) || !slices.Equal(got, places) {
				t.Fatalf("%s %s lies at %v, want %v", kind, id, got, places)
			}
			if _, also := want.blobs[1-kind][id]; x.has(1-kind, id) != also {
				t.Fatalf("%s is also there as the other type: %v", id, !also)
			}
		}
	}
	if id := testID("none", 0); x.has(DataBlob, id) || x.others(TreeBlob, id) != nil || x.inPack(id) != nil || x.lists(id) {
		t.Error("what was never added is there")
	}
	got := map[ID][]packedBlob{}
	for pack, blobs := range x.byPack() {
		got[pack] = slices.Clone(blobs)
	}
	if !maps.EqualFunc(got, want.packs, slices.Equal) {
		t.Error("the packs differ")
	}
	for pack, blobs := range want.packs {
		if !slices.Equal(x.inPack(pack), blobs) || !x.lists(pack) {
			t.Fatalf("pack %s holds other blobs", pack)
		}
	}
}

// testID is an ID that looks like a hash, but is cheaper to make.
func testID(space string, n uint64) (id ID) {
	rng := rand.New(rand.NewPCG(n, uint64(len(space))<<8|uint64(space[0])))
	for i := 0; i < len(id); i += 8 {
		binary.LittleEndian.PutUint64(id[i:], rng.Uint64())
	}
	return id
}

func TestIndexWithEmptyPack(t *testing.T) {
	x := newIndex()
	pack := testID("pack", 1)
	x.add(pack, nil)
	if x.lists(pack) || len(x.inPack(pack)) != 0 {
		t.Error("a pack without blobs is listed")
	}
	for id := range x.byPack() {
		t.Errorf("byPack gives %s", id)
	}
	x.add(pack, []packedBlob{{id: testID("blob", 1), length: 50}})
	if got := len(x.inPack(pack)); got != 1 {
		t.Errorf("%d blobs", got)
	}
}

func TestIndexWhileItGrows(t *testing.T) {
	x := newIndex()
	var writers, readers sync.WaitGroup
	const parts, blobs = 4, 5000
	for w := range uint64(parts) {
		writers.Go(func() {
			for i := range uint64(blobs) {
				x.add(testID("pack", w<<32|i/100), []packedBlob{{id: testID("blob", w<<32|i), length: 40}})
			}
		})
	}
	done := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				if p, ok := x.lookup(DataBlob, testID("blob", uint64(n%blobs))); ok && p.blob.length != 40 {
					t.Errorf("%+v", p)
				}
				if n%500 == 0 {
					for range x.byPack() {
					}
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	found := 0
	for _, list := range x.byPack() {
		found += len(list)
	}
	if found != parts*blobs {
		t.Errorf("%d blobs, want %d", found, parts*blobs)
	}
}

func TestHostileIndexIsBounded(t *testing.T) {
	var l listing
	text := append([]byte(`{"packs":[{"blobs":[{}`), bytes.Repeat([]byte(",{}"), maxUnusualIndex/3)...)
	if err := l.parse(append(text, "]}]}"...)); !errors.Is(err, errTooLarge) {
		t.Errorf("%v", err)
	}
}

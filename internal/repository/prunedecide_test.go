package repository

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
)

// planned is a prune that knows of packs without there being any.
func planned(opts PruneOptions) *prune {
	return &prune{r: &Repository{opts: Options{PackSize: 16 << 20}}, opts: opts, report: new(PruneReport), packs: make(map[ID]*packState)}
}

// pack adds a pack with two blobs; of its bytes so many are used.
func (p *prune) pack(kind BlobType, size, used int64) *packState {
	s := &packState{there: true, size: size, listed: size, used: 2, usedBytes: used}
	s.kinds[kind] = 2
	if used < size-trailerSize(nil) {
		s.used = 1
	} else {
		s.usedBytes = size - trailerSize(nil)
	}
	p.packs[Hash([]byte(fmt.Sprint(kind, size, used, len(p.packs))))] = s
	return s
}

// A small pack a day is merged with others now and then: no byte is stored anew
// for every few that are new, and packs do not become many.
func TestMergeSeldom(t *testing.T) {
	t.Parallel()
	p := planned(PruneOptions{})
	const days, daily = 400, 200 << 10
	var written int64
	most := 0
	for range days {
		p.pack(DataBlob, daily, daily)
		p.choose()
		var merged int64
		for id, s := range p.packs {
			if s.fate == repackPack {
				merged += s.usedBytes
				delete(p.packs, id)
			}
		}
		written += merged
		for ; merged > 0; merged -= 16 << 20 {
			p.pack(DataBlob, min(merged, 16<<20)+trailerSize(nil), min(merged, 16<<20))
		}
		most = max(most, len(p.packs))
	}
	if total := int64(days * daily); written > 3*total || written < total/2 {
		t.Errorf("%d bytes were written anew for %d that were new", written, total)
	}
	if most > 30 {
		t.Errorf("%d packs", most)
	}
}

// What is tolerated stays, of trees too; what saves most goes first; and what is
// locked is neither repacked nor made up for by others.
func TestChoose(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	p := planned(PruneOptions{MaxUnused: 0.05})
	for range 10 {
		p.pack(DataBlob, 16*mb, 16*mb)
	}
	little, much := p.pack(DataBlob, 16*mb, 15*mb), p.pack(DataBlob, 16*mb, 2*mb)
	goodTree, badTree := p.pack(TreeBlob, 16*mb, 16*mb-mb/4), p.pack(TreeBlob, 16*mb, 4*mb)
	p.choose()
	if little.fate != keepPack || much.fate != repackPack || goodTree.fate != keepPack || badTree.fate != repackPack {
		t.Errorf("%v %v %v %v", little.fate, much.fate, goodTree.fate, badTree.fate)
	}
	for _, s := range p.packs {
		s.fate = keepPack
	}
	much.locked, badTree.locked = true, true
	p.choose()
	for id, s := range p.packs {
		if s.fate != keepPack {
			t.Errorf("%s is repacked: %+v", id.Short(), s)
		}
	}
}

// With the same share no more is stored anew than by restic, and no more is left
// unused than that. Packs have graded amounts of what nobody needs.
func TestPruneCopiesNoMoreThanRestic(t *testing.T) {
	t.Parallel()
	r, dir := newRepo(t)
	r.opts.PackSize = 5 << 20 // restic takes what is below its own size for too small
	var snaps []*Snapshot
	for n := range 2 {
		s := begin(t, r, nil)
		for i := range 80 {
			if n == 1 && i%10 < i/10 {
				continue
			}
			if _, err := s.AddBytes(t.Context(), fmt.Sprintf("/f%02d", i), Stream{ModTime: s.begun}, random(uint64(i), 500_000)); err != nil {
				t.Fatal(err)
			}
		}
		snaps = append(snaps, commit(t, r, s))
	}
	if err := r.Forget(t.Context(), snaps[0].ID); err != nil {
		t.Fatal(err)
	}
	figure := regexp.MustCompile(`(to repack|this removes): +(\d+) blobs`)
	for _, share := range []int{0, 5, 20, 50} {
		plan, err := r.Prune(t.Context(), PruneOptions{DryRun: true, MaxUnused: float64(share) / 100})
		if err != nil {
			t.Fatal(err)
		}
		moved := 0
		says := restic(t, dir, "prune", "--dry-run", "--pack-size", "4", "--max-unused", fmt.Sprint(share, "%"))
		for _, m := range figure.FindAllStringSubmatch(says, 2) {
			n, _ := strconv.Atoi(m[2])
			if m[1] == "this removes" {
				n = -n
			}
			moved += n
		}
		stays := plan.Kept.Bytes + plan.Written
		t.Logf("%d%%: %d blobs are moved, by restic %d; %d of %d bytes stay unused", share, plan.Repacked.Blobs, moved, plan.Left.Bytes, stays)
		// Of two packs that are worth the same each may take another one.
		if plan.Repacked.Blobs > moved+10 || share == 0 && plan.Repacked.Blobs == 0 {
			t.Errorf("%d%%: %d blobs are moved, by restic %d: %s", share, plan.Repacked.Blobs, moved, says)
		}
		if float64(plan.Left.Bytes) > float64(share)/100*float64(stays)+1 {
			t.Errorf("%d%%: %d of %d bytes stay unused", share, plan.Left.Bytes, stays)
		}
	}
}

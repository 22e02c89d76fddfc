package repository

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"lifeboat/internal/storage"
)

// CheckOptions says how much is checked.
type CheckOptions struct {
	// ReadData reads every pack and checks every blob in it.
	ReadData bool
	// Subset reads only some packs: "n/t" is the n-th of t parts, which
	// together are all, "x%" is a random part.
	Subset string
	// Progress is told bytes of packs where data is read, snapshots otherwise;
	// from several goroutines at once.
	Progress func(done, total int64)
}

// FindingKind says what sort of damage a finding is.
type FindingKind string

// The kinds of findings.
const (
	DamagedKey      FindingKind = "damaged-key"
	DamagedIndex    FindingKind = "damaged-index"
	DamagedSnapshot FindingKind = "damaged-snapshot"
	DamagedPack     FindingKind = "damaged-pack" // or parts of it
	MissingPack     FindingKind = "missing-pack"
	MissingBlobs    FindingKind = "missing-blobs" // no index lists them
	DamagedTree     FindingKind = "damaged-tree"  // reads back, but is no tree
	// OrphanPack is a pack that no index lists: an interrupted backup leaves
	// such. It is no damage.
	OrphanPack FindingKind = "orphan-pack"
	// DamagedOrphan is such a pack that cannot be read in full, as a repair leaves
	// it whose index lists what could be saved elsewhere.
	DamagedOrphan FindingKind = "damaged-orphan"
)

// Finding is one thing that is wrong, and what it means for the snapshots.
type Finding struct {
	Kind      FindingKind
	File      string // the file of the repository, as a path in it
	Err       error
	Snapshots []ID     // that are affected, or that were lost
	Paths     []string // of files and directories in them that are affected, at most 1000
	More      int      // affected paths beyond those
}

const maxFindingPaths = 1000

// Harmless tells whether no data is affected.
func (f *Finding) Harmless() bool { return f.Kind == OrphanPack || f.Kind == DamagedOrphan }

func (f *Finding) String() string {
	s := string(f.Kind)
	if f.File != "" {
		s += " " + f.File
	}
	if f.Err != nil {
		s += ": " + f.Err.Error()
	}
	return s
}

func (f *Finding) affects(snapshot ID, path string) {
	if n := len(f.Snapshots); n == 0 || f.Snapshots[n-1] != snapshot {
		f.Snapshots = append(f.Snapshots, snapshot)
	}
	switch {
	case slices.Contains(f.Paths, path):
	case len(f.Paths) < maxFindingPaths:
		f.Paths = append(f.Paths, path)
	default:
		f.More++
	}
}

// Report is the result of a check.
type Report struct {
	Findings  []*Finding
	Snapshots int
	Packs     int
	Blobs     int
	Bytes     int64 // of all packs
	Unlisted  int64 // bytes of packs that no index lists
	Leftovers Leftovers
	PacksRead int
	BytesRead int64
}

// DamagedPacks are the packs that are there and cannot be read in full.
func (r *Report) DamagedPacks() (packs []ID) {
	for _, f := range r.Findings {
		if id, err := ParseID(path.Base(f.File)); err == nil && (f.Kind == DamagedPack || f.Kind == DamagedOrphan) {
			packs = append(packs, id)
		}
	}
	return packs
}

// Unlisting tells whether the index lost something while packs are there that no
// index lists: they hold it, as far as can be told before RepairIndex has read them.
func (r *Report) Unlisting() bool {
	kinds := map[FindingKind]bool{}
	for _, f := range r.Findings {
		kinds[f.Kind] = true
	}
	return kinds[OrphanPack] && (kinds[DamagedIndex] || kinds[MissingBlobs])
}

// Err is nil when no data is affected, else it carries ErrDamaged and the first
// findings.
func (r *Report) Err() error {
	var texts []string
	for _, f := range r.Findings {
		if !f.Harmless() {
			texts = append(texts, f.String())
		}
	}
	if len(texts) == 0 {
		return nil
	}
	if n := len(texts); n > 3 {
		texts = append(texts[:3], fmt.Sprintf("and %d more", n-3))
	}
	return fmt.Errorf("%w: %s", ErrDamaged, strings.Join(texts, "; "))
}

// Check examines the repository: whether the index matches the packs, whether
// every tree and blob of every snapshot is there, and with ReadData or Subset
// whether it reads back as it was written. Damage is in the report; the error
// says why the check could not be carried out.
func (r *Repository) Check(ctx context.Context, opts CheckOptions) (report *Report, err error) {
	choose, err := opts.packs()
	if err != nil {
		return nil, err
	}
	lock, err := r.ReadLock(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	c := &checker{
		r:       r,
		opts:    opts,
		report:  new(Report),
		index:   newIndex(),
		packs:   make(map[ID]*Finding),
		orphans: make(map[ID]*Finding),
		bad:     make(map[ID]bool),
		clean:   make(map[ID]bool),
	}
	// Before the index: others may be storing, and what a snapshot needs is in
	// the index before the snapshot is there.
	ids, err := r.listIDs(ctx, storage.Snapshot)
	if err != nil {
		return nil, err
	}
	if err := c.files(ctx); err != nil {
		return nil, err
	}
	if choose != nil {
		if err := c.readPacks(ctx, choose); err != nil {
			return nil, err
		}
	}
	if err := c.snapshots(ctx, ids); err != nil {
		return nil, err
	}
	slices.SortStableFunc(c.report.Findings, func(a, b *Finding) int {
		return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.File, b.File))
	})
	return c.report, nil
}

// Validate tells whether the options mean something.
func (o CheckOptions) Validate() error {
	_, err := o.packs()
	return err
}

// packs returns how packs are chosen to be read, nil for none.
func (o CheckOptions) packs() (func(all []ID) []ID, error) {
	if o.Subset != "" && o.ReadData {
		return nil, errors.New("all data and a subset of it exclude each other")
	}
	wrong := fmt.Errorf("subset %q: it must be like 1/5 or 10%%", o.Subset)
	if o.Subset == "" {
		if o.ReadData {
			return func(all []ID) []ID { return all }, nil
		}
		return nil, nil
	}
	if percent, ok := strings.CutSuffix(o.Subset, "%"); ok {
		p, err := strconv.ParseFloat(percent, 64)
		if err != nil || !(p > 0 && p <= 100) {
			return nil, wrong
		}
		return portion(p), nil
	}
	a, b, _ := strings.Cut(o.Subset, "/")
	n, err1 := strconv.ParseUint(a, 10, 8)
	t, err2 := strconv.ParseUint(b, 10, 9)
	if err1 != nil || err2 != nil || n < 1 || n > t || t > 256 {
		return nil, wrong
	}
	return only(func(id ID) bool { return uint64(id[0])%t == n-1 }), nil
}

// only keeps those that a condition holds for.
func only(holds func(ID) bool) func([]ID) []ID {
	return func(all []ID) []ID { return slices.DeleteFunc(all, func(id ID) bool { return !holds(id) }) }
}

// portion draws packs by lot, and of a few at least one.
func portion(percent float64) func([]ID) []ID {
	return func(all []ID) []ID {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		return all[:int(math.Ceil(float64(len(all))*percent/100))]
	}
}

// checker is one check.
type checker struct {
	r      *Repository
	opts   CheckOptions
	report *Report
	index  *index // read afresh
	sizes  map[ID]int64

	mu      sync.Mutex
	packs   map[ID]*Finding // by pack
	orphans map[ID]*Finding // packs that no index lists
	bad     map[ID]bool     // blobs that cannot be read where the index says
	missing *Finding
	clean   map[ID]bool // trees without damage in or below them
}

func (c *checker) add(f *Finding) *Finding {
	c.report.Findings = append(c.report.Findings, f)
	return f
}

// files checks keys, index and the list of packs against each other.
func (c *checker) files(ctx context.Context) error {
	if _, err := c.r.Keys(ctx); errors.Is(err, ErrDamaged) {
		for _, err := range joined(err) {
			c.add(&Finding{Kind: DamagedKey, File: damagedFile(storage.Key, err), Err: err})
		}
	} else if err != nil {
		return err
	}
	if err := c.r.readIndex(ctx, c.index); err != nil {
		return err
	}
	for _, err := range c.index.damage {
		c.add(&Finding{Kind: DamagedIndex, File: damagedFile(storage.Index, err), Err: hint(err, "%s", c.r.repairIndex())})
	}
	var err error
	if c.sizes, err = c.r.listPacks(ctx); err != nil {
		return err
	}
	for pack, blobs := range c.index.byPack() {
		c.report.Blobs += len(blobs)
		size, found := c.sizes[pack]
		if !found {
			c.pack(MissingPack, pack, hint(&DamageError{What: "pack", ID: pack, Err: storage.ErrNotFound}, "copy it back from a copy of the repository, or %s and store again what it held", c.r.repairIndex()), blobs)
			continue
		}
		if want := packSize(blobs); size != want {
			c.pack(DamagedPack, pack, &DamageError{What: "pack", ID: pack, Err: fmt.Errorf("it has %d bytes, the index lists %d", size, want)}, beyond(blobs, size))
		}
	}
	for pack, size := range c.sizes {
		c.report.Packs++
		c.report.Bytes += size
		if !c.index.lists(pack) {
			c.report.Unlisted += size
			c.orphans[pack] = c.add(&Finding{Kind: OrphanPack, File: handle(storage.Data, pack).Path(), Err: errors.New("no index lists it")})
		}
	}
	return c.r.leftovers(ctx, func(left storage.Leftover) error {
		c.report.Leftovers.add(left)
		return nil
	})
}

// packSize is how long a pack of these blobs is.
func packSize(blobs []packedBlob) int64 {
	n := trailerSize(blobs)
	for _, b := range blobs {
		n += int64(b.length)
	}
	return n
}

// beyond are the blobs that do not fit into a pack of this size.
func beyond(blobs []packedBlob, size int64) (lost []packedBlob) {
	for _, b := range blobs {
		if int64(b.offset)+int64(b.length) > size {
			lost = append(lost, b)
		}
	}
	return lost
}

// joined lists what was put together with errors.Join.
func joined(err error) (all []error) {
	list, ok := err.(interface{ Unwrap() []error })
	if _, one := err.(*DamageError); one || !ok {
		return []error{err}
	}
	for _, err := range list.Unwrap() {
		all = append(all, joined(err)...)
	}
	return all
}

func damagedFile(t storage.Type, err error) string {
	var d *DamageError
	if errors.As(err, &d) {
		return handle(t, d.ID).Path()
	}
	return t.Dir()
}

// pack notes damage of a pack, and which of its blobs it makes unreadable.
func (c *checker) pack(kind FindingKind, id ID, err error, lost []packedBlob) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.orphans[id]; f != nil {
		f.Kind, f.Err = DamagedOrphan, fmt.Errorf("no index lists it: %w", err)
		return
	}
	if c.packs[id] == nil {
		c.packs[id] = c.add(&Finding{Kind: kind, File: handle(storage.Data, id).Path(), Err: err})
	}
	for _, b := range lost {
		c.bad[b.id] = true
	}
}

// listPacks returns all packs with their sizes.
func (r *Repository) listPacks(ctx context.Context) (map[ID]int64, error) {
	sizes := make(map[ID]int64)
	err := r.eachPack(ctx, func(id ID, info storage.Info) { sizes[id] = info.Size })
	return sizes, err
}

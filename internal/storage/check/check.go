// Package check tries out a real store: whether it keeps what the repository
// relies on, and how fast it is. It is shipped, so that an administrator can ask
// a server of unknown make before trusting it. What it writes are data files
// named by their content, which no repository takes for its own, and which it
// removes again. Where nothing can be removed it writes nothing that stays, but
// for one file where locks against removal are tried out.
package check

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/retry"
)

// Grade is how a step came out.
type Grade string

// The grades.
const (
	Good Grade = "good"
	Note Grade = "note" // works, with a property one should know of
	Bad  Grade = "bad"  // the store must not be trusted with a repository
)

// Result is what a step showed.
type Result struct {
	Step  string        `json:"step"`
	Grade Grade         `json:"grade"`
	Text  string        `json:"text,omitempty"` // what was found, for a person
	Took  time.Duration `json:"took_ns"`
	Err   error         `json:"-"`
}

// Options says what is tried.
type Options struct {
	// Size of the large file, in bytes; 16 MiB, a usual pack, if 0.
	Size int64
	// Parallel is how many clients write at once; 4 if 0.
	Parallel int
	// Own says that the place is for trials alone. A store that locks files must
	// be tried out in such a place: what is locked cannot be removed when the
	// trial ends, and a later trial removes it.
	Own bool
	// Report is told of every step as it ends. It may be nil.
	Report func(Result)
	// Left is told of every file that stays. It may be nil.
	Left func(Left)
}

// Left is a file of the trial that could not be removed.
type Left struct {
	File  string    `json:"file"`  // below the place of the store
	Size  int64     `json:"bytes"` // of its content
	Until time.Time `json:"until,omitzero"`
	Why   string    `json:"why"`
}

// ErrUnfit says that a step came out bad.
var ErrUnfit = errors.New("the store does not keep what a repository relies on")

// ErrUntried says that the store was left alone, as it has a repository and
// keeps whatever is written.
var ErrUntried = errors.New("nothing was written, as nothing could be removed from this repository again")

// Store tries out a store and returns the results of all steps. The error is
// ErrUnfit if one came out bad, or why the trial could not go on: a
// *retry.GivenUpError says nothing about the store, only that it is out of reach,
// and ErrUntried that it was left alone.
func Store(ctx context.Context, s storage.Store, opts Options) ([]Result, error) {
	if opts.Size <= 0 {
		opts.Size = 16 << 20
	}
	if opts.Parallel <= 0 {
		opts.Parallel = 4
	}
	t := &trial{store: retry.Strict(s), opts: opts, each: 256 << 10, kind: storage.Data}
	type step struct {
		name string
		run  func(context.Context) (Grade, string, error)
		must bool // nothing can be said without it
	}
	steps := []step{
		{"be allowed to remove", t.permission, true},
		{"write a small file", t.small, true},
		{"miss what is not there", t.missing, false},
		{"refuse to overwrite", t.overwrite, false},
		{"read ranges", t.ranges, false},
		{"write a large file", t.large, true},
		{"read a large file", t.readLarge, false},
		{"list files", t.list, false},
		{"write from several clients at once", t.parallel, false},
		{"create one file from several clients at once", t.race, false},
		{"remove files", t.remove, false},
	}
	if r, ok := storage.AsRetainer(s); ok && r.Retaining() > 0 {
		if !opts.Own {
			return nil, errors.New("a store that locks files is tried out in a place of its own")
		}
		t.kind = storage.Lock // these are never locked
		steps = slices.Insert(steps, 1, step{"lock a file against removal", t.lock, false})
	}
	var results []Result
	var failed error
	for _, step := range steps {
		if t.repository {
			return results, ErrUntried
		}
		begin := time.Now()
		grade, text, err := step.run(ctx)
		if ctx.Err() != nil {
			failed = ctx.Err()
			break
		}
		var given *retry.GivenUpError
		if errors.As(err, &given) {
			failed = err
			break
		}
		result := Result{Step: step.name, Grade: grade, Text: text, Took: time.Since(begin), Err: err}
		if err != nil {
			result.Grade, result.Text = Bad, err.Error()
			failed = ErrUnfit
		} else if grade == Bad {
			failed = ErrUnfit
		}
		results = append(results, result)
		if opts.Report != nil {
			opts.Report(result)
		}
		if err != nil && step.must {
			failed = fmt.Errorf("%w: %w", ErrUnfit, err)
			break
		}
	}
	t.clean(ctx)
	return results, failed
}

type trial struct {
	store storage.Store
	opts  Options
	each  int64 // bytes of each file that several clients write at once
	kind  storage.Type

	repository bool // there is one, from which nothing may be removed

	mu      sync.Mutex
	written map[storage.Handle]int64

	first     storage.Handle
	firstData []byte
	big       storage.Handle
	bigData   []byte
}

// fresh makes content that nobody has, and its handle.
func (t *trial) fresh(size int64) (storage.Handle, []byte) {
	data := make([]byte, size)
	rand.Read(data)
	return handle(t.kind, data), data
}

func handle(kind storage.Type, data []byte) storage.Handle {
	sum := sha256.Sum256(data)
	return storage.Handle{Type: kind, Name: hex.EncodeToString(sum[:])}
}

func (t *trial) save(ctx context.Context, h storage.Handle, data []byte) error {
	t.mu.Lock()
	if t.written == nil {
		t.written = make(map[storage.Handle]int64)
	}
	t.written[h] = int64(len(data)) // even if it fails: it may be there
	t.mu.Unlock()
	return t.store.Save(ctx, h, data)
}

func (t *trial) same(ctx context.Context, h storage.Handle, want []byte) error {
	got, err := storage.ReadAll(ctx, t.store, h, int64(len(want))+1)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s came back different: %d bytes, %d were written", h, len(got), len(want))
	}
	return nil
}

func (t *trial) small(ctx context.Context) (Grade, string, error) {
	t.first, t.firstData = t.fresh(1000)
	if err := t.save(ctx, t.first, t.firstData); err != nil {
		return Bad, "", err
	}
	info, err := t.store.Stat(ctx, t.first)
	if err == nil && info.Size != int64(len(t.firstData)) {
		err = fmt.Errorf("%s has %d bytes, %d were written", t.first, info.Size, len(t.firstData))
	}
	if err == nil {
		err = t.same(ctx, t.first, t.firstData)
	}
	return Good, "", err
}

func (t *trial) missing(ctx context.Context) (Grade, string, error) {
	h, _ := t.fresh(10)
	if _, err := t.store.Stat(ctx, h); !errors.Is(err, storage.ErrNotFound) {
		return Bad, "", fmt.Errorf("asked for the size of a file that is not there, it says: %w", said(err))
	}
	if _, err := storage.ReadAll(ctx, t.store, h, 10); !errors.Is(err, storage.ErrNotFound) {
		return Bad, "", fmt.Errorf("asked for a file that is not there, it says: %w", said(err))
	}
	return Good, "", nil
}

func (t *trial) overwrite(ctx context.Context) (Grade, string, error) {
	// The same content, as servers may refuse any other under this name.
	err := t.save(ctx, t.first, t.firstData)
	switch {
	case errors.Is(err, storage.ErrExists):
		return Good, "", t.same(ctx, t.first, t.firstData)
	case err == nil:
		return Bad, "a file was overwritten", nil
	}
	return Bad, "", err
}

func (t *trial) ranges(ctx context.Context) (Grade, string, error) {
	size := int64(len(t.firstData))
	for _, r := range []struct{ offset, length int64 }{{0, 1}, {10, 100}, {size - 1, 1}, {size - 100, 100}, {0, size}} {
		buf := make([]byte, r.length)
		if err := storage.ReadRange(ctx, t.store, t.first, buf, r.offset); err != nil {
			return Bad, "", err
		}
		if !bytes.Equal(buf, t.firstData[r.offset:r.offset+r.length]) {
			return Bad, "", fmt.Errorf("%d bytes at %d came back different", r.length, r.offset)
		}
	}
	rest, err := t.store.Load(ctx, t.first, 500, 0)
	if err != nil {
		return Bad, "", err
	}
	defer rest.Close()
	if got, err := io.ReadAll(rest); err != nil || !bytes.Equal(got, t.firstData[500:]) {
		return Bad, "", fmt.Errorf("what follows byte 500 came back with %d bytes (error: %v)", len(got), err)
	}
	if err := storage.ReadRange(ctx, t.store, t.first, make([]byte, 100), size-50); !errors.Is(err, storage.ErrShort) {
		return Bad, "", fmt.Errorf("asked for more than there is, it says: %w", said(err))
	}
	return Good, "", nil
}

func rate(size int64, took time.Duration) string {
	return fmt.Sprintf("%.1f MB/s", float64(size)/1e6/max(took.Seconds(), 1e-6))
}

func (t *trial) large(ctx context.Context) (Grade, string, error) {
	t.big, t.bigData = t.fresh(t.opts.Size)
	begin := time.Now()
	err := t.save(ctx, t.big, t.bigData)
	return Good, rate(t.opts.Size, time.Since(begin)), err
}

func (t *trial) readLarge(ctx context.Context) (Grade, string, error) {
	begin := time.Now()
	err := t.same(ctx, t.big, t.bigData)
	t.bigData = nil
	return Good, rate(t.opts.Size, time.Since(begin)), err
}

func (t *trial) list(ctx context.Context) (Grade, string, error) {
	missing := make(map[string]int64)
	t.mu.Lock()
	for h, size := range t.written {
		if h.Type == t.kind {
			missing[h.Name] = size
		}
	}
	t.mu.Unlock()
	files := 0
	err := t.store.List(ctx, t.kind, func(info storage.Info) error {
		files++
		if size, ours := missing[info.Name]; ours {
			if info.Size != size {
				return fmt.Errorf("%s is listed with %d bytes, %d were written", info.Name, info.Size, size)
			}
			delete(missing, info.Name)
		}
		return nil
	})
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("%d files that were just written are not listed", len(missing))
	}
	return Good, fmt.Sprintf("%d files", files), err
}

func (t *trial) parallel(ctx context.Context) (Grade, string, error) {
	const each = 4
	size := t.each
	errs := make([]error, t.opts.Parallel)
	begin := time.Now()
	var g sync.WaitGroup
	for i := range errs {
		g.Go(func() {
			for range each {
				h, data := t.fresh(size)
				if err := t.save(ctx, h, data); err != nil {
					errs[i] = err
					return
				}
				if err := t.same(ctx, h, data); err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	g.Wait()
	total := int64(t.opts.Parallel*each) * size
	return Good, "each file written and read, " + rate(total, time.Since(begin)), errors.Join(errs...)
}

func (t *trial) race(ctx context.Context) (Grade, string, error) {
	const rounds = 5
	several := 0
	for range rounds {
		h, data := t.fresh(1000)
		errs := make([]error, max(2, t.opts.Parallel))
		var g sync.WaitGroup
		for i := range errs {
			g.Go(func() { errs[i] = t.save(ctx, h, data) })
		}
		g.Wait()
		won := 0
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, storage.ErrExists):
				return Bad, "", err
			}
		}
		if won > 1 {
			several++
		}
		if err := t.same(ctx, h, data); err != nil {
			return Bad, "", err
		}
	}
	if several > 0 {
		return Note, "several clients that create one file in the same moment may all believe to be the first; do not let two machines make a new repository in one place at once", nil
	}
	return Good, "", nil
}

func (t *trial) remove(ctx context.Context) (Grade, string, error) {
	err := t.store.Remove(ctx, t.first)
	if err != nil {
		return Bad, "", err
	}
	if _, err := t.store.Stat(ctx, t.first); !errors.Is(err, storage.ErrNotFound) {
		return Bad, "", fmt.Errorf("asked for a file that was just removed, it says: %w", said(err))
	}
	if err := t.store.Remove(ctx, t.first); !errors.Is(err, storage.ErrNotFound) {
		return Bad, "", fmt.Errorf("told to remove a file that is gone, it says: %w", said(err))
	}
	if err := t.save(ctx, t.first, t.firstData); err != nil {
		return Bad, "", fmt.Errorf("a removed file cannot be written again: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for h := range t.written {
		if h.Type != t.kind {
			continue // is to stay
		}
		if err := t.store.Remove(ctx, h); err != nil {
			return Bad, "", err
		}
		delete(t.written, h)
	}
	err = t.store.List(ctx, t.kind, func(info storage.Info) error {
		if info.Name == t.first.Name {
			return errors.New("a file that was removed is still listed")
		}
		return nil
	})
	return Good, "", err
}

// said is the answer of a store, for an error.
func said(err error) error {
	if err == nil {
		return errors.New("all is well")
	}
	return err
}

package repository

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"lifeboat/internal/repository/cache"
	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
)

// With cacheEnv in its environment, the tests of this package open their
// repositories with a cache in that directory.
const cacheEnv = "LIFEBOAT_TEST_CACHE"

var testCache cache.Options

// TestSuitesWithCache runs the tests of sessions, restores, checks, damage and
// prune again: a cache must change no result.
func TestSuitesWithCache(t *testing.T) {
	if testCache.Dir != "" {
		t.Skip("is one of the tests that run again: it would run itself")
	}
	t.Parallel()
	dir := t.TempDir()
	const suites = "^Test(Check|Flipped|Missing|Truncated|Damaged|Foreign|RoundTrip|Live|Restore|Include|" +
		"Incremental|Stream|Nested|Exclude|Abort|Prune|Forget|Compare|Label)"
	// These damage trees in the store and then read them, which a cache makes
	// possible.
	const healed = "^Test(CompareErrors|FlippedTree)$"
	cmd := exec.Command(os.Args[0], "-test.run", suites, "-test.skip", healed, "-test.timeout", "10m")
	cmd.Env = append(os.Environ(), cacheEnv+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("with a cache: %v\n%s", err, out)
	}
	var kept int
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && storage.ValidName(d.Name()) && !d.IsDir() {
			kept++
		}
		return err
	})
	if err != nil || kept < 20 {
		t.Errorf("the cache holds %d files, %v", kept, err)
	}
}

// cachedStore is a repository in memory, a tree that was backed up into it twice,
// and a count of what is read from it.
type cachedStore struct {
	*faulty.Store
	memory *faulty.Memory
	tree   string
	cache  cache.Options

	mu    sync.Mutex
	loads map[storage.Type]int
}

func newCachedStore(t *testing.T) *cachedStore {
	t.Helper()
	s := &cachedStore{memory: faulty.NewMemory(), tree: t.TempDir(), loads: make(map[storage.Type]int)}
	s.Store = faulty.Wrap(s.memory)
	s.Before = func(_ int, op string, h storage.Handle) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if op == "load" {
			s.loads[h.Type]++
		}
		return nil
	}
	s.cache = cache.Options{Dir: filepath.Join(t.TempDir(), "cache"), Trees: true}
	for _, name := range []string{"a/1", "a/2", "b/c/3", "b/4", "5", "e/f/g/h"} {
		write(t, filepath.Join(s.tree, name), []byte("content of "+name))
	}
	r, err := Create(t.Context(), s, testPassword, s.options())
	if err != nil {
		t.Fatal(err)
	}
	backup(t, r, nil, s.tree)
	write(t, filepath.Join(s.tree, "b", "later"), []byte("later"))
	backup(t, r, nil, s.tree)
	r.Close()
	return s
}

func (s *cachedStore) options() Options {
	o := cheap
	o.Cache = s.cache
	return o
}

func (s *cachedStore) open(t *testing.T) *Repository {
	t.Helper()
	r, err := Open(t.Context(), s, testPassword, s.options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// look opens the repository, goes through all trees, and returns how many index
// files and packs were read from the store for it.
func (s *cachedStore) look(t *testing.T) (index, data int) {
	t.Helper()
	s.mu.Lock()
	clear(s.loads)
	s.mu.Unlock()
	r := s.open(t)
	defer r.Close()
	for _, snap := range snapshotsOf(t, r) {
		seen := 0
		err := r.Walk(t.Context(), snap, s.tree, func(string, *Node) error { seen++; return nil })
		if err != nil || seen < 12 {
			t.Fatalf("%d entries, %v", seen, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loads[storage.Index], s.loads[storage.Data]
}

func snapshotsOf(t *testing.T, r *Repository) []*Snapshot {
	t.Helper()
	snaps, err := r.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snaps
}

func TestCacheSparesTheStore(t *testing.T) {
	s := newCachedStore(t)
	if index, data := s.look(t); index != 2 || data != 0 {
		t.Errorf("at first %d index files and %d packs are read; packs were kept when they were made", index, data)
	}
	if index, data := s.look(t); index != 0 || data != 0 {
		t.Errorf("then %d index files and %d packs are read", index, data)
	}
	if err := os.RemoveAll(s.cache.Dir); err != nil {
		t.Fatal(err)
	}
	if index, data := s.look(t); index != 2 || data <= 2 || data > 2*treesBeforePack+2 {
		t.Errorf("without it, %d index files and %d packs are read", index, data)
	}
	s.cache.Trees = false
	if index, data := s.look(t); index != 0 || data == 0 {
		t.Errorf("with a cache of the index alone, %d index files and %d packs are read", index, data)
	}
	s.cache.Dir = ""
	if index, data := s.look(t); index != 2 || data == 0 {
		t.Errorf("with no cache, %d index files and %d packs are read", index, data)
	}
}

func TestDamagedCache(t *testing.T) {
	for name, damage := range map[string]func(file string) error{
		"turned over": func(file string) error {
			data, err := os.ReadFile(file)
			for i := range data {
				data[i] ^= 0x10
			}
			return errors.Join(err, os.WriteFile(file, data, 0o600))
		},
		"cut":       func(file string) error { return os.Truncate(file, 20) },
		"empty":     func(file string) error { return os.Truncate(file, 0) },
		"exchanged": func(file string) error { return exchange(file) },
		"without directories": func(file string) error {
			return errors.Join(os.RemoveAll(filepath.Dir(file)), os.WriteFile(filepath.Dir(file), nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newCachedStore(t)
			s.look(t)
			for _, dir := range []string{"index", "tree"} {
				files, err := filepath.Glob(filepath.Join(s.cache.Dir, "*", dir, "*"))
				if err != nil || len(files) < 2 {
					t.Fatalf("%v, %v", files, err)
				}
				for _, file := range files[:1] {
					if err := damage(file); err != nil {
						t.Fatal(err)
					}
				}
			}
			if index, _ := s.look(t); index == 0 {
				t.Error("no index file was read again")
			}
			if name != "without directories" {
				if index, data := s.look(t); index != 0 || data > treesBeforePack {
					t.Errorf("it was not mended: %d index files and %d packs are read", index, data)
				}
			}
		})
	}
}

// exchange makes the file's neighbour stand in its place too.
func exchange(file string) error {
	all, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*"))
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(other string) bool { return other != file })
	data, err := os.ReadFile(all[i])
	return errors.Join(err, os.WriteFile(file, data, 0o600))
}

func TestCacheFollowsTheStore(t *testing.T) {
	s := newCachedStore(t)
	s.look(t)
	r := s.open(t)
	if _, err := r.Prune(t.Context(), PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	snaps := snapshotsOf(t, r)
	if err := r.Forget(t.Context(), snaps[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Prune(t.Context(), PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	r.Close()
	s.look(t)
	kept, err := filepath.Glob(filepath.Join(s.cache.Dir, "*", "index", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	err = s.List(t.Context(), storage.Index, func(info storage.Info) error {
		listed = append(listed, info.Name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(listed)
	for i := range kept {
		kept[i] = filepath.Base(kept[i])
	}
	if !slices.Equal(kept, listed) {
		t.Errorf("kept are %v, the store has %v", kept, listed)
	}
}

// TestCheckDoesNotTrustTheCache damages the store under a cache that is whole.
func TestCheckDoesNotTrustTheCache(t *testing.T) {
	for _, damaged := range []storage.Type{storage.Index, storage.Data} {
		s := newCachedStore(t)
		s.look(t)
		s.OnLoad = func(h storage.Handle, _ int64, data []byte) []byte {
			if h.Type == damaged && len(data) > 0 {
				data = slices.Clone(data)
				data[len(data)/2] ^= 1
			}
			return data
		}
		r := s.open(t)
		report, err := r.Check(t.Context(), CheckOptions{ReadData: damaged == storage.Data})
		if err != nil {
			t.Fatal(err)
		}
		if report.Err() == nil || !strings.Contains(kinds(report), "damaged") {
			t.Errorf("%s: %v", damaged, report.Findings)
		}
	}
}

func TestCacheOfCutIndex(t *testing.T) {
	x := new(listing)
	x.packs = []packRun{{testID("pack", 1), 1}}
	x.blobs = []packedBlob{{id: testID("blob", 1), kind: TreeBlob, offset: 5, length: 99, plain: 1000}}
	text := x.encode(nil, 500)
	var got listing
	if !got.decode(text, 500) || !slices.Equal(got.packs, x.packs) || !slices.Equal(got.blobs, x.blobs) {
		t.Errorf("%+v", got)
	}
	if got.decode(text, 499) {
		t.Error("stands for a file of another size")
	}
}

func FuzzCompiledIndex(f *testing.F) {
	var l listing
	f.Add(l.encode(nil, 7))
	l.packs = []packRun{{testID("pack", 1), 2}, {testID("pack", 2), 0}}
	l.blobs = []packedBlob{{length: 40}, {kind: TreeBlob, length: 50, plain: 7}}
	f.Add(l.encode(nil, 7))
	f.Fuzz(func(t *testing.T, text []byte) {
		var l listing
		if l.decode(text, 7) && string(l.encode(nil, 7)) != string(text) {
			t.Fatal("it does not encode to the same")
		}
	})
}

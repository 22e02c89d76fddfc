package repository

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"lifeboat/internal/storage"
	"lifeboat/internal/storage/faulty"
)

// filesOf returns the repository's files of a sort.
func filesOf(t testing.TB, dir string, kind storage.Type) []string {
	t.Helper()
	pattern := filepath.Join(dir, kind.Dir(), "*")
	if kind == storage.Data {
		pattern = filepath.Join(dir, "data", "*", "*")
	}
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s files: %v", kind, err)
	}
	return files
}

// flip turns one bit over, counted from the end when at is negative.
func flip(t testing.TB, name string, at int) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if at < 0 {
		at += len(data)
	}
	data[at] ^= 4
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// damaged is a repository with two snapshots: of one tree, and of another that
// shares its content.
func damagedRepo(t testing.TB) (dir, tree string) {
	t.Helper()
	tree = t.TempDir()
	write(t, filepath.Join(tree, "big"), random(1, 3<<20))
	write(t, filepath.Join(tree, "sub/small"), []byte("small"))
	write(t, filepath.Join(tree, "copy"), []byte("small"))
	r, dir := newRepo(t)
	r.opts.NoLock = true
	r.opts.PackSize = 1 << 20 // several packs
	snap, _ := backup(t, r, nil, tree)
	write(t, filepath.Join(tree, "added"), []byte("later"))
	backup(t, r, snap, tree)
	r.Close()
	return dir, tree
}

func openUnlocked(t testing.TB, dir string) *Repository {
	t.Helper()
	r := openRepo(t, dir)
	r.opts.NoLock = true
	return r
}

func check(t testing.TB, r *Repository, opts CheckOptions) *Report {
	t.Helper()
	report, err := r.Check(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func kinds(report *Report) string {
	var list []string
	for _, f := range report.Findings {
		list = append(list, string(f.Kind))
	}
	return strings.Join(list, " ")
}

// largestPack holds content of the file named big.
func largestPack(t testing.TB, dir string) string {
	return slices.MaxFunc(filesOf(t, dir, storage.Data), func(a, b string) int {
		ia, _ := os.Stat(a)
		ib, _ := os.Stat(b)
		return int(ia.Size() - ib.Size())
	})
}

func TestCheckSound(t *testing.T) {
	t.Parallel()
	dir, _ := damagedRepo(t)
	r := openUnlocked(t, dir)
	var last, total int64
	var mu sync.Mutex
	report := check(t, r, CheckOptions{ReadData: true, Progress: func(done, all int64) {
		mu.Lock()
		defer mu.Unlock()
		last, total = max(last, done), all
	}})
	if len(report.Findings) != 0 || report.Err() != nil || report.Snapshots != 2 || report.Packs != report.PacksRead || report.Bytes != report.BytesRead || last != total || total != report.Bytes {
		t.Errorf("%+v, progress %d of %d", report, last, total)
	}
	parts := 0
	for n := range 5 {
		parts += check(t, r, CheckOptions{Subset: fmt.Sprintf("%d/5", n+1)}).PacksRead
	}
	if parts != report.Packs {
		t.Errorf("five fifths are %d of %d packs", parts, report.Packs)
	}
	if got := check(t, r, CheckOptions{Subset: "0.1%"}).PacksRead; got != 1 {
		t.Errorf("a small part of few packs are %d packs, not one", got)
	}
	if got := check(t, r, CheckOptions{Subset: "100%"}).PacksRead; got != report.Packs {
		t.Errorf("100%% are %d packs", got)
	}
	if _, err := r.Check(t.Context(), CheckOptions{ReadData: true, Subset: "1/5"}); err == nil {
		t.Error("all and a part were taken together")
	}
	for _, subset := range []string{"0/5", "6/5", "5", "1/0", "x%", "0%", "101%", "-1/5", "1/300", "NaN%"} {
		if _, err := r.Check(t.Context(), CheckOptions{Subset: subset}); err == nil {
			t.Errorf("the subset %q was taken", subset)
		}
	}
}

// A flipped bit in content is found by reading, names what needs it, fails the
// restore of that file only, and is healed by the next backup after a repair.
func TestFlippedContent(t *testing.T) {
	t.Parallel()
	dir, tree := damagedRepo(t)
	pack := largestPack(t, dir)
	flip(t, pack, 1000)
	r := openUnlocked(t, dir)
	if report := check(t, r, CheckOptions{}); report.Err() != nil {
		t.Errorf("a bit was seen without reading: %v", report.Err())
	}
	report := check(t, r, CheckOptions{ReadData: true})
	if kinds(report) != "damaged-pack" {
		t.Fatalf("%v", report.Findings)
	}
	f := report.Findings[0]
	if !strings.HasSuffix(pack, f.File) || len(f.Snapshots) != 2 || !slices.Equal(f.Paths, []string{filepath.Join(tree, "big")}) || !errors.Is(report.Err(), ErrDamaged) {
		t.Errorf("%+v", f)
	}
	snaps, _ := r.Snapshots(t.Context())
	out := filepath.Join(t.TempDir(), "out")
	_, err := r.Restore(t.Context(), snaps[1], tree, out, RestoreOptions{})
	var incomplete *IncompleteError
	if !errors.As(err, &incomplete) || len(incomplete.Entries) != 1 || !errors.Is(err, ErrDamaged) || incomplete.Entries[0].Path != filepath.Join(tree, "big") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(out, "big")); err == nil {
		t.Error("a damaged file stands under its name")
	}
	if data, _ := os.ReadFile(filepath.Join(out, "sub/small")); string(data) != "small" {
		t.Errorf("the others: %q", data)
	}
	n, _ := r.Find(t.Context(), snaps[0], filepath.Join(tree, "big"))
	file, _ := r.OpenFile(t.Context(), n)
	if _, err := io.Copy(io.Discard, file); !errors.Is(err, ErrDamaged) {
		t.Errorf("reading: %v", err)
	}
	file.Close()
	// The index goes by sizes; only told of the pack it lets go of it.
	if report, err := r.RepairIndex(t.Context()); err != nil || len(report.Findings) != 0 {
		t.Errorf("%+v, %v", report, err)
	}
	heal(t, r, dir, tree, report.DamagedPacks()...)
}

func TestFlippedTree(t *testing.T) {
	t.Parallel()
	dir, _ := damagedRepo(t)
	r := openUnlocked(t, dir)
	snaps, _ := r.Snapshots(t.Context())
	p, err := r.locate(t.Context(), TreeBlob, *snaps[0].Tree)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, filepath.Join(dir, handle(storage.Data, p.pack).Path()), int(p.blob.offset)+20)
	r = openUnlocked(t, dir)
	report := check(t, r, CheckOptions{})
	if kinds(report) != "damaged-pack" || !slices.Equal(report.Findings[0].Paths, []string{"/"}) {
		t.Errorf("%v", report.Findings)
	}
	if _, err := r.Find(t.Context(), snaps[0], "/x"); !errors.Is(err, ErrDamaged) {
		t.Errorf("%v", err)
	}
}

func TestMissingPack(t *testing.T) {
	t.Parallel()
	dir, tree := damagedRepo(t)
	os.Remove(largestPack(t, dir))
	r := openUnlocked(t, dir)
	report := check(t, r, CheckOptions{})
	if kinds(report) != "missing-pack" || !slices.Contains(report.Findings[0].Paths, filepath.Join(tree, "big")) {
		t.Fatalf("%v", report.Findings)
	}
	heal(t, r, dir, tree)
}

func TestTruncatedPack(t *testing.T) {
	t.Parallel()
	dir, tree := damagedRepo(t)
	pack := largestPack(t, dir)
	info, _ := os.Stat(pack)
	os.Truncate(pack, info.Size()-50)
	r := openUnlocked(t, dir)
	report := check(t, r, CheckOptions{})
	if kinds(report) != "damaged-pack" {
		t.Fatalf("%v", report.Findings)
	}
	heal(t, r, dir, tree)
}

// heal repairs the index and backs up again, after which all is well.
func heal(t *testing.T, r *Repository, dir, tree string, damaged ...ID) {
	t.Helper()
	report, err := r.RepairIndex(t.Context(), damaged...)
	if err != nil || len(report.Findings) == 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	snaps, _ := r.Snapshots(t.Context())
	backup(t, r, snaps[0], tree) // change detection must not trust what is gone
	r = openUnlocked(t, dir)
	// What was let go of is no damage any more, and is not taken up again.
	if report := check(t, r, CheckOptions{ReadData: true}); report.Err() != nil {
		t.Errorf("after the repair: %v", report.Findings)
	}
	for _, again := range [][]ID{nil, damaged} {
		if report, err := r.RepairIndex(t.Context(), again...); err != nil || len(report.Findings) != 0 {
			t.Errorf("a second repair: %v, %v", report.Findings, err)
		}
	}
	r.opts.NoLock = false
	if _, err := r.Prune(t.Context(), PruneOptions{KeepPacks: true}); err != nil {
		t.Error(err)
	}
	if report := check(t, r, CheckOptions{ReadData: true}); len(report.Findings) != 0 {
		t.Errorf("after a prune: %v", report.Findings)
	}
	snaps, _ = r.Snapshots(t.Context())
	for _, s := range snaps {
		out := filepath.Join(t.TempDir(), "out")
		if _, err := r.Restore(t.Context(), s, tree, out, RestoreOptions{}); err != nil {
			t.Errorf("after the repair: %v", err)
		}
	}
	resticCheck(t, dir)
}

func TestDamagedIndex(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t testing.TB, file string){
		"truncated": func(_ testing.TB, file string) { os.Truncate(file, 40) },
		"empty":     func(_ testing.TB, file string) { os.Truncate(file, 0) },
		"flipped":   func(t testing.TB, file string) { flip(t, file, -1) },
		"missing":   func(_ testing.TB, file string) { os.Remove(file) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, tree := damagedRepo(t)
			for _, file := range filesOf(t, dir, storage.Index) {
				damage(t, file)
			}
			r := openUnlocked(t, dir)
			if report := check(t, r, CheckOptions{}); report.Err() == nil || !strings.Contains(kinds(report), "missing-blobs") {
				t.Errorf("%v", report.Findings)
			}
			snaps, err := r.Snapshots(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Find(t.Context(), snaps[0], tree); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "repairing the index") {
				t.Errorf("%v", err)
			}
			report, err := r.RepairIndex(t.Context())
			if err != nil || len(report.Findings) == 0 {
				t.Fatalf("%+v, %v", report, err)
			}
			if report := check(t, r, CheckOptions{ReadData: true}); len(report.Findings) != 0 {
				t.Errorf("after the repair: %v", report.Findings)
			}
			if report, err := r.RepairIndex(t.Context()); err != nil || len(report.Findings) != 0 {
				t.Errorf("a second repair: %v, %v", report.Findings, err)
			}
			resticCheck(t, dir)
		})
	}
}

func TestDamagedSnapshot(t *testing.T) {
	t.Parallel()
	dir, _ := damagedRepo(t)
	file := filesOf(t, dir, storage.Snapshot)[0]
	flip(t, file, 20)
	r := openUnlocked(t, dir)
	snaps, err := r.Snapshots(t.Context())
	if len(snaps) != 1 || !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), filepath.Base(file)) {
		t.Errorf("%d snapshots, %v", len(snaps), err)
	}
	if report := check(t, r, CheckOptions{}); kinds(report) != "damaged-snapshot" {
		t.Errorf("%v", report.Findings)
	}
	id, _ := ParseID(filepath.Base(file))
	if err := r.Forget(t.Context(), id); err != nil {
		t.Error(err)
	}
	if err := r.Forget(t.Context(), id); !errors.Is(err, ErrNoSnapshot) {
		t.Errorf("%v", err)
	}
	if report := check(t, r, CheckOptions{}); len(report.Findings) != 0 {
		t.Errorf("%v", report.Findings)
	}
}

// Damage while writing is found when it is read back, not believed.
func TestForeignContentUnderAName(t *testing.T) {
	t.Parallel()
	dir, _ := damagedRepo(t)
	snaps := filesOf(t, dir, storage.Snapshot)
	data, _ := os.ReadFile(snaps[0])
	os.WriteFile(snaps[1], data, 0o600) // genuine, but another's
	_, err := openUnlocked(t, dir).Snapshots(t.Context())
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("%v", err)
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	open := func(dir string, password string) error {
		store, err := storage.Open(t.Context(), dir, storage.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := Open(t.Context(), store, []byte(password), cheap)
		if err == nil {
			r.Close()
		}
		return err
	}
	dir := filepath.Join(t.TempDir(), "repo")
	if err := open(dir, "x"); !errors.Is(err, ErrNoRepository) || !strings.Contains(err.Error(), dir) {
		t.Errorf("nothing there: %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("opening made the directory")
	}
	createRepo(t, dir)
	store, _ := storage.Open(t.Context(), dir, storage.Options{})
	if _, err := Create(t.Context(), store, testPassword, cheap); !errors.Is(err, ErrRepositoryExists) {
		t.Errorf("twice: %v", err)
	}
	if _, err := Create(t.Context(), store, nil, cheap); err == nil {
		t.Error("an empty password was taken")
	}
	if err := open(dir, "wrong"); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("wrong password: %v", err)
	}
	if err := open(dir, string(testPassword)); err != nil {
		t.Error(err)
	}
	flip(t, filepath.Join(dir, "config"), 20)
	if err := open(dir, string(testPassword)); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "config") {
		t.Errorf("config: %v", err)
	}
	flip(t, filepath.Join(dir, "config"), 20)
	key := filesOf(t, dir, storage.Key)[0]
	flip(t, key, 3)
	if err := open(dir, string(testPassword)); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "key") {
		t.Errorf("key: %v", err)
	}
	os.Remove(key)
	if err := open(dir, string(testPassword)); !errors.Is(err, ErrDamaged) {
		t.Errorf("no key: %v", err)
	}
	os.Remove(filepath.Join(dir, "config"))
	write(t, filepath.Join(dir, "data/00", strings.Repeat("0", 64)), []byte("x"))
	store, _ = storage.Open(t.Context(), dir, storage.Options{})
	if _, err := Create(t.Context(), store, testPassword, cheap); !errors.Is(err, ErrDamaged) {
		t.Errorf("a repository without config was made anew: %v", err)
	}
}

func TestCalibrate(t *testing.T) {
	t.Parallel()
	params, err := calibrate()
	if err != nil || params.Validate() != nil || params.N != 1<<15 || params.R != 8 {
		t.Errorf("%+v, %v", params, err)
	}
}

// What keeps one snapshot or index file from being read is damage of that file,
// whatever it is: too large a file, a bad block.
func TestUnreadableFile(t *testing.T) {
	t.Parallel()
	for _, kind := range []storage.Type{storage.Snapshot, storage.Index} {
		m := memoryRepo(t)
		bad := m.Handles(kind)[0]
		f := faulty.Wrap(m)
		f.Before = func(_ int, op string, h storage.Handle) error {
			if op == "load" && h == bad {
				return &fs.PathError{Op: "read", Path: h.Path(), Err: unix.EIO}
			}
			return nil
		}
		r := openMemory(t, f)
		list, err := r.Snapshots(t.Context())
		if unread := Unread(err); kind == storage.Snapshot && (len(unread) != 1 || unread[0].ID.String() != bad.Name || len(list) == 0) {
			t.Errorf("%d snapshots, %v", len(list), err)
		}
		if err := r.loadIndex(t.Context()); err != nil || (len(r.Damage()) == 1) != (kind == storage.Index) {
			t.Errorf("%v, %v", err, r.Damage())
		}
		if report := check(t, r, CheckOptions{}); !strings.Contains(kinds(report), "damaged-"+kind.String()) {
			t.Errorf("%v", report.Findings)
		}
		before := allFiles(m)
		_, err = r.Prune(t.Context(), PruneOptions{})
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), bad.Path()) || !maps.Equal(before, allFiles(m)) {
			t.Errorf("%v", err)
		}
	}
	r := openMemory(t, newMemory(t))
	if err := r.store.Save(t.Context(), handle(storage.Snapshot, Hash(nil)), make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.loadFile(t.Context(), storage.Snapshot, Hash(nil), 999, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("%v", err)
	}
}

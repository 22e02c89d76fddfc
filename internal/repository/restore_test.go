package repository

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/storage"
)

// forge makes a snapshot of a tree that no honest backup would write. Nodes are
// JSON.
func forge(t testing.TB, r *Repository, nodes ...string) *Snapshot {
	t.Helper()
	id := forgeTree(t, r, nodes...)
	snapID, err := r.saveJSON(t.Context(), storage.Snapshot, &Snapshot{Time: time.Now(), Tree: &id, Paths: []string{"/x"}})
	if err != nil {
		t.Fatal(err)
	}
	snap, err := r.LoadSnapshot(t.Context(), snapID)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

func forgeTree(t testing.TB, r *Repository, nodes ...string) ID {
	t.Helper()
	return forgeBlob(t, r, TreeBlob, `{"nodes":[`+strings.Join(nodes, ",")+`]}`)
}

func forgeBlob(t testing.TB, r *Repository, kind BlobType, content string) ID {
	t.Helper()
	w, err := newWriter(t.Context(), r, CompressionAuto, 1)
	if err != nil {
		t.Fatal(err)
	}
	v, err := w.save(kind, []byte(content))
	if err := errors.Join(err, w.flush(), r.flushIndex(t.Context())); err != nil {
		t.Fatal(err)
	}
	return v.id
}

func forgeFile(name string, content ...ID) string {
	ids, _ := json.Marshal(content)
	return fmt.Sprintf(`{"name":%q,"type":"file","mode":420,"size":5,"content":%s}`, name, ids)
}

func TestHostileTrees(t *testing.T) {
	t.Parallel()
	r, _ := newRepo(t)
	r.opts.NoLock = true // each lock waits for others to show up
	evil := forgeBlob(t, r, DataBlob, "evil\n")
	sub := forgeTree(t, r, forgeFile("escaped", evil))
	dir := func(name string, tree ID) string {
		return fmt.Sprintf(`{"name":%q,"type":"dir","mode":2147484141,"subtree":%q}`, name, tree)
	}
	link := func(name, target string) string {
		return fmt.Sprintf(`{"name":%q,"type":"symlink","mode":134218239,"linktarget":%q}`, name, target)
	}
	deep := forgeTrees(t, r, maxDepth+2, forgeTree(t, r, forgeFile("bottom", evil)))
	outside := t.TempDir()
	write(t, filepath.Join(outside, "precious"), []byte("precious"))
	tests := []struct {
		name  string
		nodes []string
	}{
		{"parent", []string{forgeFile("../escaped", evil)}},
		{"parent directory", []string{dir("..", sub)}},
		{"itself", []string{dir(".", sub)}},
		{"absolute", []string{forgeFile(outside+"/escaped", evil)}},
		{"slash", []string{forgeFile("a/b", evil)}},
		{"empty name", []string{forgeFile("", evil)}},
		{"NUL", []string{forgeFile(`a\x00b`, evil)}},
		{"twice", []string{forgeFile("a", evil), forgeFile("a", evil)}},
		{"link, then directory", []string{link("a", outside), dir("a", sub)}},
		{"directory, then link", []string{dir("a", sub), link("a", outside)}},
		{"quoting that does not end", []string{`{"name":"a\\","type":"file","content":[]}`}},
		{"no subtree", []string{`{"name":"a","type":"dir"}`}},
		{"null", []string{`null`}},
		{"missing tree", []string{dir("a", ID{1})}},
		{"data as tree", []string{dir("a", evil)}},
		{"missing content", []string{forgeFile("a", ID{1})}},
		{"tree as content", []string{forgeFile("a", sub)}},
		{"too deep", []string{dir("d", deep)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			snap := forge(t, r, test.nodes...)
			for _, inPlace := range []bool{false, true} {
				target := filepath.Join(t.TempDir(), "target")
				_, err := r.Restore(t.Context(), snap, "/", target, RestoreOptions{InPlace: inPlace})
				if err == nil {
					t.Error("restored without an error")
				}
				if _, err := os.Lstat(filepath.Join(filepath.Dir(target), "escaped")); err == nil {
					t.Error("something was written beside the target")
				}
			}
			r.Walk(t.Context(), snap, "/", func(string, *Node) error { return nil })
		})
	}
	if got := describe(t, outside); len(got) != 2 {
		t.Errorf("outside there is now %v", got)
	}
}

// forgeTrees stores a chain of directories, each in the one before.
func forgeTrees(t testing.TB, r *Repository, depth int, bottom ID) ID {
	t.Helper()
	w, err := newWriter(t.Context(), r, CompressionAuto, 1)
	if err != nil {
		t.Fatal(err)
	}
	for range depth {
		v, err := w.save(TreeBlob, fmt.Appendf(nil, `{"nodes":[{"name":"d","type":"dir","mode":2147484141,"subtree":%q}]}`, bottom))
		if err != nil {
			t.Fatal(err)
		}
		bottom = v.id
	}
	if err := errors.Join(w.flush(), r.flushIndex(t.Context())); err != nil {
		t.Fatal(err)
	}
	return bottom
}

// Links that stand in the target already lead nowhere either.
func TestInPlaceFollowsNoLink(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	write(t, filepath.Join(tree, "dir/file"), []byte("new"))
	write(t, filepath.Join(tree, "file"), []byte("new"))
	r, _ := newRepo(t)
	snap, _ := backup(t, r, nil, tree)
	outside := t.TempDir()
	write(t, filepath.Join(outside, "file"), []byte("old"))
	target := t.TempDir()
	os.Symlink(outside, filepath.Join(target, "dir"))
	os.Symlink(filepath.Join(outside, "file"), filepath.Join(target, "file"))
	if _, err := r.Restore(t.Context(), snap, tree, target, RestoreOptions{InPlace: true, Delete: true}); err != nil {
		t.Fatal(err)
	}
	sameTree(t, tree, target)
	if data, _ := os.ReadFile(filepath.Join(outside, "file")); string(data) != "old" {
		t.Errorf("a link was followed: %q", data)
	}
}

func TestInPlace(t *testing.T) {
	t.Parallel()
	tree := filepath.Join(t.TempDir(), "tree")
	nastyTree(t, tree)
	r, _ := newRepo(t)
	snap, _ := backup(t, r, nil, tree)
	want := describe(t, tree)
	at := func(name string) string { return filepath.Join(tree, name) }
	inode := func(name string) (st unix.Stat_t) {
		unix.Lstat(at(name), &st)
		return st
	}
	untouched := inode("big")
	info, _ := os.Stat(at("text"))

	write(t, at("quote\"back\\slash"), []byte("changed, and longer"))
	data, _ := os.ReadFile(at("text"))
	data[1000] ^= 1
	write(t, at("text"), data) // the same size and time: only Verify sees it
	os.Chtimes(at("text"), info.ModTime(), info.ModTime())
	os.Chmod(at("acl"), 0o600)
	unix.Setxattr(at("big"), "user.surplus", []byte("x"), 0)
	os.RemoveAll(at("a"))
	os.Remove(at("link2"))
	write(t, at("link2"), []byte("linked content")) // no longer a link
	os.Remove(at("sym"))
	write(t, at("sym/now/a/directory"), []byte("x"))
	write(t, at("surplus/deep/file"), []byte("x"))
	write(t, at(TempPrefix+"dead-1"), []byte("left by a killed restore"))
	os.RemoveAll(at("emptydir"))
	os.WriteFile(at("emptydir"), []byte("now a file"), 0o600)

	_, err := r.Restore(t.Context(), snap, tree, tree, RestoreOptions{InPlace: true, Verify: true})
	if !strings.Contains(fmt.Sprint(err), "not empty stands in its place") {
		t.Errorf("without Delete a full directory must stay: %v", err)
	}
	if _, err := os.Stat(at("surplus/deep/file")); err != nil {
		t.Errorf("without Delete: %v", err)
	}
	if _, err := os.Stat(at(TempPrefix + "dead-1")); err == nil {
		t.Error("a leftover stays")
	}
	stats, err := r.Restore(t.Context(), snap, tree, tree, RestoreOptions{InPlace: true, Verify: true, Delete: true})
	if err != nil {
		t.Fatal(err)
	}
	sameLines(t, want, describe(t, tree))
	if now := inode("big"); now.Ino != untouched.Ino || now.Mtim != untouched.Mtim {
		t.Error("an unchanged file was replaced")
	}
	if stats.Unchanged == 0 {
		t.Errorf("%+v", stats)
	}
	// A third time there is nothing to do, and nothing is touched.
	before := inode("big")
	stats, err = r.Restore(t.Context(), snap, tree, tree, RestoreOptions{InPlace: true, Delete: true})
	if err != nil || stats.New != 0 {
		t.Errorf("%+v, %v", stats, err)
	}
	if now := inode("big"); now.Ctim != before.Ctim {
		t.Error("a file that was right was touched")
	}
	sameLines(t, want, describe(t, tree))
}

func TestRestoreTargets(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	write(t, filepath.Join(tree, "a/file"), []byte("x"))
	r, _ := newRepo(t)
	r.opts.NoLock = true
	snap, _ := backup(t, r, nil, tree)
	out := t.TempDir()
	file := filepath.Join(tree, "a/file")
	full := filepath.Join(out, "full")
	write(t, filepath.Join(full, "there"), []byte("y"))
	os.Mkdir(filepath.Join(out, "empty"), 0o755)
	tests := []struct {
		path, target string
		want         error
	}{
		{tree, full, fs.ErrExist},
		{tree, filepath.Join(full, "there"), unix.ENOTDIR},
		{file, full, fs.ErrExist},
		{file, filepath.Join(full, "there"), fs.ErrExist},
		{tree, filepath.Join(out, "empty"), nil},
		{tree, filepath.Join(out, "new/and/below"), nil},
		{file, filepath.Join(out, "renamed"), nil},
		{filepath.Join(tree, "absent"), filepath.Join(out, "x"), fs.ErrNotExist},
		{file + "/below", filepath.Join(out, "x"), fs.ErrNotExist},
	}
	for _, test := range tests {
		if _, err := r.Restore(t.Context(), snap, test.path, test.target, RestoreOptions{}); !errors.Is(err, test.want) {
			t.Errorf("%s to %s: %v", test.path, test.target, err)
		}
	}
	if data, _ := os.ReadFile(filepath.Join(out, "renamed")); string(data) != "x" {
		t.Errorf("%q", data)
	}
	if data, _ := os.ReadFile(filepath.Join(full, "there")); string(data) != "y" {
		t.Errorf("what was there is now %q", data)
	}
	if _, err := r.Restore(t.Context(), snap, file, filepath.Join(full, "there"), RestoreOptions{InPlace: true}); err != nil {
		t.Error(err)
	}
	if data, _ := os.ReadFile(filepath.Join(full, "there")); string(data) != "x" {
		t.Errorf("in place: %q", data)
	}
	if _, err := r.Restore(t.Context(), snap, "/", t.TempDir(), RestoreOptions{InPlace: true, Delete: true}); err == nil {
		t.Error("Delete at the root was taken")
	}
	if _, err := r.Restore(t.Context(), snap, "/", "relative", RestoreOptions{}); err == nil {
		t.Error("a relative target was taken")
	}
}

func TestInclude(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	for _, name := range []string{"a/b/wanted", "a/b/other", "a/c/other", "top"} {
		write(t, filepath.Join(tree, name), []byte(name))
	}
	os.Chmod(filepath.Join(tree, "a/b"), 0o711)
	r, _ := newRepo(t)
	snap, _ := backup(t, r, nil, tree)
	out := filepath.Join(t.TempDir(), "out")
	_, err := r.Restore(t.Context(), snap, "/", out, RestoreOptions{Include: func(p string) bool { return strings.HasSuffix(p, "/wanted") }})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	filepath.WalkDir(filepath.Join(out, tree), func(p string, d fs.DirEntry, err error) error {
		got = append(got, strings.TrimPrefix(p, filepath.Join(out, tree)))
		return err
	})
	if strings.Join(got, " ") != " /a /a/b /a/b/wanted" {
		t.Errorf("%v", got)
	}
	if info, _ := os.Stat(filepath.Join(out, tree, "a/b")); info.Mode().Perm() != 0o711 {
		t.Errorf("a directory made for what is in it has mode %v", info.Mode())
	}
}

func TestTranslateOwners(t *testing.T) {
	t.Parallel()
	needRoot(t)
	tree := t.TempDir()
	name := filepath.Join(tree, "file")
	write(t, name, nil)
	os.Chown(name, 1000, 2000)
	if err := unix.Setxattr(name, aclAccess, acl([3]uint32{1, 6, 0}, [3]uint32{2, 4, 1001}, [3]uint32{2, 4, 1002}, [3]uint32{4, 4, 0}, [3]uint32{8, 6, 2002}, [3]uint32{0x10, 6, 0}, [3]uint32{0x20, 0, 0}), 0); err != nil {
		t.Skip("needs a file system with ACLs: ", err)
	}
	r, _ := newRepo(t)
	snap, stats := backup(t, r, nil, tree)
	for _, id := range []uint32{0, 1000, 1001, 1002} {
		if _, ok := stats.UIDs[id]; !ok {
			t.Errorf("uid %d is not reported: %v", id, stats.UIDs)
		}
	}
	for _, id := range []uint32{2000, 2002} {
		if _, ok := stats.GIDs[id]; !ok {
			t.Errorf("gid %d is not reported: %v", id, stats.GIDs)
		}
	}
	out := filepath.Join(t.TempDir(), "out")
	swap := func(old uint32) uint32 {
		return map[uint32]uint32{1000: 5000, 1001: 5002, 1002: 5001, 2000: 6000, 2002: 6002}[old]
	}
	if _, err := r.Restore(t.Context(), snap, tree, out, RestoreOptions{UID: swap, GID: swap}); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	unix.Stat(filepath.Join(out, "file"), &st)
	if st.Uid != 5000 || st.Gid != 6000 {
		t.Errorf("owner %d:%d", st.Uid, st.Gid)
	}
	buf := make([]byte, 200)
	n, err := unix.Getxattr(filepath.Join(out, "file"), aclAccess, buf)
	if err != nil {
		t.Fatal(err)
	}
	uids, gids := ACLIDs(buf[:n])
	if fmt.Sprint(uids, gids) != "[5001 5002] [6002]" {
		t.Errorf("%v %v", uids, gids)
	}
}

func TestSparse(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	name := filepath.Join(tree, "sparse")
	f, _ := os.Create(name)
	f.WriteAt([]byte("begin"), 0)
	f.WriteAt([]byte("middle"), 20<<20+77)
	f.Truncate(50 << 20)
	f.Close()
	r, _ := newRepo(t)
	snap, stats := backup(t, r, nil, tree)
	if stats.Stored > 1<<20 {
		t.Errorf("%d bytes were stored", stats.Stored)
	}
	out := filepath.Join(t.TempDir(), "out")
	if _, err := r.Restore(t.Context(), snap, tree, out, RestoreOptions{}); err != nil {
		t.Fatal(err)
	}
	sameTree(t, tree, out)
	var st unix.Stat_t
	unix.Stat(filepath.Join(out, "sparse"), &st)
	if st.Blocks*512 > 1<<20 {
		t.Errorf("%d bytes on disk", st.Blocks*512)
	}
}

// A full disk ends the restore with a clear error, and no file under its own
// name is incomplete.
func TestRestoreDiskFull(t *testing.T) {
	t.Parallel()
	needRoot(t)
	tree := t.TempDir()
	for i := range 10 {
		write(t, filepath.Join(tree, fmt.Sprint(i)), random(uint64(i), 500_000))
	}
	r, _ := newRepo(t)
	snap, _ := backup(t, r, nil, tree)
	small := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small).CombinedOutput(); err != nil {
		t.Skipf("needs to mount a tmpfs: %s", out)
	}
	defer unix.Unmount(small, unix.MNT_DETACH)
	_, err := r.Restore(t.Context(), snap, tree, filepath.Join(small, "out"), RestoreOptions{})
	if !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "make room") {
		t.Fatalf("%v", err)
	}
	entries, _ := os.ReadDir(filepath.Join(small, "out"))
	for _, e := range entries {
		if info, _ := e.Info(); info.Size() != 500_000 {
			t.Errorf("%s has %d bytes", e.Name(), info.Size())
		}
	}
}

func TestAbsurdSizes(t *testing.T) {
	needRoot(t)
	t.Parallel()
	r, _ := newRepo(t)
	id := forgeBlob(t, r, DataBlob, "small")
	snap := forge(t, r, fmt.Sprintf(`{"name":"huge","type":"file","mode":420,"size":9223372036854775807,"content":[%q]}`, id),
		`{"name":"none","type":"file","mode":420,"size":1000000000000000,"content":null}`,
		`{"name":"socket","type":"socket"}`, `{"name":"what","type":"wormhole"}`)
	out := filepath.Join(t.TempDir(), "out")
	stats, err := r.Restore(t.Context(), snap, "/", out, RestoreOptions{})
	if err != nil || len(stats.Warnings) != 4 {
		t.Errorf("%v, %v", stats.Warnings, err)
	}
	if data, _ := os.ReadFile(filepath.Join(out, "huge")); string(data) != "small" {
		t.Errorf("%q", data)
	}
	n, _ := r.Find(t.Context(), snap, "/huge")
	f, err := r.OpenFile(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Read(make([]byte, 10)); err != nil {
		t.Error(err)
	}
	if _, err := f.Read(make([]byte, 10)); !errors.Is(err, ErrDamaged) {
		t.Errorf("a file shorter than its size ends with %v", err)
	}
}

package repository

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// benchTree is the tree that benchmarks store: the directory named by
// LIFEBOAT_BENCH_TREE, or some 100 MB made for it.
func benchTree(b *testing.B) (dir string, size int64) {
	b.Helper()
	dir = os.Getenv("LIFEBOAT_BENCH_TREE")
	if dir == "" {
		dir = filepath.Join(b.TempDir(), "tree")
		for i := range 2000 {
			write(b, filepath.Join(dir, string(rune('a'+i%26)), string(rune('a'+i/26%26)), fmt.Sprintf("%x", i)), random(uint64(i), 1000+i*17%40000))
		}
		write(b, filepath.Join(dir, "large"), random(7, 60<<20))
	}
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return dir, size
}

func BenchmarkBackup(b *testing.B) {
	dir, size := benchTree(b)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		r, repo := newRepo(b)
		b.StartTimer()
		backup(b, r, nil, dir)
		b.StopTimer()
		r.Close()
		os.RemoveAll(repo)
		b.StartTimer()
	}
}

func BenchmarkUnchanged(b *testing.B) {
	dir, size := benchTree(b)
	r, _ := newRepo(b)
	parent, _ := backup(b, r, nil, dir)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		backup(b, r, parent, dir)
	}
}

func BenchmarkRestore(b *testing.B) {
	dir, size := benchTree(b)
	r, _ := newRepo(b)
	snap, _ := backup(b, r, nil, dir)
	b.SetBytes(size)
	b.ReportAllocs()
	out := filepath.Join(b.TempDir(), "out")
	for b.Loop() {
		if _, err := r.Restore(b.Context(), snap, dir, out, RestoreOptions{}); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		os.RemoveAll(out)
		b.StartTimer()
	}
}

func BenchmarkCheck(b *testing.B) {
	dir, size := benchTree(b)
	r, _ := newRepo(b)
	backup(b, r, nil, dir)
	b.SetBytes(size)
	for b.Loop() {
		report, err := r.Check(b.Context(), CheckOptions{ReadData: true})
		if err != nil || report.Err() != nil {
			b.Fatal(err, report.Err())
		}
	}
}

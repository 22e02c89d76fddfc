package chunker

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"testing"
)

func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// cuts splits data, of which step more bytes become known at a time.
func cuts(table *Table, data []byte, step int) []int {
	c := Cutter{Table: table}
	var lengths []int
	known := 0
	for len(data) > 0 {
		n := c.Cut(data[:min(known, len(data))])
		if n == 0 {
			if known >= len(data) {
				return append(lengths, len(data))
			}
			known += step
			continue
		}
		lengths = append(lengths, n)
		data = data[n:]
		known -= n
	}
	return lengths
}

func TestSizes(t *testing.T) {
	data := random(64 << 20)
	got := cuts(NewTable([]byte("a")), data, 1<<20)
	total := 0
	for i, n := range got {
		if total += n; n > Max || n < Min && i < len(got)-1 {
			t.Errorf("chunk %d has %d bytes", i, n)
		}
	}
	if total != len(data) {
		t.Errorf("%d of %d bytes", total, len(data))
	}
	if average := total / len(got); average < 1<<20 || average > 2<<20 {
		t.Errorf("the average is %d", average)
	}
	zero := cuts(NewTable([]byte("a")), make([]byte, 20<<20), 1<<20)
	if !slices.Equal(zero, []int{Max, Max, 4 << 20}) {
		t.Errorf("zeros are cut into %v", zero)
	}
}

// The cuts do not depend on how the data arrives.
func TestArrival(t *testing.T) {
	data := random(20<<20 + 77)
	table := NewTable([]byte("a"))
	want := cuts(table, data, len(data))
	for _, step := range []int{1000, 65536, 1<<20 + 1, 3 << 20} {
		if got := cuts(table, data, step); !slices.Equal(got, want) {
			t.Errorf("in steps of %d: %v, want %v", step, got, want)
		}
	}
}

// An insertion changes only the chunks around it.
func TestInsertion(t *testing.T) {
	data := random(48 << 20)
	changed := slices.Concat(data[:10<<20], []byte("inserted"), data[10<<20:])
	table := NewTable([]byte("a"))
	before := make(map[[32]byte]bool)
	hashes := func(data []byte, visit func([32]byte)) {
		for _, n := range cuts(table, data, 1<<20) {
			visit(sha256.Sum256(data[:n]))
			data = data[n:]
		}
	}
	hashes(data, func(h [32]byte) { before[h] = true })
	fresh := 0
	hashes(changed, func(h [32]byte) {
		if !before[h] {
			fresh++
		}
	})
	if fresh > 5 {
		t.Errorf("%d chunks are new", fresh)
	}
}

// The secret decides where is cut: sizes of chunks tell nothing without it.
func TestSecret(t *testing.T) {
	data := random(20 << 20)
	a := cuts(NewTable([]byte("a")), data, 1<<20)
	b := cuts(NewTable([]byte("b")), data, 1<<20)
	if slices.Equal(a, b) {
		t.Error("two secrets cut alike")
	}
	if x, y := NewTable([]byte("a")), NewTable([]byte("a")); *x != *y {
		t.Error("one secret gives two tables")
	}
}

func BenchmarkCut(b *testing.B) {
	data := random(32 << 20)
	table := NewTable([]byte("a"))
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		cuts(table, data, 1<<20)
	}
}

func FuzzCut(f *testing.F) {
	f.Add([]byte("seed"), uint16(1000))
	f.Fuzz(func(t *testing.T, pattern []byte, step uint16) {
		if len(pattern) == 0 || step < 500 {
			return
		}
		data := bytes.Repeat(pattern, 2<<20/len(pattern)+1)
		total := 0
		for _, n := range cuts(NewTable(nil), data, int(step)*16) {
			total += n
		}
		if total != len(data) {
			t.Errorf("%d of %d bytes", total, len(data))
		}
	})
}

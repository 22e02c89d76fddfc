// Package bench measures backup programs side by side: it builds a corpus that
// is the same on every machine, runs each program with cold caches, and prints
// medians and ratios. It starts programs as a user would; of how they work inside
// it knows only how an empty repository is made. No product package may import it.
package bench

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// Size says how large a corpus is. The same size always gives the same bytes.
type Size struct {
	TreeMB int `json:"tree_mb"` // content of the tree, in 10⁶ bytes, hard links counted once
	Files  int `json:"files"`   // files in the tree, hard links and symbolic links not counted
	DumpMB int `json:"dump_mb"` // the SQL dump beside it, in 10⁶ bytes
	// PackagesMB is the content of a second tree, of packages that are
	// compressed already, in 10⁶ bytes.
	PackagesMB int `json:"packages_mb"`
}

// Corpus is a built corpus below Dir: tree/, packages/ and dump.sql.
type Corpus struct {
	Dir  string `json:"-"`
	Size Size   `json:"size"`
	// Version changes with the generator, so that an old corpus is not taken for a new one.
	Version int `json:"version"`
}

const generation = 2

// epoch is the modification time of the first file; every other one follows from its number.
var epoch = time.Date(2015, 3, 1, 0, 0, 0, 0, time.UTC)

// Root is what the programs are told to back up.
func (c Corpus) Root() string { return filepath.Join(c.Dir, "corpus") }

// Build makes the corpus below dir, or takes the one that is there when it is
// of the same size and generation and was completed.
func Build(dir string, size Size) (Corpus, error) {
	c := Corpus{Dir: dir, Size: size, Version: generation}
	stamp := filepath.Join(dir, "corpus.json")
	if data, err := os.ReadFile(stamp); err == nil {
		have := Corpus{Dir: dir}
		if json.Unmarshal(data, &have) == nil && have == c {
			return c, nil
		}
	}
	if err := errors.Join(os.RemoveAll(stamp), os.RemoveAll(c.Root())); err != nil {
		return c, fmt.Errorf("remove the old corpus: %w", err)
	}
	if err := c.buildTree(filepath.Join(c.Root(), "tree")); err != nil {
		return c, fmt.Errorf("build the tree: %w", err)
	}
	if err := writeDump(filepath.Join(c.Root(), "dump.sql"), int64(size.DumpMB)*1e6); err != nil {
		return c, fmt.Errorf("build the dump: %w", err)
	}
	if err := c.buildPackages(filepath.Join(c.Root(), "packages")); err != nil {
		return c, fmt.Errorf("build the packages: %w", err)
	}
	data, err := json.Marshal(c)
	if err != nil {
		return c, err
	}
	return c, os.WriteFile(stamp, data, 0o644)
}

// The mixture follows a server: most files are small text, most bytes are in
// few large programs, logs and archives, some content is there twice.
const (
	smallShare  = 0.85 // of the files, 200 B to 12 kB, text
	mediumShare = 0.14 // of the files, 12 kB to 400 kB, text or compressed
	twiceShare  = 0.05 // of the medium files repeat another one's content
	linkEvery   = 30   // one hard link on so many files
	pointEvery  = 100  // one symbolic link on so many files
	filesPerDir = 60
)

func (c Corpus) buildTree(root string) error {
	choose := newRand(1)
	left := int64(c.Size.TreeMB) * 1e6
	small := int(float64(c.Size.Files) * smallShare)
	medium := int(float64(c.Size.Files) * mediumShare)
	large := c.Size.Files - small - medium
	var mediums []uint64 // seeds, to be repeated
	for i := range c.Size.Files {
		seed := uint64(i) + 1000
		var bytes int64
		kind := text
		switch {
		case i < small:
			bytes = between(choose, 200, 12e3)
		case i < small+medium:
			bytes, kind = between(choose, 12e3, 400e3), kindOf(choose)
			if len(mediums) > 0 && choose.Float64() < twiceShare {
				seed = mediums[choose.IntN(len(mediums))]
			}
			mediums = append(mediums, seed)
		default:
			// What is left, shared by the files that are left, give or take a half.
			mean := float64(left) / float64(max(1, large-(i-small-medium)))
			bytes, kind = max(0, int64(mean*(0.5+choose.Float64()))), kindOf(choose)
			if i == c.Size.Files-1 {
				bytes = max(0, left)
			}
		}
		left -= bytes
		name := filepath.Join(root, directory(i), fmt.Sprintf("file-%06d", i))
		if err := writeFile(name, seed, bytes, kind, epoch.Add(time.Duration(i)*time.Minute)); err != nil {
			return err
		}
		if i%linkEvery == linkEvery-1 {
			if err := os.Link(name, name+".linked"); err != nil {
				return err
			}
		}
		if i%pointEvery == pointEvery-1 {
			if err := os.Symlink(filepath.Base(name), name+".pointer"); err != nil {
				return err
			}
		}
	}
	return settleTimes(root)
}

// directory spreads the files over a tree three levels deep.
func directory(i int) string {
	n := i / filesPerDir
	return filepath.Join(fmt.Sprintf("part-%02d", n%16), fmt.Sprintf("group-%02d", n/16%16), fmt.Sprintf("dir-%04d", n))
}

// settleTimes gives directories times that do not depend on the day.
func settleTimes(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return os.Chtimes(path, epoch, epoch)
	})
}

// kindOf draws what a file that is not small holds.
func kindOf(r *rand.Rand) content {
	switch n := r.IntN(10); {
	case n < 3:
		return text
	case n < 8:
		return program
	}
	return noise
}

// buildPackages makes files as a package repository holds them: 20 kB to 40 MB,
// most of them small, nothing to be gained by compression.
func (c Corpus) buildPackages(root string) error {
	choose := newRand(3)
	left := int64(c.Size.PackagesMB) * 1e6
	for i := 0; left > 0; i++ {
		bytes := min(left, between(choose, 20e3, 40e6))
		left -= bytes
		name := filepath.Join(root, fmt.Sprintf("repo-%d", i%7), fmt.Sprintf("package-%05d.rpm", i))
		if err := writeFile(name, uint64(i)+1e6, bytes, noise, epoch.Add(time.Duration(i)*time.Minute)); err != nil {
			return err
		}
	}
	if c.Size.PackagesMB == 0 {
		return os.MkdirAll(root, 0o755)
	}
	return settleTimes(root)
}

func writeFile(name string, seed uint64, bytes int64, kind content, modified time.Time) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<16)
	switch kind {
	case text:
		err = writeText(w, newRand(seed), bytes)
	case program:
		err = writeProgram(w, newRand(seed), bytes)
	case noise:
		err = writeNoise(w, seed, bytes)
	}
	return errors.Join(err, w.Flush(), f.Close(), os.Chtimes(name, modified, modified))
}

// between draws a size whose logarithm is evenly spread, as sizes of files are.
func between(r *rand.Rand, low, high float64) int64 {
	return int64(low * math.Pow(high/low, r.Float64()))
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x11feb0a7)) }

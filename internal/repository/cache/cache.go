// Package cache keeps on this machine's disk what a repository need not send
// twice: index files, in a form that is read faster than theirs, and packs of
// trees. Nothing in it counts. What is missing, damaged, forged or out of reach
// is fetched from the repository again, and a cache that cannot be used is no
// error. It knows names and bytes; what they mean belongs to package repository.
package cache

import (
	"crypto/aes"
	"crypto/cipher"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Options says where a cache lies. The zero value is none.
type Options struct {
	Dir string // of all caches; one repository's is a directory in it
	Max int64  // bytes that one repository may take; 0 is DefaultMax
	// Trees keeps packs of trees too. That is worth it where the repository is
	// farther away than this disk.
	Trees bool
}

// DefaultMax is how many bytes the cache of a repository takes at most: room
// for the index of five million blobs, 220 MB, and more than as many trees.
const DefaultMax = 1 << 30

// Kind is a sort of files in a cache, and its directory.
type Kind string

// The kinds of files.
const (
	Index Kind = "index"
	Tree  Kind = "tree"
)

// Cache is one repository's. It is safe for concurrent use, also by several
// processes. A nil *Cache is one that is always empty.
type Cache struct {
	repo  string
	max   int64
	trees bool
	seal  cipher.AEAD

	mu   sync.Mutex
	root *os.Root
	size int64 // of all files as far as is known, -1 until they were counted
	off  bool  // nothing more is written: the disk is full
}

// unused is how long the cache of a repository is kept that nobody opens.
const unused = 60 * 24 * time.Hour

// tag marks a directory that backups leave out; see bford.info/cachedir.
const tag = "Signature: 8a477f597d28d172789f06886806bc55\n# Files that lifeboat can fetch again. They may be removed at any time.\n"

// Open returns the cache of a repository, nil if there is none to be had. The
// key, of 32 bytes, seals what is in it.
func Open(opts Options, repo string, key []byte) *Cache {
	if opts.Dir == "" || !filepath.IsLocal(repo) {
		return nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil
	}
	c := &Cache{repo: repo, max: opts.Max, trees: opts.Trees, seal: seal, size: -1}
	if c.max <= 0 {
		c.max = DefaultMax
	}
	all, err := openPrivate(opts.Dir)
	if err != nil {
		return nil
	}
	defer all.Close()
	if _, err := all.Lstat("CACHEDIR.TAG"); err != nil {
		_ = all.WriteFile("CACHEDIR.TAG", []byte(tag), 0o600) // for others only
	}
	if c.root, err = subdirectory(all, repo); err != nil {
		return nil
	}
	for _, kind := range []Kind{Index, Tree} {
		if err := c.root.Mkdir(string(kind), 0o700); err != nil && !os.IsExist(err) {
			c.root.Close()
			return nil
		}
	}
	forget(all, repo)
	return c
}

func subdirectory(all *os.Root, repo string) (*os.Root, error) {
	if err := all.Mkdir(repo, 0o700); err != nil && !os.IsExist(err) {
		return nil, err
	}
	now := time.Now()
	if err := all.Chtimes(repo, now, now); err != nil {
		return nil, err
	}
	return all.OpenRoot(repo)
}

// forget removes caches that were not opened for long.
func forget(all *os.Root, except string) {
	dir, err := all.Open(".")
	if err != nil {
		return
	}
	defer dir.Close()
	entries, _ := dir.ReadDir(-1)
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && e.IsDir() && e.Name() != except && len(e.Name()) == len(except) && time.Since(info.ModTime()) > unused {
			_ = all.RemoveAll(e.Name())
		}
	}
}

// Trees tells whether packs of trees are kept.
func (c *Cache) Trees() bool { return c != nil && c.trees }

// Close gives the directory up.
func (c *Cache) Close() {
	if c != nil {
		c.root.Close()
	}
}

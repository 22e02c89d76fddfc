package sles

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// sources are this package's own: what is in the cache was made by them.
//
//go:embed *.go
var sources embed.FS

// cacheDir keeps what was built, for all programs that build labs, one after
// another or at the same time. It is not in a home directory, because stories
// run without one.
const cacheDir = "/var/tmp/lifeboat-lab-sles"

// stale is how long what older sources have built stays.
const stale = 6 * time.Hour

// cache keeps what is built from the same sources once, by name.
type cache struct{ dir string }

func openCache() (*cache, error) {
	sum := sha256.New()
	names, err := fs.Glob(sources, "*.go")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		raw, err := sources.ReadFile(name)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(sum, "%s %d\n%s", name, len(raw), raw)
	}
	if err := os.MkdirAll(cacheDir, 0o700); err != nil {
		return nil, err
	}
	info, err := os.Lstat(cacheDir)
	if err != nil {
		return nil, err
	}
	// Anyone may make a directory in /var/tmp, and packages from there are installed.
	var st unix.Stat_t
	if err := unix.Lstat(cacheDir, &st); err != nil {
		return nil, &fs.PathError{Op: "lstat", Path: cacheDir, Err: err}
	}
	if !info.IsDir() || int(st.Uid) != os.Geteuid() || info.Mode().Perm() != 0o700 {
		return nil, fmt.Errorf("%s is not a directory that only this user can write: remove it", cacheDir)
	}
	c := &cache{filepath.Join(cacheDir, hex.EncodeToString(sum.Sum(nil))[:16])}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, err
	}
	now := time.Now()
	c.prune(now)
	return c, os.Chtimes(c.dir, now, now)
}

// prune removes what older sources built and nobody asked for lately. Others may do
// so at the same time, and what is left over goes the next time.
func (c *cache) prune(now time.Time) {
	entries, _ := os.ReadDir(cacheDir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && now.Sub(info.ModTime()) >= stale {
			_ = os.RemoveAll(filepath.Join(cacheDir, e.Name()))
		}
	}
}

// get returns the directory of that name, and builds it if nobody has yet. It
// may be called by several processes at once; build is given a directory that
// is there and empty.
func (c *cache) get(name string, build func(dir string) error) (_ string, err error) {
	dir := filepath.Join(c.dir, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	making := dir + ".new"
	if err := os.RemoveAll(making); err != nil { // what a killed one left
		return "", err
	}
	if err := os.Mkdir(making, 0o700); err != nil {
		return "", err
	}
	if err := build(making); err != nil {
		return "", errors.Join(fmt.Errorf("build %s of the lab: %w", name, err), os.RemoveAll(making))
	}
	return dir, os.Rename(making, dir)
}

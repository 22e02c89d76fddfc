package cli

import (
	"os"
	"path/filepath"

	"lifeboat/internal/cli/screen"
	"lifeboat/internal/config"
	"lifeboat/internal/repository/cache"
)

// systemCache is where root's cache lies.
const systemCache = "/var/cache/lifeboat"

// cacheOf is the cache of a repository. Trees are kept of those behind a network:
// a directory of this machine is no slower than a cache in another one.
func (a *app) cacheOf(r config.Repository) (cache.Options, error) {
	if a.noCache || r.Cache.Off {
		return cache.Options{}, nil
	}
	most, err := r.Cache.Bytes()
	if err != nil {
		return cache.Options{}, screen.Usage(err)
	}
	return cache.Options{Dir: firstOf(r.Cache.Dir, defaultCache()), Max: most, Trees: !isPath(r.URL)}, nil
}

// defaultCache is lifeboat in $XDG_CACHE_HOME if that is set, /var/cache/lifeboat
// for root, and ~/.cache/lifeboat for others; "" where there is no home.
func defaultCache() string {
	if dir := os.Getenv("XDG_CACHE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "lifeboat")
	}
	if os.Geteuid() == 0 {
		return systemCache
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "lifeboat")
}

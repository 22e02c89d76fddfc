package files

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"lifeboat/internal/component"
	"lifeboat/internal/component/aside"
	"lifeboat/internal/host"
)

// MaxLinks bounds how many symbolic links of one component are looked at.
const MaxLinks = 20_000

// maxHops bounds the links that one leads through; more are a loop.
const maxHops = 16

// brought are places that the system itself fills: its installation, the kernel, a boot.
var brought = []string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/boot", "/proc", "/sys", "/dev", "/run", "/var/run", "/etc/alternatives",
}

// own is the part of those that a site fills.
const own = "/usr/local"

// batch is how many paths a package database is asked for at once.
const batch = 200

// Astray are those of the symbolic links at absolute paths that lead to something
// which is there, is in none of the directories or files held, and comes with no
// package: a recovery would not bring it. Each place on the way counts, not the last
// one alone. Links that lead nowhere, or are none, are passed over.
func Astray(ctx context.Context, h *host.Host, links, held []string) ([]component.Link, error) {
	at, err := Really(h, held)
	if err != nil {
		return nil, err
	}
	var found []component.Link
	asked := map[string]bool{}
	for _, link := range links {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, to := range hops(h, link) {
			if !foreseen(to) && !slices.ContainsFunc(at, func(has string) bool { return aside.Below(to, has) }) {
				found = append(found, component.Link{Path: link, Target: to})
				asked[to] = true
			}
		}
	}
	packaged, err := packaged(ctx, h, slices.Sorted(maps.Keys(asked)))
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(found, func(l component.Link) bool {
		// That a package has made /srv says nothing of what a site keeps in there.
		owned := packaged[l.Target] && strings.Count(l.Target, "/") > 1
		again := seen[l.Path]
		seen[l.Path] = again || !owned
		return owned || again
	}), nil
}

// Really adds to paths where they stand when directories above them are links.
func Really(h *host.Host, paths []string) ([]string, error) {
	all := slices.Clone(paths)
	for _, path := range paths {
		_, at, err := entry(h, path)
		if err != nil {
			return nil, err
		}
		if at != path {
			all = append(all, at)
		}
	}
	return all, nil
}

// entry is where a path stands for this process and on the machine, with the links
// above it resolved.
func entry(h *host.Host, path string) (real, at string, err error) {
	if real, err = h.Entry(path); err != nil {
		return "", "", err
	}
	at = real
	if !h.IsLocal() {
		at = filepath.Clean("/" + strings.TrimPrefix(real, h.Root()))
	}
	return real, at, nil
}

// hops are the places that a link leads to, one after the other; none for one that
// ends nowhere. What cannot be looked at, a server that is gone say, is there.
func hops(h *host.Host, link string) []string {
	var on []string
	next := link
	for i := range maxHops {
		real, at, err := entry(h, next)
		if err != nil {
			return append(on, next)
		}
		info, err := os.Lstat(real)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
			return nil
		}
		if i > 0 {
			on = append(on, at)
		}
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return on
		}
		target, err := os.Readlink(real)
		if err != nil {
			return on
		}
		next = resolve(at, target)
	}
	return nil
}

func foreseen(path string) bool {
	return path == "/" || !aside.Below(path, own) && slices.ContainsFunc(brought, func(dir string) bool { return aside.Below(path, dir) })
}

// packaged tells which of the paths belong to packages, as far as the machine's
// package databases can tell.
func packaged(ctx context.Context, h *host.Host, paths []string) (map[string]bool, error) {
	known := map[string]bool{}
	for chunk := range slices.Chunk(paths, batch) {
		for _, manager := range []struct {
			program string
			args    []string
		}{
			{"dpkg-query", []string{"--search", "--"}},
			// The names of files that packages of a path have: the lines for a path that
			// no package has are words in the language of the session.
			{"rpm", []string{"--query", "--queryformat", "[%{FILENAMES}\n]", "--file", "--"}},
		} {
			if _, err := h.Look(manager.program); err != nil {
				continue
			}
			args := append([]string{manager.program}, manager.args...)
			for _, path := range chunk {
				if manager.program == "dpkg-query" {
					path = escape.Replace(path) // it takes patterns, dpkg-query(1)
				}
				args = append(args, path)
			}
			out, _ := h.Output(ctx, args...) // it fails when some are unknown
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			for line := range strings.Lines(string(out)) {
				by, path, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "/")
				if !strings.HasPrefix(by, "diversion by ") {
					known["/"+path] = true
				}
			}
		}
	}
	return known, nil
}

var escape = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`)

package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/bmatcuk/doublestar/v4"

	"lifeboat/internal/component/aside"
	"lifeboat/internal/host"
)

// Expand finds the paths of the machine that patterns stand for, without those
// below another one, sorted. Missing are the patterns without any match.
func Expand(h *host.Host, patterns []string) (found, missing []string, err error) {
	for _, pattern := range patterns {
		matches, err := glob(h, pattern)
		if err != nil {
			return nil, nil, err
		}
		if len(matches) == 0 {
			missing = append(missing, pattern)
		}
		found = append(found, matches...)
	}
	return outermost(found), missing, nil
}

// expand finds the component's paths on the machine. Of an import these are what
// was saved: a directory that stands there only because something below it was
// saved is none.
func (c *Component) expand() (found, missing []string, err error) {
	found, missing, err = Expand(c.env.Host, c.options.Paths)
	f := c.filter()
	found = slices.DeleteFunc(found, func(path string) bool { return !c.named(path) && f.ExcludedBelow(path, "/") })
	if err != nil || len(c.env.Saved) == 0 {
		return found, missing, err
	}
	var parts []string
	for _, path := range found {
		for _, s := range c.env.Saved {
			switch {
			case aside.Below(path, s):
				parts = append(parts, path)
			case aside.Below(s, path):
				parts = append(parts, s)
			}
		}
	}
	return outermost(parts), missing, nil
}

// named tells whether the profile names a path itself, not only by a pattern: then
// nothing excludes it.
func (c *Component) named(path string) bool {
	return slices.ContainsFunc(c.options.Paths, func(p string) bool { return !hasMeta(p) && literal(p) == path })
}

// Places are the paths and patterns that the profile names.
func (c *Component) Places() []string { return slices.Clone(c.options.Paths) }

func glob(h *host.Host, pattern string) ([]string, error) {
	if !hasMeta(pattern) {
		path := literal(pattern)
		entry, err := h.Entry(path)
		if err != nil {
			return nil, err
		}
		if _, err := os.Lstat(entry); err != nil {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
				return nil, nil
			}
			return nil, fmt.Errorf("look for %s: %w", path, err)
		}
		return []string{path}, nil
	}
	base, rest := doublestar.SplitPattern(pattern)
	base = literal(base)
	real, err := h.Path(base)
	if err != nil {
		return nil, err
	}
	names, err := doublestar.Glob(untouched{os.DirFS(real), real}, rest, doublestar.WithNoFollow())
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", pattern, err)
	}
	var matches []string
	for _, n := range names {
		if !strings.HasPrefix(filepath.Base(n), aside.Prefix) {
			matches = append(matches, filepath.Join(base, n))
		}
	}
	return matches, nil
}

// untouched is a directory tree whose directories keep their access times when
// they are listed.
type untouched struct {
	fs.FS
	root string
}

// ReadDir implements fs.ReadDirFS.
func (u untouched) ReadDir(name string) ([]fs.DirEntry, error) {
	return readDir(filepath.Join(u.root, name))
}

// Stat implements fs.StatFS.
func (u untouched) Stat(name string) (fs.FileInfo, error) { return fs.Stat(u.FS, name) }

// readDir lists a directory, sorted, without setting its access time where the
// kernel allows that: to root and to its owner.
func readDir(real string) ([]fs.DirEntry, error) {
	const flags = os.O_RDONLY | syscall.O_DIRECTORY | syscall.O_NONBLOCK
	f, err := os.OpenFile(real, flags|syscall.O_NOATIME, 0)
	if errors.Is(err, syscall.EPERM) {
		f, err = os.OpenFile(real, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := f.ReadDir(-1)
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, err
}

// hasMeta tells whether a pattern has a character with a meaning.
func hasMeta(pattern string) bool {
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '\\':
			i++
		case '*', '?', '[', '{':
			return true
		}
	}
	return false
}

// literal takes the escapes out of a pattern without meta characters.
func literal(pattern string) string {
	var out strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] == '\\' && i+1 < len(pattern) {
			i++
		}
		out.WriteByte(pattern[i])
	}
	return filepath.Clean(out.String())
}

// outermost sorts paths and drops those that are below another one.
func outermost(paths []string) []string {
	paths = slices.Clone(paths)
	slices.SortFunc(paths, func(a, b string) int {
		// A directory has to come right before what is in it.
		return strings.Compare(strings.ReplaceAll(a, "/", "\x00"), strings.ReplaceAll(b, "/", "\x00"))
	})
	var kept []string
	for _, p := range paths {
		if len(kept) == 0 || !aside.Below(p, kept[len(kept)-1]) {
			kept = append(kept, p)
		}
	}
	return kept
}

// Filter decides which entries belong to a component.
type Filter struct {
	Patterns []string // as in Options.Exclude
	Others   []string // paths of other components
}

// Excluded tells whether the entry at an absolute path is left out. It looks at
// the entry alone: who walks does not descend into an excluded directory.
func (f Filter) Excluded(path string) bool {
	base := filepath.Base(path)
	if strings.HasPrefix(base, aside.Prefix) {
		return true
	}
	if slices.Contains(f.Others, path) {
		return true
	}
	for _, pattern := range f.Patterns {
		if !strings.HasPrefix(pattern, "/") {
			pattern = "/**/" + pattern
		}
		if ok, _ := doublestar.Match(strings.TrimRight(pattern, "/"), path); ok {
			return true
		}
	}
	return false
}

// ExcludedBelow is Excluded for a path that was not walked to from root: an
// excluded directory between them counts too.
func (f Filter) ExcludedBelow(path, root string) bool {
	for p := path; len(p) > len(root); p = filepath.Dir(p) {
		if f.Excluded(p) {
			return true
		}
	}
	return false
}

// transient tells whether the entry at path is a link that only the running
// system has.
func (c *Component) transient(path string) bool {
	if !slices.ContainsFunc(c.options.Transient, func(pattern string) bool { ok, _ := doublestar.Match(pattern, path); return ok }) {
		return false
	}
	entry, err := c.env.Host.Entry(path)
	if err != nil {
		return false
	}
	info, err := os.Lstat(entry)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// filter is the component's own, with what was left out at capture as well:
// what is not in the point must not be taken away at restore.
func (c *Component) filter(also ...Filter) Filter {
	f := Filter{Patterns: slices.Clone(c.options.Exclude)}
	f.Others = slices.Clone(c.foreign)
	for _, other := range c.env.Exclude {
		other = filepath.Clean(other)
		// A component that has the same path, or one above, does not own ours.
		mine := func(pattern string) bool { return !hasMeta(pattern) && aside.Below(literal(pattern), other) }
		if !slices.ContainsFunc(c.options.Paths, mine) {
			f.Others = append(f.Others, other)
		}
	}
	for _, more := range also {
		f.Patterns = append(f.Patterns, more.Patterns...)
		f.Others = append(f.Others, more.Others...)
	}
	slices.Sort(f.Others)
	f.Others = slices.Compact(f.Others)
	slices.Sort(f.Patterns)
	f.Patterns = slices.Compact(f.Patterns)
	return f
}

// Filter decides what of a point's paths is the component's: neither what the
// profile leaves out now nor what was left out at capture.
func (c *Component) Filter(detail Detail) Filter {
	return c.filter(Filter{Patterns: detail.Exclude, Others: detail.Others})
}

// follow finds where declared paths lead that are symbolic links, so that not
// only the link is captured. The result maps links to their direct targets.
func (c *Component) follow(paths []string, f Filter) (map[string]string, error) {
	links := map[string]string{}
	for _, path := range paths {
		if !c.named(path) {
			continue
		}
		for range 16 {
			entry, err := c.env.Host.Entry(path)
			if err != nil {
				return nil, err
			}
			target, err := os.Readlink(entry)
			if err != nil {
				break
			}
			target = resolve(path, target)
			there, err := c.env.Host.Entry(target)
			if err != nil {
				return nil, err
			}
			if _, err := os.Lstat(there); err != nil || target == "/" || f.ExcludedBelow(target, "/") {
				break
			}
			links[path] = target
			path = target
		}
	}
	return links, nil
}

// resolve is the path that a link's target names.
func resolve(link, target string) string {
	if filepath.IsAbs(target) {
		return filepath.Clean(target)
	}
	return filepath.Join(filepath.Dir(link), target)
}

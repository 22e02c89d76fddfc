package files

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"lifeboat/internal/component"
	"lifeboat/internal/component/aside"
	"lifeboat/internal/repository"
)

// Detail is what the kind keeps in the manifest.
type Detail struct {
	Exclude []string          `json:"exclude,omitempty"` // patterns in force at capture
	Others  []string          `json:"others,omitempty"`  // paths left to other components
	Links   map[string]string `json:"links,omitempty"`   // declared path that is a link → captured target
	Odd     []aside.Name      `json:"odd,omitempty"`     // captured paths that are not UTF-8, quoted
	Trees   []Tree            `json:"trees,omitempty"`
}

// Captured lists all captured paths.
func (d Detail) Captured(got component.Captured) []string {
	paths := slices.Clone(got.Paths)
	for _, odd := range d.Odd {
		paths = append(paths, string(odd))
	}
	return paths
}

// Inspect counts what is there.
func (c *Component) Inspect(ctx context.Context) (component.Inspection, error) {
	var in component.Inspection
	paths, missing, err := c.expand()
	if err != nil {
		return in, fmt.Errorf("component %s: %w", c.spec.Name, err)
	}
	paths = slices.DeleteFunc(paths, c.transient)
	f := c.filter()
	links, err := c.follow(paths, f)
	if err != nil {
		return in, fmt.Errorf("component %s: %w", c.spec.Name, err)
	}
	declared := paths
	paths = outermost(append(paths, slices.Collect(maps.Values(links))...))
	in.Present, in.Paths = len(paths) > 0, paths
	in.Followed = slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return slices.Contains(declared, p) })
	if len(paths) > 0 && !c.options.MissingOK {
		for _, m := range missing {
			if hasMeta(m) {
				continue
			}
			in.Warnings = append(in.Warnings, m+" is not there")
		}
	}
	linked := map[[2]uint64]bool{}
	for _, path := range paths {
		err := Each(ctx, c.env.Host, path, f, func(at string, info fs.FileInfo) error {
			if c.transient(at) {
				return nil
			}
			in.Items++
			if info.Mode()&fs.ModeSymlink != 0 && len(in.Links) < MaxLinks {
				in.Links = append(in.Links, at)
			}
			st := info.Sys().(*syscall.Stat_t)
			id := [2]uint64{uint64(st.Dev), st.Ino}
			if info.Mode().IsRegular() && !(st.Nlink > 1 && linked[id]) {
				in.Bytes += info.Size()
				linked[id] = st.Nlink > 1
			}
			return nil
		})
		if err != nil {
			return in, fmt.Errorf("component %s: %w", c.spec.Name, err)
		}
	}
	return in, nil
}

// Capture stores every path that is there.
func (c *Component) Capture(ctx context.Context, sink component.Sink) (component.Captured, error) {
	captured, detail, err := c.CaptureFiles(ctx, sink)
	captured.Detail = detail
	return captured, err
}

// CaptureFiles is Capture for kinds that add to the Detail.
func (c *Component) CaptureFiles(ctx context.Context, sink component.Sink) (component.Captured, Detail, error) {
	var got component.Captured
	var detail Detail
	fail := func(err error) (component.Captured, Detail, error) {
		return component.Captured{}, Detail{}, fmt.Errorf("component %s: %w", c.spec.Name, err)
	}
	paths, missing, err := c.expand()
	if err != nil {
		return fail(err)
	}
	for _, m := range missing {
		if !c.options.MissingOK && !hasMeta(m) && !(c.env.Partial && len(paths) > 0) {
			return fail(&fs.PathError{Op: "capture", Path: m, Err: fs.ErrNotExist})
		}
	}
	if len(paths) == 0 && !c.options.MissingOK {
		return fail(&fs.PathError{Op: "capture", Path: strings.Join(missing, ", "), Err: fs.ErrNotExist})
	}
	f := c.filter()
	detail.Exclude, detail.Others = f.Patterns, f.Others
	if detail.Links, err = c.follow(paths, f); err != nil {
		return fail(err)
	}
	paths = outermost(append(paths, slices.Collect(maps.Values(detail.Links))...))
	root := c.env.Host.Root()
	if root == "/" {
		root = ""
	}
	before := described(sink)
	for _, path := range paths {
		stats, err := sink.AddPath(ctx, path, repository.PathOptions{
			Root:    root,
			Exclude: func(p string) bool { return p != path && f.Excluded(p) },
		})
		if err != nil {
			return fail(fmt.Errorf("store %s: %w", path, err))
		}
		got.Bytes += stats.Bytes
		got.Items += stats.Files + stats.Dirs + stats.Other
		got.Warnings = append(got.Warnings, stats.Warnings...)
		if utf8.ValidString(path) {
			got.Paths = append(got.Paths, path)
		} else {
			detail.Odd = append(detail.Odd, aside.Name(path))
		}
		tree, known := before[Shown(path)]
		if !stats.Same || !known {
			if tree, err = c.tree(ctx, path, f); err != nil {
				return fail(fmt.Errorf("look at %s after storing it: %w", path, err))
			}
		}
		detail.Trees = append(detail.Trees, tree)
	}
	return got, detail, nil
}

// described gives what the point before said of trees, by path: a tree that has
// not changed at all need not be looked at once more.
func described(sink component.Sink) map[string]Tree {
	known := map[string]Tree{}
	s, ok := sink.(component.Remembering)
	if !ok {
		return known
	}
	var detail Detail
	if text := s.Before(); text == nil || json.Unmarshal(text, &detail) != nil {
		return known // then it is looked at
	}
	for _, t := range detail.Trees {
		known[t.Path] = t
	}
	return known
}

// tree describes the live tree at path as Check wants to find it.
func (c *Component) tree(ctx context.Context, path string, f Filter) (Tree, error) {
	top, err := c.env.Host.Entry(path)
	if err != nil {
		return Tree{}, err
	}
	return c.treeAt(ctx, top, path, f)
}

// treeAt is tree of what stands at top for this process.
func (c *Component) treeAt(ctx context.Context, top, path string, f Filter) (Tree, error) {
	d := newDigester(cmp.Or(c.env.Accounts, c.env.Host))
	err := walk(ctx, top, path, f, d.add)
	return d.tree(path), err
}

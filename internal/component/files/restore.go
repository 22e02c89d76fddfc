package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/bmatcuk/doublestar/v4"

	"lifeboat/internal/component"
	"lifeboat/internal/component/aside"
	"lifeboat/internal/repository"
)

// Restore stages every path beside its place, verifies what was written, and
// only when all of them are complete moves present entries aside and new ones
// in. In place it writes file by file instead.
func (c *Component) Restore(ctx context.Context, source component.Source, opts component.RestoreOptions) error {
	if err := c.restore(ctx, source, opts); err != nil {
		return fmt.Errorf("component %s: restore: %w", c.spec.Name, err)
	}
	return nil
}

func (c *Component) restore(ctx context.Context, source component.Source, opts component.RestoreOptions) error {
	paths, detail, err := c.Recorded(ctx, source, opts)
	if err != nil {
		return err
	}
	r := &restorer{
		Component: c, source: source, opts: opts, owners: NewTranslator(opts.Owners),
		filter: c.Filter(detail),
	}
	defer r.warn()
	if r.session, err = c.Session(); err != nil {
		return err
	}
	if err := r.session.Begin(ctx); err != nil {
		return err
	}
	if c.options.InPlace {
		return r.inPlace(ctx, paths)
	}
	if r.session.Phase() != aside.Untouched {
		return r.session.Resume(ctx)
	}
	for _, path := range paths {
		if err := r.stage(ctx, path); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", Shown(path), err), r.session.Abandon())
		}
	}
	return r.session.Commit(ctx, r.plan)
}

// Recorded returns the captured paths, after checking that each is one that
// this component may write: a manifest is no authority over other paths.
func (c *Component) Recorded(ctx context.Context, source component.Source, opts component.RestoreOptions) ([]string, Detail, error) {
	paths, detail, err := recorded(opts.Record)
	if err != nil {
		return nil, detail, err
	}
	links := map[string]string{}
	for link := range detail.Links {
		node, err := Node(ctx, source, link)
		if err != nil {
			return nil, detail, fmt.Errorf("%s: %w", Shown(link), err)
		}
		if node.Type == repository.Symlink {
			links[link] = resolve(link, LinkTarget(node))
		}
	}
	for _, path := range paths {
		switch {
		case c.declares(path):
		case slices.Contains(slices.Collect(maps.Values(links)), path):
			c.tell(opts, fmt.Sprintf("%s is written too, because a path of the component was a symbolic link to it", Shown(path)))
		default:
			return nil, detail, fmt.Errorf("the recovery point has %q for this component, which the profile does not: %w", path, fs.ErrPermission)
		}
	}
	return outermost(paths), detail, nil
}

// recorded reads which paths a record has, sorted.
func recorded(record component.Record) ([]string, Detail, error) {
	var detail Detail
	if len(record.Detail) > 0 {
		if err := json.Unmarshal(record.Detail, &detail); err != nil {
			return nil, detail, fmt.Errorf("read its record: %w", err)
		}
	}
	paths := slices.Clone(record.Paths)
	for _, odd := range detail.Odd {
		paths = append(paths, string(odd))
	}
	slices.Sort(paths)
	for _, path := range paths {
		if !filepath.IsAbs(path) || filepath.Clean(path) != path || path == "/" {
			return nil, detail, fmt.Errorf("recorded path %q is not a clean absolute path", path)
		}
	}
	return paths, detail, nil
}

// declares: an import may have only parts of what the profile names.
func (c *Component) declares(path string) bool {
	return slices.ContainsFunc(c.options.Paths, func(pattern string) bool {
		if !hasMeta(pattern) {
			return aside.Below(path, literal(pattern))
		}
		ok, _ := doublestar.Match(pattern, path)
		return ok
	})
}

func (c *Component) tell(opts component.RestoreOptions, message string) {
	if opts.Warn != nil {
		opts.Warn("component " + c.spec.Name + ": " + message)
	}
}

// Extract writes the component's paths of the point below dir.
func (c *Component) Extract(ctx context.Context, source component.Source, dir string) error {
	paths, err := c.stored(ctx, source)
	if err == nil {
		for _, path := range paths {
			if err = Extract(ctx, source, path, dir, c.filter()); err != nil {
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("component %s: extract: %w", c.spec.Name, err)
	}
	return nil
}

// stored finds the component's paths in the point itself.
func (c *Component) stored(ctx context.Context, source component.Source) ([]string, error) {
	var found []string
	for _, pattern := range c.options.Paths {
		base := literal(pattern)
		if hasMeta(pattern) {
			base, _ = doublestar.SplitPattern(pattern)
			base = literal(base)
		}
		err := source.Walk(ctx, base, func(path string, node *repository.Node) error {
			if hasMeta(pattern) {
				if ok, _ := doublestar.Match(pattern, path); ok {
					found = append(found, path)
				}
				return nil
			}
			found = append(found, path)
			if node.Type == repository.Symlink {
				target := resolve(path, LinkTarget(node))
				if _, err := Node(ctx, source, target); err == nil {
					found = append(found, target)
				}
			}
			return errStop
		})
		if err != nil && !errors.Is(err, errStop) && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if len(found) == 0 && !c.options.MissingOK {
		return nil, fmt.Errorf("the recovery point has none of its paths: %w", fs.ErrNotExist)
	}
	return outermost(found), nil
}

// errStop ends a Walk early.
var errStop = errors.New("stop")

// Node returns the node at a path of the point, or fs.ErrNotExist.
func Node(ctx context.Context, source component.Source, path string) (*repository.Node, error) {
	var found *repository.Node
	err := source.Walk(ctx, path, func(_ string, node *repository.Node) error {
		found = node
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	if err == nil && found == nil {
		err = &fs.PathError{Op: "find in recovery point", Path: path, Err: fs.ErrNotExist}
	}
	return found, err
}

// LinkTarget is a symbolic link's target in its own bytes.
func LinkTarget(node *repository.Node) string {
	if len(node.LinkTargetRaw) > 0 {
		return string(node.LinkTargetRaw)
	}
	return node.LinkTarget
}

// Verify compares a written tree with the point's: every entry, its type, size,
// mode and link target. The content was verified by hash as it was read.
func Verify(ctx context.Context, source component.Source, path, real string, include func(string) bool, see func(string, *repository.Node)) error {
	return source.Walk(ctx, path, func(at string, node *repository.Node) error {
		if include != nil && !include(at) || node.Type == repository.Socket {
			return nil
		}
		see(at, node)
		info, err := os.Lstat(real + at[len(path):])
		if err != nil {
			return fmt.Errorf("written %s is not there: %w", strconv.Quote(at), err)
		}
		switch want := info.Mode(); {
		case node.Type != typeOf(want):
			return fmt.Errorf("%q was written as %s instead of %s", at, typeOf(want), node.Type)
		case node.Type == repository.File && info.Size() != int64(node.Size):
			return fmt.Errorf("%q has %d bytes instead of %d: %w", at, info.Size(), node.Size, errShort)
		case node.Type != repository.Symlink && want.Perm() != node.Mode.Perm():
			return fmt.Errorf("%q has mode %v instead of %v", at, want.Perm(), node.Mode.Perm())
		}
		if node.Type == repository.Symlink {
			if target, err := os.Readlink(real + at[len(path):]); err != nil || target != LinkTarget(node) {
				return fmt.Errorf("link %q leads to %q instead of %q", at, target, LinkTarget(node))
			}
		}
		return nil
	})
}

var errShort = errors.New("short write")

func typeOf(mode fs.FileMode) repository.NodeType {
	switch mode.Type() {
	case 0:
		return repository.File
	case fs.ModeDir:
		return repository.Dir
	case fs.ModeSymlink:
		return repository.Symlink
	case fs.ModeDevice:
		return repository.Device
	case fs.ModeDevice | fs.ModeCharDevice:
		return repository.CharDevice
	case fs.ModeNamedPipe:
		return repository.FIFO
	case fs.ModeSocket:
		return repository.Socket
	}
	return repository.UnknownNode
}

package files

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"lifeboat/internal/component"
	"lifeboat/internal/component/aside"
	"lifeboat/internal/host"
	"lifeboat/internal/repository"
)

// Compare compares the captured trees with the live ones.
func (c *Component) Compare(ctx context.Context, source component.Source, opts component.CompareOptions) (component.Comparison, error) {
	return c.CompareFiles(ctx, source, opts, nil)
}

// Bounds of what is looked into to explain a difference.
const (
	maxExplained = 200
	maxLooked    = 1 << 20 // bytes
)

// CompareFiles is Compare for kinds that can tell more of a file: explain is
// given the content of a small file whose content differs, as it was and as it
// is, nil for one that is not there.
func (c *Component) CompareFiles(ctx context.Context, source component.Source, opts component.CompareOptions, explain func(path string, was, now []byte) []repository.Field) (component.Comparison, error) {
	result := component.Comparison{
		What: []string{"every entry: content by hash, type, owner, permissions, ACLs, attributes, modification time, link target, hard links"},
	}
	if opts.Quick {
		result.What[0] += "; what has its old change time was not read"
	}
	fail := func(err error) (component.Comparison, error) {
		return result, fmt.Errorf("component %s: compare: %w", c.spec.Name, err)
	}
	paths, detail, err := recorded(opts.Record)
	if err != nil {
		return fail(err)
	}
	f := c.Filter(detail)
	if len(f.Patterns) > 0 {
		result.Not = append(result.Not, "what the profile excludes: "+enumerate(f.Patterns))
	}
	translate := NewTranslator(opts.Owners)
	explained := 0
	passing := 0
	report := func(d component.Difference) {
		if d.Kind == repository.New && c.transient(d.Path) {
			passing++
			return
		}
		if explain != nil && explained < maxExplained && (d.Kind == repository.Changed || d.Kind == repository.Missing || d.Kind == repository.New) {
			was, wasErr := stored(ctx, source, d.Path)
			now, nowErr := c.live(d.Path)
			if gone(wasErr) && gone(nowErr) && (was != nil || now != nil) {
				explained++
				d.Fields = append(d.Fields, explain(d.Path, was, now)...)
			}
		}
		d.Path = Shown(d.Path)
		for i, field := range d.Fields {
			d.Fields[i].Was, d.Fields[i].Now = Shown(field.Was), Shown(field.Now)
		}
		opts.Report(d)
	}
	for _, path := range outermost(paths) {
		place, err := c.env.Host.Entry(path)
		if err != nil {
			return fail(err)
		}
		if node, err := Node(ctx, source, path); err == nil && writable[node.Type] != "" {
			place = cmp.Or(c.leadsTo(path, node.Type), place)
		}
		stats, err := source.ComparePath(ctx, path, place, repository.CompareOptions{
			Exclude: func(p string) bool { return p != path && f.Excluded(p) },
			UID:     translate.UID(), GID: translate.GID(), Host: c.env.Host,
			Since: opts.Since(), Quick: opts.Quick, Progress: opts.Progress,
		}, report)
		result.Items, result.Bytes, result.Unread = result.Items+stats.Entries, result.Bytes+stats.Bytes, result.Unread+stats.Unread
		if err != nil {
			return fail(err)
		}
	}
	err = c.unrecorded(ctx, paths, f, report)
	if passing > 0 {
		result.Not = append(result.Not, fmt.Sprintf("%d links that only the running system has", passing))
	}
	return result, err
}

// unrecorded tells of declared paths that are here and not in the point. The
// profile may declare them only since: their age is no reason for suspicion.
func (c *Component) unrecorded(ctx context.Context, recorded []string, f Filter, report func(component.Difference)) error {
	fail := func(err error) error { return fmt.Errorf("component %s: compare: %w", c.spec.Name, err) }
	found, _, err := Expand(c.env.Host, c.options.Paths)
	if err != nil {
		return fail(err)
	}
	for _, path := range found {
		if f.Excluded(path) || slices.ContainsFunc(recorded, func(r string) bool { return aside.Below(path, r) }) {
			continue
		}
		d := component.Difference{Path: path, Kind: repository.New}
		if d.Below, err = c.below(ctx, path, f); err != nil {
			return fail(err)
		}
		report(d)
	}
	return nil
}

// below counts what is in a live directory, as far as it can be read.
func (c *Component) below(ctx context.Context, path string, f Filter) (n int64, err error) {
	real, err := c.env.Host.Entry(path)
	if err != nil {
		return 0, err
	}
	list, _ := readDir(real) // a file has none
	for _, entry := range list {
		at := filepath.Join(path, entry.Name())
		if f.Excluded(at) || entry.Type()&fs.ModeSocket != 0 {
			continue
		}
		n++
		if entry.IsDir() {
			more, err := c.below(ctx, at, f)
			if n += more; err != nil {
				return n, err
			}
		}
	}
	return n, ctx.Err()
}

// enumerate lists some words.
func enumerate(words []string) string {
	if more := len(words) - maxListed; more > 0 {
		return strings.Join(words[:maxListed], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(words, ", ")
}

var errNotSmall = errors.New("no small regular file")

// gone tells whether content could be had, or there is none to be had.
func gone(err error) bool { return err == nil || errors.Is(err, fs.ErrNotExist) }

// stored reads a small file of the point.
func stored(ctx context.Context, source component.Source, path string) ([]byte, error) {
	node, err := Node(ctx, source, path)
	if err != nil {
		return nil, err
	}
	if node.Type != repository.File || node.Size > maxLooked {
		return nil, errNotSmall
	}
	r, err := source.OpenFile(ctx, node)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxLooked))
}

// live reads a small file of the machine without setting its access time.
func (c *Component) live(path string) ([]byte, error) {
	return ReadUntouched(c.env.Host, path, maxLooked)
}

// ReadUntouched reads a regular file of at most limit bytes of the machine,
// following no link and leaving its access time alone; fs.ErrPermission where
// that is not allowed.
func ReadUntouched(h *host.Host, path string, limit int64) ([]byte, error) {
	real, err := h.Entry(path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(real, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_NOATIME, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > limit {
		return nil, errors.Join(errNotSmall, err)
	}
	return io.ReadAll(io.LimitReader(f, limit))
}

var _ component.Comparer = (*Component)(nil)

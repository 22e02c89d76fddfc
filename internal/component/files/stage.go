package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"lifeboat/internal/component"
	"lifeboat/internal/component/aside"
	"lifeboat/internal/repository"
)

// restorer is the state of one Restore.
type restorer struct {
	*Component
	source  component.Source
	opts    component.RestoreOptions
	owners  *Translator
	filter  Filter
	session *aside.Session
	plan    aside.Plan
	staged  int
	done    int64
	places  []written
}

func (r *restorer) warn() {
	for _, w := range r.owners.Warnings() {
		r.tell(r.opts, w)
	}
}

// options are the repository's for a tree of which include chooses entries.
func (r *restorer) options(include func(string) bool) repository.RestoreOptions {
	return repository.RestoreOptions{
		Include: include,
		UID:     r.owners.UID(), GID: r.owners.GID(),
		Progress: func(bytes int64) {
			r.done += bytes
			if r.opts.Progress != nil {
				r.opts.Progress(r.done, r.opts.Record.Bytes)
			}
		},
		Warn: func(message string) { r.tell(r.opts, message) },
	}
}

// dress gives a directory that was made the metadata of the point.
func (r *restorer) dress(ctx context.Context) func(dir, made string) error {
	return func(dir, made string) error { return r.owners.Dress(ctx, r.source, dir, made) }
}

// inPlace restores file by file. Only what stands in the way of a link or a device is
// set aside before.
func (r *restorer) inPlace(ctx context.Context, paths []string) error {
	if err := r.session.Resume(ctx); err != nil {
		return err
	}
	var over []overwrite
	for _, path := range paths {
		t, err := r.clear(ctx, path)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", Shown(path), err), r.session.Abandon())
		}
		if t.entry != "" {
			over = append(over, t)
		}
	}
	if len(r.plan.Swaps) > 0 {
		if err := r.session.Commit(ctx, r.plan); err != nil {
			return err
		}
	}
	for _, t := range over {
		include := func(p string) bool { return !r.filter.ExcludedBelow(p, t.path) }
		o := r.options(include)
		o.InPlace = true
		if _, err := r.source.RestorePath(ctx, t.path, t.entry, o); err != nil {
			return fmt.Errorf("%s: %w", Shown(t.path), err)
		}
		if err := Verify(ctx, r.source, t.path, t.entry, include, r.owners.See); err != nil {
			return err
		}
	}
	return nil
}

// overwrite is a path of the point and the entry that it is written over.
type overwrite struct{ path, entry string }

// clear finds where a path is written over what is there, and makes what is above it.
// What cannot be written over is staged instead; the result is empty then.
func (r *restorer) clear(ctx context.Context, path string) (overwrite, error) {
	node, err := Node(ctx, r.source, path)
	if err != nil {
		return overwrite{}, err
	}
	if err := r.parents(ctx, filepath.Dir(path)); err != nil {
		return overwrite{}, err
	}
	entry, err := r.env.Host.Entry(path)
	if err != nil {
		return overwrite{}, err
	}
	if r.session.Phase() == aside.Untouched && ousts(entry, node) {
		return overwrite{}, r.stage(ctx, path)
	}
	entry, err = r.placed(ctx, path, node)
	return overwrite{path, entry}, err
}

func (r *restorer) parents(ctx context.Context, dir string) error {
	real, err := r.env.Host.Entry(dir)
	if err != nil {
		return err
	}
	there, err := r.env.Host.Path(dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(there); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := aside.Dangling(real); err != nil {
		return err
	}
	if err := r.parents(ctx, filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(real, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return r.dress(ctx)(dir, real)
}

// barriers are entries below a present tree that must stay where they are:
// mount points, which cannot be renamed, and what belongs to others. Above each
// of them directories stay too.
type barriers struct {
	mounts []string // in the order of depth, the tree itself among them
	others []string
}

func (b barriers) at(path string) bool {
	return slices.Contains(b.mounts, path) || slices.Contains(b.others, path)
}

func (b barriers) below(path string) bool {
	in := func(p string) bool { return aside.Below(p, path) }
	return slices.ContainsFunc(b.mounts, in) || slices.ContainsFunc(b.others, in)
}

// stage writes one path of the point beside its place and adds to the plan.
func (r *restorer) stage(ctx context.Context, path string) error {
	node, err := Node(ctx, r.source, path)
	if err != nil {
		return err
	}
	if err := r.session.MakeParents(ctx, path, r.dress(ctx)); err != nil {
		return err
	}
	entry, err := r.placed(ctx, path, node)
	if err != nil {
		return err
	}
	b, err := r.barriers(ctx, path, entry)
	if err != nil {
		return err
	}
	if b.below(entry) && node.Type != repository.Dir {
		return fmt.Errorf("the point has a %s here, but %s is mounted or belongs to another component", node.Type, append(b.mounts, b.others...)[0])
	}
	s := &stager{restorer: r, path: path, entry: entry, barriers: b}
	if !slices.Contains(b.mounts, entry) {
		if err := s.group(ctx, entry, filepath.Dir(entry)); err != nil {
			return err
		}
	}
	for _, mount := range b.mounts {
		if err := s.group(ctx, mount, mount); err != nil {
			return err
		}
	}
	return s.planGroups()
}

func (r *restorer) barriers(ctx context.Context, path, entry string) (barriers, error) {
	var b barriers
	info, err := os.Lstat(entry)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, err
	}
	if b.mounts, err = aside.Mounts(entry); err != nil {
		return b, err
	}
	slices.Sort(b.mounts)
	b.mounts = slices.Compact(b.mounts)
	if !info.IsDir() {
		if len(b.mounts) > 0 {
			return b, fmt.Errorf("a file is mounted over it (%w); unmount it and restore again", syscall.EBUSY)
		}
		return b, nil
	}
	err = filepath.WalkDir(entry, func(real string, d fs.DirEntry, err error) error {
		if err != nil || real == entry {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !r.filter.Excluded(path + real[len(entry):]) {
			return nil
		}
		b.others = append(b.others, real)
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	// What is mounted inside something that stays is none of our business.
	b.mounts = slices.DeleteFunc(b.mounts, func(m string) bool {
		return slices.ContainsFunc(b.others, func(o string) bool { return aside.Below(m, o) })
	})
	return b, err
}

// stager stages one path, mount by mount, because nothing can be renamed from
// one mount to another.
type stager struct {
	*restorer
	path, entry string
	barriers
	groups []group
}

type group struct {
	top    string // live directory or entry
	staged string
	place  aside.Place
	base   string // directory that names below place.Aside are relative to
}

// group stages the part of the tree that belongs to the mount of top, in dir.
func (s *stager) group(ctx context.Context, top, dir string) error {
	at := s.path + top[len(s.entry):]
	node, err := Node(ctx, s.source, at)
	if errors.Is(err, fs.ErrNotExist) {
		s.tell(s.opts, fmt.Sprintf("%s is a mount point that the recovery point does not have; it is left alone", Shown(top)))
		return nil
	}
	if err != nil {
		return err
	}
	if top == dir && node.Type != repository.Dir {
		return fmt.Errorf("%s is a mount point here and a %s in the recovery point; unmount it first", Shown(top), node.Type)
	}
	place, err := s.session.Stage(ctx, dir)
	if err != nil {
		return err
	}
	s.staged++
	g := group{top: top, staged: filepath.Join(place.New, strconv.Itoa(s.staged)), place: place, base: dir}
	include := func(p string) bool {
		if s.filter.ExcludedBelow(p, s.path) {
			return false
		}
		live := s.entry + p[len(s.path):]
		return !slices.ContainsFunc(s.mounts, func(m string) bool {
			return m != top && aside.Below(m, top) && aside.Below(live, m) && live != m
		})
	}
	if _, err := s.source.RestorePath(ctx, at, g.staged, s.options(include)); err != nil {
		return err
	}
	if err := Verify(ctx, s.source, at, g.staged, include, s.owners.See); err != nil {
		return fmt.Errorf("verify what was written: %w", err)
	}
	s.groups = append(s.groups, g)
	return nil
}

func (s *stager) planGroups() error {
	for _, g := range s.groups {
		if err := s.planEntry(g, g.top, g.staged); err != nil {
			return err
		}
	}
	return nil
}

// planEntry decides what becomes of one live entry and of what was staged for
// it; staged is "" when the point has nothing there.
func (s *stager) planEntry(g group, live, staged string) error {
	if live != g.top && (s.at(live) || strings.HasPrefix(filepath.Base(live), aside.Prefix)) {
		return nil // another group's, or not ours
	}
	if !s.below(live) {
		rel, err := filepath.Rel(g.base, live)
		if err != nil {
			return err
		}
		s.plan.Swaps = append(s.plan.Swaps, aside.Swap{Path: live, New: staged, Aside: filepath.Join(g.place.Aside, rel)})
		return nil
	}
	names := map[string]bool{}
	present, err := os.ReadDir(live)
	if err != nil {
		return err
	}
	for _, entry := range present {
		names[entry.Name()] = false
	}
	if staged != "" {
		s.plan.Keeps = append(s.plan.Keeps, aside.Keep{Path: live, Like: staged})
		coming, err := os.ReadDir(staged)
		if err != nil {
			return fmt.Errorf("%s has to stay, but the recovery point has no directory there: %w", Shown(live), err)
		}
		for _, entry := range coming {
			names[entry.Name()] = true
		}
	}
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	for _, name := range sorted {
		next := ""
		if names[name] {
			next = filepath.Join(staged, name)
		}
		if err := s.planEntry(g, filepath.Join(live, name), next); err != nil {
			return err
		}
	}
	return nil
}

package repository

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"lifeboat/internal/storage"
)

// Commit stores the packs that are still open, then the index, and last the
// snapshot, which makes everything count. Whatever happens, the session has
// ended and its lock is given up. Calls that still run are waited for.
func (s *Session) Commit(ctx context.Context, info SnapshotInfo) (id ID, err error) {
	if err := s.end(); err != nil {
		return ID{}, err
	}
	stop := context.AfterFunc(ctx, func() { s.writer.fail(context.Cause(ctx)) })
	defer func() {
		stop()
		s.stop()
		s.writer.fail(ErrClosed)
		s.writer.running.Wait()
		err = errors.Join(err, s.repo.sessionEnded(), s.lock.Release())
	}()
	if len(s.entries) == 0 {
		return ID{}, errors.New("commit: nothing was added")
	}
	tree, err := s.assemble(ctx)
	if err == nil {
		err = s.writer.flush()
	}
	if err == nil {
		err = s.repo.flushIndex(ctx)
	}
	if err == nil {
		id, err = s.seal(ctx, s.snapshot(tree, info))
	}
	if err != nil {
		return ID{}, fmt.Errorf("commit: %w", err)
	}
	return id, nil
}

// seal saves the snapshot while the lock is known to be held.
func (s *Session) seal(ctx context.Context, snap *Snapshot) (ID, error) {
	ctx, cancel, err := s.lock.sealing(ctx)
	defer cancel()
	if err != nil {
		return ID{}, err
	}
	id, err := s.repo.saveJSON(ctx, storage.Snapshot, snap)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = errors.Join(cause, err)
	}
	return id, err
}

// Abort gives the session up. What it stored so far is completed and listed in
// the index, so that the next session need not store it again; nothing refers
// to it. Calls that still run end with an error.
func (s *Session) Abort(ctx context.Context) error {
	if err := s.end(); err != nil {
		return err
	}
	s.cancel(errors.New("the session was aborted"))
	s.stop()
	failed := context.Cause(s.writer.ctx)
	err := s.writer.flush()
	if failed != nil {
		err = nil // the caller knows
	}
	s.writer.fail(ErrClosed)
	return errors.Join(err, s.repo.flushIndex(context.WithoutCancel(ctx)), s.repo.sessionEnded(), s.lock.Release())
}

func (s *Session) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return ErrClosed
	}
	s.ended = true
	return nil
}

// stop waits for calls and goroutines.
func (s *Session) stop() {
	s.calls.Wait()
	close(s.files)
	s.readers.Wait()
	close(s.chunks)
	s.workers.Wait()
}

func (s *Session) snapshot(tree ID, info SnapshotInfo) *Snapshot {
	if info.Time.IsZero() {
		info.Time = s.begun
	}
	snap := info.snapshot(s.repo.opts)
	snap.Tree = &tree
	if len(snap.Paths) == 0 {
		for _, e := range s.entries {
			if e.live || len(s.entries) == 1 {
				snap.Paths = append(snap.Paths, e.path)
			}
		}
		slices.Sort(snap.Paths)
		snap.Paths = slices.Compact(snap.Paths)
	}
	if p := s.opts.Parent; p != nil && !p.ID.IsZero() {
		snap.Parent = &p.ID
	}
	return snap
}

// snapshot is what info says, with the host and user of opts where it says none.
func (info SnapshotInfo) snapshot(opts Options) *Snapshot {
	return &Snapshot{
		Time:           info.Time,
		Paths:          info.Paths,
		Hostname:       cmp.Or(info.Hostname, opts.Hostname),
		Username:       cmp.Or(info.Username, opts.Username),
		UID:            info.UID,
		GID:            info.GID,
		Excludes:       info.Excludes,
		Tags:           info.Tags,
		ProgramVersion: info.ProgramVersion,
	}
}

// branch is a place in the tree that the calls of a session make together.
type branch struct {
	added    []*Node // what calls added here, in order
	children map[string]*branch
}

// assemble joins what was added into one tree: every entry at its path, below
// directories with the metadata found on disk. Where one entry lies within
// another, both are kept, and of what both hold, what was added later.
func (s *Session) assemble(ctx context.Context) (ID, error) {
	s.calls.Wait()
	root := new(branch)
	nested := false
	for _, e := range s.entries {
		at := root
		for _, name := range splitPath(e.path) {
			nested = nested || len(at.added) > 0
			if at.children == nil {
				at.children = make(map[string]*branch)
			}
			next := at.children[name]
			if next == nil {
				next = new(branch)
				at.children[name] = next
			}
			at = next
		}
		nested = nested || len(at.children) > 0 || len(at.added) > 0
		at.added = append(at.added, e.node)
	}
	if nested {
		// Trees of this session must be read again, so they must be in a pack.
		if err := s.writer.flush(); err != nil {
			return ID{}, err
		}
	}
	node, err := s.join(ctx, "/", root, nil)
	if err != nil {
		return ID{}, err
	}
	return *node.Subtree, nil
}

// join makes the node of a branch. under is what an entry further up holds at
// the same place, or nil.
func (s *Session) join(ctx context.Context, at string, b *branch, under *Node) (*Node, error) {
	node := under
	for _, added := range b.added {
		merged, err := s.merge(ctx, node, added, 0)
		if err != nil {
			return nil, err
		}
		node = merged
	}
	if len(b.children) == 0 {
		return node, nil
	}
	if len(b.added) > 0 && node.Type != Dir {
		return nil, fmt.Errorf("%s was added as a %s, and paths below it too", quoted(at), node.Type)
	}
	tree := new(Tree)
	if node != nil && node.Type == Dir {
		t, err := s.loadTree(ctx, *node.Subtree)
		if err != nil {
			return nil, err
		}
		tree.Nodes = slices.Clone(t.Nodes)
	} else {
		node = s.directoryAt(at)
	}
	for name, child := range b.children {
		n, err := s.join(ctx, join(at, name), child, tree.find(name))
		if err != nil {
			return nil, err
		}
		tree.put(n)
	}
	return s.withTree(node, tree)
}

// put adds or replaces the entry of a name.
func (t *Tree) put(n *Node) {
	i, found := slices.BinarySearchFunc(t.Nodes, n.Name, func(a *Node, name string) int { return strings.Compare(a.Name, name) })
	if found {
		t.Nodes[i] = n
	} else {
		t.Nodes = slices.Insert(t.Nodes, i, n)
	}
}

// withTree stores a tree and returns the node of its directory.
func (s *Session) withTree(dir *Node, tree *Tree) (*Node, error) {
	id, err := s.saveTree(tree, new(counter))
	if err != nil {
		return nil, err
	}
	s.made[id] = tree
	n := *dir
	n.Subtree = &id
	return &n, nil
}

// loadTree also finds trees that Commit has just made and not saved yet.
func (s *Session) loadTree(ctx context.Context, id ID) (*Tree, error) {
	if t := s.made[id]; t != nil {
		return t, nil
	}
	return s.repo.LoadTree(ctx, id)
}

// directoryAt is a directory that no entry holds: as it was found on disk, or
// for one that exists only in the snapshot, as the session was told.
func (s *Session) directoryAt(at string) *Node {
	if n := s.spine[at]; n != nil {
		return n
	}
	when := s.begun.UTC()
	mode := os.FileMode(0o700)
	if s.opts.MadeMode != nil {
		mode = s.opts.MadeMode(at).Perm()
	}
	return &Node{Name: path.Base(at), Type: Dir, Mode: os.ModeDir | mode, ModTime: when, AccessTime: when, ChangeTime: when, User: "root", Group: "root"}
}

// merge lays one node over another of the same name: directories are united,
// for all else the later wins.
func (s *Session) merge(ctx context.Context, under, over *Node, depth int) (*Node, error) {
	if under == nil || under.Type != Dir || over.Type != Dir || *under.Subtree == *over.Subtree {
		return over, nil
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: deeper than %d directories", ErrHostile, maxDepth)
	}
	a, err := s.loadTree(ctx, *under.Subtree)
	if err != nil {
		return nil, err
	}
	b, err := s.loadTree(ctx, *over.Subtree)
	if err != nil {
		return nil, err
	}
	union := &Tree{Nodes: slices.Clone(a.Nodes)}
	for _, n := range b.Nodes {
		m, err := s.merge(ctx, a.find(n.Name), n, depth+1)
		if err != nil {
			return nil, err
		}
		union.put(m)
	}
	return s.withTree(over, union)
}

package repository

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// root is the node of a snapshot's "/", which the format does not store.
func (s *Snapshot) root() *Node {
	return &Node{Name: "/", Type: Dir, Mode: os.ModeDir | 0o755, ModTime: s.Time, AccessTime: s.Time, ChangeTime: s.Time, Subtree: s.Tree}
}

// Find returns the node at an absolute path of a snapshot. Symbolic links are
// not followed. The error is fs.ErrNotExist if there is no such path. The node
// is shared: it must not be changed.
func (r *Repository) Find(ctx context.Context, snapshot *Snapshot, name string) (*Node, error) {
	node := snapshot.root()
	for _, part := range splitPath(name) {
		var next *Node
		if node.Type == Dir {
			tree, err := r.LoadTree(ctx, *node.Subtree)
			if err != nil {
				return nil, fmt.Errorf("find %s in snapshot %s: %w", quoted(name), snapshot.ID.Short(), err)
			}
			next = tree.find(part)
		}
		if next == nil {
			return nil, fmt.Errorf("%s in snapshot %s: %w", quoted(name), snapshot.ID.Short(), fs.ErrNotExist)
		}
		node = next
	}
	return node, nil
}

// splitPath cleans an absolute path and returns its names.
func splitPath(name string) []string {
	name = strings.Trim(path.Clean("/"+name), "/")
	if name == "" {
		return nil
	}
	return strings.Split(name, "/")
}

// Walk visits the node at an absolute path and everything below it, a
// directory before its entries, entries in order of their names. Visit may
// return fs.SkipDir to leave out a directory's entries, and fs.SkipAll to end.
// A path that is not in the snapshot is fs.ErrNotExist. Nodes are shared and
// must not be changed.
func (r *Repository) Walk(ctx context.Context, snapshot *Snapshot, name string, visit func(path string, node *Node) error) error {
	node, err := r.Find(ctx, snapshot, name)
	if err != nil {
		return err
	}
	err = r.walk(ctx, path.Clean("/"+name), node, nil, visit)
	if errors.Is(err, fs.SkipAll) {
		return nil
	}
	return err
}

func (r *Repository) walk(ctx context.Context, name string, node *Node, above []ID, visit func(string, *Node) error) error {
	err := visit(name, node)
	if node.Type == Dir && errors.Is(err, fs.SkipDir) {
		return nil
	}
	if err != nil || node.Type != Dir {
		return err
	}
	tree, above, err := r.descend(ctx, name, node, above)
	if err != nil {
		return err
	}
	for _, child := range tree.Nodes {
		err := r.walk(ctx, join(name, child.Name), child, above, visit)
		if errors.Is(err, fs.SkipDir) && child.Type != Dir {
			return nil // as filepath.WalkDir: the rest of the directory is left out
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// descend loads a directory's tree and refuses one that contains itself or
// lies too deep. above lists the trees on the way.
func (r *Repository) descend(ctx context.Context, name string, node *Node, above []ID) (*Tree, []ID, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if len(above) >= maxDepth {
		return nil, nil, fmt.Errorf("%s: %w: deeper than %d directories", quoted(name), ErrHostile, maxDepth)
	}
	tree, err := r.LoadTree(ctx, *node.Subtree)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", quoted(name), err)
	}
	if len(tree.Nodes) > 0 && slices.Contains(above, *node.Subtree) {
		return nil, nil, fmt.Errorf("%s: %w: a tree that contains itself", quoted(name), ErrHostile)
	}
	return tree, append(above, *node.Subtree), nil
}

func join(dir, name string) string {
	if strings.HasSuffix(dir, "/") {
		return dir + name
	}
	return dir + "/" + name
}

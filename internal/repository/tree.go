package repository

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Tree is one directory: its entries, sorted by name.
type Tree struct {
	Nodes []*Node `json:"nodes"`
}

// maxDepth bounds how deep a stored tree may go. Linux cannot name a path
// deeper than 2048 in one call.
const maxDepth = 4096

// parseTree reads a tree and refuses names that no directory can hold: each of
// them would be a way out of the directory it is restored to.
func parseTree(text []byte) (*Tree, error) {
	t, scanned := scanTree(text)
	if !scanned {
		if err := boundTree(text); err != nil {
			return nil, err
		}
		t = new(Tree)
		if err := json.Unmarshal(text, t); err != nil {
			return nil, err
		}
	}
	sorted := true
	for i, n := range t.Nodes {
		if n == nil {
			return nil, fmt.Errorf("%w: entry %d is null", ErrHostile, i)
		}
		if err := checkName(n.Name); err != nil {
			return nil, err
		}
		if n.Type == Dir && n.Subtree == nil {
			return nil, fmt.Errorf("%w: directory %q has no tree", ErrHostile, n.Name)
		}
		sorted = sorted && (i == 0 || t.Nodes[i-1].Name < n.Name)
	}
	if !sorted {
		slices.SortStableFunc(t.Nodes, func(a, b *Node) int { return strings.Compare(a.Name, b.Name) })
		for i := 1; i < len(t.Nodes); i++ {
			if t.Nodes[i-1].Name == t.Nodes[i].Name {
				return nil, fmt.Errorf("%w: name %q stands twice", ErrHostile, t.Nodes[i].Name)
			}
		}
	}
	return t, nil
}

func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%w: name %q", ErrHostile, name)
	}
	return nil
}

// find returns the entry of a name, or nil.
func (t *Tree) find(name string) *Node {
	if t == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(t.Nodes, name, func(n *Node, name string) int { return strings.Compare(n.Name, name) })
	if !ok {
		return nil
	}
	return t.Nodes[i]
}

// LoadTree returns a directory's entries, sorted by name. The result is shared:
// it must not be changed.
func (r *Repository) LoadTree(ctx context.Context, id ID) (*Tree, error) {
	if t, ok := r.trees.get(id); ok {
		return t, nil
	}
	text, err := r.loadBlob(ctx, TreeBlob, id, nil)
	if err != nil {
		return nil, err
	}
	t, err := parseTree(text)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w", id.Short(), err)
	}
	r.trees.add(id, t, len(text))
	return t, nil
}

// treeCache keeps small trees that were just read: restore, find and change
// detection ask for the same ones.
type treeCache struct {
	once sync.Once
	lru  *lru.Cache[ID, *Tree]
}

const (
	cachedTrees    = 512
	maxCachedBytes = 64 << 10 // of one tree's JSON
)

func (c *treeCache) get(id ID) (*Tree, bool) {
	c.once.Do(func() { c.lru, _ = lru.New[ID, *Tree](cachedTrees) })
	return c.lru.Get(id)
}

func (c *treeCache) add(id ID, t *Tree, size int) {
	if size <= maxCachedBytes {
		c.lru.Add(id, t)
	}
}

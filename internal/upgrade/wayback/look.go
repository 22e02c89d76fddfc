package wayback

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/wayback/inventory"
	"lifeboat/internal/upgrade/wayback/subvolume"
)

// Look compares the root with the baseline where nothing has gone back: hooks and others
// may have written to it since. The error is an *UnequalError when it differs. A file of
// the same size and date counts as the same; Back is what reads them all.
func (m *Point) Look(ctx context.Context, task runbook.Task, b Baseline) error {
	b, tree, o, err := m.tree(b)
	if err != nil {
		return err
	}
	return look(ctx, task, b, tree, o)
}

// tree is where the root of a baseline stands, and what of it counts.
func (m *Point) tree(b Baseline) (Baseline, string, inventory.Options, error) {
	b, _, err := m.here(b)
	if err != nil {
		return b, "", inventory.Options{}, err
	}
	d, err := m.detail(b)
	if err != nil {
		return b, "", inventory.Options{}, err
	}
	r := &replay{root: b.Root, b: b, d: d}
	if err := r.foreign(); err != nil {
		return b, "", inventory.Options{}, err
	}
	return b, b.Root, d.options(r.also...), nil
}

// Look is as that of Point, with the root's subvolume.
func (m *Btrfs) Look(ctx context.Context, task runbook.Task, b Baseline) error {
	b, tree, o, done, err := m.tree(b)
	if err != nil {
		return err
	}
	defer done()
	return look(ctx, task, b, tree, o)
}

// tree is as that of Point, with what ends the use of it.
func (m *Btrfs) tree(b Baseline) (Baseline, string, inventory.Options, func(), error) {
	b, _, err := m.here(b)
	if err != nil {
		return b, "", inventory.Options{}, nil, err
	}
	top, e, err := m.open(b)
	if err != nil {
		return b, "", inventory.Options{}, nil, err
	}
	id, err := subvolume.ID(top.Path(e.Root))
	if err == nil && id == e.Base {
		err = fmt.Errorf("the subvolume %s is the way back itself", e.Root)
	}
	if err != nil {
		return b, "", inventory.Options{}, nil, errors.Join(err, top.Close())
	}
	return b, top.Path(e.Root), e.options(), func() { _ = top.Close() }, nil
}

func look(ctx context.Context, task teller, b Baseline, tree string, o inventory.Options) error {
	o.Quick = true
	err := prove(ctx, task, b, tree, o)
	var unequal *UnequalError
	if !errors.As(err, &unequal) {
		return err
	}
	unequal.Tree = b.Root
	if unequal.Count > int64(len(unequal.First)) {
		return unequal
	}
	if unequal.First = read(unequal.First); len(unequal.First) == 0 {
		return nil
	}
	unequal.Count = int64(len(unequal.First))
	return unequal
}

// read leaves out what changes when a package database is only read: SQLite's files
// beside it, and with them the date of their directory.
func read(list []inventory.Difference) (rest []inventory.Difference) {
	beside := map[string]bool{}
	for _, d := range list {
		if sqlite(d.Path) {
			beside[filepath.Dir(d.Path)] = true
		}
	}
	for _, d := range list {
		date := len(d.Fields) == 1 && d.Fields[0] == "modification time" && below(d.Path, databases)
		if sqlite(d.Path) || date && beside[d.Path] {
			continue
		}
		rest = append(rest, d)
	}
	return rest
}

func sqlite(path string) bool {
	return below(filepath.Dir(path), databases) && (strings.HasSuffix(path, "-shm") || strings.HasSuffix(path, "-wal"))
}

package wayback

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/upgrade/wayback/inventory"
)

// Written visits what was written to a root since a moment and is not what the baseline
// has: what going back takes away. tree is where the root stands for this process. What
// was removed since is not told, as it comes back. The kernel's time of change decides,
// which nobody sets; a tree that was copied since has none that means anything.
func (m *Point) Written(ctx context.Context, b Baseline, since time.Time, visit func(tree string, d inventory.Difference) error) error {
	b, tree, o, err := m.tree(b)
	if err != nil {
		return err
	}
	return written(ctx, b, tree, o, since, visit)
}

// Written is as that of Point, with the root's subvolume.
func (m *Btrfs) Written(ctx context.Context, b Baseline, since time.Time, visit func(tree string, d inventory.Difference) error) error {
	b, tree, o, done, err := m.tree(b)
	if err != nil {
		return err
	}
	defer done()
	return written(ctx, b, tree, o, since, visit)
}

func written(ctx context.Context, b Baseline, tree string, o inventory.Options, since time.Time, visit func(string, inventory.Difference) error) error {
	o.Quick = true
	err := against(ctx, b, tree, o, func(d inventory.Difference) error {
		if d.Kind == inventory.Missing || sqlite(d.Path) || d.Kind == inventory.Changed && d.Now.Type == inventory.Dir {
			return nil
		}
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(tree, d.Path), &st); errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		if !time.Unix(st.Ctim.Unix()).After(since) {
			return nil
		}
		return visit(tree, d)
	})
	if err != nil {
		return fmt.Errorf("see what was written to the host since its upgrade: %w", err)
	}
	return nil
}

package wayback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"lifeboat/internal/component/boundary"
	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/wayback/subvolume"
)

// open finds what a baseline speaks of again. The file system may have another device
// by now, and the root's place may be taken by either subvolume.
func (m *Btrfs) open(b Baseline) (*subvolume.Top, exchange, error) {
	var e exchange
	if err := json.Unmarshal(b.Detail, &e); err != nil {
		return nil, e, fmt.Errorf("the record of the way back cannot be read: %w", err)
	}
	at, err := host.MountAt(b.Root)
	if err != nil {
		return nil, e, err
	}
	if at.Type != "btrfs" {
		return nil, e, fmt.Errorf("%s is on %s now; mount the root's btrfs there", b.Root, at.Type)
	}
	top, err := subvolume.OpenTop(at.Source)
	if err != nil {
		return nil, e, err
	}
	uuid, err := subvolume.UUID(top.Path("/"))
	if err == nil && uuid != e.UUID {
		err = fmt.Errorf("%s is another btrfs than before; mount the root's there", b.Root)
	}
	if err != nil {
		top.Close()
		return nil, e, err
	}
	return top, e, nil
}

// Verify reads the whole snapshot: it is what was written down, and the disk gives it.
func (m *Btrfs) Verify(ctx context.Context, task runbook.Task, b Baseline) error {
	b, _, err := m.here(b)
	if err != nil {
		return err
	}
	top, e, err := m.open(b)
	if err != nil {
		return err
	}
	defer top.Close()
	return m.whole(ctx, task, top, e, b)
}

func (m *Btrfs) whole(ctx context.Context, task runbook.Task, top *subvolume.Top, e exchange, b Baseline) error {
	id, err := subvolume.ID(top.Path(e.base()))
	if err == nil && id != e.Base {
		err = fmt.Errorf("the subvolume %s is another one than was made", e.base())
	}
	if err == nil {
		err = prove(ctx, task, b, top.Path(e.base()), e.options())
	}
	if err != nil {
		return fmt.Errorf("the way back by btrfs: %w", err)
	}
	return nil
}

// left is the file with the number of the subvolume that leaves the root's place: a later
// upgrade that has gone back before has put another one there than was upgraded.
func (e exchange) left() string { return e.Dir + "/left" }

// exchanged tells whether the root's subvolume has left its place.
func (m *Btrfs) exchanged(top *subvolume.Top, e exchange) (bool, error) {
	aside, err := subvolume.ID(top.Path(e.next()))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	text, err := os.ReadFile(top.Path(e.left()))
	if errors.Is(err, fs.ErrNotExist) {
		return aside == e.ID, nil
	}
	return strings.TrimSpace(string(text)) == fmt.Sprint(aside), err
}

// leaving writes down which subvolume is about to leave.
func (m *Btrfs) leaving(top *subvolume.Top, e exchange) error {
	id, err := subvolume.ID(top.Path(e.Root))
	if err != nil {
		return err
	}
	return renameio.WriteFile(top.Path(e.left()), fmt.Appendln(nil, id), 0o600)
}

// Back makes a writable snapshot of the snapshot, sees that it is what was written
// down, and lets it change places with the root's subvolume.
func (m *Btrfs) Back(ctx context.Context, task runbook.Task, b Baseline) error {
	b, _, err := m.here(b)
	if err != nil {
		return err
	}
	top, e, err := m.open(b)
	if err != nil {
		return err
	}
	defer top.Close()
	done, err := m.exchanged(top, e)
	if err == nil && !done {
		if err = m.ready(ctx, task, top, e, b); err == nil {
			err = m.swap(ctx, top, e)
		}
	}
	if err == nil {
		err = m.settle(ctx, top, e)
	}
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		err = fmt.Errorf("%w: %w; make room and roll back again", ErrNoSpace, err)
	}
	if err != nil {
		return fmt.Errorf("go back by btrfs: %w", err)
	}
	return m.show(task, top, e, b)
}

// ready makes what is to take the root's place, and proves it while nothing has changed.
func (m *Btrfs) ready(ctx context.Context, task runbook.Task, top *subvolume.Top, e exchange, b Baseline) error {
	if err := subvolume.DeleteAll(top.Path(e.next())); err != nil {
		return err
	}
	boundary.Reached(ctx, "next removed")
	if err := subvolume.Copy(ctx, top.Path(e.base()), top.Path(e.next()), nil); err != nil {
		return err
	}
	boundary.Reached(ctx, "next made")
	if err := prove(ctx, task, b, top.Path(e.next()), e.options()); err != nil {
		return fmt.Errorf("nothing was changed, for the snapshot is not what was written down: %w", err)
	}
	boundary.Reached(ctx, "next proved")
	return nil
}

// swap has the journals in both places while the two change theirs: whoever comes
// after a power failure finds them, in either.
func (m *Btrfs) swap(ctx context.Context, top *subvolume.Top, e exchange) error {
	for _, c := range e.Carried {
		if filepath.Base(c.Path) == ".snapshots" {
			continue
		}
		to := top.Path(e.next() + "/" + c.Path)
		if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := subvolume.Copy(ctx, top.Path(e.Root+"/"+c.Path), to, nil); err != nil {
			return err
		}
		if err := timed(top, e, e.next(), c); err != nil {
			return err
		}
	}
	if err := m.leaving(top, e); err != nil {
		return err
	}
	if err := subvolume.Sync(top.Path(e.Dir)); err != nil {
		return err
	}
	boundary.Reached(ctx, "before exchange")
	if err := subvolume.Exchange(top.Path(e.Root), top.Path(e.next())); err != nil {
		return err
	}
	boundary.Reached(ctx, "exchanged")
	return subvolume.Sync(top.Path(e.Dir))
}

// settle moves over what is carried, and has the boot loader find the root.
func (m *Btrfs) settle(ctx context.Context, top *subvolume.Top, e exchange) error {
	for _, c := range e.Carried {
		here, there := top.Path(e.Root+"/"+c.Path), top.Path(e.next()+"/"+c.Path)
		is, err := subvolume.Is(here)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if !is { // the empty directory that a snapshot has in its place
			if err == nil {
				if err := os.Remove(here); err != nil {
					return err
				}
				boundary.Reached(ctx, "made way for "+c.Path)
			}
			if err := os.Rename(there, here); err != nil {
				return fmt.Errorf("move %s over: %w", c.Path, err)
			}
			boundary.Reached(ctx, "moved "+c.Path)
			continue
		}
		id, err := subvolume.ID(here)
		if err != nil {
			return err
		}
		if id == c.ID {
			continue
		}
		if err := subvolume.Exchange(here, there); err != nil {
			return err
		}
		boundary.Reached(ctx, "carried "+c.Path)
	}
	for _, c := range e.Carried {
		if err := timed(top, e, e.Root, c); err != nil {
			return err
		}
	}
	if e.Default {
		if err := subvolume.SetDefault(top.Path(e.Root)); err != nil {
			return err
		}
		boundary.Reached(ctx, "default set")
	}
	return subvolume.Sync(top.Path(e.Dir))
}

// timed gives the directory of something that was carried its times again.
func timed(top *subvolume.Top, e exchange, root string, c subvolume.Nested) error {
	var st unix.Stat_t
	dir := "/" + filepath.Dir(c.Path)
	if err := unix.Lstat(top.Path(e.base()+dir), &st); err != nil {
		return err
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, top.Path(root+dir), []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}

// show has the root seen where it was: after a restart of this machine, or mounted
// anew.
func (m *Btrfs) show(task runbook.Task, top *subvolume.Top, e exchange, b Baseline) error {
	mounted, err := subvolume.ID(b.Root)
	if err != nil {
		return err
	}
	now, err := subvolume.ID(top.Path(e.Root))
	if err != nil || now == mounted {
		return err
	}
	if m.live() {
		return &RestartError{"the root as it was is in its place; restart this machine to run from it"}
	}
	at, err := host.MountAt(b.Root)
	if err != nil {
		return err
	}
	if err := remount(at, e.Root); err != nil {
		task.Warnf("%s still shows the upgraded root; unmount it and mount it again (%v)", b.Root, err)
	}
	return nil
}

// remount mounts a subvolume in the place of another one of the same file system.
func remount(at host.Mount, path string) error {
	flags := map[string]uintptr{
		"ro": unix.MS_RDONLY, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC,
		"noatime": unix.MS_NOATIME, "relatime": unix.MS_RELATIME, "nodiratime": unix.MS_NODIRATIME,
	}
	var set uintptr
	for o := range strings.SplitSeq(at.Options, ",") {
		set |= flags[o]
	}
	err := unix.Unmount(at.Point, 0)
	if errors.Is(err, unix.EBUSY) {
		// Our own journal is open in it, say, which has moved over to the other root.
		mounts, listErr := host.Mounts()
		if listErr != nil || slices.ContainsFunc(mounts, func(m host.Mount) bool { return strings.HasPrefix(m.Point, at.Point+"/") }) {
			return err
		}
		err = unix.Unmount(at.Point, unix.MNT_DETACH)
	}
	if err != nil {
		return err
	}
	return unix.Mount(at.Source, at.Point, "btrfs", set, "subvol="+path)
}

// Drop deletes the snapshot and, after a way back, the root that was upgraded.
func (m *Btrfs) Drop(ctx context.Context, _ runbook.Task, b Baseline) error {
	b, _, err := m.here(b)
	if err != nil {
		return err
	}
	top, e, err := m.open(b)
	if err != nil {
		return err
	}
	defer top.Close()
	if err := m.drop(ctx, top, e); err != nil {
		return fmt.Errorf("remove the way back by btrfs: %w", err)
	}
	return nil
}

func (m *Btrfs) drop(ctx context.Context, top *subvolume.Top, e exchange) error {
	for _, path := range []string{e.next(), e.base()} {
		if _, err := os.Lstat(top.Path(path)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := unused(top, path, e); err != nil {
			return err
		}
		if err := subvolume.DeleteAll(top.Path(path)); err != nil {
			return err
		}
		boundary.Reached(ctx, "deleted "+path)
	}
	for _, name := range []string{e.left(), e.Dir, places} {
		if err := os.Remove(top.Path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTEMPTY) {
			return err
		}
	}
	return nil
}

// unused refuses to delete what is mounted, and what has something in it that others
// need.
func unused(top *subvolume.Top, path string, e exchange) error {
	ids := map[string]bool{}
	id, err := subvolume.ID(top.Path(path))
	if err != nil {
		return err
	}
	ids[fmt.Sprint(id)] = true
	nested, err := subvolume.Inside(top.Path(path))
	if err != nil {
		return err
	}
	for _, n := range nested {
		if e.carried(n) {
			return fmt.Errorf("%s is still in %s; roll back again to move it over", n.Path, path)
		}
		ids[fmt.Sprint(n.ID)] = true
	}
	mounts, err := host.Mounts()
	if err != nil {
		return err
	}
	for _, at := range mounts {
		if number, ok := at.Option("subvolid"); ok && at.Type == "btrfs" && ids[number] && at.Source != "" {
			if uuid, err := subvolume.UUID(at.Point); err == nil && uuid == e.UUID {
				return runbook.Refuse("", "%s is mounted on %s; restart the machine, or unmount it, first", path, at.Point)
			}
		}
	}
	return nil
}

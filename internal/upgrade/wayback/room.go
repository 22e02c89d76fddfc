package wayback

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"lifeboat/internal/component/boundary"
	"lifeboat/internal/upgrade/wayback/inventory"
)

// demand is what going back asks of one file system, in bytes.
type demand struct {
	at   string // a directory of it
	need int64  // what is written takes more than what it replaces
	one  int64  // the largest file, which is written beside what it replaces
	came int64  // taken by what came with the upgrade
}

// block is what files take multiples of on most file systems, in bytes.
const block = 4096

func blocks(size int64) int64 { return (size + block - 1) / block * block }

// room refuses when what has to be written would not fit, before anything changes. An
// upgrade that has filled the disk can be taken back all the same: what it brought is
// removed before anything is written where there is no room for both.
func (r *replay) room(ctx context.Context) error {
	disks, err := r.disks(ctx)
	if err != nil {
		return err
	}
	for _, d := range disks {
		var st unix.Statfs_t
		if err := unix.Statfs(r.real(d.at), &st); err != nil {
			return err
		}
		free := int64(st.Bavail) * st.Bsize
		if d.need+d.one > free+d.came {
			return fmt.Errorf("%w: the file system of %s has %d MiB free, %d MiB were taken by the upgrade, and %d MiB are needed; nothing was changed; make room (%s holds downloaded packages) and roll back again",
				ErrNoSpace, r.real(d.at), free>>20, d.came>>20, (d.need+d.one)>>20+1, "/var/cache/zypp")
		}
		// Several are written at a time.
		r.short = r.short || d.came > 0 && d.need+beside > free
	}
	return nil
}

// beside is what files that are just being written take besides those that they
// replace, in bytes.
const beside = 256 << 20

// disks adds up the differences of each file system.
func (r *replay) disks(ctx context.Context) (map[uint64]*demand, error) {
	disks := map[uint64]*demand{}
	o := r.d.options(r.also...)
	o.Quick = true
	return disks, against(ctx, r.b, r.root, o, func(d inventory.Difference) error {
		dir := filepath.Dir(d.Path)
		var st unix.Stat_t
		err := unix.Lstat(r.real(dir), &st)
		for errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
			dir = filepath.Dir(dir)
			err = unix.Lstat(r.real(dir), &st)
		}
		if err != nil {
			return err
		}
		on := disks[st.Dev]
		if on == nil {
			on = &demand{at: dir}
			disks[st.Dev] = on
		}
		if d.Kind == inventory.New {
			if d.Now.Type == inventory.File && d.Now.Same == "" && unix.Lstat(r.real(d.Path), &st) == nil {
				on.came += st.Blocks * 512
			}
			return nil
		}
		if d.Was.Type == inventory.File && d.Was.Same == "" {
			on.need, on.one = on.need+blocks(d.Was.Size), max(on.one, blocks(d.Was.Size))
			if d.Now.Type == inventory.File && d.Now.Same == "" {
				on.need -= blocks(d.Now.Size)
			}
		}
		return nil
	})
}

// clear removes the files that came with the upgrade; their directories follow when all
// else is back. What they replace, if anything, is in the recovery point, which has been
// read.
func (r *replay) clear(ctx context.Context, task teller) error {
	root, err := os.OpenRoot(r.root)
	if err != nil {
		return err
	}
	defer root.Close()
	var came []string
	o := r.d.options(r.also...)
	o.Quick = true
	err = against(ctx, r.b, r.root, o, func(d inventory.Difference) error {
		if d.Kind == inventory.New && d.Now.Type == inventory.File {
			came = append(came, d.Path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	task.Logf("the disk is full: %d files that came with the upgrade are removed first", len(came))
	for _, path := range came {
		if err := root.Remove(strings.TrimPrefix(path, "/")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove what came with the upgrade: %w", err)
		}
	}
	boundary.Reached(ctx, "made room")
	return durable(r.root)
}

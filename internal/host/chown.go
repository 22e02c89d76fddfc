package host

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Chown gives path, and with recursive everything below it, an owner and a
// group; -1 leaves one as it is. Symbolic links are changed themselves and never
// followed; set-user-id bits that the kernel drops on a change are put back. It
// returns how many entries had another owner.
func (h *Host) Chown(ctx context.Context, path string, uid, gid int, recursive bool) (changed int64, err error) {
	p, err := h.Path(path)
	if err != nil {
		return 0, err
	}
	one := func(name string, info fs.FileInfo) error {
		u, g := owner(info)
		if (uid < 0 || u == uid) && (gid < 0 || g == gid) {
			return nil
		}
		changed++
		if err := os.Lchown(name, uid, gid); err != nil {
			return fmt.Errorf("change owner: %w", err)
		}
		if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 && info.Mode().IsRegular() {
			return os.Chmod(name, info.Mode())
		}
		return nil
	}
	if !recursive {
		info, err := os.Lstat(p)
		if err != nil {
			return 0, err
		}
		return changed, one(p, info)
	}
	err = filepath.WalkDir(p, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return one(name, info)
	})
	return changed, err
}

func owner(info fs.FileInfo) (uid, gid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return -1, -1
}

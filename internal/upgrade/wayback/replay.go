package wayback

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"lifeboat/internal/component/boundary"
	"lifeboat/internal/host"
	"lifeboat/internal/repository"
	"lifeboat/internal/upgrade/wayback/inventory"
	"lifeboat/internal/vault"
)

// replay makes a root equal to a recovery point and to what was written down. Killed
// anywhere, it is done again from the beginning: what is right already stays.
type replay struct {
	root  string
	b     Baseline
	d     saved
	point *vault.Point
	also  []string // paths that are left alone
	later bool     // the next boot goes back, with what is mounted then
	short bool     // what came with the upgrade has to go first, to make room
}

// foreign adds what is mounted in the root for the moment, which is no part of it.
func (r *replay) foreign() error {
	h := host.Local()
	if r.root != "/" {
		var err error
		if h, err = host.At(r.root); err != nil {
			return err
		}
	}
	mounted, err := h.Foreign()
	r.also = append(r.also, mounted...)
	if err != nil || r.later {
		return err
	}
	return r.mounted()
}

// run writes, removes, mends and proves.
func (r *replay) run(ctx context.Context, task teller) error {
	if err := r.journals(ctx); err != nil {
		return err
	}
	boundary.Reached(ctx, "before restoring")
	if r.short {
		if err := r.clear(ctx, task); err != nil {
			return err
		}
	}
	if err := r.restore(ctx, task); err != nil {
		return err
	}
	boundary.Reached(ctx, "restored")
	if err := r.mend(ctx, true); err != nil {
		return err
	}
	boundary.Reached(ctx, "mended")
	o := r.d.options(r.also...)
	err := prove(ctx, task, r.b, r.root, o)
	var unequal *UnequalError
	if errors.As(err, &unequal) {
		// Files that were linked to each other otherwise than before, say.
		task.Logf("once more: %v", err)
		if err := r.unlink(unequal.First); err != nil {
			return err
		}
		if err := r.restore(ctx, task); err != nil {
			return err
		}
		if err := r.mend(ctx, false); err != nil {
			return err
		}
		err = prove(ctx, task, r.b, r.root, o)
	}
	if err != nil {
		return err
	}
	return durable(r.root)
}

// journals sees that nothing above the journals would be taken away with them.
func (r *replay) journals(ctx context.Context) error {
	if r.d.State == "" {
		return nil
	}
	for dir := filepath.Dir(r.d.State); dir != "/"; dir = filepath.Dir(dir) {
		if _, err := r.point.Find(ctx, dir); err != nil && r.d.include(r.also...)(dir) {
			return fmt.Errorf("the journals are in %s, and the recovery point has no %s: %w", r.d.State, dir, err)
		}
	}
	return nil
}

func (r *replay) restore(ctx context.Context, task teller) error {
	done := progress(task, r.b.Bytes)
	tell := make(chan int64, 64)
	told := make(chan struct{})
	go func() { // it comes from several goroutines
		defer close(told)
		for n := range tell {
			done(n)
		}
	}()
	tick := tickOf(ctx)
	_, err := r.point.RestorePath(ctx, "/", r.root, repository.RestoreOptions{
		Include: r.d.include(r.also...), InPlace: true, Verify: true, Delete: true,
		Progress: func(n int64) { tick(); tell <- n },
		Warn:     func(message string) { task.Logf("%s", message) },
	})
	close(tell)
	<-told
	if errors.Is(err, repository.ErrNoSpace) {
		return fmt.Errorf("%w: %w; the root is half-way back", ErrNoSpace, err)
	}
	return err
}

// mend puts right what a restore does not: sockets, and metadata of directories of which
// something has come or gone since.
func (r *replay) mend(ctx context.Context, quick bool) error {
	var dirs []inventory.Entry
	o := r.d.options(r.also...)
	o.Quick = quick
	err := against(ctx, r.b, r.root, o, func(d inventory.Difference) error {
		switch {
		case d.Was.Type == inventory.Socket && d.Kind == inventory.Missing:
			if err := unix.Mknod(r.real(d.Path), unix.S_IFSOCK|0o600, 0); err != nil {
				return fmt.Errorf("make socket %q: %w", d.Path, err)
			}
			return set(r.real(d.Path), d.Was)
		case d.Was.Type == inventory.Dir && d.Kind == inventory.Changed:
			dirs = append(dirs, d.Was)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// A socket has changed the directory that it was made in.
	return r.stamp(ctx, dirs, o)
}

// stamp gives directories their metadata again.
func (r *replay) stamp(ctx context.Context, dirs []inventory.Entry, o inventory.Options) error {
	for _, e := range dirs {
		if err := set(r.real(string(e.Path)), e); err != nil {
			return err
		}
	}
	return against(ctx, r.b, r.root, o, func(d inventory.Difference) error {
		if d.Was.Type == inventory.Dir && d.Now.Type == inventory.Dir && slices.Equal(d.Fields, []string{"modification time"}) {
			return set(r.real(d.Path), d.Was)
		}
		return nil
	})
}

// set gives an entry owner, mode and times.
func set(real string, e inventory.Entry) error {
	if err := os.Lchown(real, int(e.UID), int(e.GID)); err != nil {
		return err
	}
	if e.Type != inventory.Symlink {
		if err := unix.Fchmodat(unix.AT_FDCWD, real, e.Mode, 0); err != nil {
			return &os.PathError{Op: "set the mode of", Path: real, Err: err}
		}
	}
	at := unix.NsecToTimespec(e.MTime)
	return unix.UtimesNanoAt(unix.AT_FDCWD, real, []unix.Timespec{at, at}, unix.AT_SYMLINK_NOFOLLOW)
}

// unlink removes files that are linked to others than before, so that they are written
// as files of their own.
func (r *replay) unlink(differences []inventory.Difference) error {
	for _, d := range differences {
		if d.Kind == inventory.Changed && d.Was.Type == inventory.File && slices.Contains(d.Fields, "hard links") {
			if err := os.Remove(r.real(d.Path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

func (r *replay) real(path string) string { return strings.TrimSuffix(r.root, "/") + path }

// durable waits until what was written below a directory is on the disk, whatever file
// systems it is made of.
func durable(root string) error {
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: root, Err: err}
	}
	defer unix.Close(fd)
	if err := unix.Syncfs(fd); err != nil {
		return fmt.Errorf("write %s to disk: %w", root, err)
	}
	unix.Sync()
	return nil
}

// tickOf marks each part of a long step as a boundary.
func tickOf(ctx context.Context) func() {
	return func() { boundary.Reached(ctx, "part restored") }
}

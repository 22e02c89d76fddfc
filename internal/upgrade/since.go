package upgrade

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/wayback"
	"lifeboat/internal/upgrade/wayback/inventory"
)

// In the run's directory: what was written since the upgrade, entry by entry, and copies.
const (
	writtenName = "written-since.jsonl"
	copiesName  = "written-since"
)

// Bounds on the copies, in bytes: of one file, and of all. They take no more than half of
// the room that there is, as going back needs some, too.
const (
	mostOfFile = 256 << 20
	mostOfAll  = 4 << 30
)

// sinceLine is a line of writtenName.
type sinceLine struct {
	Path string         `json:"path"`
	Kind inventory.Kind `json:"kind"`
	Size int64          `json:"size,omitempty"`
	Copy bool           `json:"copy"` // it is below copiesName
	Why  string         `json:"why,omitempty"`
}

// end removes the download, and remembers when the upgrade was over.
func (u *Upgrade) end(ctx context.Context, task runbook.Task) error {
	if err := u.tidy(ctx, task); err != nil {
		return err
	}
	return task.Keep(keptEnded, time.Now().UTC())
}

// save names what people and programs have written to the host since its upgrade was over,
// and copies it to the run's directory, before it goes back. An upgrade that was not over
// has nothing of the kind that could be told from what it wrote itself. Going back does not
// wait for what cannot be looked at: that is told.
func (u *Upgrade) save(ctx context.Context, task runbook.Task, m wayback.Means, b wayback.Baseline) error {
	err := u.saveWritten(ctx, task, m, b)
	if err == nil || ctx.Err() != nil {
		return err
	}
	task.Warnf("what was written since the upgrade is not kept: %v", err)
	return nil
}

func (u *Upgrade) saveWritten(ctx context.Context, task runbook.Task, m wayback.Means, b wayback.Baseline) error {
	var ended time.Time
	var saved int
	if found, err := task.Kept(keptEnded, &ended); err != nil || !found {
		return err
	}
	if found, err := task.Kept(keptSaved, &saved); err != nil || found {
		return err
	}
	ended, err := u.quietSince(ended)
	if err != nil {
		return err
	}
	dir := filepath.Join(task.Dir(), copiesName)
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		return err
	}
	c, err := newCopier(dir)
	if err != nil {
		return err
	}
	defer c.to.Close()
	list, err := os.OpenFile(filepath.Join(task.Dir(), writtenName), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer list.Close()
	out := bufio.NewWriter(list)
	written, left, first := 0, 0, []string(nil)
	err = m.Written(ctx, b, ended, func(tree string, d inventory.Difference) error {
		line := sinceLine{Path: d.Path, Kind: d.Kind, Size: d.Now.Size}
		if why, err := c.copy(tree, d.Now); err != nil {
			return err
		} else if line.Copy, line.Why = why == "", why; !line.Copy && d.Now.Type != inventory.Dir {
			left++
		}
		if d.Now.Type != inventory.Dir {
			if written++; len(first) < mostNamed {
				first = append(first, d.Path)
			}
		}
		return json.NewEncoder(out).Encode(line)
	})
	if err := errors.Join(err, out.Flush(), list.Sync()); err != nil {
		return err
	}
	if written > 0 {
		task.Warnf("%s", sinceText(written, left, first, task.Dir()))
	}
	return task.Keep(keptSaved, written)
}

// quietSince is the later one of when the upgrade was over and when a later one of the
// root had gone back: what that wrote, nobody else did.
func (u *Upgrade) quietSince(ended time.Time) (time.Time, error) {
	runs, err := runbook.List(u.State)
	if err != nil {
		return ended, err
	}
	for _, run := range runs {
		r, err := Asked(run)
		if err == nil && (r.Root == u.Root || r.of(u.Root)) && run.State == runbook.StateRolledBack && run.Finished.After(ended) {
			ended = run.Finished
		}
	}
	return ended, nil
}

// Gone is how many files that were written since the upgrade have gone with it, and where
// their copies are; 0 when there were none, or nobody looked.
func Gone(run *runbook.Run) (n int, copies string) {
	if _, err := run.Value(keptSaved, &n); err != nil {
		return 0, ""
	}
	return n, filepath.Join(run.Dir, copiesName)
}

func sinceText(written, left int, first []string, dir string) string {
	text := fmt.Sprintf("since the upgrade %d files were written that go now; copies are in %s, the list in %s", written, filepath.Join(dir, copiesName), filepath.Join(dir, writtenName))
	if left > 0 {
		text += fmt.Sprintf("; %d of them were not copied, the list says why", left)
	}
	for _, path := range first {
		text += "\n  " + path
	}
	if more := written - len(first); more > 0 {
		text += fmt.Sprintf("\n  and %d more", more)
	}
	return text
}

// copier copies entries of a root below a directory, as they stand there.
type copier struct {
	to   *os.Root
	room int64
}

func newCopier(dir string) (*copier, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return nil, err
	}
	to, err := os.OpenRoot(dir)
	return &copier{to: to, room: min(int64(st.Bavail)*st.Bsize/2, mostOfAll)}, err
}

// copy copies one entry; why says what it was not copied for.
func (c *copier) copy(tree string, e inventory.Entry) (why string, err error) {
	name := filepath.Clean("." + string(e.Path))
	if err := c.to.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return "", err
	}
	switch e.Type {
	case inventory.Dir:
		return "", c.to.MkdirAll(name, 0o700)
	case inventory.Symlink:
		return "", c.to.Symlink(string(e.Target), name)
	case inventory.File:
	default:
		return "it is no file", nil
	}
	switch {
	case e.Size > mostOfFile:
		return fmt.Sprintf("it is larger than %d MiB", mostOfFile>>20), nil
	case e.Size > c.room:
		return "there is no room for it", nil
	}
	c.room -= e.Size
	from, err := os.OpenRoot(tree)
	if err != nil {
		return "", err
	}
	defer from.Close()
	in, err := from.Open(name)
	if err != nil {
		return err.Error(), nil //nolint:nilerr // it is told; it may be gone meanwhile
	}
	defer in.Close()
	file, err := c.to.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(file, io.LimitReader(in, e.Size))
	when := time.Unix(0, e.MTime)
	return "", errors.Join(err, file.Chown(int(e.UID), int(e.GID)), file.Chmod(os.FileMode(e.Mode&0o777)), file.Close(), c.to.Chtimes(name, when, when))
}

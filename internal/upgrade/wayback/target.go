package wayback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeboat/internal/host"
	"lifeboat/internal/runbook"
	"lifeboat/internal/upgrade/wayback/inventory"
)

// Target is the root that is to go back, and where the run that does it remembers.
type Target struct {
	// Root is where the root stands for this process; "/" is this machine's own.
	Root string
	// State is the directory of runs and journals. It never goes back.
	State string
}

// live tells whether the root is the one that this machine runs from.
func (t Target) live() bool { return filepath.Clean(t.Root) == "/" }

func (t Target) host() (*host.Host, error) {
	if t.live() {
		return host.Local(), nil
	}
	return host.At(t.Root)
}

// here is a baseline as this process sees it: a root that ran when it was made may be
// mounted by a rescue system now. Moved tells that.
func (t Target) here(b Baseline) (_ Baseline, moved bool, err error) {
	if filepath.Clean(b.Root) != "/" || t.live() {
		return b, false, nil
	}
	h, err := t.host()
	if err != nil {
		return b, false, err
	}
	b.Root = filepath.Clean(t.Root)
	b.List, err = h.Path(b.List)
	return b, true, err
}

// within gives the path that the state directory has on the root's machine; false
// when it is not in the root.
func (t Target) within() (string, bool, error) {
	root, err := filepath.EvalSymlinks(t.Root)
	if err != nil {
		return "", false, err
	}
	state := t.State
	for rest := ""; ; {
		real, err := filepath.EvalSymlinks(state)
		if err == nil {
			state = filepath.Join(real, rest)
			break
		}
		if !errors.Is(err, os.ErrNotExist) || state == "/" {
			return "", false, err
		}
		rest, state = filepath.Join(filepath.Base(state), rest), filepath.Dir(state)
	}
	if root == "/" {
		return state, true, nil
	}
	path, in := strings.CutPrefix(state, root)
	if !in || path != "" && path[0] != '/' {
		return "", false, nil
	}
	return filepath.Clean("/" + path), true, nil
}

// listName is the file of the run's directory with what the root was.
const listName = "wayback.list"

// record writes down what a tree is, in the run's directory.
func record(ctx context.Context, task runbook.Task, b *Baseline, tree string, o inventory.Options) error {
	b.List = filepath.Join(task.Dir(), listName)
	f, err := os.OpenFile(b.List, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write down what the root is: %w", err)
	}
	o.Progress = progress(task, 0)
	sum, err := inventory.Take(ctx, tree, o, f)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write down what the root is: %w", err)
	}
	b.Digest, b.Entries, b.Bytes = sum.Digest, sum.Entries, sum.Bytes
	if sum.Moving > 0 {
		task.Logf("%d entries were written to meanwhile; only the recovery point tells what they were", sum.Moving)
	}
	return nil
}

// teller is what long work is told to; a runbook.Task is one.
type teller interface {
	Logf(format string, args ...any)
	Progress(done, total int64)
}

func progress(task teller, total int64) func(int64) {
	var done int64
	return func(n int64) {
		done += n
		task.Progress(done, total)
	}
}

// UnequalError says that a tree is not what was written down.
type UnequalError struct {
	Tree  string
	Count int64
	First []inventory.Difference // not all, when there are many
}

func (e *UnequalError) Error() string {
	text := fmt.Sprintf("%s is not what it was: %d entries differ", e.Tree, e.Count)
	for _, d := range e.First[:min(len(e.First), 10)] {
		text += "\n  " + d.String()
	}
	if more := e.Count - int64(min(len(e.First), 10)); more > 0 {
		text += fmt.Sprintf("\n  and %d more", more)
	}
	return text
}

// enough differences are kept; all are counted.
const enough = 1000

// prove compares a tree with what was written down. An error that is no *UnequalError
// says that it could not be compared.
func prove(ctx context.Context, task teller, b Baseline, tree string, o inventory.Options) error {
	unequal := &UnequalError{Tree: tree}
	o.Progress = progress(task, b.Bytes)
	err := against(ctx, b, tree, o, func(d inventory.Difference) error {
		if unequal.Count++; len(unequal.First) < enough {
			unequal.First = append(unequal.First, d)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if unequal.Count > 0 {
		return unequal
	}
	return nil
}

// against gives every difference between a tree and what was written down.
func against(ctx context.Context, b Baseline, tree string, o inventory.Options, report func(inventory.Difference) error) error {
	f, err := os.Open(b.List)
	if err != nil {
		return fmt.Errorf("read what the root was: %w", err)
	}
	defer f.Close()
	// Before anything is believed of it.
	if err := listed(b, f); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = inventory.Compare(ctx, f, tree, o, report)
	return err
}

// listed checks that the list is the one that was written for the baseline.
func listed(b Baseline, r io.Reader) error {
	sum, err := inventory.Read(r, nil)
	if err == nil && sum.Digest != b.Digest {
		err = fmt.Errorf("its digest is %.16s… and not %.16s…", sum.Digest, b.Digest)
	}
	if err != nil {
		return fmt.Errorf("what the root was stands in %s, and that was changed: %w", b.List, err)
	}
	return nil
}

// below tells whether a clean path is one of dirs or lies in one.
func below(path string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return path == d || d == "/" || strings.HasPrefix(path, d+"/") })
}

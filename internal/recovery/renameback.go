package recovery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/component/aside"
	"lifeboat/internal/runbook"
)

// asideOf is where a part's files are kept as they were.
func asideOf(task runbook.Task, opts *RenameOptions) string {
	return filepath.Join(task.Dir(), "renamed", slug(opts.Part))
}

// renamedPart is what of a part stands in reports, in the place of a component's name.
func renamedPart(opts *RenameOptions) string { return "renamed " + opts.Part }

// renameBack brings back the files that a rename has replaced, but for those that the
// run had put in place before: they go with their component's own undo. What others
// have changed since is kept.
func (r *Recovery) renameBack(ctx context.Context, task runbook.Task, opts *RenameOptions) error {
	if opts.Component != "" { // rows; a database that is not restored is not renamed
		return nil
	}
	restored, err := r.replacers(ctx, task.RunID(), task.Dir())
	if err != nil {
		return err
	}
	return r.Host.UnwriteAll(asideOf(task, opts), func(path string) (bool, error) {
		for _, c := range restored {
			if came, err := c.Replaced(path); err != nil || came {
				return came, err
			}
		}
		return false, r.keepEdited(task, renamedPart(opts), path)
	})
}

// renamedSince lists the renamed files that others have changed since the run acted.
func (r *Recovery) renamedSince(ctx context.Context, run *runbook.Run) ([]Change, error) {
	renames, err := r.renames()
	if err != nil {
		return nil, err
	}
	restored, err := r.replacers(ctx, run.ID, run.Dir)
	if err != nil {
		return nil, err
	}
	var changes []Change
	for _, opts := range renames {
		if opts.Component != "" {
			continue
		}
		change := Change{Type: "changed", Component: renamedPart(opts)}
		err := r.Host.Kept(filepath.Join(run.Dir, "renamed", slug(opts.Part)), func(path string) error {
			for _, c := range restored {
				if came, err := c.Replaced(path); err != nil || came {
					return err
				}
			}
			edited, err := r.edited(path)
			if edited {
				change.Entries = append(change.Entries, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(change.Entries) > 0 {
			changes = append(changes, change)
		}
	}
	return changes, nil
}

// edited tells whether others have changed a file of the machine since the run acted
// last, as far as TakeBack looks at that.
func (r *Recovery) edited(path string) (bool, error) {
	if r.since.IsZero() {
		return false, nil
	}
	real, err := r.Host.Path(path)
	if err != nil {
		return false, err
	}
	info, err := os.Lstat(real)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && time.Unix(st.Ctim.Unix()).After(r.since) && (!r.killed || info.ModTime().After(r.since)), nil
}

// keepEdited moves a file that others have changed beside its place, before what the
// run had replaced comes back there.
func (r *Recovery) keepEdited(task runbook.Task, what, path string) error {
	edited, err := r.edited(path)
	if err != nil || !edited {
		return err
	}
	real, err := r.Host.Path(path)
	if err != nil {
		return err
	}
	dir := filepath.Join(filepath.Dir(real), aside.FoundPrefix+task.RunID()+".written")
	kept := filepath.Join(dir, filepath.Base(real))
	if err := noteFound(task, what, []string{kept}); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keep %s as it was changed: %w", path, err)
	}
	if err := os.Rename(real, kept); err != nil {
		return fmt.Errorf("keep %s as it was changed: %w", path, err)
	}
	task.Warnf("%s was changed after this run had written it; as it was then it is kept as %s", path, kept)
	return nil
}

// replacers are the components whose files a run has put in place.
func (r *Recovery) replacers(ctx context.Context, run, dir string) ([]component.Replacer, error) {
	var list []component.Replacer
	for _, spec := range r.Profile.Components {
		if _, err := os.Stat(filepath.Join(dir, "components", spec.Name)); err != nil {
			continue
		}
		c, err := r.make(ctx, run, dir, spec)
		if err != nil {
			return nil, err
		}
		if c, ok := c.(component.Replacer); ok {
			list = append(list, c)
		}
	}
	return list, nil
}

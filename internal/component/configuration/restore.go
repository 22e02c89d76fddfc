package configuration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"lifeboat/internal/component"
	"lifeboat/internal/component/aside"
	"lifeboat/internal/component/files"
	"lifeboat/internal/repository"
)

// Restore adapts the saved files to the target and moves them into place, as
// kind files does, and tells every conflict as a warning.
func (c *Component) Restore(ctx context.Context, source component.Source, opts component.RestoreOptions) error {
	if err := c.restore(ctx, source, opts); err != nil {
		return fmt.Errorf("component %s: restore: %w", c.spec.Name, err)
	}
	return nil
}

func (c *Component) restore(ctx context.Context, source component.Source, opts component.RestoreOptions) error {
	session, err := c.Session()
	if err != nil {
		return err
	}
	if err := session.Begin(ctx); err != nil {
		return err
	}
	if session.Phase() == aside.Untouched {
		changes, err := c.Changes(ctx, source, opts.Record)
		if err != nil {
			return err
		}
		a := &adapter{Component: c, source: source, session: session, owners: files.NewTranslator(opts.Owners), opts: opts}
		if err := a.stageAll(ctx, changes); err != nil {
			return errors.Join(err, session.Abandon())
		}
		for _, w := range a.owners.Warnings() {
			a.warn(w)
		}
		if err := c.keepChanges(changes); err != nil {
			return errors.Join(err, session.Abandon())
		}
		err = session.Commit(ctx, a.plan)
		if err != nil {
			return err
		}
	} else if err := session.Resume(ctx); err != nil {
		return err
	}
	changes, err := c.Adapted()
	if err != nil {
		return err
	}
	for _, change := range changes {
		if strings.HasPrefix(change.Why, wasLink) {
			c.tell(opts, fmt.Sprintf("%s %s; a plain file takes its place", files.Shown(string(change.Path)), strings.TrimPrefix(change.Why, "it ")))
		}
		if change.Through != "" && change.Action != Same {
			c.tell(opts, fmt.Sprintf("%s is a symbolic link on this machine and a file in the recovery point; the link stays, and the file is %s", files.Shown(string(change.Path)), files.Shown(string(change.Through))))
		}
		for _, k := range change.Conflicts() {
			c.tell(opts, fmt.Sprintf("%s, %s: %s; saved %q, fresh %q, %s was taken", files.Shown(string(change.Path)), k.Key, k.Why, k.Saved, k.Fresh, k.Taken))
		}
		if change.Action == Saved && change.KeptFresh != "" {
			c.tell(opts, fmt.Sprintf("%s was changed on the saved system and on this one; the saved file was taken and the fresh one kept as %s", files.Shown(string(change.Path)), files.Shown(string(change.KeptFresh))))
		}
	}
	return nil
}

func (c *Component) tell(opts component.RestoreOptions, message string) {
	if opts.Warn != nil {
		opts.Warn("component " + c.spec.Name + ": " + message)
	}
}

func (c *Component) changesFile() string {
	return filepath.Join(c.env.State, "adapted-"+c.spec.Name+".json")
}

// keepChanges writes what is about to be done for Check and for reports.
func (c *Component) keepChanges(changes []Change) error {
	text, err := json.Marshal(changes)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.env.State, 0o700); err != nil {
		return err
	}
	if err := renameio.WriteFile(c.changesFile(), text, 0o600); err != nil {
		return fmt.Errorf("keep what was adapted: %w", err)
	}
	return nil
}

// Adapted returns what the last Restore of this run did with each file; none
// when there was no restore.
func (c *Component) Adapted() ([]Change, error) {
	if c.env.State == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.changesFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var changes []Change
	if err == nil {
		err = json.Unmarshal(text, &changes)
	}
	if err != nil {
		return nil, fmt.Errorf("read what was adapted: %w", err)
	}
	return changes, nil
}

// adapter stages what a Restore puts in place.
type adapter struct {
	*Component
	source  component.Source
	session *aside.Session
	owners  *files.Translator
	opts    component.RestoreOptions
	plan    aside.Plan
	n       int
	done    int64
}

func (a *adapter) warn(message string) { a.tell(a.opts, message) }

func (a *adapter) stageAll(ctx context.Context, changes []Change) error {
	paths, plain, err := a.Recorded(ctx, a.source, a.opts)
	if err != nil {
		return err
	}
	f := a.Filter(plain)
	decided := map[string]Change{}
	for _, change := range changes {
		decided[string(change.Path)] = change
	}
	for _, path := range paths {
		err := a.source.Walk(ctx, path, func(at string, node *repository.Node) error {
			switch {
			case node.Type == repository.Socket || f.ExcludedBelow(at, path):
				return nil
			case node.Type == repository.Dir:
				return a.directory(ctx, at)
			case decided[at].Action == "" || decided[at].Action == KeepFresh:
				return nil
			}
			return a.file(ctx, decided[at], node)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func (a *adapter) dress(ctx context.Context) func(dir, made string) error {
	return func(dir, made string) error { return a.owners.Dress(ctx, a.source, dir, made) }
}

// directory makes a directory that is missing; a present one gets the saved
// owner and permissions.
func (a *adapter) directory(ctx context.Context, path string) error {
	real, err := a.env.Host.Entry(path)
	if err != nil {
		return err
	}
	if info, err := os.Lstat(real); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		// MakeParents refuses what is there and no directory.
		return a.session.MakeParents(ctx, filepath.Join(path, "x"), a.dress(ctx))
	}
	if a.session.Made(real) {
		return nil
	}
	place, err := a.place(ctx, path, real)
	if err != nil {
		return err
	}
	like := a.next(place)
	if err := os.Mkdir(like, 0o700); err != nil {
		return err
	}
	if err := a.owners.Dress(ctx, a.source, path, like); err != nil {
		return err
	}
	a.plan.Keeps = append(a.plan.Keeps, aside.Keep{Path: real, Like: like})
	return nil
}

// place is where an entry is staged: beside it, or inside a mount point.
func (a *adapter) place(ctx context.Context, path, real string) (aside.Place, error) {
	mounts, err := aside.Mounts(real)
	if err != nil {
		return aside.Place{}, err
	}
	for _, m := range mounts {
		if m == real {
			return a.session.Stage(ctx, real)
		}
	}
	if err := a.session.MakeParents(ctx, path, a.dress(ctx)); err != nil {
		return aside.Place{}, err
	}
	return a.session.Stage(ctx, filepath.Dir(real))
}

func (a *adapter) next(place aside.Place) string {
	a.n++
	return filepath.Join(place.New, strconv.Itoa(a.n))
}

func (a *adapter) file(ctx context.Context, change Change, node *repository.Node) error {
	path := string(change.Path)
	if err := a.session.MakeParents(ctx, path, a.dress(ctx)); err != nil {
		return err
	}
	real, err := a.env.Host.Entry(path)
	if err != nil {
		return err
	}
	if change.Through != "" {
		real = string(change.Through)
		if slices.ContainsFunc(a.plan.Swaps, func(s aside.Swap) bool { return s.Path == real }) {
			return fmt.Errorf("on this machine a symbolic link leads %s to %s, where another file of the component is too; remove the link and restore again", files.Shown(path), files.Shown(real))
		}
	}
	place, err := a.session.Stage(ctx, filepath.Dir(real))
	if err != nil {
		return err
	}
	staged := a.next(place)
	_, err = a.source.RestorePath(ctx, path, staged, repository.RestoreOptions{
		UID: a.owners.UID(), GID: a.owners.GID(), Warn: a.warn,
		Progress: func(bytes int64) {
			a.done += bytes
			if a.opts.Progress != nil {
				a.opts.Progress(a.done, a.opts.Record.Bytes)
			}
		},
	})
	if err != nil {
		return err
	}
	if err := files.Verify(ctx, a.source, path, staged, nil, a.owners.See); err != nil {
		return fmt.Errorf("verify what was written: %w", err)
	}
	if change.Action == Merge {
		if err := rewrite(staged, change.content); err != nil {
			return err
		}
	}
	a.swap(place, real, staged)
	if change.KeptFresh == "" {
		return nil
	}
	kept, err := a.env.Host.Entry(string(change.KeptFresh))
	if err != nil {
		return err
	}
	if place, err = a.session.Stage(ctx, filepath.Dir(kept)); err != nil {
		return err
	}
	copied := a.next(place)
	if err := aside.CopyFile(real, copied); err != nil {
		return fmt.Errorf("keep the fresh file: %w", err)
	}
	a.swap(place, kept, copied)
	return nil
}

func (a *adapter) swap(place aside.Place, real, staged string) {
	a.plan.Swaps = append(a.plan.Swaps, aside.Swap{Path: real, New: staged, Aside: filepath.Join(place.Aside, filepath.Base(real))})
}

// rewrite replaces the content of a staged file and keeps owner, mode and
// attributes.
func rewrite(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write merged file: %w", err)
	}
	return os.Chtimes(path, time.Time{}, time.Now())
}

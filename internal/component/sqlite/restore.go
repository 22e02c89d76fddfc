package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"lifeboat/internal/component"
	"lifeboat/internal/component/aside"
)

// Restore writes the image beside the present database, checks it, and moves it
// into place. Programs that use the database have to be stopped: what they have
// open would go on being the old one.
func (c *Component) Restore(ctx context.Context, source component.Source, opts component.RestoreOptions) error {
	return c.wrap("restore", c.restore(ctx, source, opts))
}

func (c *Component) restore(ctx context.Context, source component.Source, opts component.RestoreOptions) error {
	detail, err := readDetail(opts.Record)
	if err != nil {
		return err
	}
	s, err := c.session()
	if err != nil {
		return err
	}
	if err := s.Begin(ctx); err != nil {
		return err
	}
	if s.Phase() != aside.Untouched {
		return s.Resume(ctx)
	}
	plan, err := c.stage(ctx, s, source, detail, opts)
	if err != nil {
		return errors.Join(err, s.Abandon())
	}
	return s.Commit(ctx, plan)
}

func (c *Component) stage(ctx context.Context, s *aside.Session, source component.Source, detail Detail, opts component.RestoreOptions) (aside.Plan, error) {
	var plan aside.Plan
	uid, gid := c.owner(detail, opts)
	err := s.MakeParents(ctx, c.file, func(_, made string) error {
		// Its directory is where SQLite keeps its log: whose the file is, needs it.
		return errors.Join(os.Lchown(made, uid, gid), os.Chmod(made, 0o750))
	})
	if err != nil {
		return plan, err
	}
	real, err := c.env.Host.Entry(c.file)
	if err != nil {
		return plan, err
	}
	place, err := s.Stage(ctx, filepath.Dir(real))
	if err != nil {
		return plan, err
	}
	staged := filepath.Join(place.New, "database")
	if err := write(ctx, source, c.stream(), staged, detail, opts.Progress); err != nil {
		return plan, err
	}
	if err := verify(ctx, staged, detail); err != nil {
		return plan, fmt.Errorf("verify what was written: %w", err)
	}
	if err := errors.Join(os.Lchown(staged, uid, gid), os.Chmod(staged, detail.Mode)); err != nil {
		return plan, err
	}
	plan.Swaps = []aside.Swap{{Path: real, New: staged, Aside: filepath.Join(place.Aside, filepath.Base(real))}}
	// A log of the present database must not be played into the restored one.
	for _, ending := range besides {
		plan.Swaps = append(plan.Swaps, aside.Swap{Path: real + ending, Aside: filepath.Join(place.Aside, filepath.Base(real)+ending)})
	}
	return plan, nil
}

// write makes the file of the stream, which must have exactly the recorded size.
func write(ctx context.Context, source component.Source, stream, to string, detail Detail, progress func(done, total int64)) (err error) {
	in, err := source.OpenStream(ctx, stream)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	want := detail.Pages * detail.PageSize
	written, err := io.Copy(&counter{Writer: out, total: want, tell: progress, ctx: ctx}, io.LimitReader(in, want+1))
	if err != nil {
		return err
	}
	if written != want {
		return fmt.Errorf("%s has not the %d bytes that the manifest says", stream, want)
	}
	return out.Sync()
}

type counter struct {
	io.Writer
	done, total int64
	tell        func(done, total int64)
	ctx         context.Context
}

func (w *counter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.Writer.Write(p)
	w.done += int64(n)
	if w.tell != nil {
		w.tell(w.done, w.total)
	}
	return n, err
}

// verify looks whether the file is a whole database with the recorded content. It
// makes nothing beside it that stays.
func verify(ctx context.Context, file string, detail Detail) error {
	found, err := look(ctx, file)
	if err != nil {
		return err
	}
	if differing := component.Unlike(detail.Tables, found); len(differing) > 0 {
		return fmt.Errorf("tables differ from what was captured: %v", differing)
	}
	for _, ending := range besides {
		if err := os.Remove(file + ending); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func look(ctx context.Context, file string) (map[string]Table, error) {
	i, err := open(ctx, file)
	if err != nil {
		return nil, err
	}
	defer i.close()
	if err := i.check(ctx); err != nil {
		return nil, err
	}
	return i.contents(ctx)
}

// owner finds the recorded owner by name. One that the machine does not have
// becomes root, which is told: nobody else may read the file then.
func (c *Component) owner(detail Detail, opts component.RestoreOptions) (uid, gid int) {
	if os.Geteuid() != 0 {
		return -1, -1
	}
	unknown := func(what, name string) {
		if opts.Warn != nil {
			opts.Warn(fmt.Sprintf("component %s: %s has no %s %q; %s belongs to root now", c.name, "this machine", what, name, c.file))
		}
	}
	if user, err := c.env.Host.User(detail.User); err == nil {
		uid = int(user.UID)
	} else if n, err := strconv.Atoi(detail.User); err != nil || n != 0 {
		unknown("user", detail.User)
	}
	if id, err := c.env.Host.GroupID(detail.Group); err == nil {
		gid = int(id)
	} else if n, err := strconv.Atoi(detail.Group); err != nil || n != 0 {
		unknown("group", detail.Group)
	}
	return uid, gid
}

// Extract writes the image as a file below dir, under its own path.
func (c *Component) Extract(ctx context.Context, source component.Source, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return c.wrap("extract", err)
	}
	defer root.Close()
	name := filepath.Base(c.file)
	in, err := source.OpenStream(ctx, c.stream())
	if err != nil {
		return c.wrap("extract", err)
	}
	defer in.Close()
	out, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return c.wrap("extract", err)
	}
	_, err = io.Copy(out, in)
	return c.wrap("extract", errors.Join(err, out.Sync(), out.Close()))
}

// Rollback brings back what was there. What others changed meanwhile stays aside.
func (c *Component) Rollback(ctx context.Context) error {
	s, err := c.session()
	if err != nil {
		return c.wrap("roll back", err)
	}
	changed, err := c.Changed(ctx)
	if err != nil {
		return err
	}
	return c.wrap("roll back", s.Rollback(ctx, changed...))
}

// Discard removes what was set aside.
func (c *Component) Discard(ctx context.Context) error {
	s, err := c.session()
	if err != nil {
		return c.wrap("discard", err)
	}
	return c.wrap("discard", s.Discard(ctx))
}

// Changed tells whether others have written to the restored database.
func (c *Component) Changed(ctx context.Context) ([]string, error) {
	s, err := c.session()
	if err != nil || c.env.Since.IsZero() {
		return nil, errors.Join(c.wrap("look for changes", err), ctx.Err())
	}
	changed, err := s.Changed(ctx, c.env.Since, c.env.Killed, c.env.Theirs...)
	return changed, c.wrap("look for changes", err)
}

// Kept lists where Rollback has left what others changed.
func (c *Component) Kept(context.Context) ([]string, error) {
	s, err := c.session()
	if err != nil {
		return nil, c.wrap("look", err)
	}
	return s.Kept(), nil
}

// Replaced tells whether a file of the machine came with Restore.
func (c *Component) Replaced(path string) (bool, error) {
	s, err := c.session()
	if err != nil {
		return false, c.wrap("look", err)
	}
	return s.Replaced(path)
}

// Put lists the places at which Restore has put something.
func (c *Component) Put() ([]string, error) {
	s, err := c.session()
	if err != nil {
		return nil, c.wrap("look", err)
	}
	return s.Put(), nil
}

// Held tells where Restore has set aside what was there.
func (c *Component) Held(ctx context.Context) ([]component.Held, error) {
	s, err := c.session()
	if err != nil {
		return nil, c.wrap("look", err)
	}
	held, err := s.Held(ctx)
	return held, c.wrap("look", err)
}

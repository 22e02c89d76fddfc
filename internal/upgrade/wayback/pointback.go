package wayback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"lifeboat/internal/component/boundary"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// detail is what Back has to know of a baseline as this process sees it.
func (m *Point) detail(b Baseline) (saved, error) {
	var d saved
	if err := json.Unmarshal(b.Detail, &d); err != nil {
		return d, fmt.Errorf("the record of the way back cannot be read: %w", err)
	}
	if d.Staged != "" && b.Root != "/" && !m.NextBoot {
		h, err := m.host()
		if err != nil {
			return d, err
		}
		if d.Staged, err = h.Path(d.Staged); err != nil {
			return d, err
		}
	}
	return d, nil
}

func (m *Point) find(ctx context.Context, b Baseline) (*vault.Point, error) {
	if m.Vault == nil {
		return nil, errors.New("there is no repository to go back from")
	}
	point, err := m.Vault.Find(ctx, b.Point, vault.Filter{})
	if err != nil {
		return nil, fmt.Errorf("the recovery point of the way back: %w", err)
	}
	return point, nil
}

// Verify reads all that would be needed: from the repository, or from the copy that
// lies ready for the next boot.
func (m *Point) Verify(ctx context.Context, task runbook.Task, b Baseline) error {
	b, _, err := m.here(b)
	if err != nil {
		return err
	}
	d, err := m.detail(b)
	if err == nil {
		err = intact(b)
	}
	if err != nil {
		return err
	}
	if d.Staged != "" {
		return checkStaged(ctx, task, d)
	}
	point, err := m.find(ctx, b)
	if err == nil {
		err = readBack(ctx, task, point, d)
	}
	if err != nil {
		return fmt.Errorf("the way back from a recovery point: %w", err)
	}
	return nil
}

// intact sees that what was written down is still that.
func intact(b Baseline) error {
	f, err := os.Open(b.List)
	if err != nil {
		return fmt.Errorf("read what the root was: %w", err)
	}
	defer f.Close()
	return listed(b, f)
}

// Back makes the root equal to the recovery point, or has the next boot do it.
func (m *Point) Back(ctx context.Context, task runbook.Task, b Baseline) error {
	err := m.back(ctx, task, b)
	var restart *RestartError
	if err != nil && !errors.As(err, &restart) {
		return fmt.Errorf("go back from recovery point %.8s: %w", b.Point, err)
	}
	return err
}

func (m *Point) back(ctx context.Context, task runbook.Task, b Baseline) error {
	b, moved, err := m.here(b)
	if err != nil {
		return err
	}
	d, err := m.detail(b)
	switch {
	case err != nil:
		return err
	case moved && d.Staged != "":
		return m.rescued(ctx, task, b, d)
	case d.Staged != "":
		return m.next(ctx, task, b, d)
	}
	if filepath.Clean(b.Root) == "/" {
		return runbook.Refuse("", "the running root cannot go back while it runs")
	}
	if err := still(m.Target); err != nil {
		return err
	}
	point, err := m.find(ctx, b)
	if err != nil {
		return err
	}
	r := &replay{root: b.Root, b: b, d: d, point: point}
	if err := r.foreign(); err != nil {
		return err
	}
	if err := r.room(ctx); err != nil {
		return err
	}
	if err := readBack(ctx, task, point, d); err != nil {
		return fmt.Errorf("nothing was changed, for the recovery point cannot be read: %w", err)
	}
	return r.run(ctx, task)
}

// rescued takes a root back that ran when the way back was made, and that a rescue system
// has mounted now: from the copy that lies ready in it, whether or not a boot was to do so.
func (m *Point) rescued(ctx context.Context, task runbook.Task, b Baseline, d saved) error {
	if err := checkStaged(ctx, task, d); err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	point, done, err := openStaged(ctx, d.Staged)
	if err != nil {
		return err
	}
	r := &replay{root: b.Root, b: b, d: d, point: point}
	if err = r.foreign(); err == nil {
		err = r.room(ctx)
	}
	if err == nil {
		err = r.run(ctx, task)
	}
	return errors.Join(err, done())
}

// next has the next boot go back; after it, it tells what that has done.
func (m *Point) next(ctx context.Context, task runbook.Task, b Baseline, d saved) error {
	done, err := readResult(d.Staged)
	switch {
	case err != nil:
		return err
	case done != nil && done.Equal:
		return nil
	case done != nil:
		task.Logf("at the last boot: %s", done.Error)
	}
	if err := checkStaged(ctx, task, d); err != nil {
		return err
	}
	r := &replay{root: b.Root, b: b, d: d, later: true}
	if err := r.foreign(); err != nil {
		return err
	}
	if err := r.room(ctx); err != nil {
		return err
	}
	boundary.Reached(ctx, "before arming")
	if err := arm(m.Target, b, d.Staged); err != nil {
		return fmt.Errorf("have the next boot go back: %w", err)
	}
	if done != nil {
		return &RestartError{"the last boot could not go back (" + done.Error + "); restart this machine to try again, or go back from a rescue system with --root"}
	}
	return &RestartError{"restart this machine: it goes back before anything starts, and restarts once more"}
}

// Drop lets go of the recovery point, which stays like any other, and removes the copy
// for the next boot.
func (m *Point) Drop(ctx context.Context, task runbook.Task, b Baseline) error {
	b, _, err := m.here(b)
	if err != nil {
		return err
	}
	d, err := m.detail(b)
	if err != nil {
		return err
	}
	if d.Staged != "" {
		if err := disarm(b, false); err != nil {
			return fmt.Errorf("remove what goes back at the next boot: %w", err)
		}
		boundary.Reached(ctx, "disarmed")
		if err := os.RemoveAll(d.Staged); err != nil {
			return fmt.Errorf("remove the copy for the next boot: %w", err)
		}
	}
	if m.Vault == nil {
		task.Warnf("recovery point %.8s stays pinned, for its repository is not known here; lifeboat unpin lets go of it", b.Point)
		return nil
	}
	m.unpin(ctx, task)
	return nil
}

package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"

	"lifeboat/internal/component"
	"lifeboat/internal/profile"
	"lifeboat/internal/repository"
	"lifeboat/internal/runbook"
)

// proofStage holds what a drill does after the recovery's own stages. It does not
// count as time of the recovery.
const proofStage = "proof"

// proofs are steps without an order between them.
func (r *rehearsal) proofs(p *profile.Profile) []runbook.Step {
	var steps []runbook.Step
	restored := r.recover.Restores()
	var back []component.Record
	for _, record := range r.point.Manifest.Components {
		if record.Status != component.StatusCaptured || len(r.Only) > 0 && !slices.Contains(r.Only, record.Name) {
			continue
		}
		if slices.Contains(r.Without, record.Name) {
			steps = append(steps, runbook.Step{
				ID: proofStage + "/read-" + record.Name, Title: fmt.Sprintf("Read %.3g %% of the files of %s", 100*r.Share, record.Name), Repeat: runbook.RepeatSafe,
				Run: func(ctx context.Context, task runbook.Task) error { return r.read(ctx, task, record, r.Share) },
			})
			continue
		}
		put := false
		for _, name := range restored {
			put = put || name == record.Name
		}
		if !put {
			steps = append(steps, runbook.Step{
				ID: proofStage + "/read-" + record.Name, Title: "Read what a recovery only looks at: " + record.Name, Repeat: runbook.RepeatSafe,
				Run: func(ctx context.Context, task runbook.Task) error { return r.read(ctx, task, record, 1) },
			})
		} else if record.Importance != profile.Optional && len(record.Paths) > 0 {
			back = append(back, record)
		}
	}
	if len(back) > 0 {
		steps = append(steps, r.strays(back))
	}
	for _, spec := range p.Components {
		if _, err := r.point.Manifest.Component(spec.Name); err != nil || len(r.Only) > 0 && !slices.Contains(r.Only, spec.Name) {
			continue
		}
		if step, ok := r.authority(spec); ok {
			steps = append(steps, step)
		}
	}
	return steps
}

// read reads what the point has of a component, or a share of its files chosen at
// random, and so proves that it is whole: the repository checks every byte.
func (r *rehearsal) read(ctx context.Context, task runbook.Task, record component.Record, share float64) error {
	var files, bytes int64
	total := int64(float64(record.Bytes) * share)
	consume := func(rc io.ReadCloser, err error) error {
		if err != nil {
			return err
		}
		defer rc.Close()
		n, err := io.Copy(io.Discard, rc)
		files, bytes = files+1, bytes+n
		task.Progress(min(bytes, total), total)
		return err
	}
	for _, name := range record.Streams {
		if err := consume(r.point.OpenStream(ctx, name)); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	all := int64(len(record.Streams))
	for _, path := range record.Paths {
		err := r.point.Walk(ctx, path, func(at string, node *repository.Node) error {
			if node.Type != repository.File {
				return nil
			}
			// The first one is always read: of a few files a share may be none.
			if all++; files > 0 && share < 1 && rand.Float64() >= share {
				return nil
			}
			if err := consume(r.point.OpenFile(ctx, node)); err != nil {
				return fmt.Errorf("read %s: %w", at, err)
			}
			return nil
		})
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("the recovery point promises %s and does not have it: %w", path, err)
		}
		if err != nil {
			return err
		}
	}
	task.Check(runbook.Check{
		Name: record.Name + " can be read", OK: true, Expected: "every byte of it is whole",
		Found: fmt.Sprintf("%d of %d files, %d bytes", files, all, bytes),
	})
	return nil
}

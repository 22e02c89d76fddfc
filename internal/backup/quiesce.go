package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"lifeboat/internal/guard"
	"lifeboat/internal/profile"
	"lifeboat/internal/runbook"
	"lifeboat/internal/strict"
)

const (
	waitInterval = time.Second
	waitDefault  = 4 * time.Hour
)

func (b *Backup) quiesce() []runbook.Step {
	q := b.Profile.Quiesce
	if len(q.Stop) == 0 {
		return nil
	}
	return []runbook.Step{
		{
			ID: "quiesce/wait", Title: "Wait for the system's own running jobs", EachTime: true,
			Run: func(ctx context.Context, task runbook.Task) error {
				return b.WaitForJobs(ctx, task)
			},
		},
		{
			ID: "quiesce/stop", Title: "Stop the system", Needs: []string{"quiesce/wait"}, EachTime: true,
			Run: func(ctx context.Context, task runbook.Task) error {
				if err := b.stop(ctx, task); err != nil {
					return err
				}
				// A job may have begun between the wait and the stop.
				if err := b.WaitForJobs(ctx, task); err != nil {
					return err
				}
				b.mu.Lock()
				b.moment = time.Now()
				b.mu.Unlock()
				return nil
			},
		},
	}
}

func (b *Backup) stop(ctx context.Context, task runbook.Task) error {
	q := b.Profile.Quiesce
	if q.Running != nil {
		running, why, err := b.Catalog.Profile.Holds(ctx, *q.Running, b.scope)
		if err != nil {
			return err
		}
		if !running {
			task.Logf("the system is not running (%s): nothing is stopped, and nothing will be started", why)
			return nil
		}
	}
	for _, p := range b.parts {
		if p.chosen && p.inspection.Unsettled != "" {
			return fmt.Errorf("%s, and the system might not start again: nothing was stopped. Let it end, then back up again; or stop the system yourself, and the backup warns instead", p.inspection.Unsettled)
		}
	}
	start, err := profile.Commands(q.Start, b.scope)
	if err != nil {
		return err
	}
	stop, err := profile.Commands(q.Stop, b.scope)
	if err != nil {
		return err
	}
	g, err := guard.Protect(ctx, guard.Options{Dir: b.StateDir, System: b.System, Run: b.runID, Start: start})
	if err != nil {
		return fmt.Errorf("guard the system before it is stopped: %w", err)
	}
	b.mu.Lock()
	b.guard = g
	b.mu.Unlock()
	for _, args := range stop {
		task.Logf("run %s", strings.Join(args, " "))
		if err := g.Stop(ctx, args); err != nil {
			return err
		}
	}
	return nil
}

// resume starts again exactly what was stopped.
func (b *Backup) resume() []runbook.Step {
	if len(b.Profile.Quiesce.Stop) == 0 {
		return nil
	}
	return []runbook.Step{{
		ID: "resume/start", Title: "Start the system again", EachTime: true,
		Run: func(ctx context.Context, task runbook.Task) error {
			b.mu.Lock()
			g := b.guard
			b.mu.Unlock()
			if g == nil {
				task.Logf("nothing was stopped")
				return nil
			}
			if err := g.Release(ctx); err != nil {
				return fmt.Errorf("start the system again: %w; it is still stopped: correct that, then run lifeboat %s", err, guard.BootCommand)
			}
			b.mu.Lock()
			b.guard = nil
			b.mu.Unlock()
			return nil
		},
	}}
}

// WaitForJobs returns when none of the profile's lock files names a live process.
func (b *Backup) WaitForJobs(ctx context.Context, task runbook.Task) error {
	for _, w := range b.Profile.Quiesce.WaitFor {
		limit := waitDefault
		if w.Timeout != "" {
			d, err := strict.ParseDuration(w.Timeout)
			if err != nil {
				return fmt.Errorf("wait for %s: %w", w.Lock, err)
			}
			limit = d
		}
		if w.Title == "" {
			w.Title = w.Lock + w.Process // one of them
		}
		if err := b.waitForJob(ctx, task, w, limit); err != nil {
			return err
		}
	}
	return nil
}

func (b *Backup) waitForJob(ctx context.Context, task runbook.Task, w profile.WaitFor, limit time.Duration) error {
	said := false
	deadline := time.Now().Add(limit)
	for {
		job, err := b.job(w)
		if err != nil || job == "" {
			return err
		}
		if !said {
			task.Logf("waiting for %s (%s), at most %s", w.Title, job, limit)
			said = true
		}
		if time.Now().After(deadline) {
			if w.Lock != "" {
				job += ", lock " + w.Lock
			}
			return fmt.Errorf("%s (%s) still runs after %s: nothing was stopped; back up later, or end it", w.Title, job, limit)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(waitInterval):
		}
	}
}

// job names the process that is waited for, "" when there is none.
func (b *Backup) job(w profile.WaitFor) (string, error) {
	if w.Process != "" {
		running, err := b.Host.Running(w.Process)
		if err != nil || !running {
			return "", err
		}
		return "process " + w.Process, nil
	}
	lock, err := profile.Expand(w.Lock, b.scope.Settings)
	if err != nil {
		return "", err
	}
	file, err := b.Host.Path(lock)
	if err != nil {
		return "", err
	}
	pid, err := livePID(file, w.Program)
	if err != nil || pid == 0 {
		return "", err
	}
	return fmt.Sprintf("process %d", pid), nil
}

// livePID reads a pid file; 0 when there is none, when its process is gone, or
// when the number was given to a process that is not the program.
func livePID(file, program string) (int, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read lock: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 0 {
		return 0, nil // no pid in it: the product itself calls such a lock stale
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(line), program) {
		return 0, nil
	}
	return pid, nil
}

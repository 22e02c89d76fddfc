package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"lifeboat/internal/backup"
	"lifeboat/internal/recovery"
	"lifeboat/internal/runbook"
	"lifeboat/internal/vault"
)

// Stop waits for the system's own jobs, writes down what it answers, stops it and keeps
// it stopped, across restarts too. Repeated, it goes on with what was written down.
func (s *Server) Stop(ctx context.Context, task runbook.Task) error {
	st, err := s.was(task)
	if err != nil {
		return err
	}
	r, err := s.recovery(ctx, nil)
	if err != nil {
		return err
	}
	if st == nil {
		st = new(standing)
		if st.Ran, err = r.Runs(ctx); err != nil {
			return err
		}
		if st.Ran {
			b, err := backup.New(ctx, s.options(s.dir(task)))
			if err != nil {
				return err
			}
			for _, p := range b.Parts() {
				if p.Chosen && p.Inspection.Unsettled != "" {
					return fmt.Errorf("%s, and %s might not start again: nothing was stopped; let it end first", p.Inspection.Unsettled, s.System)
				}
			}
			if err := b.WaitForJobs(ctx, task); err != nil {
				return err
			}
			var unasked []string
			st.Records, unasked = r.Questions(ctx, task)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			for _, text := range unasked {
				task.Warnf("%s: %s", s.System, text)
			}
		} else {
			task.Logf("%s does not run: it will not be started either", s.System)
		}
		if err := s.remember(task, st); err != nil {
			return err
		}
	}
	if _, err = r.Hold(ctx, task); err != nil || st.Census != nil {
		return err
	}
	if st.Census, err = counted(ctx, r, task); err != nil {
		return err
	}
	return s.remember(task, st)
}

// Hold stops the system once more.
func (s *Server) Hold(ctx context.Context, task runbook.Task) error {
	r, err := s.recovery(ctx, nil)
	if err == nil {
		_, err = r.Hold(ctx, task)
	}
	return err
}

// Start takes back what Stop has done: the system runs again if it ran. Without a Stop
// it does nothing.
func (s *Server) Start(ctx context.Context, task runbook.Task) error {
	st, err := s.was(task)
	if err != nil || st == nil {
		return err
	}
	r, err := s.recovery(ctx, nil)
	if err != nil {
		return err
	}
	return r.Release(ctx, task, st.Ran)
}

// Forget forgets what the system was before it was stopped.
func (s *Server) Forget(task runbook.Task) error {
	if err := os.RemoveAll(s.dir(task)); err != nil {
		return fmt.Errorf("forget what %s was: %w", s.System, err)
	}
	return nil
}

// note marks the pin of a run's point. It differs from that of the way back, whose own
// are removed by their note.
func note(run string) string { return "beside the way back of run " + run }

// Save makes a recovery point of the system and pins it. Repeated, it makes another one.
func (s *Server) Save(ctx context.Context, task runbook.Task) error {
	dir := filepath.Join(s.dir(task), "capture")
	if err := os.RemoveAll(dir); err != nil { // of an attempt that was killed
		return fmt.Errorf("save %s: %w", s.System, err)
	}
	s.LetGo(ctx, task)
	point, err := backup.Within(ctx, task, s.options(dir))
	if err == nil {
		_, err = s.Vault.Pin(ctx, point, note(task.RunID()))
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", s.System, err)
	}
	task.Logf("%s is in recovery point %s, too", s.System, point.Short())
	return nil
}

// LetGo lets go of the points of a run, which stay like any other.
func (s *Server) LetGo(ctx context.Context, task runbook.Task) {
	pins, err := s.Vault.Pins(ctx)
	for _, pin := range pins {
		if pin.Note == note(task.RunID()) {
			if _, unpinErr := s.Vault.Unpin(ctx, pin.ID.String()); unpinErr != nil && !errors.Is(unpinErr, vault.ErrNoPoint) {
				err = errors.Join(err, unpinErr)
			}
		}
	}
	if err != nil {
		task.Warnf("the pin of a recovery point of %s that is needed no more may be left: %v", s.System, err)
	}
}

// Database is a database server that keeps data of the system on this machine.
type Database struct {
	Files    string   // where they are
	Services []string // that run it
}

// Databases finds them. One that answers and that no known service runs is an error: it
// cannot be stopped, and may be on another machine.
func (s *Server) Databases(ctx context.Context, task runbook.Task) ([]Database, error) {
	r, err := s.recovery(ctx, nil)
	if err != nil {
		return nil, err
	}
	stores, err := r.Stores(ctx, task)
	if err != nil {
		return nil, err
	}
	var all []Database
	for _, store := range stores {
		d := Database{}
		if d.Files, err = store.Files(ctx); err != nil {
			return nil, err
		}
		for _, name := range store.Services {
			active, err := s.Host.ServiceActive(ctx, name)
			if err != nil {
				return nil, err
			}
			if active {
				d.Services = append(d.Services, name)
			}
		}
		if len(d.Services) == 0 {
			return nil, foreign(s, store)
		}
		all = append(all, d)
	}
	return all, nil
}

func foreign(s *Server, store recovery.Store) error {
	return runbook.Refuse("", "the %s of %s answers, and no service of this machine that is known to run it does (%v): what an upgrade does to it could not be taken back; stop it and save it yourself, and leave the system out with --without %s",
		store.Component, s.System, store.Services, s.System)
}

// Silent sees that no database server of the system answers any more.
func (s *Server) Silent(ctx context.Context, task runbook.Task) error {
	r, err := s.recovery(ctx, nil)
	if err != nil {
		return err
	}
	stores, err := r.Stores(ctx, task)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(stores, func(st recovery.Store) bool { return st.Answers(ctx) }); i >= 0 {
		return foreign(s, stores[i])
	}
	return nil
}

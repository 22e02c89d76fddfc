package runbook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Options set an Engine up. Only Dir is needed.
type Options struct {
	// Dir is the state directory, say /var/lib/lifeboat: runs are in runs/ and
	// locks in locks/ below it.
	Dir       string
	Observers []Observer
	// Prompter asks a person; nil when there is no terminal.
	Prompter Prompter
	// Hard ends when the process should stop at once: running steps are
	// abandoned and Always stages cancelled. nil never ends. See Interrupts.
	Hard context.Context
	// Parallel bounds how many steps of a stage run at a time; default 4.
	Parallel int
	// Poll is how often Done of a manual step is asked while a person is
	// waited for; default 2 s.
	Poll time.Duration
	// AcceptChange resumes a run whose runbook has another digest now.
	AcceptChange bool
	// Clock tells the time; default time.Now.
	Clock func() time.Time

	boot func() string                // default: bootMark
	wrap func(f *os.File) journalFile // fault injection
}

// Engine executes runbooks. It may execute several at the same time.
type Engine struct {
	o       Options
	secrets concealer
}

// New returns an Engine.
func New(o Options) *Engine {
	if o.Parallel <= 0 {
		o.Parallel = 4
	}
	if o.Poll <= 0 {
		o.Poll = 2 * time.Second
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Hard == nil {
		o.Hard = context.Background()
	}
	if o.boot == nil {
		o.boot = bootMark
	}
	if o.wrap == nil {
		o.wrap = func(f *os.File) journalFile { return f }
	}
	return &Engine{o: o}
}

// Conceal replaces the secrets by stars in all text of events from now on,
// and so in the journal. Kept values are not changed: they must hold none.
func (e *Engine) Conceal(secrets ...string) { e.secrets.add(secrets) }

// Start executes the runbook as a new run. When ctx ends, running steps are
// cancelled, Always stages still run, and the run can be resumed.
//
// The Run is what became of it; it is nil when nothing was begun. The error is
// nil for a run that is done, also with warnings; otherwise it wraps a
// *StepError, ErrWaiting (a *WaitingError), ErrInterrupted, ErrRefused, ErrBusy,
// ErrInvalid or ErrJournal. ExitCode maps both to an exit code.
func (e *Engine) Start(ctx context.Context, rb Runbook, meta Meta) (*Run, error) {
	if err := rb.Validate(); err != nil {
		return nil, err
	}
	meta.Version, meta.Kind, meta.System, meta.Digest = Version, rb.Kind, rb.System, rb.Digest()
	meta.PID, meta.Started = os.Getpid(), e.o.Clock().UTC()
	if meta.Title == "" {
		meta.Title = rb.Title
	}
	if meta.ID == "" {
		meta.ID = NewID(rb.System, rb.Kind, meta.Started)
	}
	if meta.Resume == "" {
		meta.Resume = fmt.Sprintf("lifeboat %s %s --resume", rb.Kind, rb.System)
	}
	lock, err := Acquire(e.o.Dir, rb.System, meta.ID)
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	dir, err := e.create(meta)
	if err != nil {
		return nil, fmt.Errorf("start run %s: %w", meta.ID, err)
	}
	j, err := createJournal(dir, e.o.wrap)
	if err != nil {
		return nil, fmt.Errorf("start run %s: %w", meta.ID, err)
	}
	p := e.newPass(rb, newRun(meta, dir), j, lock)
	return p.execute(ctx, Event{Type: RunStarted})
}

// Resume goes on with a run: what is finished is not repeated. It waits for
// commands that the run's killed process has left running. A runbook that is no
// longer the same is refused, unless AcceptChange is set. Results are those of
// Start.
func (e *Engine) Resume(ctx context.Context, runID string, rb Runbook) (*Run, error) {
	p, err := e.reopen(ctx, runID, rb)
	if err != nil {
		return nil, err
	}
	defer p.lock.Release()
	run := p.run
	switch {
	case run.RollingBack:
		err = fmt.Errorf("run %s is on its way back; finish that with a rollback: %w", runID, ErrNotResumable)
	case run.Passes > 0 && !run.Resumable():
		err = fmt.Errorf("run %s is %s: %w", runID, run.State, ErrNotResumable)
	case run.Digest != rb.Digest() && !e.o.AcceptChange:
		err = Refuse("runbook", "run %s was started with a different runbook: the profile or the program has changed since", runID)
	}
	if err != nil {
		return run, errors.Join(err, p.journal.close())
	}
	return p.execute(ctx, Event{Type: RunResumed})
}

// Rollback takes back what the run has done: the Undo of every step that was
// started, the last one first. It stops at the first Undo that fails and can be
// repeated then. Steps without Undo keep their effect. Results are those of
// Start.
func (e *Engine) Rollback(ctx context.Context, runID string, rb Runbook) (*Run, error) {
	p, err := e.reopen(ctx, runID, rb)
	if err != nil {
		return nil, err
	}
	defer p.lock.Release()
	if p.run.State == StateRolledBack {
		err := fmt.Errorf("run %s is rolled back already: %w", runID, ErrNotResumable)
		return p.run, errors.Join(err, p.journal.close())
	}
	return p.rollback(ctx)
}

// create makes the directory of a run and writes its run.json.
func (e *Engine) create(meta Meta) (string, error) {
	dir := RunDir(e.o.Dir, meta.ID)
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", err
	}
	// It may be there already: components keep their own state in it.
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	data, err := json.MarshalIndent(meta, "", "  ")
	if err != nil {
		return "", err
	}
	if err := writeDurably(filepath.Join(dir, metaName), append(data, '\n')); err != nil {
		return "", err
	}
	return dir, syncDir(filepath.Dir(dir))
}

// reopen takes the lock of an earlier run and reads its journal.
func (e *Engine) reopen(ctx context.Context, runID string, rb Runbook) (*pass, error) {
	if err := rb.Validate(); err != nil {
		return nil, err
	}
	if _, err := Load(e.o.Dir, runID); err != nil {
		return nil, err
	}
	lock, err := e.acquire(ctx, rb, runID)
	if err != nil {
		return nil, err
	}
	run, end, err := load(e.o.Dir, runID, true) // again: it was not locked before
	if err == nil && (run.System != rb.System || run.Kind != rb.Kind) {
		err = fmt.Errorf("%w: run %s is %s of %s, not %s of %s", ErrInvalid, runID, run.Kind, run.System, rb.Kind, rb.System)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Release())
	}
	open := func() (*journal, error) { return openJournal(run.Dir, end.seq, end.size, e.o.wrap) }
	if run.Passes == 0 && end.size == 0 { // killed before the first record
		if _, err := os.Stat(filepath.Join(run.Dir, journalName)); errors.Is(err, fs.ErrNotExist) {
			open = func() (*journal, error) { return createJournal(run.Dir, e.o.wrap) }
		}
	}
	j, err := open()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("run %s: %w", runID, err), lock.Release())
	}
	return e.newPass(rb, run, j, lock), nil
}

// acquire takes the lock for a resume: it waits while only orphans hold it.
func (e *Engine) acquire(ctx context.Context, rb Runbook, runID string) (*Lock, error) {
	told := false
	for {
		lock, err := Acquire(e.o.Dir, rb.System, runID)
		var busy *BusyError
		if !errors.As(err, &busy) || len(busy.Orphans) == 0 {
			return lock, err
		}
		if !told {
			told = true
			for _, o := range e.o.Observers {
				o.Observe(Event{
					Version: Version, Time: e.o.Clock().UTC(), Type: RunWaiting, Run: runID,
					System: rb.System, Kind: rb.Kind, Text: busy.Error(),
				})
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", busy, ErrInterrupted)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

package runbook

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const metaName = "run.json"

// NewID makes the id of a run: its time in UTC first, so that ids sort by
// time, as in 20261121-074500-smt-recover-ab12.
func NewID(system, kind string, now time.Time) string {
	var salt [2]byte
	if _, err := rand.Read(salt[:]); err != nil {
		panic(err) // crypto/rand does not fail on Linux
	}
	return fmt.Sprintf("%s-%s-%s-%s", now.UTC().Format("20060102-150405"), system, kind, hex.EncodeToString(salt[:]))
}

// RunDir is the directory of a run below the state directory dir.
func RunDir(dir, runID string) string { return filepath.Join(dir, "runs", runID) }

// Load reads a run from the state directory dir. A run that does not exist is
// fs.ErrNotExist; one whose journal is damaged is an ErrJournal and is returned
// as far as it can be read.
func Load(dir, runID string) (*Run, error) {
	run, _, err := load(dir, runID, false)
	return run, err
}

// List reads all runs of the state directory dir, oldest first. Runs that
// cannot be read are joined in the error; those whose journal is damaged are
// listed all the same, as failed.
func List(dir string) ([]*Run, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "runs"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var runs []*Run
	var unread []error
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		run, err := Load(dir, entry.Name())
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // else killed before there was a run
			unread = append(unread, err)
		}
		if run != nil {
			runs = append(runs, run)
		}
	}
	// Several may begin within the second that their ids tell.
	slices.SortStableFunc(runs, func(a, b *Run) int { return a.Started.Compare(b.Started) })
	return runs, errors.Join(unread...)
}

// Unfinished returns the system's runs that are running or are to be resumed or
// rolled back, oldest first; kind "" takes every kind. A damaged journal counts
// as unfinished: nobody can tell.
func Unfinished(dir, system, kind string) ([]*Run, error) {
	runs, err := List(dir)
	var out []*Run
	for _, r := range runs {
		open := r.State == StateRunning || r.Resumable() && r.State != StateWarnings
		if open && r.System == system && (kind == "" || r.Kind == kind) {
			out = append(out, r)
		}
	}
	return out, err
}

// tail is where a journal ends.
type tail struct{ seq, size int64 }

// load reads a run. With locked set the caller holds the lock of its system,
// so that no process can be acting on it.
func load(dir, runID string, locked bool) (*Run, tail, error) {
	if !idForm.MatchString(runID) {
		return nil, tail{}, fmt.Errorf("run %q: %w", runID, fs.ErrNotExist)
	}
	runDir := RunDir(dir, runID)
	data, err := readBounded(filepath.Join(runDir, metaName), maxKept)
	if err != nil {
		return nil, tail{}, fmt.Errorf("run %s: %w", runID, err)
	}
	var meta Meta
	if err := json.Unmarshal(data, &meta); err != nil {
		return nil, tail{}, fmt.Errorf("run %s: %s is damaged: %w; what it did is not known: %s", runID, metaName, err, aside(runDir))
	}
	if meta.Version > Version {
		return nil, tail{}, fmt.Errorf("run %s: format version %d was written by a newer program", runID, meta.Version)
	}
	run := newRun(meta, runDir)
	f, err := os.OpenFile(filepath.Join(runDir, journalName), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) { // killed right after run.json
		run.State = StateInterrupted
		return run, tail{}, nil
	}
	if err != nil {
		return nil, tail{}, fmt.Errorf("run %s: %w", runID, err)
	}
	defer f.Close()
	var end tail
	end.seq, end.size, err = readJournal(f, run.apply)
	if run.State == StateRunning {
		// Without a last record it is the lock that tells a run from a killed one.
		if h := holderOf(dir, meta.System); locked || h.Run != runID || !h.alive() {
			run.State = StateInterrupted
			run.Hint = run.next()
			run.Finished = run.last
			run.Seconds += run.last.Sub(run.passFrom).Seconds()
		}
	}
	if err != nil {
		err = fmt.Errorf("run %s: %w", runID, err)
		run.State, run.Error, run.Damaged = StateFailed, err.Error(), true
		run.Hint = aside(runDir)
		return run, end, fmt.Errorf("%w; what it did is not known: %s", err, run.Hint)
	}
	return run, end, nil
}

// aside is what to do about a run that cannot be read.
func aside(runDir string) string { return "look at the system, then move " + runDir + " away" }

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s: larger than %d bytes", path, limit)
	}
	return data, err
}

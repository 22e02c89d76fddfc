package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"lifeboat/internal/host"
	"lifeboat/internal/runbook"

	"github.com/google/renameio/v2"
)

// jobArgument is the hidden first argument with which this program supervises a
// background command of a run.
const jobArgument = "__job"

// Job is a command of a recovery that goes on after the run has ended, say a
// mirror run. Its file lies in the run's directory.
type Job struct {
	Title    string     `json:"title"`
	Args     []string   `json:"args"`
	User     string     `json:"user,omitempty"`
	Log      string     `json:"log"`
	PID      int        `json:"pid,omitempty"` // of the supervisor
	Boot     string     `json:"boot,omitempty"`
	Started  time.Time  `json:"started"`
	Finished *time.Time `json:"finished,omitempty"`
	Failure  string     `json:"failure,omitempty"`
}

// Pending tells whether the job still runs.
func (j Job) Pending(h *host.Host) bool {
	return j.Finished == nil && j.Boot == h.BootID() && j.PID > 0 && syscall.Kill(j.PID, 0) == nil
}

// Jobs reads the background jobs of a run's directory.
func Jobs(dir string) ([]Job, error) {
	files, err := filepath.Glob(filepath.Join(dir, "jobs", "*.json"))
	if err != nil {
		return nil, err
	}
	var jobs []Job
	for _, f := range files {
		j, err := readJob(f)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

func readJob(file string) (Job, error) {
	var j Job
	data, err := os.ReadFile(file)
	if err != nil {
		return j, fmt.Errorf("read job: %w", err)
	}
	if err := json.Unmarshal(data, &j); err != nil {
		return j, fmt.Errorf("read job %s: %w", file, err)
	}
	return j, nil
}

func (j Job) write(file string) error {
	data, err := json.Marshal(j)
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(file, data, 0o600); err != nil {
		return fmt.Errorf("record job: %w", err)
	}
	return nil
}

// background starts a command under a supervisor of its own session, which
// outlives this run and records how the command ended.
func (r *Recovery) background(_ context.Context, task runbook.Task, args []string, opts *RunOptions) error {
	dir := filepath.Join(task.Dir(), "jobs")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make job directory: %w", err)
	}
	title := opts.title
	name := slug(title)
	file := filepath.Join(dir, name+".json")
	if old, err := readJob(file); err == nil && (old.Pending(r.Host) || old.Finished != nil && old.Failure == "") {
		task.Logf("already started at %s", old.Started.Format(time.RFC3339))
		return nil
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	log := opts.Log
	if log == "" {
		log = filepath.Join(dir, name+".log")
	}
	job := Job{Title: title, Args: args, User: opts.User, Log: log, Boot: r.Host.BootID(), Started: time.Now()}
	if err := job.write(file); err != nil {
		return err
	}
	pid, err := r.Host.Detach([]string{jobArgument, file})
	if err != nil {
		return fmt.Errorf("start %s in the background: %w", args[0], err)
	}
	task.Logf("runs in the background as process %d, log %s", pid, log)
	return nil
}

// JobMain is called first in main. When the program was started to supervise a
// job it does that and exits; otherwise it returns.
func JobMain() {
	if len(os.Args) != 3 || os.Args[1] != jobArgument {
		return
	}
	if err := supervise(os.Args[2]); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func supervise(file string) error {
	job, err := readJob(file)
	if err != nil {
		return err
	}
	job.PID = os.Getpid()
	if err := job.write(file); err != nil {
		return err
	}
	log, err := os.OpenFile(job.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err == nil {
		defer log.Close()
		err = host.Local().Run(context.Background(), host.Command{Args: job.Args, User: job.User, Stdout: log, Stderr: log})
	}
	now := time.Now()
	job.Finished = &now
	if err != nil {
		job.Failure = err.Error()
	}
	return job.write(file)
}

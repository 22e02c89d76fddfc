package runbook

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lifeboat/internal/runbook/ending"
)

// How a run ends is said in the words of package ending; these are the same ones.
const (
	ExitDone        = ending.ExitDone
	ExitFailed      = ending.ExitFailed
	ExitUsage       = ending.ExitUsage
	ExitWarnings    = ending.ExitWarnings
	ExitRefused     = ending.ExitRefused
	ExitWaiting     = ending.ExitWaiting
	ExitInterrupted = ending.ExitInterrupted
)

// Reasons for which a run does not go on; errors of the engine wrap them.
var (
	// ErrRefused says that a check of identity or safety forbids the step or
	// the run. Steps wrap it too, see Refuse.
	ErrRefused = ending.ErrRefused
	// ErrWaiting says that a person or a restart is waited for; the run
	// resumes afterwards. A step may return it, wrapped; it should then declare
	// Done or RepeatSafe.
	ErrWaiting = errors.New("waiting")
	// ErrBusy says that another run of the system holds its lock.
	ErrBusy = errors.New("another run of this system is active")
	// ErrInterrupted says that the run was interrupted and can be resumed.
	ErrInterrupted = ending.ErrInterrupted
	// ErrInvalid says that the runbook itself is wrong.
	ErrInvalid = errors.New("invalid runbook")
	// ErrJournal says that the journal cannot be written or read.
	ErrJournal = errors.New("journal")
	// ErrNotResumable says that the run has nothing left to do, or is on its
	// way back.
	ErrNotResumable = errors.New("the run cannot be resumed")
)

// ExitCode maps the result of Start, Resume or Rollback to the exit code of
// the process.
func ExitCode(run *Run, err error) int {
	switch {
	case err == nil && run != nil:
		return run.State.ExitCode()
	case err == nil:
		return ExitDone
	case errors.Is(err, ErrRefused), errors.Is(err, ErrBusy):
		return ExitRefused
	case errors.Is(err, ErrWaiting):
		return ExitWaiting
	case errors.Is(err, ErrInterrupted), errors.Is(err, context.Canceled):
		return ExitInterrupted
	case errors.Is(err, ErrInvalid), errors.Is(err, ErrNotResumable):
		return ExitUsage
	}
	return ExitFailed
}

// RefusedError is a check that forbids to go on.
type RefusedError = ending.RefusedError

// Refuse returns a *RefusedError. check is the name that --force takes, "" when it
// cannot be forced.
func Refuse(check, format string, args ...any) error { return ending.Refuse(check, format, args...) }

// StepError says which step failed.
type StepError struct {
	Step, Title string
	Err         error
}

func (e *StepError) Error() string { return fmt.Sprintf("%s: %v", e.Step, e.Err) }

// Unwrap returns the step's own error.
func (e *StepError) Unwrap() error { return e.Err }

// WaitingError says what a run waits for.
type WaitingError struct {
	Run, Step, Title string
	Text             string // what to do
	Seen             string // what Done saw last
	Resume           string // the command that resumes the run
	Restart          bool   // the machine is restarting; no person is needed
	Err              error  // what the step returned, if it asked for the waiting
}

func (e *WaitingError) Error() string {
	var b strings.Builder
	if e.Restart {
		fmt.Fprintf(&b, "restarting (%s)", e.Step)
	} else {
		fmt.Fprintf(&b, "waiting for a person at %s", e.Step)
	}
	for _, s := range []string{e.Text, e.Seen} {
		if s != "" {
			fmt.Fprintf(&b, ": %s", s)
		}
	}
	if e.Resume != "" {
		fmt.Fprintf(&b, "; then: %s", e.Resume)
	}
	return b.String()
}

// Is makes the error an ErrWaiting.
func (e *WaitingError) Is(target error) bool { return target == ErrWaiting }

// Unwrap returns the error with which the step asked for the waiting, or nil.
func (e *WaitingError) Unwrap() error { return e.Err }

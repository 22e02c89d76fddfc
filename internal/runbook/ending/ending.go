// Package ending is the vocabulary of how a run ends: its states, the exit codes that
// they stand for, and the refusal. It is apart from the engine for those that only
// speak of runs, on machines for which the engine is not built. Nothing that runs,
// reads or writes may enter it.
package ending

import (
	"errors"
	"fmt"
)

// Exit codes of the program.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitWarnings    = 3
	ExitRefused     = 4
	ExitWaiting     = 5
	ExitInterrupted = 130
)

// State says where a run stands.
type State string

// The states of a run.
const (
	StateRunning     State = "running"
	StateDone        State = "done"
	StateWarnings    State = "done with warnings"
	StateFailed      State = "failed"
	StateInterrupted State = "interrupted" // by a person, or its process was killed
	StateWaiting     State = "waiting"     // for a person or a restart
	StateRolledBack  State = "rolled back"
)

// ExitCode is the exit code that the state of a run stands for, whatever it was that
// stopped it.
func (s State) ExitCode() int {
	switch s {
	case StateDone, StateRolledBack:
		return ExitDone
	case StateWarnings:
		return ExitWarnings
	case StateWaiting:
		return ExitWaiting
	case StateInterrupted:
		return ExitInterrupted
	}
	return ExitFailed
}

// ErrRefused says that a check of identity or safety forbids to go on, see Refuse.
var ErrRefused = errors.New("refused")

// ErrInterrupted says that a person, or a signal, has ended it.
var ErrInterrupted = errors.New("interrupted")

// RefusedError is a check that forbids to go on.
type RefusedError struct {
	Check string // name that --force takes; "" when it cannot be forced
	Text  string
}

// Refuse returns a *RefusedError.
func Refuse(check, format string, args ...any) error {
	return &RefusedError{Check: check, Text: fmt.Sprintf(format, args...)}
}

func (e *RefusedError) Error() string {
	if e.Check == "" {
		return "refused: " + e.Text
	}
	return fmt.Sprintf("refused: %s (--force %s goes on in spite of it)", e.Text, e.Check)
}

// Is makes the error an ErrRefused.
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

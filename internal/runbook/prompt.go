package runbook

import (
	"context"
	"errors"
)

// ErrNoTerminal is what a Prompter returns when nobody can be asked.
var ErrNoTerminal = errors.New("no terminal to ask on")

// Answer is what a person says to a Question.
type Answer int

// The answers.
const (
	AnswerStop  Answer = iota // end the run as waiting; it can be resumed
	AnswerDone                // it is done
	AnswerRetry               // only to a repeat question: run the step again
)

// Question is put to a person. A --yes option must never answer one.
type Question struct {
	Run, Step, Title string
	// Text says what to do (a manual step) or what is unclear (a repeat question).
	Text string
	// Repeat marks the question what to do with a step that was started in an
	// earlier process and has no result; otherwise it is a manual step.
	Repeat bool
	// Seen is what Done saw after the person had said that it is done.
	Seen string
	// Watched says that the engine looks by itself whether the step is done,
	// and ends the question then.
	Watched bool
}

// Prompter asks a person. The engine calls it with one question at a time. Ask
// must return soon after ctx has ended, with ctx's error: the answer is no
// longer needed, because Done holds or the run was interrupted.
type Prompter interface {
	Ask(ctx context.Context, q Question) (Answer, error)
}

// Package runbook executes stages of steps: with needs between steps, conditions,
// manual steps, steps that always run, a journal that survives kill -9 and from
// which a run resumes, undo, dry run, and one stream of typed events that the
// terminal, --json, reports and the fleet read. It knows no product, no profile
// and no repository.
package runbook

import "context"

// Runbook is an ordered list of stages. A stage starts when the one before it
// has ended well; an Always stage also runs after a failure or an interrupt.
type Runbook struct {
	Kind   string // backup, recover, drill, upgrade
	System string
	Title  string
	Stages []Stage
}

// Stage groups steps. Steps without an order between them run in parallel.
// Steps of an Always stage run again each time the run is resumed, so they must
// bear repetition, and an interrupt does not cancel them.
type Stage struct {
	Name   string
	Title  string
	Always bool // runs even when an earlier stage failed or the run was interrupted
	Steps  []Step
}

// Repeat says whether a step that was started and has no recorded result may
// simply be run again.
type Repeat int

// The two answers.
const (
	RepeatAsk  Repeat = iota // a person is asked (exit code 5)
	RepeatSafe               // running it again is harmless or completes it
)

// Step is one action. Functions left nil are skipped.
type Step struct {
	ID    string // unique in the runbook, stable across compilations: "restore/database"
	Title string
	// Needs lists step ids that must have succeeded, been skipped or been
	// seen done. Steps of earlier stages are always needed.
	Needs []string
	// After lists step ids that come first, however they end: order without need.
	After []string
	// When decides whether the step applies; why is shown when it does not.
	When func(ctx context.Context) (applies bool, why string, err error)
	// Done sees whether the step's effect is there already. It is asked
	// before Run, and again after Run, when it must hold. A step that was killed
	// half-way is run again when Done says that its effect is not there.
	Done func(ctx context.Context) (done bool, seen string, err error)
	// Run acts. Nil with Confirm set makes a manual step; nil with only Done
	// set makes a step that fails unless Done holds. Commands that Run starts
	// and waits for should inherit LockFile(ctx).
	Run func(ctx context.Context, task Task) error
	// Undo takes the effect back, also after a Run that failed or was killed
	// half-way. It must bear being called again.
	Undo   func(ctx context.Context, task Task) error
	Repeat Repeat
	// Arrives says that what When looks for is brought by an earlier step of the
	// same runbook: a dry run, which comes before that, does not call it skipped.
	Arrives bool
	// EachTime marks a step whose effect does not outlive the process: an
	// opened repository, a stopped service that an Always stage starts again, a
	// preflight check. It runs anew when the run is resumed, without asking.
	// Steps of Always stages are so anyway.
	EachTime bool
	// Unwarned skips the step while the run has warnings: what takes the way back
	// waits until somebody has looked at them. Resuming the run decides anew, if it
	// is an EachTime step.
	Unwarned bool
	// Confirm makes the step wait for a person: the text says what to do. If
	// Done is set it is what ends the waiting, and the person's word is not
	// enough. With Run set as well, the word is enough and Run follows.
	Confirm string
	// Warn makes a failure of this step a warning (exit code 3).
	Warn bool
	// Reboot marks a step after which the machine restarts. It runs alone; the
	// engine then ends as waiting without running Always stages, and Done
	// decides when the run is resumed. Without Done it is enough that the
	// machine has restarted.
	Reboot bool
	// Hand tells a person how to do the step without Lifeboat (Markdown).
	Hand string
	// Effects lists what a dry run shows that the step would change.
	Effects []string
}

// Task is what a running step may tell and keep. Safe for concurrent use. What
// is told stands in the journal: it must hold no secret (see Engine.Conceal).
type Task interface {
	// Logf adds a line of detail to the journal and to verbose output.
	Logf(format string, args ...any)
	// Warnf records a warning; the run then ends with exit code 3.
	Warnf(format string, args ...any)
	// Progress tells how far the step is, in bytes; total 0 is unknown.
	Progress(done, total int64)
	// Check records the result of one check in the journal and report. A check
	// that is not OK fails the step when Run returns, or, with Warning set, counts
	// as a warning.
	Check(check Check)
	// Keep journals a value under a key of this run, durably, before it returns.
	// Its JSON may have at most 1 MiB.
	Keep(key string, value any) error
	// Kept reads a value kept by this run, also before it was resumed.
	Kept(key string, into any) (bool, error)
	// Dir is the run's own directory, 0700.
	Dir() string
	// RunID is the run's id.
	RunID() string
}

// Check is one checked statement of a run.
type Check struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Warning  bool   `json:"warning,omitempty"`
	Expected string `json:"expected,omitempty"`
	Found    string `json:"found,omitempty"`
	Hint     string `json:"hint,omitempty"`
	// Lacking says of a warning that what was saved lacks something already: a
	// recovery goes on with what there is, and a drill has failed.
	Lacking bool `json:"lacking,omitempty"`
	// Skipped says that it could not be tried, and Found why: it is not OK, and no
	// fault either. A step whose checks all are is skipped itself.
	Skipped bool `json:"skipped,omitempty"`
}

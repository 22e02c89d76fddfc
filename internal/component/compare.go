package component

import (
	"context"
	"time"

	"lifeboat/internal/repository"
)

// Comparer is implemented by kinds that can compare what a recovery point holds
// with what is on the machine.
type Comparer interface {
	// Compare gives every difference to opts.Report and tells what was looked at.
	// It changes nothing, nor does it stop or lock anything for longer than a
	// look takes. That the live part is not there is a difference, no error.
	Compare(ctx context.Context, source Source, opts CompareOptions) (Comparison, error)
}

// CompareOptions says how a component is compared.
type CompareOptions struct {
	Record Record
	Owners Owners // ids of the point by name; nil keeps numbers
	// Copied is set when the point was not taken from the machine itself but from
	// a copy of its files: the copy's change times say nothing.
	Copied bool
	// Quick trusts change times and does not read what they call unchanged.
	Quick    bool
	Progress func(bytes int64) // increments, from several goroutines at once
	Report   func(Difference)  // from one goroutine at a time
}

// Since is the moment after which a change explains a difference; zero when
// change times say nothing. The kernel's clock for files is coarse, and what
// changed while the point was being made need not be in it.
func (o CompareOptions) Since() time.Time {
	if o.Copied || o.Record.Started.IsZero() {
		return time.Time{}
	}
	return o.Record.Started.Add(-time.Second)
}

// Difference is something live that is not as the recovery point has it. Path is
// a path, or names a part of something that has none: "table Clients".
type Difference = repository.Difference

// Comparison is what a Compare looked at.
type Comparison struct {
	Items  int64 `json:"items"`            // entries, tables …
	Bytes  int64 `json:"bytes"`            // read and compared
	Unread int64 `json:"unread,omitempty"` // files that were taken for unchanged by their times
	// What and Not tell a person what was compared, and what was not.
	What []string `json:"what"`
	Not  []string `json:"not,omitempty"`
}

package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// ErrRetained says that the store keeps a file from being removed.
var ErrRetained = errors.New("the store keeps the file from being removed")

// RetainedError says until when the store keeps a file.
type RetainedError struct {
	Until time.Time // zero if the store did not say
	Hold  bool      // a legal hold, which ends when somebody lifts it
}

func (e *RetainedError) Error() string {
	switch {
	case e.Hold:
		return "it is under a legal hold and can be removed when that is lifted"
	case e.Until.IsZero():
		return "it is locked against removal (object lock)"
	}
	return fmt.Sprintf("it is locked against removal until %s (object lock) and can be removed after that", e.Until.Local().Format(time.DateTime))
}

// Unwrap makes it ErrRetained, and a want of permission for those who need to
// know no more.
func (e *RetainedError) Unwrap() []error { return []error{ErrRetained, fs.ErrPermission} }

// Permanent is true: to repeat the removal is useless.
func (e *RetainedError) Permanent() bool { return true }

// Retention is how long the store keeps a file from being removed or replaced.
type Retention struct {
	Info
	Until time.Time // zero or past when it does not
	Hold  bool      // a legal hold
}

// Holds tells whether the file cannot be removed at this moment.
func (r Retention) Holds() bool { return r.Hold || time.Now().Before(r.Until) }

// Retainer is a Store that can keep files from being removed, for a time, even by
// those who may remove files. Its methods may be called from several goroutines.
type Retainer interface {
	// Retaining is how long files are kept that are saved now; 0 when they are
	// not. Locks never are.
	Retaining() time.Duration

	// Retainable is nil when the store can do that, else it says what a person
	// has to do.
	Retainable(ctx context.Context) error

	// Retention looks a file up, or reports ErrNotFound.
	Retention(ctx context.Context, h Handle) (Retention, error)

	// Retain keeps a file until a time. It never shortens.
	Retain(ctx context.Context, h Handle, until time.Time) error
}

// AsRetainer finds the Retainer in a store, or behind those that wrap it.
func AsRetainer(s Store) (Retainer, bool) {
	for {
		if r, ok := s.(Retainer); ok {
			return r, true
		}
		wrapper, ok := s.(interface{ Unwrap() Store })
		if !ok {
			return nil, false
		}
		s = wrapper.Unwrap()
	}
}

package repository

import (
	"errors"
	"fmt"
	"strings"

	"lifeboat/internal/storage"
)

// Errors to be tested for with errors.Is. The errors that carry them name what
// is affected and say what can be done.
var (
	// ErrNoRepository says that the location holds no repository.
	ErrNoRepository = errors.New("there is no repository")
	// ErrNoKey says that a repository has no such key.
	ErrNoKey = errors.New("the repository has no such key")
	// ErrRepositoryExists says that Create found a repository.
	ErrRepositoryExists = errors.New("there is a repository already")
	// ErrWrongPassword says that no key of the repository fits the password.
	ErrWrongPassword = errors.New("wrong password, or no key for it")
	// ErrDamaged says that bytes of the repository are not what was written.
	ErrDamaged = errors.New("the repository is damaged")
	// ErrVersion says that the repository's format is not one that is written
	// (version 2) or read (1 and 2) here.
	ErrVersion = errors.New("unsupported repository version")
	// ErrLocked says that another process holds a lock that conflicts.
	ErrLocked = errors.New("the repository is locked")
	// ErrNoSnapshot says that the repository has no such snapshot.
	ErrNoSnapshot = errors.New("no such snapshot")
	// ErrClosed says that a session was committed or aborted before the call.
	ErrClosed = errors.New("the session has ended")
	// ErrHostile says that a stored tree holds what no honest backup writes: a
	// name that leaves its directory, a name twice, a tree within itself.
	ErrHostile = errors.New("refused a malformed tree")
	// ErrNoSpace says that the disk that is written to is full.
	ErrNoSpace = errors.New("no space left on the target")
	// ErrLastKey says that removing the key would lock everyone out.
	ErrLastKey = errors.New("this is the only key")
	// ErrKeyExists says that a password opens the repository already.
	ErrKeyExists = errors.New("the password opens the repository already")
)

// repairIndex is the advice where an index is not right.
func (r *Repository) repairIndex() string {
	return "repair the index (" + r.command("repository repair") + ")"
}

// Flag is Options.Flag.
func (r *Repository) Flag() string { return r.opts.Flag }

// command is what a person types to have something done to this repository.
func (r *Repository) command(verb string) string { return "lifeboat " + verb + r.opts.Flag }

// HintError is an error with a sentence on what to do about it.
type HintError struct {
	Err  error
	Hint string
}

func (e *HintError) Error() string { return e.Err.Error() + "; " + e.Hint }
func (e *HintError) Unwrap() error { return e.Err }

func hint(err error, format string, args ...any) error {
	return &HintError{Err: err, Hint: fmt.Sprintf(format, args...)}
}

// DamageError says which file or blob of the repository is damaged.
type DamageError struct {
	What string // "pack", "index", "snapshot", "blob" …
	ID   ID     // which one
	Pack ID     // for a blob, the pack it lies in, where known
	Err  error  // what is wrong with it
}

func (e *DamageError) Error() string {
	s := e.What
	if !e.ID.IsZero() {
		s += " " + e.ID.String()
	}
	if !e.Pack.IsZero() {
		s += " in pack " + e.Pack.String()
	}
	return s + " is damaged: " + e.Err.Error()
}

// Unwrap makes errors.Is(err, ErrDamaged) hold, and keeps the cause.
func (e *DamageError) Unwrap() []error { return []error{ErrDamaged, e.Err} }

// damaging tells an error about the bytes of a file from one about the way to it,
// which says nothing of them.
func damaging(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrShort)
}

// LockedError says who holds a lock that conflicts.
type LockedError struct {
	Lock Lock
}

func (e *LockedError) Error() string {
	if e.Lock.Damage != nil {
		return "the repository may be locked: " + e.Lock.unreadable()
	}
	kind := "shared"
	if e.Lock.Exclusive {
		kind = "exclusive"
	}
	return fmt.Sprintf("the repository is locked (%s) by %s since %s", kind, e.Lock.Owner(), e.Lock.Time.Local().Format("2006-01-02 15:04:05"))
}

// Unwrap makes errors.Is(err, ErrLocked) hold.
func (e *LockedError) Unwrap() error { return ErrLocked }

// PathError says that one entry of a live tree could not be stored.
type PathError struct {
	Op   string
	Path string
	Err  error
}

func (e *PathError) Error() string { return e.Op + " " + quoted(e.Path) + ": " + e.Err.Error() }
func (e *PathError) Unwrap() error { return e.Err }

// IncompleteError is what AddPath and Restore return when single entries could
// not be read or written while everything else was done.
type IncompleteError struct {
	Entries []*PathError
}

func (e *IncompleteError) Error() string {
	if len(e.Entries) == 1 {
		return e.Entries[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d entries failed: %v", len(e.Entries), e.Entries[0])
	if n := len(e.Entries); n > 2 {
		fmt.Fprintf(&b, "; … (%d more)", n-2)
	}
	if n := len(e.Entries); n > 1 {
		fmt.Fprintf(&b, "; %v", e.Entries[n-1])
	}
	return b.String()
}

// Unwrap gives the errors of the entries.
func (e *IncompleteError) Unwrap() []error {
	errs := make([]error, len(e.Entries))
	for i, entry := range e.Entries {
		errs[i] = entry
	}
	return errs
}

// quoted shows a path as it is, unless it holds what a terminal should not get.
func quoted(path string) string {
	for _, r := range path {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return fmt.Sprintf("%q", path)
		}
	}
	return path
}

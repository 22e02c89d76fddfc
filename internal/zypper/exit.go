package zypper

import (
	"fmt"
	"strings"
)

// Exit codes of zypper(8) that mean something of their own.
const (
	ExitDone          = 0
	ExitBug           = 1
	ExitSyntax        = 2
	ExitInvalid       = 3
	ExitZypp          = 4 // also: the solver has no answer, or a repository cannot be used
	ExitPrivileges    = 5
	ExitNoRepository  = 6
	ExitLocked        = 7
	ExitCommit        = 8 // anything from nothing to half of it was installed
	ExitUpdates       = 100
	ExitSecurity      = 101
	ExitReboot        = 102
	ExitRestart       = 103 // of the package manager
	ExitNotFound      = 104
	ExitSignal        = 105
	ExitSkipped       = 106 // repositories that could not be refreshed
	ExitScriptlet     = 107 // all is installed, and a %post has failed
	exitEndedBySignal = -1
)

var meanings = map[int]string{
	ExitBug: "an unexpected error", ExitSyntax: "its arguments are not understood", ExitInvalid: "its arguments are not right",
	ExitZypp: "the package manager gave up", ExitPrivileges: "it needs root", ExitNoRepository: "no package repository is enabled",
	ExitLocked: "another program works on the packages", ExitCommit: "packages could not be installed or removed",
	ExitUpdates: "there are updates", ExitSecurity: "there are security updates", ExitReboot: "the machine should be restarted",
	ExitRestart: "the package manager was updated itself", ExitNotFound: "a package is not known",
	ExitSignal: "it was ended by a signal", ExitSkipped: "package repositories were left out, for they could not be refreshed",
	ExitScriptlet: "packages are installed, and a script of theirs has failed", exitEndedBySignal: "it was killed",
}

// Meaning says an exit code of zypper in words.
func Meaning(code int) string {
	if m, ok := meanings[code]; ok {
		return m
	}
	return fmt.Sprintf("exit code %d", code)
}

// Error says that zypper ran and ended with something else than 0.
type Error struct {
	*Result
	Signal string // that ended it, or ""
	Stderr string // the end of it
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "zypper: %s", Meaning(e.Code))
	if e.Code >= 0 {
		fmt.Fprintf(&b, " (exit code %d)", e.Code)
	}
	if e.Signal != "" {
		fmt.Fprintf(&b, " (signal %s)", e.Signal)
	}
	said := e.Said()
	if said == "" {
		said = strings.TrimSpace(e.Stderr)
	}
	if said != "" {
		fmt.Fprintf(&b, ": %s", said)
	}
	return b.String()
}

// Changed tells whether packages may have been changed although the call failed.
func (e *Error) Changed() bool {
	switch e.Code {
	case ExitCommit, ExitSignal, ExitScriptlet, ExitReboot, ExitRestart, exitEndedBySignal, ExitBug:
		return true
	}
	return false
}

// Complete tells whether a transaction that ended with the code has done all it was
// to do: what is said then is for a person or a policy, not a failure.
func Complete(code int) bool {
	switch code {
	case ExitDone, ExitReboot, ExitRestart, ExitScriptlet, ExitUpdates, ExitSecurity:
		return true
	}
	return false
}
